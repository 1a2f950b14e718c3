package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// probeSteps are the displacements at which phi is evaluated, relative to
// max(1, |x|). Lower levels are solved to about 1e-12, so slopes by the smallest
// step are good to about 1e-6.
var probeSteps = [3]float64{1e-3, 1e-4, 1e-5}

// side is phi along one direction of displacement that stays in X.
type side struct {
	length [3]float64 // |Delta| of each step; 0 where X blocks the way
	change [3]float64 // phi(x + Delta) - phi(x)
	linear [3]float64 // <dphi/dx, Delta>
	noise  [3]float64 // uncertainty of change
	rises  bool       // by the slope rise over one step, the only one evaluated
	rise   float64
}

// fall is an observed decrease of phi by a displacement of some length.
type fall struct{ length, by float64 }

// slope is the one-sided slope, extrapolated from the two smaller steps to
// remove curvature.
func (s *side) slope() float64 {
	if s.rises {
		return s.rise
	}
	if math.IsInf(s.change[2], 1) || math.IsInf(s.change[1], 1) {
		return math.Inf(1)
	}
	a, b := s.change[1]/s.length[1], s.change[2]/s.length[2]
	return b + (b-a)*s.length[2]/(s.length[1]-s.length[2])
}

// excess is how far the change of step i is above the linear prediction, per length.
func (s *side) excess(i int) float64 { return (s.change[i] - s.linear[i]) / s.length[i] }

func (s *side) open() bool {
	for _, l := range s.length {
		if l == 0 {
			return false
		}
	}
	return true
}

// probe re-solves the lower level at x displaced along the hypergradient and
// along sampled directions, both ways. It compares slopes of phi with dphi/dx,
// finds kinks (one-sided slopes that do not meet as the step shrinks) and looks
// for descent.
func (m *measurement) probe() {
	hg := &m.c.Hypergradient
	phi0, noise := m.phi.at(m.x)
	if math.IsNaN(phi0) || math.IsInf(phi0, 0) {
		m.suspect("the lower level could not be solved again from its own solution, so that nothing is known of the upper objective next to x")
		return
	}
	tol := m.s.Tolerances.Stationarity * m.scale
	minSlope, mismatch, decrease := math.Inf(1), 0.0, 0.0
	solved := false // phi is finite next to x along some direction
	unsolved := 0   // directions along which it could not be had
	kink := false
	var descent fall
	hg.Directions = 0
	compared := false
	clear := m.s.Tolerances.Clear * tol
	queue, more := m.directions(), m.prover != nil && !m.refuted()
	for i := 0; ; i++ {
		if m.prover != nil && descent.by > 0 && minSlope < -clear {
			break // nothing changes the verdict
		}
		if i == len(queue) && more {
			if more, hg.Differentiable = false, hg.Differentiable && !kink && !(mismatch > 1e-3*m.scale); !hg.Differentiable {
				queue = append(queue, m.affordable()...)
			}
		}
		if i == len(queue) {
			break
		}
		if m.stop() {
			return
		}
		d := queue[i]
		up, down := m.along(d, 1, phi0), new(side)
		if !m.prover.long() {
			down = m.along(d, -1, phi0)
		}
		if m.stop() {
			return
		}
		for _, s := range []*side{up, down} {
			if !s.open() {
				continue
			}
			slope := s.slope()
			if math.IsNaN(slope) {
				unsolved++
				continue
			}
			hg.Directions++
			minSlope = math.Min(minSlope, slope)
			solved = solved || !math.IsInf(slope, 1)
			for i, c := range s.change {
				if math.IsNaN(c) {
					continue // not solved there
				}
				decrease = math.Max(decrease, -c)
				// What stationarity within tolerance cannot explain is descent.
				if -c <= 2*tol*s.length[i]+4*(noise+s.noise[i]) {
					continue
				}
				if i == 0 && !(s.change[1] < -noise-s.noise[1]) {
					continue // a better x, but not next to this one
				}
				if -c > descent.by {
					descent = fall{s.length[i], -c}
				}
			}
		}
		if !up.open() || !down.open() {
			// Only one side exists: compare it alone.
			for _, s := range []*side{up, down} {
				if v := s.slope() - s.linear[2]/s.length[2]; s.open() && v-v == 0 {
					compared = true
					mismatch = math.Max(mismatch, math.Abs(v))
				}
			}
			continue
		}
		if up.rises || down.rises {
			continue // there is a kink at x anyhow
		}
		if v := up.change[1] + up.change[2] + down.change[1] + down.change[2]; v-v != 0 {
			kink = true // phi ends at x, or could not be evaluated next to it
			continue
		}
		central := (up.change[1] - down.change[1]) / (up.length[1] + down.length[1])
		linear := (up.linear[1] - down.linear[1]) / (up.length[1] + down.length[1])
		compared, mismatch = true, math.Max(mismatch, math.Abs(central-linear))
		// Less the linear part, for where X bends the way the two displacements
		// are not opposite.
		wide := up.excess(1) + down.excess(1)
		narrow := up.excess(2) + down.excess(2)
		uncertain := 4 * (noise + up.noise[2] + down.noise[2]) / up.length[2]
		if math.Abs(narrow) > 0.5*math.Abs(wide) && math.Abs(narrow) > tol+uncertain {
			kink = true
		}
	}
	if hg.Directions > 0 {
		hg.Slope, hg.Decrease = Number(minSlope), Number(decrease)
		if compared || m.prover == nil {
			hg.Probe = Number(mismatch)
		}
	}
	if mismatch > 1e-3*m.scale {
		kink = true
	}
	hg.Differentiable = hg.Differentiable && !kink
	if !solved && unsolved > 0 && !m.c.attained() {
		m.suspect("the lower level could not be solved next to x along %d of the %d directions probed, and has no solution along any other, so that nothing is known of the upper objective there", unsolved, unsolved+hg.Directions)
		return
	}
	if hg.Directions > 0 && !solved && !m.c.attained() {
		m.suspect("the lower level has no solution next to x along any of the %d directions probed, so that nothing is known of the upper objective there", hg.Directions)
		return
	}
	m.judgeStationarity(minSlope, descent, tol, noise)
}

