package method

import (
	"errors"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// Auto needs no parameter. It goes through these stages, each of which starts
// where the one before ended, and ends as soon as an answer is verified:
//
//   - relaxation: where the high-point relaxation
//     min f(x,y) over x in X, y in Y, h(x,y) <= 0 is convex, it is solved first.
//     If its y is a lower solution at its x, no bilevel answer is better: the
//     problem is solved globally. If not, its x is kept as a candidate.
//   - pbgd-free: where there is no coupling constraint, PBGD-Free with steps
//     from the curvature of both levels, for as long as the terms it omits stay
//     below a tenth of grad_x f.
//   - penalty: F_gamma = min f + gamma (g - v) with exact inner solves and
//     spectral steps (V-PBGD, or BLOCC where there is a coupling constraint),
//     for gamma = 10, then 100.
//   - survey: phi at the answer so far, at the relaxation's x, at the point of X
//     nearest to 0 and, where X is bounded and x short, on a fixed sequence of
//     points; the best x goes on.
//   - hypergradient: spectral projected gradient steps on phi itself, to a
//     projected hypergradient of the tolerance; once more from the problem's own
//     start where the survey had no points to try, for descent from there may end in
//     another, better valley.
//   - verification: the certificate is measured. An answer that is not verified
//     because a better lower solution was found is taken up again from there.
//   - last resort: F_gamma for gamma = 1e4, 1e6 and 1e8. y_gamma then selects
//     among several lower solutions the one that f prefers, which the
//     hypergradient of a singular lower level cannot.
//
// A problem that offers a search of its own ([bilevel.Searcher]) is searched by it
// first. The answer of its first round is measured at once, so that there is a verified
// one early, and the last one at the end; phi is descended from there only where the
// measurement found a way down.
//
// Of the answers that were certified the one with the best verdict is returned,
// of equals the one with the lowest f.
//
// What is chosen, and why, is in the notes of the result.
//
// Assumptions: those of the stages; []float64 problems. Failure modes: phi with
// many local minima in many variables (the answer is then a local one), and a
// nonconvex lower level whose global solution no search finds. Stationarity is
// that of the stage.
//
// Sources: arXiv 2507.20400, arXiv 2406.10148, arXiv 2302.05185; the
// hypergradient's in hypergradient.go, the steps' in spg.go.
type Auto struct{}

// Name is "auto".
func (m *Auto) Name() string { return "auto" }

// Defaults are 20,000 iterations and tolerance 1e-9.
func (m *Auto) Defaults(bilevel.Mode) (int, float64) { return 20000, 1e-9 }

// stage is one part of auto's plan.
type stage struct {
	name string
	// start returns the running stage, or nil when it does not apply.
	start func(e *bilevel.Env) (bilevel.Iteration, error)
	limit int // outer iterations
	// penalised: the stage's answer is its penalised solution.
	penalised bool
	// better: the stage's answer is kept only if its f is lower.
	better bool
}

type auto struct {
	e    *bilevel.Env
	p    *bilevel.Problem
	plan []stage
	// at is the number of the present stage, done its finished iterations.
	at, done *float64
	part     bilevel.Iteration // nil: the stage is not yet started here
	// The answer so far, in persistent blocks; mu is nil without coupling.
	x, y, mu vec.Vector
	// The problem's own start.
	startX, startY vec.Vector
	// The x of the relaxation where it is no answer, a candidate of the survey.
	relaxed     vec.Vector
	haveRelaxed *float64
	// again counts how often the verification sent the run back.
	again *float64
	// down: the last verification found phi to fall next to x.
	down *float64
	best *standing
}

// Start prepares the plan; nothing is solved yet.
func (m *Auto) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	p := e.Dense()
	if p == nil {
		return nil, &bilevel.SettingError{Field: "method", Value: m.Name(), Allowed: "a problem on []float64"}
	}
	a := &auto{e: e, p: p, at: e.Scalar("stage", 0), done: e.Scalar("stage_iterations", 0), again: e.Scalar("again", 0), down: e.Scalar("down", 0),
		x: e.BlockFrom("answer.x", e.StartX()), y: e.BlockFrom("answer.y", e.StartY()),
		relaxed: e.Block("relaxed.x", e.StartX()), haveRelaxed: e.Scalar("relaxed", 0)}
	if p.Coupling != nil {
		a.mu = e.Block("answer.mu", e.NewMultiplier())
	}
	a.startX, a.startY = e.BlockFrom("start.x", a.x), e.BlockFrom("start.y", a.y)
	a.best = newStanding(e, a.x, a.y, a.mu)
	a.plan = a.stages()
	return a, nil
}

// stages is the plan, which depends on the problem's structure alone, so that a
// resumed run has the same one.
func (a *auto) stages() []stage {
	if _, ok := a.p.Oracle.(bilevel.Searcher); ok {
		return a.searchPlan()
	}
	plan := []stage{
		{name: "relaxation", start: a.startRelaxation, limit: 1},
		{name: "pbgd-free", start: a.startFree, limit: 2000},
	}
	for _, gamma := range []float64{10, 100} {
		plan = append(plan, stage{name: penaltyName(gamma), start: a.startPenalty(gamma), limit: 100})
	}
	plan = append(plan, stage{name: surveyName, start: a.startSurvey, limit: 1})
	for round, name := range []string{"hypergradient", "hypergradient again", "hypergradient a third time"} {
		plan = append(plan, stage{name: name, start: a.startHypergradient(round), limit: 10000})
		if round == 0 {
			plan = append(plan, stage{name: "hypergradient from the start", start: a.startFromStart, limit: 10000, better: true})
		}
		plan = append(plan, stage{name: "verification of " + name, start: a.startVerification(round), limit: 1})
	}
	for _, gamma := range []float64{1e4, 1e6, 1e8} {
		plan = append(plan, stage{name: penaltyName(gamma), start: a.startPenalty(gamma), limit: 1000, penalised: true})
	}
	return append(plan, stage{name: "last verification", start: a.startVerification(lastRound), limit: 1})
}

