package method

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/vec"
)

// ImplicitCG is gradient descent on phi(x) = f(x, y_g(x)) with the implicit
// hypergradient
//
//	dphi/dx = grad_x f - Hess_xy g p,   (Hess_yy g + damping I) p = grad_y f,
//
// whose linear system is solved by conjugate gradients from 0. With a simple set
// Y or active coupling constraints ([]float64 problems) the system is the one of
// the optimality conditions on the tangent space; see hypergradient.go.
//
// Inner = 0 solves the lower level exactly, to a residual of 1e-10. Then
// corrected mode takes spectral projected gradient steps with a nonmonotone
// Armijo test on phi (spg.go), and faithful mode the fixed step
// x <- Proj_X(x - eta dphi/dx). Inner = K takes K steps
// y <- Proj_Y(y - beta grad_y g), warm-started, and the fixed outer step in
// either mode.
//
// Assumptions: g(x, .) strongly convex near y_g(x), second derivatives.
//
// Failure modes: an inexact y and an inexact linear solve both bias the
// hypergradient; residuals worth saying are said in a note. Where the active set
// changes, phi has a kink, and the Armijo search may stall there.
//
// Stationarity is |x - Proj_X(x - dphi/dx)|, with fixed steps
// |(x+ - x, y+ - y)| / eta.
//
// Source: arXiv 2006.16218 (AID); the published default of 10 iterations and
// r·r < 1e-10, which faithful mode uses, is that of arXiv 2507.20400's baseline.
type ImplicitCG struct {
	Inner      int     `opt:"inner" range:"[0,inf)" doc:"inner steps K per outer iteration; 0: solve the lower level exactly"`
	Beta       float64 `opt:"beta" default:"0.01" range:"(0,inf)" doc:"inner step"`
	Eta        float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"outer step, where it is fixed"`
	Rule       string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of every block, where steps are fixed"`
	Iterations int     `opt:"cg_iterations" range:"[0,inf)" doc:"limit of CG iterations; 0: 10 in faithful mode, 10000 in corrected mode"`
	Tolerance  float64 `opt:"cg_tol" default:"1e-12" range:"(0,1)" doc:"relative residual at which CG ends in corrected mode"`
	Damping    float64 `opt:"damping" range:"[0,inf)" doc:"multiple of the identity added to the Hessian"`
}

// Name is "implicit-cg".
func (m *ImplicitCG) Name() string { return "implicit-cg" }

// Defaults are 10,000 iterations and tolerance 1e-8.
func (m *ImplicitCG) Defaults(bilevel.Mode) (int, float64) { return 10000, 1e-8 }

// Start checks the parameters and prepares the iteration at the start.
func (m *ImplicitCG) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	cg := &conjugateGradients{limit: o.Iterations, tolerance: o.Tolerance, damping: o.Damping}
	if e.Settings.Mode == bilevel.Faithful {
		cg.tolerance, cg.absolute = 0, 1e-10
	}
	if cg.limit == 0 {
		cg.limit = 10000
		if e.Settings.Mode == bilevel.Faithful {
			cg.limit = 10
		}
	}
	return startImplicit(e, cg, o.Inner, o.Beta, o.Eta, ruleOf(o.Rule), true)
}

// ImplicitNeumann is [ImplicitCG] with the linear system solved by the Neumann
// series
//
//	p = rate sum_{k=0..terms} (I - rate H)^k grad_y f,   H = Hess_yy g,
//
// or, with Sample, by one term of it drawn at random, without bias:
// p = terms rate (I - rate H)^k grad_y f with k uniform in 0..terms-1. Sampled
// terms come with fixed outer steps.
//
// Assumptions: those of ImplicitCG, and rate < 2/|H|. Failure modes: those of
// ImplicitCG; the series converges like (1 - rate mu)^k, mu the smallest
// eigenvalue of H, and with too few terms the hypergradient is too short, which
// a note says.
//
// Source: arXiv 2010.07962 (stocBiO); arXiv 2006.16218.
type ImplicitNeumann struct {
	Inner     int     `opt:"inner" range:"[0,inf)" doc:"inner steps K per outer iteration; 0: solve the lower level exactly"`
	Beta      float64 `opt:"beta" default:"0.01" range:"(0,inf)" doc:"inner step"`
	Eta       float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"outer step, where it is fixed"`
	Rule      string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of every block, where steps are fixed"`
	Terms     int     `opt:"terms" range:"[0,inf)" doc:"terms of the series; 0: 10 in faithful mode, up to 100000 in corrected mode"`
	Rate      float64 `opt:"rate" range:"[0,inf)" doc:"scale of the series; 0: 1/|H| by power iteration"`
	Tolerance float64 `opt:"series_tol" default:"1e-12" range:"(0,1)" doc:"relative size of the last term in corrected mode"`
	Sample    bool    `opt:"sample" doc:"draw one term at random instead of summing all"`
}