// judgeStationarity turns the probe into findings. A descent whose decrease was
// seen by re-solving is a fact whatever the derivative says.
func (m *measurement) judgeStationarity(minSlope float64, descent fall, tol, noise float64) {
	hg := &m.c.Hypergradient
	clear := m.s.Tolerances.Clear * tol
	norm := float64(hg.Norm)
	if m.c.attained() {
		b := m.c.Bound
		if b.proven || !(descent.by > float64(b.Gap)+m.s.Tolerances.Bound*math.Max(1, math.Abs(float64(b.Value)))+4*noise) {
			return // a bound that is attained leaves nothing to descend to
		}
		m.note("the bound %.10g (%s) is false: next to x the upper objective is smaller by %.3g", float64(b.Value), b.By, descent.by)
		m.c.Bound = nil
	}
	switch {
	case descent.by > 0 && (minSlope < -clear || minSlope > -2*tol):
		// Clear slope, or none to first order but a decrease nevertheless: a
		// maximum or a saddle of phi.
		m.refuteX("x is not a local minimum: moving it by %.3g within X lowers the upper objective at the lower solution by %.3g, as seen by solving the lower level again",
			descent.length, descent.by)
	case descent.by > 0 || minSlope < -2*tol-4*noise/(probeSteps[2]*math.Max(1, floats.Norm(m.x, math.Inf(1)))):
		m.suspect("x is not quite stationary: the upper objective falls with slope %.3g along a feasible direction (tolerance %.3g)", -minSlope, tol)
	case hg.Differentiable && norm > tol:
		m.suspect("x is not quite stationary: the norm of the projected hypergradient is %.3g (tolerance %.3g)", norm, tol)
	}
	if !hg.Differentiable {
		if m.p.NX > 1 || hg.Directions == 0 {
			if hg.Directions == 0 {
				m.local("the follower's reaction may have a kink at x, and x could not be moved within X to measure slopes")
			} else {
				which := "sampled directions within X"
				if m.allCoordinates {
					which = "directions within X, each component both ways as far as X allows among them"
				}
				m.local("the follower's reaction may have a kink at x, where the upper objective was seen not to fall along %d %s, which are not all", hg.Directions, which)
			}
		}
	}
}

// clearRise is the slope, in tolerances of stationarity, from which on a direction is
// not looked at further.
const clearRise = 10

// along evaluates phi at the projections of x + sign·t d, the nearest first: where
// h is affine those x at which the lower level has a solution form a convex set, so that
// on a ray from x that leaves it at once no farther point is in it.
func (m *measurement) along(d []float64, sign, phi0 float64) *side {
	var s side
	var to [3][]float64
	unit := math.Max(1, floats.Norm(m.x, math.Inf(1)))
	for i, t := range probeSteps {
		x := floats.AddScaledTo(make([]float64, m.p.NX), m.x, sign*t*unit, d)
		if m.p.X != nil {
			m.p.X.Project(x, x)
		}
		to[i] = floats.SubTo(make([]float64, m.p.NX), x, m.x)
		if s.length[i] = floats.Norm(to[i], 2); s.length[i] < 1e-2*t*unit {
			s.length[i] = 0
			return &s // X blocks the way
		}
		s.linear[i] = floats.Dot(m.c.Hypergradient.Gradient, to[i])
	}
	x, ray := make([]float64, m.p.NX), m.convex && m.lower.affine
	// At a kink a clear rise over the smallest step that can be solved at once settles
	// the direction.
	var have [3]bool
	for i := 2; i > 0 && m.prover != nil && !m.c.Hypergradient.Differentiable; i-- {
		floats.AddTo(x, m.x, to[i])
		phi, noise := m.phi.quick(x)
		if phi-phi0 > clearRise*m.s.Tolerances.Stationarity*m.scale*s.length[i]+100*noise {
			s.rises, s.rise = true, (phi-phi0)/s.length[i]
			return &s
		}
		if !math.IsNaN(phi) {
			have[i], s.change[i], s.noise[i] = true, phi-phi0, noise
			break
		}
	}
	for i := len(to) - 1; i >= 0; i-- {
		if have[i] {
			continue
		}
		if i < 2 && ray && math.IsInf(s.change[i+1], 1) {
			floats.AddScaledTo(x, to[i], -s.length[i]/s.length[i+1], to[i+1])
			if floats.Norm(x, 2) <= 1e-9*s.length[i] {
				s.change[i] = s.change[i+1]
				continue
			}
		}
		floats.AddTo(x, m.x, to[i])
		s.change[i], s.noise[i] = m.phi.at(x)
		s.change[i] -= phi0
	}
	return &s
}
