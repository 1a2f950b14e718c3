package lower

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// certificate looks for proofs that a problem has no solution.
type certificate struct {
	c, w, dir, q []float64
	y            []float64
	near         *nearest
}

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

// nearest is the least-squares problem min over y in Y of |[c(y)]_+|^2/2, the
// bracket for inequalities only. Where its minimum is positive, [c]_+ is a
// multiplier that proves infeasibility.
type nearest struct {
	p     *Problem
	least Problem
	c     []float64
	apg   APG
}

func (s *nearest) excess(y []float64) []float64 {
	s.c = resize(s.c, s.p.Rows)
	s.p.Constraint(s.c, y)
	for i := s.p.Equalities; i < s.p.Rows; i++ {
		s.c[i] = math.Max(s.c[i], 0)
	}
	return s.c
}

// search looks for a proof of infeasibility at the point of Y nearest to
// satisfying the constraints, when violation says that there is reason to. It
// returns the violation there.
func (s *certificate) search(p *Problem, y []float64, violation float64, stop func() bool) (float64, bool) {
	if p.Rows == 0 || !(violation > 1e-9) {
		return 0, false
	}
	if s.near == nil {
		n := &nearest{apg: APG{MaxIterations: 500}}
		n.least.Value = func(y []float64) float64 {
			c := n.excess(y)
			return floats.Dot(c, c) / 2
		}
		n.least.Grad = func(dst, y []float64) { n.p.JacT(dst, y, n.excess(y)) }
		s.near = n
	}
	n := s.near
	n.p, n.least.N, n.least.Y = p, p.N, p.Y
	s.y = resize(s.y, p.N)
	copy(s.y, y)
	left := violation
	for range 20 {
		// A proof needs |J^T c| far below |c|^2.
		_, err := n.apg.Solve(&n.least, s.y, nil, 1e-3*left*left/(nowhere*(1+floats.Norm(s.y, 2))), stop)
		if err != nil || stop != nil && stop() {
			return 0, false
		}
		c := n.excess(s.y)
		left = largest(c)
		if s.infeasible(p, s.y, c) {
			return left, true
		}
		if left <= 1e-9 {
			return 0, false
		}
	}
	return 0, false
}

// escapes reports whether F falls all the way from y to the distance far along
// the ray from start through y, with every tenfold step inside Y: a minimiser,
// if there is one, is then taken to be at infinity. z is scratch of length N.
func escapes(p *Problem, z, start, y []float64, far float64) bool {
	gone := floats.Distance(y, start, 2)
	if !(gone > 1e3*(1+floats.Norm(start, 2))) {
		return false
	}
	f := p.Value(y)
	for t := 10.0; t*gone < 10*far; t *= 10 {
		for i, v := range y {
			z[i] = start[i] + t*(v-start[i])
		}
		if p.Y != nil {
			p.Y.Project(z, z)
			if floats.Distance(z, start, 2) < 0.9*t*gone {
				return false
			}
		}
		next := p.Value(z)
		if !(next < f) {
			return false
		}
		f = next
	}
	return true
}

func unbounded(y []float64) error {
	return &bilevel.LevelError{Status: bilevel.LowerUnbounded, Detail: fmt.Sprintf("the objective still decreases at |y| = %.1e", floats.Norm(y, 2))}
}

func infeasible(violation float64) error {
	return &bilevel.LevelError{Status: bilevel.LowerInfeasible, Detail: fmt.Sprintf("the constraints cannot hold together: the smallest violation found is %.3g", violation)}
}

func notFinite() error {
	return &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: "the objective, its gradient or a constraint is not finite at the starting point"}
}
