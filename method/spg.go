package method

// The spectral projected gradient method for  min phi(x) over x in X:
//
//	d = Proj_X(x - lambda grad phi(x)) - x
//	x+ = x + t d, the first t of 1, then by safeguarded quadratic interpolation, with
//	     phi(x+) <= max(phi over the last 10 iterates) + 1e-4 t <grad phi(x), d>
//	lambda+ = <s, s>/<s, u>,  s = x+ - x,  u = grad phi(x+) - grad phi(x),
//	     clipped to [1e-10, 1e10]; where <s, u> <= 0 a step of the size of x
//	     (SPG2 takes 1e10, which may leave the region where the lower level is solvable).
//
// A trial at which the lower level has no solution counts as phi = +Inf. Where
// phi is badly conditioned, a caller adds directions of quasinewton.go, which are
// tried first (propose).
//
// Where the decrease that t promises is below the accuracy of phi (valueAccuracy
// relative), values decide nothing, and phi(x+) is replaced by the trapezoidal
// rule  phi(x) + t <grad phi(x) + (grad phi(x + t d) - grad phi(x))/2, d>. Assumptions: X convex, phi continuously
// differentiable. Failure mode: at a kink of phi no step is found, and the
// method says that it is stalled. Source: Birgin, Martínez and Raydan, SIAM J.
// Optim. 10 (2000) 1196-1211, algorithm SPG2.
//
// Use: s := newSPG(e, x, objective) with x a persistent block; then s.step()
// once per outer iteration. The objective's value is called at trial points, its
// gradient only at the point of the last call of value, so that both may share
// one lower-level solve. The state is kept in blocks of e: a resumed run goes on
// with the same bits if the objective's warm starts are blocks too.

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

const (
	spgMemory = 10
	spgArmijo = 1e-4
	spgTrials = 40
	// valueAccuracy is the relative accuracy to which values of phi are trusted.
	valueAccuracy = 1e-11
)

// spgObjective is the function that an spg minimises. An error ends the step.
type spgObjective interface {
	value(x vec.Vector) (float64, error)
	// grad sets dst to the gradient at x, the point of the last value.
	grad(dst, x vec.Vector) error
}

// spg is a spectral projected gradient iteration on x.
type spg struct {
	e         *bilevel.Env
	project   func(vec.Vector)
	objective spgObjective
	x, g      vec.Vector // the iterate and its gradient
	d, x1, g1 vec.Vector // direction, trial and its gradient
	w         vec.Vector
	memory    [spgMemory]*float64 // the last values of phi less that at x: small changes of phi stay exact
	count     *float64            // how many were stored; 0 before the first step
	at        *float64            // phi(x)
	lambda    *float64
	kink      *sampler     // nil away from []float64 and in many variables
	quasi     *quasiNewton // nil: spectral steps only
	smooth    bool         // the objective has no kinks
	// The least phi and stationarity so far, and the steps since either fell.
	bestPhi, bestSize, idle *float64

	unit         float64 // the size of phi below which its changes are compared with it, not with |phi|
	patience     float64 // steps of idling that count as stuck
	phi          float64 // phi(x)
	stationarity float64 // |Proj_X(x - grad phi) - x| at x
	moved        float64 // length of the last step
	turn         float64 // change of the gradient along it
}

// newSPG returns an iteration on the block x in X, whose state is kept in e.
func newSPG(e *bilevel.Env, x vec.Vector, objective spgObjective) *spg {
	return newSPGOn(e, x, e.ProjectX, objective)
}

// newSPGOn is newSPG on the set with the given projection.
func newSPGOn(e *bilevel.Env, x vec.Vector, project func(vec.Vector), objective spgObjective) *spg {
	s := &spg{e: e, project: project, objective: objective, unit: 1, patience: spgIdle, x: x, g: e.Block("spg.g", x), d: x.New(), x1: x.New(), g1: x.New(), w: x.New(),
		count: e.Scalar("spg.count", 0), at: e.Scalar("spg.phi", 0), lambda: e.Scalar("spg.lambda", 0),
		bestPhi: e.Scalar("spg.best", math.MaxFloat64), bestSize: e.Scalar("spg.best_stationarity", math.MaxFloat64), idle: e.Scalar("spg.idle", 0)}
	if e.Dense() != nil && x.Len() <= kinkVariables {
		s.kink = newSampler(e)
	}
	for i := range s.memory {
		s.memory[i] = e.Scalar(fmt.Sprintf("spg.rise%d", i), 0)
	}
	if *s.count > 0 {
		s.phi, s.stationarity = *s.at, s.projected(s.x, s.g)
	}
	return s
}

// propose makes the iteration try directions of q before spectral ones.
func (s *spg) propose(q *quasiNewton) {
	s.quasi = q
	if *s.count > 0 {
		s.projected(s.x, s.g)
		q.at(s.w)
	}
}

