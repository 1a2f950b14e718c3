package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/vec"
)

// BiCGAFFA is the bilevel algorithm with a regularised gap function, a single
// loop on x, y, theta (proximal copy of y) and z (multiplier) without
// projections on coupled sets. The gap function is
//
//	G(x,y,z) = max over theta in Y, lambda >= 0 of  L(x,y,lambda) - L(x,theta,z)
//	               - |theta - y|²/(2 gamma1) - |lambda - z|²/(2 gamma2),   L = g + <., h>,
//
// and one iteration k descends on f/c_k + G with c_k = c (k+1)^p:
//
//	theta+  = Proj_Y( theta - eta [ grad_y g(x,theta) + z' grad_y h(x,theta) + (theta - y)/gamma1 ] )
//	lambda  = [ z + gamma2 h(x,y) ]_+                                     (the maximiser)
//	d_x     = grad_x f/c_k + grad_x g(x,y) + lambda' grad_x h(x,y) - grad_x g(x,theta+) - z' grad_x h(x,theta+)
//	d_y     = grad_y f/c_k + grad_y g(x,y) + lambda' grad_y h(x,y) - (y - theta+)/gamma1
//	z+      = [ z - alpha ( (lambda - z)/gamma2 - h(x,theta+) ) ]_+
//	x+      = Proj_X( x - alpha d_x ),   y+ = Proj_Y( y - alpha d_y )
//
// with no sign on the multipliers of equations.
//
// Faithful mode does what the published SVM code does: lambda accumulates,
// lambda <- [lambda + gamma2 h(x,y)]_+; grad_y f has the weight (k+1)^p, which
// grows, and grad_x f the weight 1; z moves before x and d_x holds z+. The
// problem's own X is used. Corrected mode with Step = fixed is the loop above,
// and with Step = adaptive, its default, descent on the same function with exact
// theta and safeguarded steps; see gapDescent.
//
// Assumptions: g and h convex in y, smooth.
//
// Failure modes: first-order progress is slow; with fixed steps c_k leaves a
// distance O(1/c_k) of x to a stationary point of phi; nothing keeps x where the lower level
// has a solution, and the run then ends as lower level infeasible; without
// strong convexity of g the gap function is flat in z, and so it is where h has
// many rows that nearly depend on each other: the 90 random equations of
// toy/llsc take more than 10,000 iterations.
//
// Stationarity is |(x+ - x, y+ - y)| / alpha, times c_k for the gradient of
// f + c_k G; PenalisedY is y, and in faithful mode so is Y.
//
// Source: arXiv 2406.01992.
type BiCGAFFA struct {
	Alpha   float64 `opt:"alpha" default:"0.001" range:"(0,inf)" doc:"step of x, y and z"`
	Eta     float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"step of theta"`
	Gamma1  float64 `opt:"gamma1" default:"10" range:"(0,inf)" doc:"proximal parameter of theta"`
	Gamma2  float64 `opt:"gamma2" default:"1" range:"(0,inf)" doc:"proximal parameter of lambda"`
	C       float64 `opt:"c" default:"1" range:"(0,inf)" doc:"c_k = c (k+1)^p; with adaptive steps the first c"`
	P       float64 `opt:"p" default:"0.5" range:"(0,1)" doc:"growth of c_k"`
	CMax    float64 `opt:"c_max" default:"1e6" range:"(0,inf)" doc:"the largest c with adaptive steps"`
	XTol    float64 `opt:"x_tol" default:"1e-7" range:"(0,inf)" doc:"with adaptive steps: the run ends when x, extrapolated to 1/c = 0, changes by this times max(1, |x|) at most"`
	R       float64 `opt:"r" default:"1e6" range:"(0,inf)" doc:"bound of lambda and z with adaptive steps"`
	Lambda0 float64 `opt:"lambda0" range:"(-inf,inf)" doc:"every component of lambda at the start (faithful mode)"`
	Z0      float64 `opt:"z0" range:"(-inf,inf)" doc:"every component of z at the start"`
	Step    string  `opt:"step" default:"adaptive" range:"adaptive|fixed" doc:"steps in corrected mode; faithful mode has fixed ones"`
}

// Name is "bic-gaffa".
func (m *BiCGAFFA) Name() string { return "bic-gaffa" }

// Defaults are 10,000 iterations and a tolerance on the gradient of f + c G: 1e-4
// in faithful mode, 1e-10 in corrected mode, relative to max(1, |f|) with
// adaptive steps.
func (m *BiCGAFFA) Defaults(mode bilevel.Mode) (int, float64) {
	if mode == bilevel.Faithful {
		return 10000, 1e-4
	}
	return 10000, 1e-10
}

type bicGaffa struct {
	e                 *bilevel.Env
	o                 BiCGAFFA
	faithful          bool
	x, y, theta, l, z vec.Vector
	dx, dy, px, py    vec.Vector
	h, oldX, oldY     vec.Vector
	gap               *gapDescent
	answer
}

// Start checks the parameters and prepares the iteration at the start.
func (m *BiCGAFFA) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	it := &bicGaffa{e: e, o: *m, faithful: e.Settings.Mode == bilevel.Faithful, answer: answer{e: e}}
	o := &it.o
	if err := option.Fill(o); err != nil {
		return nil, err
	}
	it.x, it.y, it.theta = e.BlockFrom("x", e.StartX()), e.BlockFrom("y", e.StartY()), e.BlockFrom("theta", e.StartY())
	if rows, _ := e.Rows(); rows > 0 {
		it.l, it.z = e.BlockFrom("lambda", constant(e.NewMultiplier(), o.Lambda0)), e.BlockFrom("z", constant(e.NewMultiplier(), o.Z0))
		it.h = it.l.New()
	}
	if !it.faithful && o.Step == "adaptive" {
		if e.Dense() == nil {
			return nil, &bilevel.SettingError{Field: "step", Value: o.Step, Allowed: "fixed where the variables are not []float64"}
		}
		it.gap = newGapDescent(e, newProxLevel(e, o.Gamma1, o.Gamma2, o.R, true), nil, it.x, it.y, it.z, it.theta, it.l, o.C, o.CMax, o.XTol)
		return it, nil
	}
	it.dx, it.px, it.oldX = it.x.New(), it.x.New(), it.x.New()
	it.dy, it.py, it.oldY = it.y.New(), it.y.New(), it.y.New()
	return it, nil
}

// Step does one outer iteration.
func (it *bicGaffa) Step(p *bilevel.Progress) (bilevel.Status, error) {
	p.X, p.Y, p.PenalisedY, p.Mu = it.x, it.y, it.y, it.l
	if it.gap != nil {
		return it.gap.step(p)
	}
	e, o := it.e, &it.o
	c := o.C * math.Pow(float64(e.Outer()+1), o.P)
	weightX, weightY := 1/c, 1/c
	if it.faithful {
		weightX, weightY = 1, c
	}
	coupled := it.l != nil

	e.LowerGradY(it.dy, it.x, it.theta)
	it.dy.Add(1/o.Gamma1, it.theta)
	it.dy.Add(-1/o.Gamma1, it.y)
	if coupled {
		e.CouplingJacYT(it.py, it.x, it.theta, it.z)
		it.dy.Add(1, it.py)
	}
	it.theta.Add(-o.Eta, it.dy)
	e.ProjectY(it.theta)
	e.Counts().Inner++
	if coupled {
		e.Coupling(it.h, it.x, it.y)
		if !it.faithful {
			it.l.Copy(it.z)
		}
		it.l.Add(o.Gamma2, it.h)
		e.ProjectMultiplier(it.l, 0)
	}

	e.UpperGradY(it.dy, it.x, it.y)
	it.dy.Scale(weightY)
	e.LowerGradY(it.py, it.x, it.y)
	it.dy.Add(1, it.py)
	it.dy.Add(-1/o.Gamma1, it.y)
	it.dy.Add(1/o.Gamma1, it.theta)
	e.UpperGradX(it.dx, it.x, it.y)
	it.dx.Scale(weightX)
	e.LowerGradX(it.px, it.x, it.y)
	it.dx.Add(1, it.px)
	e.LowerGradX(it.px, it.x, it.theta)
	it.dx.Add(-1, it.px)
	if coupled {
		e.CouplingJacYT(it.py, it.x, it.y, it.l)
		it.dy.Add(1, it.py)
		e.CouplingJacXT(it.px, it.x, it.y, it.l)
		it.dx.Add(1, it.px)
		if !it.faithful {
			e.CouplingJacXT(it.px, it.x, it.theta, it.z)
		}
		e.Coupling(it.h, it.x, it.theta)
		it.h.Add(-1/o.Gamma2, it.l)
		it.h.Add(1/o.Gamma2, it.z)
		it.z.Add(o.Alpha, it.h)
		e.ProjectMultiplier(it.z, 0)
		if it.faithful {
			e.CouplingJacXT(it.px, it.x, it.theta, it.z)
		}
		it.dx.Add(-1, it.px)
	}
	it.oldX.Copy(it.x)
	it.oldY.Copy(it.y)
	it.x.Add(-o.Alpha, it.dx)
	e.ProjectX(it.x)
	it.y.Add(-o.Alpha, it.dy)
	e.ProjectY(it.y)
	it.oldX.Add(-1, it.x)
	it.oldY.Add(-1, it.y)
	p.Gamma, p.Step = c, vec.Norm(it.oldX)
	p.Stationarity = c / o.Alpha * math.Hypot(vec.Norm(it.oldX), vec.Norm(it.oldY))
	observe(e, p, false)
	if p.Stationarity <= e.Settings.Tolerance {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}
