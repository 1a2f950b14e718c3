package lower

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// certificate looks for proofs that a problem has no solution.
type certificate struct{ c, w, dir, q []float64 }

// nowhere is the distance, relative to 1 + |y|, within which a proof of
// infeasibility must exclude every feasible point.
const nowhere = 1e5

// infeasible reports whether mu proves that no feasible point is near: with m =
// mu/|mu|, w = J(y)^T m and q = Proj_Y(y - w), convexity of <m, c> gives for every
// z in Y
//
//	<m, c(z)> >= <m, c(y)> - r ( |z - q| + |w| ),   r = |y - q|,
//
// so that no z within distance <m, c(y)>/r - |w| of q satisfies c(z) <= 0.
func (s *certificate) infeasible(p *Problem, y, mu []float64) bool {
	s.c, s.dir = resize(s.c, p.Rows), resize(s.dir, p.Rows)
	s.w, s.q = resize(s.w, p.N), resize(s.q, p.N)
	copy(s.dir, mu)
	for i := p.Equalities; i < p.Rows; i++ {
		s.dir[i] = math.Max(s.dir[i], 0)
	}
	size := floats.Norm(s.dir, 2)
	if !(size > 0) || math.IsInf(size, 1) {
		return false
	}
	floats.Scale(1/size, s.dir)
	p.Constraint(s.c, y)
	p.JacT(s.w, y, s.dir)
	v, noise := 0.0, 0.0
	for i, c := range s.c {
		v += s.dir[i] * c
		noise += math.Abs(s.dir[i] * c)
	}
	copy(s.q, s.w)
	r := projectedNorm(p.Y, s.q, y)
	return v > 1e-9*(1+noise) && v-floats.Norm(s.w, 2)*r > nowhere*(1+floats.Norm(y, 2))*r
}
