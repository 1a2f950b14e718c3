package method

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/vec"
)

// The stages of [Auto] that are methods of their own, and the verification.

// startFree starts PBGD-Free with steps of 1 over the curvature of each level.
func (a *auto) startFree(e *bilevel.Env) (bilevel.Iteration, error) {
	if a.p.Coupling != nil {
		return nil, nil
	}
	const gamma = 10
	x, y := e.StartX(), e.StartY()
	px, py := []float64(x.(vec.Dense)), []float64(y.(vec.Dense))
	tmp := make([]float64, a.p.NY)
	ly := curvature(a.p.NY, func(dst, v []float64) {
		a.p.Lower.HessYY(dst, px, py, v)
		a.p.Upper.HessYY(tmp, px, py, v)
		for i, t := range tmp {
			dst[i] += t / gamma
		}
	})
	lx := curvature(a.p.NX, func(dst, v []float64) { a.p.Upper.HessXX(dst, px, py, v) })
	method := &PBGDFree{Gamma: gamma, Beta: 1 / math.Max(ly, 1e-3), Eta: 1 / math.Max(lx, 1), Inner: 10, FlatnessEvery: 10}
	e.Settings.Tolerance = 1e-6
	part, err := method.Start(e)
	if err != nil {
		return nil, err
	}
	return &freeStage{pbgdFree: part.(*pbgdFree), a: a}, nil
}

// curvature estimates the largest absolute eigenvalue of a symmetric operator by
// power iterations from a fixed vector.
func curvature(n int, product func(dst, v []float64)) float64 {
	v, w := make(vec.Dense, n), make(vec.Dense, n)
	for i := range v {
		v[i] = 1 + 0.5*math.Sin(float64(i))
	}
	size := 0.0
	for range 30 {
		norm := vec.Norm(v)
		if !(norm > 0) {
			break
		}
		v.Scale(1 / norm)
		product(w, v)
		size = vec.Norm(w)
		v, w = w, v
	}
	if size-size != 0 {
		return 1
	}
	return 1.1 * size // power iterations approach from below
}

// freeStage ends PBGD-Free when the omitted terms matter, which is measured as
// it goes and where it converges.
type freeStage struct {
	*pbgdFree
	a *auto
}

func (s *freeStage) Step(p *bilevel.Progress) (bilevel.Status, error) {
	status, err := s.pbgdFree.Step(p)
	if err != nil || s.e.Stopped() {
		return status, err
	}
	if status == bilevel.Converged && math.IsNaN(p.Omitted) {
		if _, err := s.flat.measure(p, s.o.Gamma, s.x, s.y, nil, s.dx); err != nil {
			return status, err
		}
	}
	if p.Omitted > OmittedSmall {
		size := fmt.Sprintf("%.3g times grad_x f, more than %g", p.Omitted, OmittedSmall)
		if p.Omitted > 1e6 {
			size = "any size beside a vanishing grad_x f"
		}
		s.a.e.Note("PBGD-Free omits terms of %s, at this x (delta = %.3g): switching to V-PBGD, which computes them", size, p.Delta)
		return bilevel.Converged, nil
	}
	if status == bilevel.Converged {
		s.a.e.Note("PBGD-Free converged; its omitted terms are %.3g of grad_x f (delta = %.3g)", p.Omitted, p.Delta)
	}
	return status, nil
}

func penaltyName(gamma float64) string { return fmt.Sprintf("penalty, gamma = %g", gamma) }

// startPenalty starts the minimisation of F_gamma with exact inner solves.
func (a *auto) startPenalty(gamma float64) func(*bilevel.Env) (bilevel.Iteration, error) {
	return func(e *bilevel.Env) (bilevel.Iteration, error) {
		e.Settings.Tolerance = math.Max(1e-7, 1e-15*gamma)
		if gamma > 1000 {
			a.e.Note("minimising F_gamma at gamma = %g, where y_gamma selects the lower solution that f prefers", gamma)
		}
		return (&BLOCC{Gamma: gamma, Inner: "exact", Step: "spectral"}).Start(e)
	}
}

