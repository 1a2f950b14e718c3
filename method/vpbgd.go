package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/vec"
)

// VPBGD is value-function penalty-based gradient descent. Per outer iteration t
//
//  1. K times  y_g     <- Proj_Y( y_g     - beta grad_y g(x,y_g) );
//  2. K times  y_gamma <- Proj_Y( y_gamma - beta ( grad_y g + grad_y f/gamma )(x,y_gamma) );
//  3. x <- Proj_X( x - eta ( grad_x f(x,y_gamma) + gamma [ grad_x g(x,y_gamma) - grad_x g(x,y_g) ] ) ).
//
// gamma is fixed, or raised as gamma_t = gamma min(1, (t+1)/GammaRamp). With
// gamma_end it is doubled whenever the run is stationary, and the
// stationary points are extrapolated to 1/gamma = 0 (continuation.go): to a
// stationary point of phi.
// y_g and y_gamma are separate blocks with optimisers of their own; both are
// warm-started, or y_gamma starts at y_g, as some published code does.
//
// Assumptions: no coupling constraint; g strongly convex in y, or
// Polyak-Lojasiewicz in y; f Lipschitz in y; smooth gradients. The limit is a
// stationary point of F_gamma, O(1/gamma) away from one of phi.
//
// Failure modes: with y_gamma started at y_g, a finite inner loop biases the
// limit by what y_gamma is short of (on the toy with g = (y-x+1)^2 by the factor
// 1 - 0.98^100); gamma multiplies the error of y_g and y_gamma in step 3, so the
// inner loops must gain on x.
//
// Stationarity is |((x+ - x), (y_g+ - y_g))| / eta of one outer iteration, as
// published, that is of the projected gradient of F_gamma as the method sees it;
// in corrected mode the change of y_gamma is in it too.
//
// Source: arXiv 2302.05185.
type VPBGD struct {
	Gamma     float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty gamma"`
	GammaRamp int     `opt:"gamma_ramp" range:"[0,inf)" doc:"outer iterations over which gamma is raised to its value; 0: none"`
	GammaEnd  float64 `opt:"gamma_end" range:"[0,inf)" doc:"raise gamma by stages, to this at most, until x extrapolated to 1/gamma = 0 has settled; 0: no further than gamma"`
	XTol      float64 `opt:"x_tol" default:"1e-7" range:"(0,inf)" doc:"with gamma_end: the run ends when x, extrapolated to 1/gamma = 0, changes by this times max(1, |x|) at most"`
	Beta      float64 `opt:"beta" default:"0.01" range:"(0,inf)" doc:"inner step"`
	Eta       float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"outer step"`
	Inner     int     `opt:"inner" default:"10" range:"[1,inf)" doc:"inner steps K of y_g and of y_gamma per outer iteration"`
	InnerTol  float64 `opt:"inner_tol" range:"[0,inf)" doc:"end an inner loop when |y - y+|/beta is at most this; 0: never early"`
	Rule      string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of every block"`
	Warm      string  `opt:"warm" default:"own" range:"own|y_g" doc:"y_gamma starts at its own last value, or at the new y_g"`
}

// Name is "v-pbgd".
func (m *VPBGD) Name() string { return "v-pbgd" }

// Defaults are 20,000 iterations and tolerance 1e-8.
func (m *VPBGD) Defaults(bilevel.Mode) (int, float64) { return 20000, 1e-8 }

// Start checks the parameters and prepares the iteration at the start.
func (m *VPBGD) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	if o.GammaEnd > 0 && o.GammaRamp > 0 {
		return nil, &bilevel.SettingError{Field: "gamma_ramp", Value: o.GammaRamp, Allowed: "0 with gamma_end"}
	}
	ramp := float64(max(o.GammaRamp, 1))
	return newPenalty(e, o, plan{
		gamma: func(t, _ float64) float64 { return o.Gamma * math.Min(1, (t+1)/ramp) },
		steps: func(_, _ float64) (g, penalised, x float64) { return 1, 1, 1 },
	})
}

