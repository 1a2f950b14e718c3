package method

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/vec"
	"gonum.org/v1/gonum/floats"
)

// BLOCC is penalty-based descent for lower levels with coupling constraints
// h(x,y) <= 0. Per outer iteration
//
//  1. (y_g, mu_g)         <- saddle point of  g + <mu, h>              over y in Y, mu >= 0;
//  2. (y_gamma, mu_gamma) <- saddle point of  f/gamma + g + <mu, h>    over y in Y, mu >= 0;
//  3. x <- Proj_X( x - eta grad F_gamma(x) ),
//     grad F_gamma(x) = grad_x f(x,y_gamma) + gamma [ grad_x g(x,y_gamma) - grad_x g(x,y_g) ]
//     + gamma <mu_gamma, grad_x h(x,y_gamma)> - gamma <mu_g, grad_x h(x,y_g)>.
//
// F_gamma(x) = min f + gamma (g - v) over the feasible y. Steps 1 and 2 do not
// depend on each other but run in sequence: a problem's functions are called from
// one goroutine at a time.
//
// Multipliers are in the scale of g. Published settings are in part meant for
// the Lagrangian f + gamma g + <mu, h>, whose multiplier is gamma mu_gamma:
// scale = f takes them as they are (in the scale of g its primal step is gamma
// times, its dual step, floor and start of the multiplier 1/gamma times as large).
//
// Inner solves: exact (the problem's oracle, or a general solver), or MaxMin
// ([lower.MaxMin]) with a fixed budget. Outer step: fixed eta, or the spectral
// projected gradient with a line search on F_gamma, which needs exact inner
// solves. Corrected mode takes exact solves and the spectral step, faithful mode
// MaxMin and the fixed step.
//
// Assumptions: g strongly convex in y, h convex in y, independent active
// constraint gradients at the lower solution; X and Y closed and convex.
//
// Failure modes: a lower level that is trivial at the x explored, so that only
// y_gamma is informative; multiplier floors above 0; x at which no y is
// feasible, where multipliers grow without bound. The limit is a stationary
// point of F_gamma, O(1/gamma) away from one of phi; with gamma_end, gamma grows
// by the factor 10 and the limits are extrapolated to 1/gamma = 0
// (continuation.go), which leads to a stationary point of phi.
//
// With the spectral step the run also ends, with a note, where no step along
// the projected gradient decreases F_gamma any more.
//
// Stationarity is |Proj_X(x - grad F_gamma) - x| with the spectral step, and
// |((x+ - x), (y_g+ - y_g))| / eta of one outer iteration with the fixed one, as
// published. X and Y are the point of the inner solves.
//
// Source: arXiv 2406.10148, algorithms 1 and 2.
type BLOCC struct {
	Gamma    float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty gamma"`
	GammaEnd float64 `opt:"gamma_end" range:"[0,inf)" doc:"raise gamma by stages, to this at most, until x extrapolated to 1/gamma = 0 has settled; 0: minimise F_gamma"`
	XTol     float64 `opt:"x_tol" default:"1e-7" range:"(0,inf)" doc:"with gamma_end: the run ends when x, extrapolated to 1/gamma = 0, changes by this times max(1, |x|) at most"`
	Inner    string  `opt:"inner" default:"mode" range:"mode|exact|maxmin" doc:"inner solver; mode: exact in corrected mode, maxmin in faithful mode"`
	Step     string  `opt:"step" default:"mode" range:"mode|spectral|fixed" doc:"outer step; mode: spectral with exact inner solves in corrected mode, else fixed"`
	Eta      float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"fixed outer step"`

	Scale        string  `opt:"scale" default:"g" range:"g|f" doc:"scale of the penalised Lagrangian in MaxMin, its steps, floor and mu_f: f/gamma + g (g) or f + gamma g (f)"`
	DualSteps    int     `opt:"dual_steps" range:"[0,inf)" doc:"MaxMin: largest number T of dual steps; 0: 100000"`
	PrimalSteps  int     `opt:"primal_steps" default:"1" range:"[1,inf)" doc:"MaxMin: primal steps T_y per dual step"`
	PrimalStepG  float64 `opt:"primal_step_g" range:"[0,inf)" doc:"MaxMin: primal step for y_g; 0: adaptive"`
	DualStepG    float64 `opt:"dual_step_g" range:"[0,inf)" doc:"MaxMin: dual step for mu_g; 0: adaptive"`
	PrimalStepF  float64 `opt:"primal_step_f" range:"[0,inf)" doc:"MaxMin: primal step for y_gamma; 0: adaptive"`
	DualStepF    float64 `opt:"dual_step_f" range:"[0,inf)" doc:"MaxMin: dual step for mu_gamma; 0: adaptive"`
	Accelerated  bool    `opt:"accelerated" doc:"MaxMin: extrapolate the multiplier"`
	Order        string  `opt:"order" default:"gauss-seidel" range:"gauss-seidel|simultaneous|dual-first" doc:"MaxMin: order of the updates in one iteration"`
	Stop         string  `opt:"stop" default:"change" range:"change|signed-sum|gradients|never" doc:"MaxMin: stop rule, as lower.StopRule"`
	InnerTol     float64 `opt:"inner_tol" default:"1e-4" range:"(0,inf)" doc:"MaxMin: tolerance of the stop rule"`
	GradientNorm string  `opt:"gradient_norm" default:"euclidean" range:"euclidean|split" doc:"MaxMin: norm in the stop rule gradients: Euclidean, or that of all components but the last plus the last one's size"`
	Floor        float64 `opt:"floor" range:"[0,inf)" doc:"MaxMin: lower bound of the multipliers"`
	Warm         string  `opt:"warm" default:"own" range:"own|y_g" doc:"MaxMin: y_gamma starts at its own last value, or at the new y_g"`
	RestartG     float64 `opt:"mu_g" range:"[0,inf)" doc:"MaxMin: mu_g restarts at this value in every outer iteration; 0: at its own last value"`
	RestartGamma float64 `opt:"mu_f" range:"[0,inf)" doc:"MaxMin: mu_gamma restarts at this value in every outer iteration; 0: at its own last value"`
}

// Name is "blocc".
func (m *BLOCC) Name() string { return "blocc" }

// Defaults are 1000 iterations and tolerance 1e-8.
func (m *BLOCC) Defaults(bilevel.Mode) (int, float64) { return 1000, 1e-8 }

type blocc struct {
	e            *bilevel.Env
	o            BLOCC
	gamma        *float64
	path         *continuation // nil: gamma is fixed
	lower, inner *level        // of y_g and of y_gamma
	spg          *spg          // nil with the fixed step
	outer        *mover
	terms        valueGrad
	x, at        vec.Vector // the iterate; the point of the last inner solves
	yg, mug      vec.Vector
	y, mu        vec.Vector
	dx, part     vec.Vector
	oldY         vec.Vector
	answer
}

// Start checks the parameters and prepares the iteration at the start.
func (m *BLOCC) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	if e.Dense() == nil {
		return nil, &bilevel.SettingError{Field: "method", Value: m.Name(), Allowed: "a problem on []float64; use v-pbgd"}
	}
	corrected := e.Settings.Mode == bilevel.Corrected
	if o.Inner == "mode" {
		o.Inner = pick(corrected, "exact", "maxmin")
	}
	if o.Step == "mode" {
		o.Step = pick(corrected && o.Inner == "exact", "spectral", "fixed")
	}
	if o.Step == "spectral" && o.Inner != "exact" {
		return nil, &bilevel.SettingError{Field: "step", Value: o.Step, Allowed: "fixed with inner = maxmin: the line search needs exact inner solves"}
	}
	x, y := e.StartX(), e.StartY()
	it := &blocc{e: e, o: o, gamma: e.Scalar("gamma", o.Gamma), x: e.BlockFrom("x", x), at: e.BlockFrom("x_inner", x),
		yg: e.BlockFrom("y_g", y), y: e.BlockFrom("y_gamma", y),
		dx: x.New(), part: x.New(), oldY: y.New(), terms: valueGrad{e, x.New()}, answer: answer{e: e}}
	if rows, _ := e.Rows(); rows > 0 {
		it.mug, it.mu = e.Block("mu_g", e.NewMultiplier()), e.Block("mu_gamma", e.NewMultiplier())
	}
	it.lower, it.inner = newLevel(e, nil), newLevel(e, nil)
	if o.Inner == "maxmin" {
		if err := it.maxmin(); err != nil {
			return nil, err
		}
	}
	if o.GammaEnd > 0 {
		it.path = newContinuation(e, "gamma", it.gamma, it.x, e.ProjectX, stageGrowth, o.GammaEnd, o.XTol)
	}
	if o.Step == "spectral" {
		it.spg = newSPG(e, it.x, it)
		it.spg.smooth = it.path != nil
	} else {
		it.outer = newMover(e, "x", e.ProjectX, vec.SGD, o.Eta, x)
	}
	return it, nil
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// maxmin makes MaxMin the solver of both levels.
func (it *blocc) maxmin() error {
	o := &it.o
	solver := lower.MaxMin{T: o.DualSteps, Ty: o.PrimalSteps, Accelerated: o.Accelerated, Floor: o.Floor,
		Order: orders[o.Order], Stop: stopRules[o.Stop]}
	if o.GradientNorm == "split" {
		solver.GradientNorm = func(g []float64) float64 { return floats.Norm(g[:len(g)-1], 2) + math.Abs(g[len(g)-1]) }
	}
	g, f := solver, solver
	g.Eta1, g.Eta2, f.Eta1, f.Eta2 = o.PrimalStepG, o.DualStepG, o.PrimalStepF, o.DualStepF
	for _, s := range [...]struct {
		name         string
		primal, dual float64
	}{{"dual_step_g", g.Eta1, g.Eta2}, {"dual_step_f", f.Eta1, f.Eta2}} {
		if (s.primal == 0) != (s.dual == 0) {
			return &bilevel.SettingError{Field: s.name, Value: s.dual, Allowed: fmt.Sprintf("0 exactly when the primal step, here %g, is", s.primal)}
		}
	}
	it.lower, it.inner = newLevel(it.e, &g), newLevel(it.e, &f)
	it.inner.upperScale = o.Scale == "f"
	return nil
}

var (
	orders    = map[string]lower.Order{"gauss-seidel": lower.GaussSeidel, "simultaneous": lower.Simultaneous, "dual-first": lower.DualFirst}
	stopRules = map[string]lower.StopRule{"change": lower.StopChange, "signed-sum": lower.StopSignedSum, "gradients": lower.StopGradients, "never": lower.StopNever}
)

// solve finds both saddle points at x.
func (it *blocc) solve(x vec.Vector) error {
	o, tolerance := &it.o, exactTol
	it.at.Copy(x)
	if o.Inner == "maxmin" {
		tolerance = o.InnerTol
		if it.mu != nil && o.RestartG > 0 {
			fill(it.mug, o.RestartG)
		}
		if it.mu != nil && o.RestartGamma > 0 {
			fill(it.mu, o.RestartGamma)
			if it.inner.upperScale {
				it.mu.Scale(1 / *it.gamma)
			}
		}
	}
	if _, err := it.lower.solve(math.Inf(1), x, it.yg, it.mug, tolerance); err != nil {
		return err
	}
	if o.Inner == "maxmin" && o.Warm == "y_g" {
		it.y.Copy(it.yg)
	}
	_, err := it.inner.solve(*it.gamma, x, it.y, it.mu, tolerance)
	return err
}

func fill(v vec.Vector, c float64) {
	d := v.(vec.Dense)
	for i := range d {
		d[i] = c
	}
}

// value is F_gamma(x).
func (it *blocc) value(x vec.Vector) (float64, error) {
	if err := it.solve(x); err != nil {
		return math.NaN(), err
	}
	return it.e.Upper(x, it.y) + *it.gamma*(it.e.Lower(x, it.y)-it.e.Lower(x, it.yg)), nil
}

// grad is the gradient of F_gamma at x, the point of the last inner solves.
func (it *blocc) grad(dst, x vec.Vector) error {
	it.terms.compute(dst, *it.gamma, x, it.y, it.mu, it.yg, it.mug)
	it.e.UpperGradX(it.part, x, it.y)
	dst.Add(1, it.part)
	return nil
}

// Step does one outer iteration.
func (it *blocc) Step(p *bilevel.Progress) (bilevel.Status, error) {
	e := it.e
	status := bilevel.Running
	if it.spg != nil {
		var stalled bool
		var err error
		if it.path == nil {
			stalled, err = it.spg.step()
		} else { // which knows when nothing is left to gain but rounding
			stalled, err = it.spg.iterate()
		}
		if err != nil || e.Stopped() {
			return bilevel.Running, err
		}
		p.Step, p.Stationarity = it.spg.moved, it.spg.stationarity
		switch {
		case !stalled || p.Stationarity <= e.Settings.Tolerance:
		case it.path != nil: // whether the stage was solved well enough shows in the extrapolation
			status = bilevel.Converged
		default:
			e.Note("no step along the projected gradient, of length %.3g, decreases F_gamma: the point is stationary to the accuracy of the inner solves, or F_gamma has a kink here", p.Stationarity)
			status = bilevel.Converged
		}
	} else {
		it.oldY.Copy(it.yg)
		if err := it.solve(it.x); err != nil || e.Stopped() {
			return bilevel.Running, err
		}
		if err := it.grad(it.dx, it.x); err != nil {
			return bilevel.Running, err
		}
		p.Step, p.Stationarity = it.outer.move(it.x, it.dx, 1)
		it.oldY.Add(-1, it.yg)
		p.Stationarity = math.Hypot(p.Stationarity, vec.Norm(it.oldY)/it.o.Eta)
	}
	p.X, p.Y, p.Mu, p.PenalisedY, p.PenalisedMu, p.Gamma = it.at, it.yg, it.mug, it.y, it.mu, *it.gamma
	observe(e, p, true)
	it.violation(p)
	if p.Stationarity <= e.Settings.Tolerance {
		status = bilevel.Converged
	}
	if it.path == nil || status == bilevel.Running {
		return status, nil
	}
	return it.advance()
}

// advance goes to the next gamma, or to the limit of x, at which it solves the
// inner problems.
func (it *blocc) advance() (bilevel.Status, error) {
	if !it.path.advance(true) {
		if it.spg != nil {
			it.spg.renew()
		}
		return bilevel.Running, nil
	}
	if err := it.solve(it.x); err != nil {
		return bilevel.Running, err
	}
	return bilevel.Converged, nil
}
