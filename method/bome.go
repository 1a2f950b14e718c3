package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// BOME is bilevel optimization made easy: descent on f that is bent, as little
// as possible, to decrease q(x,y) = g(x,y) - g(x,y^) as well. Per outer iteration
//
//  1. K times  y^ <- Proj_Y( y^ - beta grad_y g(x,y^) );
//  2. grad_y q = grad_y g(x,y),  grad_x q = grad_x g(x,y) - grad_x g(x,y^)   (y^ a constant);
//  3. lambda = max( 0, ( b |grad q|^2 - <grad f, grad q> ) / |grad q|^2 ),   0 where grad q = 0;
//  4. (x,y) <- Proj( (x,y) - eta ( grad f + lambda grad q ) ).
//
// In faithful mode y^ starts at y in every iteration, as published. A finite K
// then leaves y^ short of y_g by a factor that does not vanish, and biases
// grad_x q and the limit by it; in corrected mode y^ goes on from its own last
// value and gets there.
//
// Assumptions: no coupling constraint, y_g interior to Y; g Polyak-Lojasiewicz in
// y; gradients with little noise. Failure modes: grad q vanishes at the solution,
// so its direction is known only as well as y^ is, and lambda grows until
// eta lambda times the curvature of g is about 2: with a constant step the
// iterates end in a neighbourhood of the solution of the size of eta, not at it.
//
// Stationarity is |((x+ - x), (y+ - y))| / eta of one outer iteration.
//
// Source: arXiv 2209.08709.
type BOME struct {
	Eta     float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"step of x and y"`
	Beta    float64 `opt:"beta" default:"0.01" range:"(0,inf)" doc:"inner step"`
	Inner   int     `opt:"inner" default:"10" range:"[1,inf)" doc:"inner steps K per outer iteration"`
	Barrier float64 `opt:"barrier" default:"0.5" range:"(0,inf)" doc:"factor b of the barrier b |grad q|^2"`
	Rule    string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of every block"`
	Warm    string  `opt:"warm" default:"mode" range:"mode|y|own" doc:"y^ starts at y, or at its own last value; mode: y in faithful mode, own in corrected mode"`
}

// Name is "bome".
func (m *BOME) Name() string { return "bome" }

// Defaults are 20,000 iterations and tolerance 1e-8.
func (m *BOME) Defaults(bilevel.Mode) (int, float64) { return 20000, 1e-8 }

type bome struct {
	e              *bilevel.Env
	o              BOME
	inner          *descent
	moveX, moveY   *mover
	x, y, lower    vec.Vector // lower is y^
	fx, fy, qx, qy vec.Vector
	value          valueGrad
	answer
}

// Start checks the parameters and prepares the iteration at the start.
func (m *BOME) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	if rows, _ := e.Rows(); rows > 0 {
		return nil, noCoupling(rows, "blocc")
	}
	if o.Warm == "mode" {
		o.Warm = "own"
		if e.Settings.Mode == bilevel.Faithful {
			o.Warm = "y"
		}
	}
	if p := e.Dense(); p != nil && !set.IsWhole(p.Y) {
		e.Note("bome takes grad_y g to vanish at the lower solution: its answer is meaningful only where y_g(x) is interior to Y = %v", p.Y)
	}
	rule := ruleOf(o.Rule)
	x, y := e.StartX(), e.StartY()
	return &bome{e: e, o: o,
		inner: newDescent(e, "y_g", rule, o.Beta, 0, y),
		moveX: newMover(e, "x", e.ProjectX, rule, o.Eta, x), moveY: newMover(e, "y", e.ProjectY, rule, o.Eta, y),
		x: e.BlockFrom("x", x), y: e.BlockFrom("y", y), lower: e.BlockFrom("y_g", y),
		fx: x.New(), fy: y.New(), qx: x.New(), qy: y.New(), value: valueGrad{e, x.New()}, answer: answer{e: e}}, nil
}

// Step does one outer iteration.
func (it *bome) Step(p *bilevel.Progress) (bilevel.Status, error) {
	e, o := it.e, &it.o
	if o.Warm == "y" {
		it.lower.Copy(it.y)
	}
	it.inner.run(it.x, it.lower, 0, 1, o.Inner)
	if e.Stopped() {
		return bilevel.Running, nil
	}
	it.value.compute(it.qx, 1, it.x, it.y, nil, it.lower, nil)
	e.LowerGradY(it.qy, it.x, it.y)
	e.UpperGradX(it.fx, it.x, it.y)
	e.UpperGradY(it.fy, it.x, it.y)
	if square := it.qx.Dot(it.qx) + it.qy.Dot(it.qy); square > 0 {
		inner := it.fx.Dot(it.qx) + it.fy.Dot(it.qy)
		lambda := math.Max(0, (o.Barrier*square-inner)/square)
		it.fx.Add(lambda, it.qx)
		it.fy.Add(lambda, it.qy)
	}
	vec.Release(it.qx)
	vec.Release(it.qy)
	var sx, sy float64
	p.Step, sx = it.moveX.move(it.x, it.fx, 1)
	_, sy = it.moveY.move(it.y, it.fy, 1)
	p.X, p.Y = it.x, it.y
	observe(e, p, false)
	p.Stationarity = math.Hypot(sx, sy)
	if p.Stationarity <= e.Settings.Tolerance {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}