// F2SA is [VPBGD] with an increasing multiplier gamma_t and steps to match, at
// outer iteration t = 0, 1, ...:
//
//	                                              corrected                     faithful
//	gamma_t                                       gamma (1 + delta t)^(1/3)     gamma_(t-1) + delta/t^(1/7)
//	y_g:     step on grad_y g                     rho                           rho/(t+1)^(4/7)
//	y_gamma: step on grad_y f + gamma_t grad_y g  rho/gamma_t                   rho/(t+1)^(5/7)
//	x:       step on grad F_gamma_t               rho/gamma_t                   rho/(t+1)^(4/7)
//
// Corrected is the paper's schedule for exact gradients: gamma_t grows like
// t^(1/3) and x slows down in proportion, so that y_g and y_gamma keep ahead of
// it. Faithful is the form of a public benchmark: there gamma_t grows like
// t^(6/7) while x slows down like t^(-4/7) only, and x overtakes y_g: on the toys
// it runs to a bound of X or away.
//
// Assumptions: those of VPBGD with g strongly convex in y; rho below 2 over the
// largest curvature of g + f/gamma_0 in y. Failure modes: the bias 1/gamma_t
// falls slowly, and the steps fall whether or not there is far to go; with
// gamma_end gamma_t is doubled only when the run is stationary, as for VPBGD, and the
// steps follow it.
// Stationarity is that of VPBGD.
//
// Source: arXiv 2301.10945.
type F2SA struct {
	Gamma    float64 `opt:"gamma" default:"1" range:"(0,inf)" doc:"first multiplier"`
	Delta    float64 `opt:"delta" default:"0.1" range:"(0,inf)" doc:"growth of the multiplier, or its first increment in faithful mode"`
	GammaEnd float64 `opt:"gamma_end" range:"[0,inf)" doc:"raise gamma_t by stages instead, to this at most, until x extrapolated to 1/gamma = 0 has settled; 0: by the schedule"`
	XTol     float64 `opt:"x_tol" default:"1e-7" range:"(0,inf)" doc:"with gamma_end: the run ends when x, extrapolated to 1/gamma = 0, changes by this times max(1, |x|) at most"`
	Rho      float64 `opt:"rho" default:"0.01" range:"(0,inf)" doc:"first step of every block"`
	Inner    int     `opt:"inner" default:"10" range:"[1,inf)" doc:"inner steps of y_g and of y_gamma per outer iteration"`
}

// Name is "f2sa".
func (m *F2SA) Name() string { return "f2sa" }

// Defaults are 20,000 iterations and tolerance 1e-8.
func (m *F2SA) Defaults(bilevel.Mode) (int, float64) { return 20000, 1e-8 }

// Start checks the parameters and prepares the iteration at the start.
func (m *F2SA) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	schedule := plan{
		gamma: func(t, _ float64) float64 { return o.Gamma * math.Cbrt(1+o.Delta*t) },
		steps: func(_, gamma float64) (g, penalised, x float64) { return 1, 1, 1 / gamma },
	}
	if e.Settings.Mode == bilevel.Faithful {
		if o.GammaEnd > 0 {
			return nil, &bilevel.SettingError{Field: "gamma_end", Value: o.GammaEnd, Allowed: "0 in faithful mode, whose steps fall with t"}
		}
		schedule.gamma = func(t, last float64) float64 {
			if t == 0 {
				return o.Gamma
			}
			return last + o.Delta/math.Pow(t, 1.0/7)
		}
		schedule.steps = func(t, gamma float64) (g, penalised, x float64) {
			slow := math.Pow(t+1, -4.0/7)
			return slow, gamma * math.Pow(t+1, -5.0/7), slow
		}
	}
	return newPenalty(e, VPBGD{Gamma: o.Gamma, GammaEnd: o.GammaEnd, XTol: o.XTol, Beta: o.Rho, Eta: o.Rho, Inner: o.Inner, Rule: "sgd", Warm: "own"}, schedule)
}

