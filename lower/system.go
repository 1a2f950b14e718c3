package lower

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// system solves the linear systems of interior-point and active-set steps,
//
//	[ H  A^T ] [dy]   [a]
//	[ A  -Q  ] [dz] = [b],      Q = diag(q), q >= 0,
//
// A the rows in use (q finite). With H + delta I and q~ = max(q, epsilon) in
// place of H and q, elimination of dz leaves a symmetric positive definite
// matrix, factorized by Cholesky,
//
//	( H + delta I + A^T Q~^-1 A ) dy = a + A^T Q~^-1 b,   dz = Q~^-1 (A dy - b),
//
// and iterative refinement against the system itself removes what delta and
// epsilon changed, unless H is not convex: delta is then what makes a descent
// direction. Refinement converges also when rows depend on each other or H is
// singular, provided the system has a solution; dz is then the one nearest to
// the multipliers that the residual b came from.
//
// Source: Friedlander and Orban, Math. Program. Comput. 4 (2012);
// arXiv 1904.10369 for the proximal meaning of delta and epsilon.
type system struct {
	r              *rows
	h, k, b        []float64 // H (n x n), factor (n x n), scaled rows
	size           float64   // largest entry of H
	fixedHessian   bool      // H is the same at every point of this solve
	haveHessian    bool      // h holds it
	convex         bool      // H was found positive on the null space of A by the last factorization
	delta, epsilon float64
	q, inv         []float64 // as given (+Inf: row not in use), 1/q~ (0: not in use)
	ra, da         []float64 // n
	rb, db, t      []float64 // m
}

func (s *system) load(r *rows) {
	s.r = r
	s.h, s.k = resize(s.h, r.n*r.n), resize(s.k, r.n*r.n)
	s.b = resize(s.b, r.dense*r.n)
	s.ra, s.da = resize(s.ra, r.n), resize(s.da, r.n)
	for _, v := range [...]*[]float64{&s.q, &s.inv, &s.rb, &s.db, &s.t} {
		*v = resize(*v, r.m)
	}
}

// relative sizes of the regularisation.
const (
	primalShift = 1e-11
	dualShift   = 1e-9
)

// factor factorizes for the q in s.q. It reports whether a delta was found.
func (s *system) factor() bool {
	n, r := s.r.n, s.r
	size := s.size
	if size == 0 {
		size = 1
	}
	widest := 0.0
	for i := range r.dense {
		if !math.IsInf(s.q[i], 1) {
			row := r.jac[i*n : (i+1)*n]
			widest = math.Max(widest, floats.Dot(row, row))
		}
	}
	if widest == 0 {
		widest = 1
	}
	s.epsilon = dualShift * widest / size
	used := 0
	for i, q := range s.q {
		s.inv[i] = 1 / math.Max(q, s.epsilon)
		if i < r.dense && s.inv[i] > 0 {
			floats.ScaleTo(s.b[used*n:(used+1)*n], math.Sqrt(s.inv[i]), r.jac[i*n:(i+1)*n])
			used++
		}
	}
	for s.delta = primalShift * size; s.delta < 1e8*size; s.delta *= 10 {
		copy(s.k, s.h)
		sym := blas64.Symmetric{Uplo: blas.Upper, N: n, Data: s.k, Stride: n}
		if used > 0 {
			blas64.Syrk(blas.Trans, 1, blas64.General{Rows: used, Cols: n, Stride: n, Data: s.b}, 1, sym)
		}
		for j, b := range r.bounds {
			s.k[b.index*(n+1)] += s.inv[r.dense+j]
		}
		top := 0.0
		for i := range n {
			s.k[i*(n+1)] += s.delta
			top = worst(top, s.k[i*(n+1)])
		}
		if _, ok := lapack64.Potrf(sym); ok {
			s.convex = s.delta <= 10*math.Max(primalShift*size, 1e-14*top) // below that it is rounding
			return true
		}
		if top-top != 0 {
			return false
		}
	}
	return false
}

// solve overwrites a and b with dy and dz, refining at most sweeps times.
func (s *system) solve(a, b []float64, sweeps int) {
	copy(s.ra, a)
	copy(s.rb, b)
	clear(a)
	clear(b)
	last := math.Inf(1)
	for k := 0; ; k++ {
		s.reduced()
		floats.Add(a, s.da)
		floats.Add(b, s.db)
		if k == sweeps || !s.convex {
			return
		}
		s.subtract()
		left := math.Max(largest(s.ra), largest(s.rb))
		if left == 0 || !(left < last/2) {
			return
		}
		last = left
	}
}

// reduced solves the regularised system for the right-hand side (ra, rb).
func (s *system) reduced() {
	n := s.r.n
	for i, inv := range s.inv {
		s.t[i] = inv * s.rb[i]
	}
	copy(s.da, s.ra)
	s.r.addT(s.da, s.t)
	t := blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: n, Data: s.k, Stride: n}
	lapack64.Potrs(t, blas64.General{Rows: n, Cols: 1, Data: s.da, Stride: 1})
	s.r.mul(s.db, s.da)
	for i, inv := range s.inv {
		s.db[i] = inv * (s.db[i] - s.rb[i])
	}
}

// subtract takes what (da, db) explains off the right-hand side.
func (s *system) subtract() {
	n := s.r.n
	for i := range s.ra {
		s.ra[i] -= floats.Dot(s.h[i*n:(i+1)*n], s.da)
	}
	floats.ScaleTo(s.t, -1, s.db)
	s.r.addT(s.ra, s.t)
	s.r.mul(s.t, s.da)
	for i, q := range s.q {
		if math.IsInf(q, 1) {
			s.rb[i] = 0
			continue
		}
		s.rb[i] -= s.t[i] - q*s.db[i]
	}
}

// largest is the largest absolute entry, NaN if there is one.
func largest(v []float64) float64 {
	m := 0.0
	for _, a := range v {
		m = worst(m, math.Abs(a))
	}
	return m
}
