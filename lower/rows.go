package lower

import (
	"math"
	"reflect"

	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
)

// rows holds all constraints of a problem, those of the set Y included, as
// r_i(y) = 0 (the first equal rows) and r_i(y) <= 0. In order: equations of c,
// linear equations and fixed components of Y; inequalities of c, linear
// inequalities of Y, balls of Y (written (|y-a|^2/r - r)/2 <= 0); and, as
// signed components instead of dense rows, bounds of Y.
type rows struct {
	p            *Problem
	y            set.Set // the set that desc describes
	desc         *set.Description
	n, m         int
	equal, dense int // number of equations; number of rows that are not bounds
	fixed        []int
	bounds       []bound
	jac          []float64 // dense x n, row-major
	value        []float64 // m, at the last eval
	grad         []float64 // n, of F at the last eval
	c, e, w      []float64 // scratch: Rows, max(n, Rows), n
	linear       bool      // the Jacobian is up to date for every y
	flat         bool      // all rows are linear
}

// bound is sign*(y[index] - at) <= 0.
type bound struct {
	index    int
	sign, at float64
}

// load prepares r for p; false when Y has no description.
func (r *rows) load(p *Problem) bool {
	r.p, r.n = p, p.N
	if r.desc == nil || r.n != len(r.desc.Lo) || !same(r.y, p.Y) {
		r.desc = set.Describe(p.Y, p.N)
		if r.desc == nil {
			return false
		}
		r.y = p.Y
	}
	d := r.desc
	r.fixed, r.bounds = r.fixed[:0], r.bounds[:0]
	for i, lo := range d.Lo {
		hi := d.Hi[i]
		if lo == hi {
			r.fixed = append(r.fixed, i)
			continue
		}
		if !math.IsInf(lo, -1) {
			r.bounds = append(r.bounds, bound{i, -1, lo})
		}
		if !math.IsInf(hi, 1) {
			r.bounds = append(r.bounds, bound{i, 1, hi})
		}
	}
	r.equal = p.Equalities + len(d.Equal) + len(r.fixed)
	r.dense = p.Rows + len(d.Equal) + len(r.fixed) + len(d.Below) + len(d.Balls)
	r.m = r.dense + len(r.bounds)
	r.jac = resize(r.jac, r.dense*r.n)
	r.value, r.grad, r.w = resize(r.value, r.m), resize(r.grad, r.n), resize(r.w, r.n)
	r.c, r.e = resize(r.c, p.Rows), resize(r.e, max(p.N, p.Rows))
	r.linear = false
	r.flat = len(d.Balls) == 0 && (p.Rows == 0 || p.Affine || p.Quadratic || p.CurveVec == nil)
	return true
}

// same reports whether a and b are the same set; sets that cannot be compared
// count as different.
func same(a, b set.Set) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// outer is the index of the first inequality of c.
func (r *rows) outer() int { return r.equal }

// eval computes grad F and the values of all rows at y.
func (r *rows) eval(y []float64) {
	p, d := r.p, r.desc
	p.Grad(r.grad, y)
	if p.Rows > 0 {
		p.Constraint(r.c, y)
		copy(r.value, r.c[:p.Equalities])
		copy(r.value[r.outer():], r.c[p.Equalities:])
	}
	at := p.Equalities
	for _, row := range d.Equal {
		r.value[at] = along(row, y)
		at++
	}
	for _, i := range r.fixed {
		r.value[at] = y[i] - d.Lo[i]
		at++
	}
	at += p.Rows - p.Equalities
	for _, row := range d.Below {
		r.value[at] = along(row, y)
		at++
	}
	for _, b := range d.Balls {
		t := floats.Distance(y[b.First:b.First+len(b.Center)], b.Center, 2)
		r.value[at] = (t - b.Radius) * (t + b.Radius) / (2 * b.Radius)
		at++
	}
	for _, b := range r.bounds {
		r.value[at] = b.sign * (y[b.index] - b.at)
		at++
	}
}

func along(row set.Row, y []float64) float64 {
	v := -row.Bound
	for k, j := range row.Index {
		v += row.Coef[k] * y[j]
	}
	return v
}