// restart forgets the values so far: x was moved, or the iteration is stalled.
func (s *spg) restart() {
	*s.count = 0
	if s.quasi != nil {
		s.quasi.clear()
	}
}

// renew forgets all that is known of the objective, which has changed.
func (s *spg) renew() {
	s.restart()
	*s.bestPhi, *s.bestSize, *s.idle = math.MaxFloat64, math.MaxFloat64, 0
}

// remember records that phi has changed by change to phi.
func (s *spg) remember(phi, change, stationarity float64) {
	for _, m := range s.memory {
		*m -= change
	}
	*s.memory[int(*s.count)%spgMemory] = 0
	*s.count++
	*s.at = phi
	s.phi, s.stationarity = phi, stationarity
}

// projected is |Proj_X(x - g) - x|.
func (s *spg) projected(x, g vec.Vector) float64 {
	s.w.Copy(x)
	s.w.Add(-1, g)
	s.project(s.w)
	s.w.Add(-1, x)
	return vec.Norm(s.w)
}

// begin evaluates phi and its gradient at x unless they are known. step calls it
// first; a caller that wants the stationarity of the starting point may too.
func (s *spg) begin() error {
	if *s.count > 0 {
		return nil
	}
	phi, err := s.objective.value(s.x)
	if err != nil {
		return err
	}
	if err := s.objective.grad(s.g, s.x); err != nil {
		return err
	}
	s.remember(phi, 0, s.projected(s.x, s.g))
	if s.quasi != nil {
		s.quasi.at(s.w)
	}
	if *s.lambda == 0 {
		*s.lambda = 1
		if s.stationarity > 0 {
			*s.lambda = clipSpectral(1 / s.stationarity)
		}
	}
	return nil
}

func clipSpectral(lambda float64) float64 { return math.Min(math.Max(lambda, 1e-10), 1e10) }

// step does one iteration and updates phi, stationarity and moved. stalled means
// that no trial was acceptable: x is unchanged, and the objective's last value is
// that at x.
func (s *spg) step() (stalled bool, err error) {
	if err := s.begin(); err != nil {
		return false, err
	}
	s.moved = 0
	lambda := *s.lambda
	if s.quasi != nil {
		s.quasi.direction(s.d, s.x, lambda)
		s.d.Add(1, s.x)
		s.project(s.d)
		s.d.Add(-1, s.x)
		// On a face <r, d> = <g, d>, without the rounding of a large g normal to it.
		if slope := s.quasi.r.Dot(s.d); slope < 0 {
			if found, err := s.search(slope, quasiTrials); found || err != nil || s.e.Stopped() {
				return false, err
			}
		}
		s.quasi.clear()
		lambda = math.Min(lambda, quasiReach*math.Max(1, vec.Norm(s.x))/vec.Norm(s.g))
	}
	s.d.Copy(s.x)
	s.d.Add(-lambda, s.g)
	s.project(s.d)
	s.d.Add(-1, s.x)
	// Exactly <g, d> <= -|d|²/lambda; g normal to a face of X makes <g, d> all rounding.
	slope := math.Min(s.g.Dot(s.d), -s.d.Dot(s.d)/lambda)
	if !(slope < 0) {
		return s.stationarity > 0, nil
	}
	found, err := s.search(slope, spgTrials)
	if found || err != nil || s.e.Stopped() {
		return false, err
	}
	_, err = s.objective.value(s.x)
	return true, err
}

// search goes along d, of the given slope, to the first trial that is
// acceptable, if there is one among so many.
func (s *spg) search(slope float64, trials int) (found bool, err error) {
	bound := 0.0 // the largest of the last values, less phi(x)
	for i := range min(int(*s.count), spgMemory) {
		bound = math.Max(bound, *s.memory[i])
	}
	noise := valueAccuracy * math.Max(1, math.Abs(s.phi))
	t := 1.0
	for range trials {
		s.x1.Copy(s.x)
		s.x1.Add(t, s.d)
		phi, err := s.objective.value(s.x1)
		if s.e.Stopped() {
			return false, nil
		}
		if err != nil {
			var level *bilevel.LevelError // in here, for errors.As moves it to the heap
			if !errors.As(err, &level) {
				return false, err
			}
			phi = math.Inf(1)
		}
		change := phi - s.phi
		undecided := -t*slope <= noise && math.Abs(change) <= noise
		if undecided {
			if err := s.objective.grad(s.g1, s.x1); err != nil {
				return false, err
			}
			s.w.Copy(s.g1)
			s.w.Add(-1, s.g)
			change = t * (slope + s.w.Dot(s.d)/2)
		}
		if change <= bound+spgArmijo*t*slope {
			if !undecided {
				if err := s.objective.grad(s.g1, s.x1); err != nil {
					return false, err
				}
			}
			s.accept(t, phi, change)
			return true, nil
		}
		next := -t * t * slope / (2 * (change - t*slope))
		if !(next >= 0.1*t && next <= 0.9*t) {
			next = t / 2
		}
		t = next
	}
	return false, nil
}

