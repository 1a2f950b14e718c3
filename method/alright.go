package method

import (
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/vec"
)

// ALRIGHT trades two objectives off by sampling. Per outer iteration it draws
// f with probability P, else g, and takes one step on it:
//
//	coded:    f -> (x, y) <- Proj( (x,y) - (eta f_x, beta f_y) ),   g -> y <- Proj( y - beta g_y ), x frozen;
//	generic:  f as above,                                         g -> (x, y) <- Proj( (x,y) - (eta g_x, beta g_y) ).
//
// It is not a bilevel method: generic does stochastic descent on the
// scalarisation P f + (1-P) g, coded on the game in which only y sees g. It is
// here to be compared with. Corrected mode reports the lower solution at the x
// it reached. It has no stopping test.
//
// Assumptions: no coupling constraint, smooth f and g. Failure modes: with
// constant steps it ends in a neighbourhood of the size of the steps.
//
// Source: arXiv 2410.15483 (generic); code of arXiv 2507.20400 (coded).
type ALRIGHT struct {
	Probability float64 `opt:"probability" default:"0.5" range:"(0,1)" doc:"probability P of drawing f"`
	Form        string  `opt:"form" default:"coded" range:"coded|generic" doc:"whether a draw of g steps y alone (coded) or x and y (generic)"`
	Eta         float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"step of x"`
	Beta        float64 `opt:"beta" default:"0.01" range:"(0,inf)" doc:"step of y"`
	Rule        string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of every block"`
}

// Name is "alright".
func (m *ALRIGHT) Name() string { return "alright" }

// Defaults are 20,000 iterations and no tolerance.
func (m *ALRIGHT) Defaults(bilevel.Mode) (int, float64) { return 20000, 0 }

type alright struct {
	e            *bilevel.Env
	o            ALRIGHT
	rng          *rand.Rand
	moveX, moveY *mover
	x, y, dx, dy vec.Vector
	answer
}

// Start checks the parameters and prepares the iteration at the start.
func (m *ALRIGHT) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	if rows, _ := e.Rows(); rows > 0 {
		return nil, noCoupling(rows, "blocc")
	}
	rule := ruleOf(o.Rule)
	x, y := e.StartX(), e.StartY()
	return &alright{e: e, o: o, rng: e.Rand("objective"),
		moveX: newMover(e, "x", e.ProjectX, rule, o.Eta, x), moveY: newMover(e, "y", e.ProjectY, rule, o.Beta, y),
		x: e.BlockFrom("x", x), y: e.BlockFrom("y", y), dx: x.New(), dy: y.New(), answer: answer{e: e}}, nil
}

// Step does one outer iteration.
func (it *alright) Step(p *bilevel.Progress) (bilevel.Status, error) {
	e := it.e
	upper := it.rng.Float64() < it.o.Probability
	both := upper || it.o.Form == "generic"
	if upper {
		e.UpperGradX(it.dx, it.x, it.y)
		e.UpperGradY(it.dy, it.x, it.y)
	} else {
		e.LowerGradY(it.dy, it.x, it.y)
		if both {
			e.LowerGradX(it.dx, it.x, it.y)
		}
	}
	p.Step = 0
	if both {
		p.Step, _ = it.moveX.move(it.x, it.dx, 1)
	}
	it.moveY.move(it.y, it.dy, 1)
	p.X, p.Y = it.x, it.y
	observe(e, p, false)
	return bilevel.Running, nil
}