// Name is "implicit-neumann".
func (m *ImplicitNeumann) Name() string { return "implicit-neumann" }

// Defaults are 10,000 iterations and tolerance 1e-8.
func (m *ImplicitNeumann) Defaults(bilevel.Mode) (int, float64) { return 10000, 1e-8 }

// Start checks the parameters and prepares the iteration at the start.
func (m *ImplicitNeumann) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	s := &neumann{terms: o.Terms, rate: o.Rate}
	if e.Settings.Mode == bilevel.Corrected {
		s.tolerance = o.Tolerance
	}
	switch {
	case o.Terms > 0:
	case e.Settings.Mode == bilevel.Faithful || o.Sample:
		s.terms = 10
	default:
		s.terms = 100000
	}
	if o.Sample {
		s.rng = e.Rand("series")
	}
	return startImplicit(e, s, o.Inner, o.Beta, o.Eta, ruleOf(o.Rule), !o.Sample)
}

// implicit is the iteration of both methods.
type implicit struct {
	e     *bilevel.Env
	f     *phi     // exact lower solves
	inner *descent // inner steps, where the lower level is not solved exactly
	outer *mover   // fixed outer steps
	spg   *spg     // or adaptive ones
	hyper *hypergradient
	check *inexact // nil where the residual is not an error (sampled series)
	steps int
	eta   float64
	x, y  vec.Vector
	mu    vec.Vector
	dx    vec.Vector
	oldY  vec.Vector
	answer
}

func startImplicit(e *bilevel.Env, s linearSolver, inner int, beta, eta float64, rule vec.Rule, deterministic bool) (bilevel.Iteration, error) {
	rows, _ := e.Rows()
	switch {
	case inner > 0 && rows > 0:
		return nil, &bilevel.SettingError{Field: "inner", Value: inner, Allowed: fmt.Sprintf("0 (exact lower solves) where there is a coupling constraint (%d rows)", rows)}
	case inner == 0 && e.Dense() == nil:
		return nil, &bilevel.SettingError{Field: "inner", Value: inner, Allowed: "an integer >= 1 where the variables are not []float64"}
	}
	hyper, err := newHypergradientBy(e, s)
	if err != nil {
		return nil, err
	}
	it := &implicit{e: e, hyper: hyper, steps: inner, eta: eta, x: e.BlockFrom("x", e.StartX()), answer: answer{e: e}}
	it.dx = it.x.New()
	if inner > 0 {
		it.y = e.BlockFrom("y", e.StartY())
		it.inner = newDescent(e, "y", rule, beta, 0, it.y)
	} else {
		it.f = newPhi(e, hyper)
		it.y, it.mu = it.f.y, it.f.mu
	}
	it.oldY = it.y.New()
	if deterministic {
		it.check = newInexact(e)
	}
	if inner == 0 && deterministic && e.Settings.Mode == bilevel.Corrected {
		it.spg = newSPG(e, it.x, it.f)
	} else {
		it.outer = newMover(e, "x", e.ProjectX, rule, eta, it.x)
	}
	return it, nil
}

// Step does one outer iteration.
func (it *implicit) Step(p *bilevel.Progress) (bilevel.Status, error) {
	p.X, p.Y, p.Mu = it.x, it.y, it.mu
	if it.spg != nil {
		return it.spg.report(p)
	}
	e := it.e
	it.oldY.Copy(it.y)
	if it.inner != nil {
		it.inner.run(it.x, it.y, 0, 1, it.steps)
	} else if _, err := it.f.value(it.x); err != nil {
		return bilevel.Running, err
	}
	if e.Stopped() {
		return bilevel.Running, nil
	}
	residual, err := it.hyper.at(it.dx, it.x, it.y, it.mu)
	if err != nil {
		return bilevel.Running, err
	}
	if it.check != nil {
		it.check.linear(residual, it.hyper.v)
	}
	observe(e, p, false)
	p.Step, p.Stationarity = it.outer.move(it.x, it.dx, 1)
	it.oldY.Add(-1, it.y)
	p.Stationarity = math.Hypot(p.Stationarity, vec.Norm(it.oldY)/it.eta)
	if p.Stationarity <= e.Settings.Tolerance {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}