// accept moves to the trial x1 = x + t d and chooses the next lambda.
func (s *spg) accept(t, phi, change float64) {
	s.w.Copy(s.g1)
	s.w.Add(-1, s.g)
	ss, su := t*t*s.d.Dot(s.d), t*s.d.Dot(s.w)
	s.turn = vec.Norm(s.w)
	s.x.Copy(s.x1)
	s.g.Copy(s.g1)
	s.remember(phi, change, s.projected(s.x, s.g))
	s.moved = math.Sqrt(ss)
	if s.quasi != nil {
		s.quasi.learn(t, s.d, s.w)
	}
	if su > 0 {
		*s.lambda = clipSpectral(ss / su)
	} else if s.stationarity > 0 {
		*s.lambda = clipSpectral(math.Max(1, vec.Norm(s.x)) / s.stationarity)
	}
}

// spgIdle is the default of patience, the number of steps in which neither phi
// falls, by more than valueAccuracy, nor the least stationarity is halved, after
// which the iteration counts as stuck if the gradient jumps: it goes to and fro
// across a kink.
const spgIdle = 50

// iterate is step; a stall restarts the iteration along the plain gradient, and
// a stall of a fresh iteration, a step as short as after a kink, or idling is
// stuck.
func (s *spg) iterate() (stuck bool, err error) {
	if err := s.begin(); err != nil {
		return false, err
	}
	fresh, before := *s.count == 1, s.stationarity
	stalled, err := s.step()
	if stalled || kinkCurvature*s.moved <= before {
		if fresh {
			return true, err
		}
		s.restart()
	}
	if s.phi < *s.bestPhi-10*valueAccuracy*math.Max(s.unit, math.Abs(s.phi)) || s.stationarity < *s.bestSize/2 {
		*s.bestPhi, *s.bestSize, *s.idle = math.Min(s.phi, *s.bestPhi), math.Min(s.stationarity, *s.bestSize), 0
	} else {
		*s.idle++
	}
	if *s.idle < s.patience || err != nil || s.e.Stopped() {
		return false, err
	}
	if s.smooth {
		return true, nil // nothing is left to gain but rounding
	}
	if stuck, err = s.bends(); !stuck {
		*s.idle = 0
	}
	return stuck, err
}

// bends reports whether the gradient changed more steeply along the last step
// than it does over a hundred times its length, as it does across a kink and not
// where phi is smooth, however ill-conditioned.
func (s *spg) bends() (bool, error) {
	if s.moved == 0 {
		return true, nil
	}
	const far, steeper = 100, 10
	s.x1.Copy(s.x)
	s.x1.Add(far*s.moved/vec.Norm(s.d), s.d)
	s.project(s.x1)
	if _, err := s.objective.value(s.x1); err != nil {
		return false, err
	}
	if err := s.objective.grad(s.g1, s.x1); err != nil {
		return false, err
	}
	s.g1.Add(-1, s.g)
	s.x1.Add(-1, s.x)
	bends := s.turn/s.moved > steeper*vec.Norm(s.g1)/vec.Norm(s.x1)
	_, err := s.objective.value(s.x)
	return bends, err
}

// stuckError ends a run whose iteration is stuck.
func (s *spg) stuckError(of string) error {
	return &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: fmt.Sprintf(
		"No step along the projected gradient of %s, of size %.3g, decreases it: it has a kink here, or its gradient is not accurate enough.", of, s.stationarity)}
}

// report does one iteration as the Step of a method whose X is x: it fills in p
// and ends the run when the projected gradient is at most the tolerance.
func (s *spg) report(p *bilevel.Progress) (bilevel.Status, error) {
	if err := s.begin(); err != nil {
		return bilevel.Running, err
	}
	if !s.e.Stopped() && s.stationarity > s.e.Settings.Tolerance {
		stuck, err := s.iterate()
		if err != nil {
			return bilevel.Running, err
		}
		if stuck && !s.e.Stopped() {
			if done, err := s.leaveKink(); done || err != nil {
				p.Step, p.Stationarity = 0, s.stationarity
				observe(s.e, p, false)
				return bilevel.Converged, err
			}
		}
	}
	p.Step, p.Stationarity = s.moved, s.stationarity
	observe(s.e, p, false)
	if s.stationarity <= s.e.Settings.Tolerance && !s.e.Stopped() {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}

// leaveKink goes on by gradient sampling where the iteration is stuck.
func (s *spg) leaveKink() (done bool, err error) {
	if s.kink == nil {
		return false, s.stuckError("phi")
	}
	still, done, err := s.sample()
	switch {
	case err != nil:
		return false, err
	case done:
		s.e.Note("gradient steps are stuck at x, as at a kink of phi: the stationarity %.1e is the distance of 0 from the convex hull of hypergradients within %.0e of x", s.stationarity, *s.kink.radius)
	case still && *s.kink.radius < kinkSmallest/2:
		return false, s.stuckError("phi")
	}
	return done, nil
}