// jacobian fills r.jac at y.
func (r *rows) jacobian(y []float64) {
	if r.linear {
		return
	}
	p, d, n := r.p, r.desc, r.n
	if p.Rows > 0 {
		r.coupling(y)
	}
	at := p.Equalities
	put := func(row set.Row) {
		clear(r.jac[at*n : (at+1)*n])
		for k, j := range row.Index {
			r.jac[at*n+j] += row.Coef[k]
		}
		at++
	}
	for _, row := range d.Equal {
		put(row)
	}
	for _, i := range r.fixed {
		clear(r.jac[at*n : (at+1)*n])
		r.jac[at*n+i] = 1
		at++
	}
	at += p.Rows - p.Equalities
	for _, row := range d.Below {
		put(row)
	}
	for _, b := range d.Balls {
		clear(r.jac[at*n : (at+1)*n])
		for k, c := range b.Center {
			r.jac[at*n+b.First+k] = (y[b.First+k] - c) / b.Radius
		}
		at++
	}
	r.linear = r.flat
}

// coupling fills the rows of c, by as few products as possible.
func (r *rows) coupling(y []float64) {
	p, n := r.p, r.n
	row := func(i int) []float64 {
		if i >= p.Equalities {
			i += r.outer() - p.Equalities
		}
		return r.jac[i*n : (i+1)*n]
	}
	clear(r.e)
	if p.Rows <= n {
		e := r.e[:p.Rows]
		for i := range e {
			e[i] = 1
			p.JacT(row(i), y, e)
			e[i] = 0
		}
		return
	}
	e := r.e[:n]
	for j := range e {
		e[j] = 1
		p.Jac(r.c, y, e)
		e[j] = 0
		for i, v := range r.c {
			row(i)[j] = v
		}
	}
}

// hessian sets h (n x n) to that of F + <z, r> at y and returns its largest entry.
func (r *rows) hessian(h, y, z []float64) float64 {
	p, n := r.p, r.n
	size := denseHessian(h, r.e[:n], p, y)
	if p.Rows > 0 && !(p.Affine || p.Quadratic) && p.CurveVec != nil {
		r.multipliers(r.c, z)
		e := r.e[:n]
		clear(e)
		for i := range e {
			e[i] = 1
			p.CurveVec(r.w, y, r.c, e)
			e[i] = 0
			for j, v := range r.w { // the halves of two products make the symmetric part
				h[i*n+j] += v / 2
				h[j*n+i] += v / 2
			}
		}
	}
	at := r.dense - len(r.desc.Balls)
	for k, b := range r.desc.Balls {
		for j := range b.Center {
			h[(b.First+j)*(n+1)] += z[at+k] / b.Radius
		}
	}
	for _, v := range h[:n*n] {
		size = worst(size, math.Abs(v))
	}
	return size
}

// multipliers copies the multipliers of c out of z.
func (r *rows) multipliers(mu, z []float64) {
	copy(mu[:r.p.Equalities], z)
	copy(mu[r.p.Equalities:], z[r.outer():])
}

// setMultipliers copies mu into z, whose other entries become zero.
func (r *rows) setMultipliers(z, mu []float64) {
	clear(z)
	copy(z, mu[:r.p.Equalities])
	copy(z[r.outer():], mu[r.p.Equalities:])
}

// addT adds the transposed Jacobian times z to dst.
func (r *rows) addT(dst, z []float64) {
	if r.dense > 0 {
		blas64.Gemv(blas.Trans, 1, r.matrix(), vector(z[:r.dense]), 1, vector(dst))
	}
	for k, b := range r.bounds {
		dst[b.index] += b.sign * z[r.dense+k]
	}
}

// mul sets dst to the Jacobian times v.
func (r *rows) mul(dst, v []float64) {
	if r.dense > 0 {
		blas64.Gemv(blas.NoTrans, 1, r.matrix(), vector(v), 0, vector(dst[:r.dense]))
	}
	for k, b := range r.bounds {
		dst[r.dense+k] = b.sign * v[b.index]
	}
}

func (r *rows) matrix() blas64.General {
	return blas64.General{Rows: r.dense, Cols: r.n, Stride: r.n, Data: r.jac}
}

func vector(v []float64) blas64.Vector { return blas64.Vector{N: len(v), Data: v, Inc: 1} }