// plan is what distinguishes the two methods: the multiplier of iteration t
// from the last one, and the steps of the three blocks as multiples of beta,
// beta and eta.
type plan struct {
	gamma func(t, last float64) float64
	steps func(t, gamma float64) (g, penalised, x float64)
}

// penalty is the iteration of V-PBGD and F2SA.
type penalty struct {
	e            *bilevel.Env
	o            VPBGD
	corrected    bool
	plan         plan
	t, gamma     *float64
	lower, inner *descent // of y_g and of y_gamma
	outer        *mover
	value        valueGrad
	path         *continuation // nil: gamma follows the plan
	x, yg, y     vec.Vector
	dx, fx       vec.Vector
	oldG, oldP   vec.Vector
	answer
}

func newPenalty(e *bilevel.Env, o VPBGD, s plan) (*penalty, error) {
	if rows, _ := e.Rows(); rows > 0 {
		return nil, noCoupling(rows, "blocc")
	}
	rule := ruleOf(o.Rule)
	x, y := e.StartX(), e.StartY()
	it := &penalty{e: e, o: o, corrected: e.Settings.Mode == bilevel.Corrected, plan: s, t: e.Scalar("t", 0), gamma: e.Scalar("gamma", 0),
		x: e.BlockFrom("x", x), yg: e.BlockFrom("y_g", y), y: e.BlockFrom("y_gamma", y),
		dx: x.New(), fx: x.New(), oldG: y.New(), oldP: y.New(), value: valueGrad{e, x.New()}, answer: answer{e: e}}
	it.lower = newDescent(e, "y_g", rule, o.Beta, o.InnerTol, y)
	it.inner = newDescent(e, "y_gamma", rule, o.Beta, o.InnerTol, y)
	it.outer = newMover(e, "x", e.ProjectX, rule, o.Eta, x)
	if o.GammaEnd > 0 {
		*it.gamma = math.Max(*it.gamma, o.Gamma)
		it.path = newContinuation(e, "gamma", it.gamma, it.x, e.ProjectX, fixedStepGrowth, o.GammaEnd, o.XTol)
	}
	return it, nil
}

// fixedStepGrowth is the growth of gamma from stage to stage with fixed steps,
// which extrapolation from small gammas spares the large ones.
const fixedStepGrowth = 2

// Step does one outer iteration.
func (it *penalty) Step(p *bilevel.Progress) (bilevel.Status, error) {
	o, e := &it.o, it.e
	if it.path == nil {
		*it.gamma = it.plan.gamma(*it.t, *it.gamma)
	}
	sg, sp, sx := it.plan.steps(*it.t, *it.gamma)
	*it.t++
	it.oldG.Copy(it.yg)
	it.oldP.Copy(it.y)
	it.lower.run(it.x, it.yg, 0, sg, o.Inner)
	if o.Warm == "y_g" {
		it.y.Copy(it.yg)
	}
	it.inner.run(it.x, it.y, 1 / *it.gamma, sp, o.Inner)
	if e.Stopped() {
		return bilevel.Running, nil
	}
	it.value.compute(it.dx, *it.gamma, it.x, it.y, nil, it.yg, nil)
	e.UpperGradX(it.fx, it.x, it.y)
	it.dx.Add(1, it.fx)
	vec.Release(it.fx)
	p.X, p.Y, p.PenalisedY, p.Gamma = it.x, it.yg, it.y, *it.gamma
	var stationarity float64
	p.Step, stationarity = it.outer.move(it.x, it.dx, sx)
	observe(e, p, true)
	it.oldG.Add(-1, it.yg)
	p.Stationarity = math.Hypot(stationarity, vec.Norm(it.oldG)/(o.Eta*sx))
	vec.Release(it.oldG)
	if it.corrected {
		it.oldP.Add(-1, it.y)
		p.Stationarity = math.Hypot(p.Stationarity, vec.Norm(it.oldP)/(o.Eta*sx))
	}
	vec.Release(it.oldP)
	if p.Stationarity <= e.Settings.Tolerance && (it.path == nil || it.path.advance(true)) {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}
