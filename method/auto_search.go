package method

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/vec"
)

// searchName is the name of the stage that lets the problem search by itself.
const searchName = "search"

// searchPlan is the plan for a problem that offers a search over x of its own.
// Its answer is measured at once; phi is descended from there only where the
// measurement found a way down.
func (a *auto) searchPlan() []stage {
	return []stage{
		{name: searchName, start: a.startSearch, limit: math.MaxInt},
		{name: "verification of " + searchName, start: a.startVerification(lastRound), limit: 1},
		{name: "hypergradient", start: a.startRefinement, limit: 1000},
		{name: "last verification", start: a.startLastVerification, limit: 1},
	}
}

// startRefinement starts descent on phi from the search's answer.
func (a *auto) startRefinement(e *bilevel.Env) (bilevel.Iteration, error) {
	if *a.down == 0 {
		return nil, nil
	}
	part, err := a.startHypergradient(0)(e)
	if err != nil {
		return nil, err
	}
	return &refinement{part, a}, nil
}

func (a *auto) startLastVerification(e *bilevel.Env) (bilevel.Iteration, error) {
	if *a.down == 0 {
		return nil, nil // nothing has changed since the one before
	}
	return a.startVerification(lastRound)(e)
}

// refinement reports the search's answer until descent has come below it.
type refinement struct {
	bilevel.Iteration
	a *auto
}

func (r *refinement) Step(p *bilevel.Progress) (bilevel.Status, error) {
	a := r.a
	status, err := r.Iteration.Step(p)
	if err != nil || a.e.Stopped() || !p.X.Finite() || !p.Y.Finite() {
		return status, err
	}
	if !(a.e.Upper(p.X, p.Y) < a.e.Upper(a.x, a.y)) {
		p.X, p.Y, p.Mu = a.x, a.y, a.mu
		observe(a.e, p, false)
	}
	return status, nil
}

// descends reports that a certificate leaves no doubt that phi falls next to x.
func descends(c *certify.Certificate) bool {
	h := &c.Hypergradient
	return float64(h.Slope) < -verifiedStationarity || h.Differentiable && float64(h.Norm) > verifiedStationarity
}

// startSearch starts the problem's own search.
func (a *auto) startSearch(e *bilevel.Env) (bilevel.Iteration, error) {
	oracle := a.p.Oracle.(bilevel.Searcher)
	s := &search{a: a, e: e, oracle: oracle, lvl: newLevel(e, nil), state: e.Block("state", vec.NewDense(oracle.SearchState())),
		x: e.BlockFrom("x", e.StartX()), y: e.BlockFrom("y", e.StartY()), trial: e.StartX(), at: e.StartY(),
		phi: e.Scalar("phi", math.MaxFloat64), rounds: e.Scalar("rounds", 0), early: e.Scalar("early", 0), bound: math.Inf(-1)}
	if a.p.Coupling != nil {
		s.mu, s.atMu = e.Block("mu", e.NewMultiplier()), e.NewMultiplier()
	}
	if b, ok := a.p.Oracle.(bilevel.Bounder); ok {
		var err error
		if s.bound, s.by, err = b.LowerBound(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// search asks the problem's oracle for better and better x, and computes phi there.
type search struct {
	a        *auto
	e        *bilevel.Env
	oracle   bilevel.Searcher
	lvl      *level
	state    vec.Vector
	x, y, mu vec.Vector // the best so far
	trial    vec.Vector
	at, atMu vec.Vector
	phi      *float64
	rounds   *float64
	early    *float64 // the answer of the first round has been measured
	bound    float64
	by       string // where the bound comes from
	proven   bool   // no answer is better: there is nothing left to search for
}

// LowerBound is the bound that the search began with: a first answer need not wait
// for a tighter one.
func (s *search) LowerBound() (float64, string, error) { return s.bound, s.by, nil }

func (s *search) solved() bool { return s.proven }

// earlyLimit is the number of lower variables up to which the answer of the first
// round is measured before the search goes on: beyond, that takes longer than the search.
const earlyLimit = 20_000

// Step does one round, or measures the answer of the first one.
func (s *search) Step(p *bilevel.Progress) (bilevel.Status, error) {
	if *s.rounds == 1 && *s.early == 0 && s.a.p.NY <= earlyLimit {
		err := s.verifyEarly(p)
		if s.proven {
			return bilevel.Converged, err
		}
		return bilevel.Running, err
	}
	done, err := s.oracle.Search(vec.Slice(s.trial), vec.Slice(s.state), bilevel.SearchRound{
		Seed: s.e.Settings.Seed, Workers: s.e.Settings.Workers, Stop: s.e.Stopped})
	if err != nil || s.e.Stopped() {
		return bilevel.Running, err
	}
	*s.rounds++
	s.at.Copy(s.y)
	if s.mu != nil {
		s.atMu.Copy(s.mu)
	}
	if _, err := s.lvl.solve(math.Inf(1), s.trial, s.at, s.atMu, exactTol); err != nil {
		return bilevel.Running, err
	}
	if phi := s.e.Upper(s.trial, s.at); phi < *s.phi {
		*s.phi = phi
		s.x.Copy(s.trial)
		s.y.Copy(s.at)
		if s.mu != nil {
			s.mu.Copy(s.atMu)
		}
	}
	p.X, p.Y, p.Mu = s.x, s.y, s.mu
	observe(s.e, p, false)
	attained := *s.phi <= s.bound+attained*math.Max(1, math.Abs(*s.phi))
	switch {
	case attained:
		s.a.e.Note("the problem's own search attains the bound %.9g after %d rounds", s.bound, int(*s.rounds))
	case done:
		s.a.e.Note("the problem's own search ended after %d rounds at phi = %.9g", int(*s.rounds), *s.phi)
	default:
		return bilevel.Running, nil
	}
	return bilevel.Converged, nil
}

// verifyEarly measures the answer of the first round, so that there is a verified one
// long before the search ends. Where the search's last answer turns out worse by its
// certificate, this one stands.
func (s *search) verifyEarly(p *bilevel.Progress) error {
	p.Phase = "verification of a first answer"
	p.X, p.Y, p.Mu = s.x, s.y, s.mu
	var mu []float64
	if s.mu != nil {
		mu = vec.Slice(s.mu)
	}
	c, err := certify.Measure(whileRunning{context.Background(), s.e}, s.a.p, vec.Slice(s.x), vec.Slice(s.y), mu, certify.Settings{Seed: s.e.Settings.Seed, Bounder: s})
	if err != nil || s.e.Stopped() {
		if s.e.Stopped() {
			err = nil
		}
		return err
	}
	*s.early = 1
	p.Stationarity = float64(c.Hypergradient.Norm)
	s.a.best.offer(s.x, s.y, s.mu, c)
	observe(s.e, p, false)
	p.Verdict = verdictText(c)
	s.proven = c.Verdict == certify.VerifiedGlobally
	next := "the search goes on"
	if s.proven {
		next = "there is nothing left to search for"
	}
	s.a.e.Note("after %.1f s a first answer, phi = %.9g: %s; %s", s.a.e.Elapsed().Seconds(), *s.phi, p.Verdict, next)
	return nil
}
