package certify

import "gonum.org/v1/gonum/floats"

// factorSparse sets up the geometry with the sparse saddle system; false where
// that is not at hand. Some tangent direction is straight (without positive curvature) unless
//
//	H_ff - flatBelow |H| I + J_f'J_f / floor
//
// is positive definite, which its factorisation tells (saddle.go).
func (t *tangent) factorSparse() bool {
	p, n := t.pr, t.pr.n
	g, u := make([]float64, n), make([]float64, n)
	p.lagrangianGrad(g, t.sol.z, t.sol.mu, u)
	floats.SubTo(u, t.sol.z, g)
	h, free, ok := p.sparseAt(t.sol.z, u)
	if !ok {
		return false
	}
	t.smooth = p.projectDeriv(make([]float64, n), u, g)
	s := newSaddle(p, h, free, t.strict, 0)
	t.size = s.size
	t.straight = !s.factorise(-flatBelow*s.size, s.floor())
	s.factorise(tangentShift*s.size, s.floor())
	if s.factors == nil {
		return false
	}
	t.sparse = s
	return true
}

// tangentShift regularises the system of a tangent, relative to H: above it
// curvature is resolved in a few refinements, and directions below flatBelow, whose
// part of a right-hand side stays behind, are told apart from it.
const tangentShift = 1e-7

// adjointSparse is adjoint in the sparse system. Refinement leaves of the
// right-hand side what no solution accounts for; without that part the system is
// consistent, and its solution has nothing along straight directions.
func (t *tangent) adjointSparse(a, q, v []float64) (left, residual float64) {
	s, n, k := t.sparse, t.pr.n, len(t.strict)
	size := floats.Norm(v, 2)
	if size == 0 || s.free == 0 {
		return 0, 0
	}
	zero, ra, rb, work := make([]float64, k), make([]float64, n), make([]float64, k), make([]float64, s.free+k)
	right := make([]float64, n)
	for i := range n {
		if s.at[i] >= 0 {
			right[i] = v[i]
		}
	}
	if t.straight {
		d, r := make([]float64, n), make([]float64, k)
		copy(ra, right)
		for range 10 {
			s.apply(d, r, ra, rb, work)
			s.residual(ra, rb, right, zero, d, r, 0)
		}
		if left = floats.Norm(ra, 2); left > 1e-9*size {
			floats.Sub(right, ra)
		} else {
			left = 0
		}
	}
	qs := make([]float64, k)
	residual = s.solve(a, qs, right, zero, 0)
	residual *= floats.Norm(right, 2) / size
	for i, row := range t.strict {
		q[row] = qs[i]
	}
	return left, residual
}