// startHypergradient starts descent on phi. Rounds after the first run only if
// the verification before them found a better lower solution.
func (a *auto) startHypergradient(round int) func(*bilevel.Env) (bilevel.Iteration, error) {
	return func(e *bilevel.Env) (bilevel.Iteration, error) {
		if int(*a.again) < round {
			return nil, nil
		}
		hyper, err := newHypergradient(e)
		if err != nil {
			return nil, err
		}
		f := newPhi(e, hyper)
		x := e.BlockFrom("x", e.StartX())
		return &hyperStage{f: f, x: x, spg: newSPG(e, x, f)}, nil
	}
}

// startFromStart starts descent on phi at the problem's own start, unless phi was
// surveyed all over X.
func (a *auto) startFromStart(e *bilevel.Env) (bilevel.Iteration, error) {
	if _, _, ok := box(a.p); ok {
		return nil, nil
	}
	e.SetStart(a.startX, a.startY)
	return a.startHypergradient(0)(e)
}

// hyperStage is spectral projected gradient descent on phi.
type hyperStage struct {
	f   *phi
	x   vec.Vector
	spg *spg
}

func (s *hyperStage) Step(p *bilevel.Progress) (bilevel.Status, error) {
	p.X, p.Y, p.Mu = s.x, s.f.y, s.f.mu
	return s.spg.report(p)
}

// startVerification starts the measurement of the answer so far.
func (a *auto) startVerification(round int) func(*bilevel.Env) (bilevel.Iteration, error) {
	return func(e *bilevel.Env) (bilevel.Iteration, error) {
		if int(*a.again) < round && round != lastRound {
			return nil, nil
		}
		return &verification{a: a, e: e, round: round, last: round == lastRound}, nil
	}
}

// lastRound is the round of the verification that ends the plan.
const lastRound = math.MaxInt

// verification measures the certificate of the answer so far.
type verification struct {
	a     *auto
	e     *bilevel.Env
	round int
	last  bool // nothing can be refined after it
	ok    bool
}

func (v *verification) solved() bool { return v.ok }

func (v *verification) Step(p *bilevel.Progress) (bilevel.Status, error) {
	a := v.a
	measure := func(y, mu []float64) (*certify.Certificate, error) {
		return certify.Measure(whileRunning{context.Background(), v.e}, a.p, vec.Slice(a.x), y, mu, certify.Settings{Seed: v.e.Settings.Seed})
	}
	var mu []float64
	if a.mu != nil {
		mu = vec.Slice(a.mu)
	}
	c, err := measure(vec.Slice(a.y), mu)
	if v.e.Stopped() {
		return bilevel.Running, nil
	}
	if err != nil {
		return bilevel.Running, err
	}
	p.Stationarity, p.Verdict = float64(c.Hypergradient.Norm), verdictText(c)
	a.best.offer(a.x, a.y, a.mu, c)
	*a.down = 0
	if descends(c) {
		*a.down = 1
	}
	observe(v.e, p, false)
	if c.Verdict.OK() {
		a.e.Note("%s: %s", c.Verdict, c.Message)
		if v.ok = c.Unique || c.Verdict == certify.VerifiedGlobally || v.last; v.ok {
			return bilevel.Converged, nil
		}
		a.e.Note("the lower level has several solutions here, and y is only near the one that f prefers: refining with a large gamma")
		return bilevel.Running, nil
	}
	a.e.Note("not yet verified: %s", c.Message)
	if float64(c.LowerGap[0]) > worthwhileGap*math.Max(1, math.Abs(float64(c.Lower))) {
		better, err := measure(nil, nil)
		if err == nil && !v.e.Stopped() && better.SolvedY {
			a.e.Note("a better lower solution was found at this x: descending again from there")
			a.y.Write(better.Y)
			if a.mu != nil && better.Multipliers != nil {
				a.mu.Write(better.Multipliers)
			}
			*a.again = float64(v.round + 1)
		}
	}
	return bilevel.Running, nil
}

// verdictText is the verdict with the bound, where there is one.
func verdictText(c *certify.Certificate) string {
	if c.Bound == nil {
		return c.Verdict.String()
	}
	return fmt.Sprintf("%s, none below %.6g", c.Verdict, float64(c.Bound.Value))
}

// worthwhileGap is the relative gain in g at which another lower solution is
// taken up.
const worthwhileGap = 1e-8

// whileRunning is a context that ends when the run is stopped.
type whileRunning struct {
	context.Context
	e *bilevel.Env
}

func (c whileRunning) Err() error {
	if c.e.Stopped() {
		return context.Canceled
	}
	return nil
}
