package lower

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// activeSetNewton is the primal-dual active-set method: with A the equations and
// the inequalities taken for active, one Newton step on
//
//	grad F(y) + J^T z = 0,   r_A(y) = 0,   z_i = 0 outside A,
//
// after which A loses the rows with z_i < 0 and gains those with r_i(y) > 0. From
// a point whose active set is nearly right it ends, in a few steps and at full
// precision, at a solution; it is what makes warm starts cheap and multipliers
// exact.
//
// Assumptions: as for InteriorPoint. Failure modes: A may cycle far from a
// solution; it then stops at the step limit and the best point seen is kept.
//
// Source: Hintermueller, Ito and Kunisch, SIAM J. Optim. 13 (2002).
type activeSetNewton struct {
	y, z, a, b []float64
	active     []bool
}

// guess takes as active the rows with multipliers, and those nearly tight.
func (s *activeSetNewton) guess(r *rows, y, z []float64) {
	s.load(r)
	copy(s.y, y)
	copy(s.z, z)
	scale := 1e-7 * (1 + largest(y))
	for i, v := range r.value {
		s.active[i] = i < r.equal || v > -scale || z[i] > 0 && -v < z[i]
	}
}

// guessFrom takes as active the rows whose multiplier exceeds their slack.
func (s *activeSetNewton) guessFrom(r *rows, y, z, slack []float64, scale float64) {
	s.load(r)
	copy(s.y, y)
	copy(s.z, z)
	for i := range s.active {
		s.active[i] = i < r.equal || z[i] > scale*slack[i-r.equal]
	}
}

func (s *activeSetNewton) load(r *rows) {
	s.y, s.z, s.a, s.b = resize(s.y, r.n), resize(s.z, r.m), resize(s.a, r.n), resize(s.b, r.m)
	if cap(s.active) < r.m {
		s.active = make([]bool, r.m)
	}
	s.active = s.active[:r.m]
}

// step does one step from (s.y, s.z); false when the system cannot be solved or F
// is not convex there.
func (s *activeSetNewton) step(r *rows, k *system) bool {
	r.eval(s.y)
	r.jacobian(s.y)
	if !k.fixedHessian || !k.haveHessian {
		k.size = r.hessian(k.h, s.y, s.z)
		k.haveHessian = true
	}
	for i, on := range s.active {
		k.q[i] = math.Inf(1)
		if on {
			k.q[i] = 0
		} else {
			s.z[i] = 0
		}
	}
	if !k.factor() || !k.convex {
		return false // a Newton step would head for a saddle point
	}
	floats.ScaleTo(s.a, -1, r.grad)
	floats.Scale(-1, s.z)
	r.addT(s.a, s.z)
	floats.Scale(-1, s.z)
	for i, on := range s.active {
		s.b[i] = 0
		if on {
			s.b[i] = -r.value[i]
		}
	}
	k.solve(s.a, s.b, 10)
	floats.Add(s.y, s.a)
	floats.Add(s.z, s.b)
	return finite(s.y) && finite(s.z)
}

// update changes the active set after a step and reports whether it changed.
func (s *activeSetNewton) update(r *rows) bool {
	r.eval(s.y)
	tight := 1e-12 * (1 + largest(s.y))
	weak := 1e-12 * (1 + largest(s.z))
	changed := false
	for i := r.equal; i < r.m; i++ {
		switch {
		case s.active[i] && s.z[i] < -weak:
			s.active[i], changed = false, true
		case !s.active[i] && r.value[i] > tight:
			s.active[i], changed = true, true
		}
	}
	return changed
}
