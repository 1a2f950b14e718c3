package margin

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// newton minimises
//
//	F(y) = 1/2 (y - a)'D(y - a) + sum_i psi_i(r_i.y),
//
// D diagonal, D >= 0, psi_i convex with a piecewise smooth derivative, by the
// semismooth Newton method with an exact line search:
//
//	p = -H^-1 grad F(y),   H = D + sum_i psi_i''(r_i.y) r_i r_i',
//	y += s p,   s the zero of d/ds F(y + s p).
//
// For piecewise quadratic psi the method ends after finitely many steps. H is
// carried from step to step and only the rows whose psi” has changed are put in
// or taken out; it is rebuilt where that is cheaper. What rounding leaves in H
// slows the method and does not bias it: the gradient is computed afresh.
//
// Assumption: F is bounded below. Where H is singular (no ridge, too few rows
// that bend) it is shifted by a multiple of the identity, which keeps p a descent
// direction in the span of the gradients; from y = a the limit is then the
// minimiser nearest to a in that span.
type newton struct {
	rows  blas64.General
	gram  *gram
	ridge []float64 // D
	a, y  []float64

	m, dm, trial  []float64 // r.y, r.p, r.(y + s p)
	first, second []float64
	held          []float64 // psi'' that is in gram.h; NaN in held[0] before the first build
	factored      bool      // gram.l is the factor of gram.h
	grad, p       []float64
	norm          []float64 // |r_i|
}

// loss is sum_i psi_i.
type loss interface {
	// derivatives writes psi_i'(m_i) and psi_i''(m_i).
	derivatives(first, second, m []float64)
}

func newNewton(rows blas64.General) *newton {
	n, d := rows.Rows, rows.Cols
	s := &newton{
		rows: rows, gram: newGram(rows), ridge: make([]float64, d), a: make([]float64, d), y: make([]float64, d),
		m: make([]float64, n), dm: make([]float64, n), trial: make([]float64, n),
		first: make([]float64, n), second: make([]float64, n), held: make([]float64, n),
		grad: make([]float64, d), p: make([]float64, d),
	}
	s.norm = make([]float64, n)
	for i := range s.norm {
		s.norm[i] = blas64.Nrm2(vector(row(rows, i)))
	}
	s.forget()
	return s
}

// forget makes the next step rebuild H, as after a change of D.
func (s *newton) forget() { s.held[0], s.factored = math.NaN(), false }

const rankOneLimit = 120 // changed rows beyond which H is rebuilt

// minimise runs the method from s.y until the gradient, in the max norm, is below
// s.scale(tol) and no longer falls.
func (s *newton) minimise(f loss, tol float64, limit int) (steps int, ok bool) {
	before := math.Inf(1)
	blas64.Gemv(blas.NoTrans, 1, s.rows, vector(s.y), 0, vector(s.m))
	for {
		f.derivatives(s.first, s.second, s.m)
		s.gradient()
		g, enough, noise := maxAbs(s.grad), s.scale(tol), s.scale(1e-16)
		if !(g < math.Inf(1)) {
			return steps, false
		}
		if g <= noise/4 || g <= enough && g >= before/2 {
			return steps, true
		}
		if steps == limit {
			return steps, g <= enough
		}
		steps++
		before = g
		s.assemble()
		if !s.factor() {
			return steps, false
		}
		for j, v := range s.grad {
			s.p[j] = -v
		}
		s.gram.solve(s.p)
		blas64.Gemv(blas.NoTrans, 1, s.rows, vector(s.p), 0, vector(s.dm))
		x := s.search(f, noise)
		blas64.Axpy(x, vector(s.p), vector(s.y))
		blas64.Gemv(blas.NoTrans, 1, s.rows, vector(s.y), 0, vector(s.m))
	}
}

// scale is tol (1 + sum |psi_i'|), to which it adds what the rounding of the
// margins r_i.y leaves in the gradient.
func (s *newton) scale(tol float64) float64 {
	rounding, size := 0.0, blas64.Nrm2(vector(s.y))
	for i, w := range s.second {
		rounding += w * (1 + s.norm[i]*size)
	}
	return tol*(1+blas64.Asum(vector(s.first))) + 4e-16*rounding
}

// gradient writes grad F from s.y and s.first.
func (s *newton) gradient() {
	for j, v := range s.y {
		s.grad[j] = s.ridge[j] * (v - s.a[j])
	}
	blas64.Gemv(blas.Trans, 1, s.rows, vector(s.first), 1, vector(s.grad))
}

// assemble brings H to s.second.
func (s *newton) assemble() {
	changed := 0
	for i, w := range s.second {
		if w != s.held[i] {
			changed++
		}
	}
	if changed == 0 {
		return
	}
	s.factored = false
	if changed > rankOneLimit || math.IsNaN(s.held[0]) {
		s.gram.build(s.ridge, s.second)
	} else {
		for i, w := range s.second {
			if w != s.held[i] {
				s.gram.update(w-s.held[i], row(s.rows, i))
			}
		}
	}
	copy(s.held, s.second)
}

// factor factors H, shifted where it is not positive definite.
func (s *newton) factor() bool {
	if s.factored {
		return true
	}
	top := 0.0
	for j := range s.y {
		top = math.Max(top, s.gram.h.Data[j*s.gram.h.Stride+j])
	}
	if top == 0 {
		top = 1
	}
	for shift := 0.0; shift <= 1e-2*top; shift = math.Max(100*shift, 1e-12*top) {
		if s.gram.cholesky(shift) && s.sound(1e-13*top) {
			s.factored = true
			return true
		}
	}
	return false
}

// sound reports whether the pivots of the factor are all above the level of
// rounding.
func (s *newton) sound(least float64) bool {
	for j := range s.y {
		if v := s.gram.l.Data[j*s.gram.l.Stride+j]; !(v*v > least) {
			return false
		}
	}
	return true
}

// search returns the step that minimises F along p, to one digit of the slope
// for smooth psi and exactly within one piece of a piecewise quadratic.
func (s *newton) search(f loss, noise float64) float64 {
	dyp, pdp := 0.0, 0.0
	for j, v := range s.p {
		dyp += s.ridge[j] * (s.y[j] - s.a[j]) * v
		pdp += s.ridge[j] * v * v
	}
	slope := func(x float64) (value, bend float64) {
		copy(s.trial, s.m)
		blas64.Axpy(x, vector(s.dm), vector(s.trial))
		f.derivatives(s.first, s.second, s.trial)
		value, bend = dyp+x*pdp, pdp
		for i, dm := range s.dm {
			value += s.first[i] * dm
			bend += s.second[i] * dm * dm
		}
		return value, bend
	}
	start := blas64.Dot(vector(s.grad), vector(s.p))
	noise *= maxAbs(s.dm)
	target := 0.1*math.Abs(start) + noise
	lo, hi, x := 0.0, math.Inf(1), 1.0
	for range 80 {
		value, bend := slope(x)
		if math.Abs(value) <= target {
			return x
		}
		if value > 0 {
			hi = x
		} else {
			lo = x
		}
		switch next := x - value/bend; {
		case next > lo && next < hi && bend > 0:
			x = math.Min(next, 4*x)
		case math.IsInf(hi, 1):
			x = 4 * x
		default:
			x = (lo + hi) / 2
		}
		if hi-lo <= 1e-15*hi {
			return x
		}
	}
	return x
}
