package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/vec"
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
// F_gamma(x) = min f + gamma (g - v) over the feasible y. Multipliers are in the
// scale of g. Published settings for the Lagrangian f + gamma g + <mu, h> (scale
// of f) convert as: primal_step_f = gamma times the published primal step;
// dual_step_f, floor and the multiplier's start = the published ones / gamma.
//
// Inner solves: exact (the problem's oracle, or a general solver), or MaxMin
// ([lower.MaxMin]) with a fixed budget. Outer step: fixed eta, or the spectral
// projected gradient with a line search on F_gamma, which needs exact inner
// solves. Corrected mode takes the second of both, faithful mode the first.
//
// Assumptions: g strongly convex in y, h convex in y, independent active
// constraint gradients at the lower solution; X and Y closed and convex.
//
// Failure modes: a lower level that is trivial at the x explored, so that only
// y_gamma is informative; multiplier floors above 0; x at which no y is
// feasible, where multipliers grow without bound. The limit is a stationary
// point of F_gamma, O(1/gamma) away from one of phi.
//
// Stationarity is |Proj_X(x - grad F_gamma) - x| with the spectral step, and
// |((x+ - x), (y_g+ - y_g))| / eta of one outer iteration with the fixed one, as
// published. X and Y are the point of the inner solves.
//
// Source: arXiv 2406.10148, algorithms 1 and 2.
type BLOCC struct {
	Gamma float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty gamma"`
	Inner string  `opt:"inner" default:"mode" range:"mode|exact|maxmin" doc:"inner solver; mode: exact in corrected mode, maxmin in faithful mode"`
	Step  string  `opt:"step" default:"mode" range:"mode|spectral|fixed" doc:"outer step; mode: spectral with exact inner solves in corrected mode, else fixed"`
	Eta   float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"fixed outer step"`
}

// Name is "blocc".
func (m *BLOCC) Name() string { return "blocc" }

// Defaults are 1000 iterations and tolerance 1e-8.
func (m *BLOCC) Defaults(bilevel.Mode) (int, float64) { return 1000, 1e-8 }

type blocc struct {
	e            *bilevel.Env
	o            BLOCC
	lower, inner *level // of y_g and of y_gamma
	spg          *spg   // nil with the fixed step
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
	it := &blocc{e: e, o: o, x: e.BlockFrom("x", x), at: e.BlockFrom("x_inner", x),
		yg: e.BlockFrom("y_g", y), y: e.BlockFrom("y_gamma", y),
		dx: x.New(), part: x.New(), oldY: y.New(), terms: valueGrad{e, x.New()}, answer: answer{e: e}}
	if rows, _ := e.Rows(); rows > 0 {
		it.mug, it.mu = e.Block("mu_g", e.NewMultiplier()), e.Block("mu_gamma", e.NewMultiplier())
	}
	it.lower, it.inner = newLevel(e, nil), newLevel(e, nil)
	if o.Step == "spectral" {
		it.spg = newSPG(e, it.x, it)
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

// solve finds both saddle points at x.
func (it *blocc) solve(x vec.Vector) error {
	it.at.Copy(x)
	if _, err := it.lower.solve(math.Inf(1), x, it.yg, it.mug, exactTol); err != nil {
		return err
	}
	_, err := it.inner.solve(it.o.Gamma, x, it.y, it.mu, exactTol)
	return err
}

// value is F_gamma(x).
func (it *blocc) value(x vec.Vector) (float64, error) {
	if err := it.solve(x); err != nil {
		return math.NaN(), err
	}
	return it.e.Upper(x, it.y) + it.o.Gamma*(it.e.Lower(x, it.y)-it.e.Lower(x, it.yg)), nil
}

// grad is the gradient of F_gamma at x, the point of the last inner solves.
func (it *blocc) grad(dst, x vec.Vector) error {
	it.terms.compute(dst, it.o.Gamma, x, it.y, it.mu, it.yg, it.mug)
	it.e.UpperGradX(it.part, x, it.y)
	dst.Add(1, it.part)
	return nil
}

// Step does one outer iteration.
func (it *blocc) Step(p *bilevel.Progress) (bilevel.Status, error) {
	e := it.e
	status := bilevel.Running
	if it.spg != nil {
		stalled, err := it.spg.step()
		if err != nil || e.Stopped() {
			return bilevel.Running, err
		}
		p.Step, p.Stationarity = it.spg.moved, it.spg.stationarity
		if stalled && p.Stationarity > e.Settings.Tolerance {
			e.Note("no step along the projected gradient (of length %.3g) decreases F_gamma: the point is stationary to the accuracy of the inner solves, or F_gamma has a kink here", p.Stationarity)
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
	p.X, p.Y, p.Mu, p.PenalisedY, p.PenalisedMu, p.Gamma = it.at, it.yg, it.mug, it.y, it.mu, it.o.Gamma
	observe(e, p, true)
	if p.Stationarity <= e.Settings.Tolerance {
		status = bilevel.Converged
	}
	return status, nil
}
