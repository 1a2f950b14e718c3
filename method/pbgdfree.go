package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/vec"
)

// PBGDFree is penalty-based gradient descent without the value-function terms.
// Per outer iteration
//
//  1. K times  y_gamma <- Proj_Y( y_gamma - beta ( grad_y g(x,y_gamma) + grad_y f(x,y_gamma)/gamma ) ),
//     warm-started; with a coupling constraint instead T times K primal steps
//     of length beta and one dual step of [lower.MaxMin] on
//     L(y, mu) = f/gamma + g + <mu, h>, y and mu warm-started;
//  2. x <- Proj_X( x - eta grad_x f(x, y_gamma) ).
//
// The terms gamma (grad_x g(x,y_gamma) - grad_x g(x,y_g)) of the penalised
// gradient are left out: no y_g, no second inner loop.
//
// Assumptions: those of [VPBGD], and f flat in y near the lower solution,
// |f(x,y_g) - f(x,y_gamma)| <= c |y_g - y_gamma|^alpha + delta with a small
// delta. The limit is a root of grad_x f(., y_gamma(.)), whose distance from a
// stationary point of phi is governed by delta.
//
// Failure modes: grad_y f large and constant, or f separable in (x, y): then x
// moves independently of the lower level. Corrected mode measures delta and the
// omitted terms every FlatnessEvery iterations, and says so in a note when they
// are not small.
//
// Stationarity is |((x+ - x), (y+ - y))| / eta of one outer iteration, that is
// of the projected grad_x f.
//
// Source: arXiv 2507.20400.
type PBGDFree struct {
	Gamma         float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty gamma"`
	Beta          float64 `opt:"beta" default:"0.01" range:"(0,inf)" doc:"inner step"`
	Eta           float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"outer step"`
	Inner         int     `opt:"inner" default:"1" range:"[1,inf)" doc:"inner steps K per outer iteration"`
	InnerTol      float64 `opt:"inner_tol" range:"[0,inf)" doc:"end the inner loop when |y - y+|/beta (with coupling: the gradient of L) is at most this; 0: never early"`
	DualSteps     int     `opt:"dual_steps" default:"10" range:"[1,inf)" doc:"with coupling: dual steps T of MaxMin, each with K inner steps"`
	DualStep      float64 `opt:"dual_step" default:"0.001" range:"(0,inf)" doc:"with coupling: dual step of MaxMin, in the scale of g"`
	Floor         float64 `opt:"floor" range:"[0,inf)" doc:"with coupling: lower bound of the multipliers"`
	Rule          string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of every block"`
	Warm          string  `opt:"warm" default:"own" range:"own|y_g" doc:"y_gamma starts at its own last value, or at a y_g that is tracked by an inner loop of its own"`
	FlatnessEvery int     `opt:"flatness_every" default:"50" range:"[-1,inf)" doc:"outer iterations between measurements of flatness in corrected mode; -1: never"`
}

// Name is "pbgd-free".
func (m *PBGDFree) Name() string { return "pbgd-free" }

// Defaults are 20,000 iterations and tolerance 1e-8.
func (m *PBGDFree) Defaults(bilevel.Mode) (int, float64) { return 20000, 1e-8 }

type pbgdFree struct {
	e            *bilevel.Env
	o            PBGDFree
	inner, lower *descent // of y_gamma; of y_g where it is tracked
	coupled      *level   // MaxMin in place of inner, with a coupling constraint
	outer        *mover
	x, y, mu, yg vec.Vector
	dx, oldY     vec.Vector
	flat         *flatness // nil where flatness is not measured
	answer
}

// Start checks the parameters and prepares the iteration at the start.
func (m *PBGDFree) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	it := &pbgdFree{e: e, o: *m, answer: answer{e: e}}
	o := &it.o
	if err := option.Fill(o); err != nil {
		return nil, err
	}
	rule := ruleOf(o.Rule)
	it.x = e.BlockFrom("x", e.StartX())
	it.y = e.BlockFrom("y_gamma", e.StartY())
	it.dx, it.oldY = it.x.New(), it.y.New()
	it.outer = newMover(e, "x", e.ProjectX, rule, o.Eta, it.x)
	if rows, _ := e.Rows(); rows > 0 {
		if err := it.maxmin(rows); err != nil {
			return nil, err
		}
	} else {
		it.inner = newDescent(e, "y_gamma", rule, o.Beta, o.InnerTol, it.y)
	}
	if o.Warm == "y_g" {
		it.yg = e.BlockFrom("y_g", e.StartY())
		it.lower = newDescent(e, "y_g", rule, o.Beta, o.InnerTol, it.y)
	}
	if e.Settings.Mode == bilevel.Corrected && o.FlatnessEvery > 0 {
		it.flat = newFlatness(e, &it.answer, rule, o.Beta, it.x, it.y)
	}
	return it, nil
}

