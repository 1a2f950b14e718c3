package method

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/vec"
)

// Sequential descends one objective after the other: f and g stages in the
// order given, each with outer iterations
//
//	f stage:  (x,y) <- Proj( (x,y) - (eta f_x, beta f_y) )
//	g stage:  y <- Proj( y - beta g_y ), x frozen; with form generic also x <- Proj( x - eta g_x ).
//
// With Gamma the g stages descend f/gamma + g instead.
//
// The first stage takes First iterations, the second the rest; a single stage
// takes all. Optimisers are not shared by the stages.
//
// It is not a bilevel method: the second stage undoes what the first one
// reached, or does not care. It is here to be compared with: fine-tuning for one
// goal and then for the other is what practitioners do. Corrected mode reports
// the lower solution at the x it reached. It has no stopping test.
//
// Assumptions: no coupling constraint, smooth f and g. Failure modes: in a g stage
// of form coded x never moves.
//
// Source: the baselines of arXiv 2507.20400.
type Sequential struct {
	Order string  `opt:"order" default:"f-then-g" range:"f-then-g|g-then-f|f|g" doc:"the objectives in turn"`
	First int     `opt:"first" range:"[0,inf)" doc:"outer iterations of the first of two stages; 0: half of the iteration limit"`
	Form  string  `opt:"form" default:"coded" range:"coded|generic" doc:"whether a g stage steps y alone (coded) or x and y (generic)"`
	Gamma float64 `opt:"gamma" range:"[0,inf)" doc:"g stages descend f/gamma + g; 0: g"`
	Eta   float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"step of x"`
	Beta  float64 `opt:"beta" default:"0.01" range:"(0,inf)" doc:"step of y"`
	Rule  string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of every block"`
}

// Name is "sequential".
func (m *Sequential) Name() string { return "sequential" }

// Defaults are 20,000 iterations and no tolerance.
func (m *Sequential) Defaults(bilevel.Mode) (int, float64) { return 20000, 0 }

type sequential struct {
	e            *bilevel.Env
	o            Sequential
	f, g         movers
	x, y, dx, dy vec.Vector
	px, py       vec.Vector // of f in a g stage
	answer
}

// movers are the steps of x and y in one stage.
type movers struct{ x, y *mover }

// Start checks the parameters and prepares the iteration at the start.
func (m *Sequential) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	if rows, _ := e.Rows(); rows > 0 {
		return nil, noCoupling(rows, "blocc")
	}
	if o.First == 0 {
		o.First = e.Settings.MaxIterations / 2
	}
	it := &sequential{e: e, o: o, x: e.BlockFrom("x", e.StartX()), y: e.BlockFrom("y", e.StartY()), answer: answer{e: e}}
	it.dx, it.dy, it.px, it.py = it.x.New(), it.y.New(), it.x.New(), it.y.New()
	rule := ruleOf(o.Rule)
	if o.Order != "g" {
		it.f = movers{newMover(e, "f/x", e.ProjectX, rule, o.Eta, it.x), newMover(e, "f/y", e.ProjectY, rule, o.Beta, it.y)}
	}
	if o.Order != "f" {
		it.g = movers{newMover(e, "g/x", e.ProjectX, rule, o.Eta, it.x), newMover(e, "g/y", e.ProjectY, rule, o.Beta, it.y)}
	}
	return it, nil
}

// upper reports that the present iteration belongs to an f stage.
func (it *sequential) upper() bool {
	first := it.e.Outer() < it.o.First
	switch it.o.Order {
	case "f-then-g":
		return first
	case "g-then-f":
		return !first
	}
	return it.o.Order == "f"
}

// penalise adds the gradient of f/gamma to d.
func (it *sequential) penalise(gradient func(dst, x, y vec.Vector), d, part vec.Vector) {
	if it.o.Gamma == 0 {
		return
	}
	gradient(part, it.x, it.y)
	d.Add(1/it.o.Gamma, part)
	vec.Release(part)
}

// Step does one outer iteration.
func (it *sequential) Step(p *bilevel.Progress) (bilevel.Status, error) {
	e := it.e
	p.Step = 0
	if it.upper() {
		p.Phase = "f"
		e.UpperGradX(it.dx, it.x, it.y)
		e.UpperGradY(it.dy, it.x, it.y)
		p.Step, _ = it.f.x.move(it.x, it.dx, 1)
		it.f.y.move(it.y, it.dy, 1)
	} else {
		p.Phase = "g"
		e.LowerGradY(it.dy, it.x, it.y)
		it.penalise(e.UpperGradY, it.dy, it.py)
		if it.o.Form == "generic" {
			e.LowerGradX(it.dx, it.x, it.y)
			it.penalise(e.UpperGradX, it.dx, it.px)
			p.Step, _ = it.g.x.move(it.x, it.dx, 1)
		}
		it.g.y.move(it.y, it.dy, 1)
	}
	p.X, p.Y = it.x, it.y
	observe(e, p, false)
	return bilevel.Running, nil
}
