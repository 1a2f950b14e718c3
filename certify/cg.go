package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// directionCG is direction by truncated conjugate gradients.
func (w *newton) directionCG(z []float64, t float64) bool {
	p, n := w.p, w.p.n
	a, b, hv := make([]float64, n), make([]float64, n), make([]float64, n)
	// product sets dst to (D - D² + t D H D) v.
	product := func(dst, v []float64) {
		p.projectDeriv(a, w.u, v)
		w.hessVec(hv, z, a)
		p.projectDeriv(b, w.u, a)
		p.projectDeriv(dst, w.u, hv)
		for i := range dst {
			dst[i] = a[i] - b[i] + t*dst[i]
		}
	}
	w.hessVec(hv, z, w.r)
	for i := range hv {
		b[i] = t*hv[i] - w.r[i]
	}
	p.projectDeriv(w.rhs, w.u, b)
	conjugateGradients(w.w, w.rhs, product, w.preconditioner(z, t), 1e-10, cgLimit, w.s.stop)
	p.projectDeriv(w.dir, w.u, w.w)
	floats.Sub(w.dir, w.r)
	return !floats.HasNaN(w.dir)
}

// cgLimit bounds the conjugate gradient iterations of one Newton step.
const cgLimit = 500

// preconditioner returns the inverse diagonal of D - D² + t D H D where it can be
// had cheaply (D diagonal with entries 0 and 1, matrices kept), else nil. It
// pays where H is diagonal plus low rank, as with slack variables.
func (w *newton) preconditioner(z []float64, t float64) []float64 {
	p := w.p
	h := p.hessianAt(z)
	if h == nil || p.rows > 0 && p.jacobian == nil {
		return nil
	}
	d, one := make([]float64, p.n), make([]float64, p.n)
	for i := range one {
		one[i] = 1
	}
	p.projectDeriv(d, w.u, one)
	for _, v := range d {
		if v != 0 && v != 1 {
			return nil
		}
	}
	inv := make([]float64, p.n)
	for i := range inv {
		ind, val := h.row(i)
		for x, j := range ind {
			if j == i {
				inv[i] = val[x]
			}
		}
	}
	for i, a := range w.act {
		if a > 0 {
			ind, val := p.jacobian.row(i)
			for x, j := range ind {
				inv[j] += a * val[x] * val[x]
			}
		}
	}
	least := 1e-12 * floats.Max(inv)
	for i, v := range inv {
		inv[i] = 1
		if d[i] == 1 {
			inv[i] = 1 / (t * math.Max(v, math.Max(least, 1e-300)))
		}
	}
	return inv
}

// conjugateGradients solves M w = b for symmetric positive semidefinite M to a
// relative residual, with the inverse of a diagonal preconditioner (nil: none),
// and stops at negative curvature with what it has. It returns the relative residual.
func conjugateGradients(w, b []float64, product func(dst, v []float64), inverse []float64, tol float64, limit int, stop func() bool) float64 {
	clear(w)
	n := len(b)
	r, s, q := append([]float64(nil), b...), make([]float64, n), make([]float64, n)
	precondition := func() {
		copy(s, r)
		if inverse != nil {
			floats.Mul(s, inverse)
		}
	}
	precondition()
	d := append([]float64(nil), s...)
	rs, size := floats.Dot(r, s), floats.Norm(b, 2)
	if size == 0 {
		return 0
	}
	for range limit {
		if floats.Norm(r, 2) <= tol*size || stop != nil && stop() {
			break
		}
		product(q, d)
		dq := floats.Dot(d, q)
		if dq <= 1e-15*floats.Norm(d, 2)*floats.Norm(q, 2) {
			break
		}
		alpha := rs / dq
		floats.AddScaled(w, alpha, d)
		floats.AddScaled(r, -alpha, q)
		precondition()
		next := floats.Dot(r, s)
		floats.Scale(next/rs, d)
		floats.Add(d, s)
		rs = next
	}
	return floats.Norm(r, 2) / size
}