// maxmin makes MaxMin the inner loop.
func (it *pbgdFree) maxmin(rows int) error {
	o := &it.o
	switch {
	case it.e.Dense() == nil:
		return noCoupling(rows, "a problem on []float64")
	case o.Warm != "own":
		return &bilevel.SettingError{Field: "warm", Value: o.Warm, Allowed: "own with a coupling constraint"}
	}
	stop := lower.StopNever
	if o.InnerTol > 0 {
		stop = lower.StopGradients
	}
	it.mu = it.e.Block("mu_gamma", it.e.NewMultiplier())
	it.coupled = newLevel(it.e, &lower.MaxMin{T: o.DualSteps, Ty: o.Inner, Eta1: o.Beta, Eta2: o.DualStep, Floor: o.Floor, Stop: stop})
	return nil
}

// Finish replaces y by the lower solution, measures flatness there and says so
// when the omitted terms are not small.
func (it *pbgdFree) Finish(p *bilevel.Progress) error {
	if err := it.answer.Finish(p); err != nil || it.flat == nil {
		return err
	}
	if it.e.Dense() == nil {
		if _, err := it.flat.continued(p, it.o.Gamma, it.x, it.y); err != nil {
			return err
		}
		if p.Omitted > OmittedSmall {
			it.e.Note("the terms that pbgd-free omits are %.3g times as long as grad_x f here (delta = %.3g): f is not flat enough in y for x to be trusted; use v-pbgd", p.Omitted, p.Delta)
		}
		return nil
	}
	it.e.UpperGradX(it.dx, it.x, it.y)
	omitted := it.flat.at(p, it.o.Gamma, it.x, it.y, it.mu, p.Y, p.Mu, it.dx)
	if omitted > omittedAtEnd**it.flat.scale {
		it.e.Note("the terms that pbgd-free omits have length %.3g here, grad_x f up to %.3g along the run (delta = %.3g): x need not be near a stationary point of phi; use v-pbgd or blocc", omitted, *it.flat.scale, p.Delta)
	}
	return nil
}

// Step does one outer iteration.
func (it *pbgdFree) Step(p *bilevel.Progress) (bilevel.Status, error) {
	o, e := &it.o, it.e
	tracked := it.y
	if it.lower != nil {
		tracked = it.yg
	}
	it.oldY.Copy(tracked)
	if it.lower != nil {
		it.lower.run(it.x, it.yg, 0, 1, o.Inner)
		it.y.Copy(it.yg)
	}
	if it.coupled == nil {
		it.inner.run(it.x, it.y, 1/o.Gamma, 1, o.Inner)
	} else if _, err := it.coupled.solve(o.Gamma, it.x, it.y, it.mu, o.InnerTol); err != nil {
		return bilevel.Running, err
	}
	if e.Stopped() {
		return bilevel.Running, nil
	}
	p.X, p.Y, p.Mu, p.PenalisedY, p.PenalisedMu, p.Gamma = it.x, tracked, it.mu, it.y, it.mu, o.Gamma
	e.UpperGradX(it.dx, it.x, it.y)
	if it.flat != nil && e.Outer()%o.FlatnessEvery == 0 {
		if _, err := it.flat.measure(p, o.Gamma, it.x, it.y, it.mu, it.dx); err != nil {
			return bilevel.Running, err
		}
	}
	var stationarity float64
	p.Step, stationarity = it.outer.move(it.x, it.dx, 1)
	it.oldY.Add(-1, tracked)
	observe(e, p, it.lower != nil)
	it.violation(p)
	p.Stationarity = math.Hypot(stationarity, vec.Norm(it.oldY)/o.Eta)
	vec.Release(it.oldY)
	if p.Stationarity <= e.Settings.Tolerance {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}