// Step does one outer iteration of the present stage.
func (a *auto) Step(p *bilevel.Progress) (bilevel.Status, error) {
	if int(*a.at) >= len(a.plan) {
		return a.settle(p)
	}
	s := a.plan[int(*a.at)]
	if a.part == nil {
		if err := a.begin(s); err != nil {
			return bilevel.Running, err
		}
		if a.part == nil {
			return a.Step(p) // the stage does not apply: at the next one now
		}
	}
	p.Phase = s.name
	p.X, p.Y, p.Mu, p.PenalisedY, p.PenalisedMu = a.x, a.y, a.mu, nil, nil
	status, err := a.part.Step(p)
	if a.e.Stopped() {
		return bilevel.Running, nil
	}
	if err != nil {
		return a.failed(s, p, err)
	}
	if !p.X.Finite() || !p.Y.Finite() {
		a.e.Note("%s: its iterates are no longer finite; going on from where it started", s.name)
		p.X, p.Y, p.Mu, p.PenalisedY, p.PenalisedMu = a.x, a.y, a.mu, nil, nil
		a.next()
		return bilevel.Running, nil
	}
	*a.done++
	if status == bilevel.Running && int(*a.done) < s.limit {
		return bilevel.Running, nil
	}
	if solved, ok := a.part.(interface{ solved() bool }); ok && solved.solved() {
		return bilevel.Converged, nil
	}
	a.take(s, p)
	a.next()
	return bilevel.Running, nil
}

// begin starts stage s at the answer so far; a.part stays nil where s does not apply.
func (a *auto) begin(s stage) error {
	e := a.e.Sub(s.name)
	e.SetStart(a.x, a.y)
	part, err := s.start(e)
	if err != nil {
		return err
	}
	if part == nil {
		a.next()
		return nil
	}
	a.part = part
	return nil
}

func (a *auto) next() {
	a.part = nil
	*a.at++
	*a.done = 0
}

// take makes the stage's last point the answer so far.
func (a *auto) take(s stage, p *bilevel.Progress) {
	if s.better {
		f, here := a.e.Upper(p.X, p.Y), a.e.Upper(a.x, a.y)
		if !(f < here-1e-9*math.Max(1, math.Abs(here))) {
			return
		}
		a.e.Note("descent from the problem's start ends at f = %.9g, below %.9g: going on from there", f, here)
	}
	y, mu := p.Y, p.Mu
	if s.penalised && p.PenalisedY != nil {
		y, mu = p.PenalisedY, p.PenalisedMu
	}
	a.x.Copy(p.X)
	a.y.Copy(y)
	if a.mu != nil && mu != nil {
		a.mu.Copy(mu)
	}
}

// failed goes on after a stage that met a lower level without a solution, or a
// failing computation. The survey, which tries several x, is the last word on
// whether the lower level can be solved at all.
func (a *auto) failed(s stage, p *bilevel.Progress, err error) (bilevel.Status, error) {
	var level *bilevel.LevelError
	if !errors.As(err, &level) || s.name == surveyName {
		return bilevel.Running, err
	}
	a.e.Note("%s ended: %s", s.name, level.Detail)
	if *a.done > 0 && p.X.Finite() && p.Y.Finite() && a.respond(p) {
		a.take(s, p)
	}
	a.next()
	return bilevel.Running, nil
}

// respond makes p.Y and p.Mu the lower solution at p.X, for a step that fails midway may
// leave those of a trial; false where none is found.
func (a *auto) respond(p *bilevel.Progress) bool {
	_, err := newLevel(a.e, nil).solve(math.Inf(1), p.X, p.Y, p.Mu, exactTol)
	return err == nil && p.Y.Finite()
}

// settle ends a run whose plan is through: the standing answer is the best one,
// and the status says whether its hypergradient is within the tolerance.
func (a *auto) settle(p *bilevel.Progress) (bilevel.Status, error) {
	p.Phase = "end"
	p.PenalisedY, p.PenalisedMu = nil, nil
	a.best.restore(a.x, a.y, a.mu)
	p.X, p.Y, p.Mu = a.x, a.y, a.mu
	p.Stationarity = *a.best.stationarity
	observe(a.e, p, false)
	if math.IsNaN(p.Stationarity) || p.Stationarity > verifiedStationarity {
		return bilevel.Running, &bilevel.LevelError{Status: bilevel.NumericalFailure,
			Detail: "Every stage of auto was run and none gave an answer that is verified; the best one is returned. The notes say what each stage met."}
	}
	return bilevel.Converged, nil
}

// Finish gives a run that was limited before its first iteration ended the
// follower's answer at the start.
func (a *auto) Finish(p *bilevel.Progress) error {
	if a.e.Outer() > 0 {
		return nil
	}
	return (&answer{e: a.e}).Finish(p)
}
