package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// The flatness test quantity with the constants published in arXiv 2507.20400,
//
//	delta(x; c, alpha) = max( |f(x,y_g) - f(x,y_gamma)| - c |y_g - y_gamma|^alpha, 0 ),
//
// and the sizes from which the omitted terms count: along a run of PBGD-Free
// relative to grad_x f at the same x; at its end, where grad_x f vanishes,
// relative to the largest grad_x f that was measured.
const (
	flatC        = 0.5
	flatAlpha    = 1.5
	omittedSmall = 0.1
	omittedAtEnd = 1e-3
)

// flatness measures, along a run of PBGD-Free, what the method leaves out. It
// keeps a warm-started y_g of its own: exact on []float64, else from
// deviceSteps steps of the method's inner loop each time.
type flatness struct {
	e       *bilevel.Env
	answer  *answer
	descent *descent // nil where the lower level is solved exactly
	yg, mug vec.Vector
	diff    vec.Vector // y_g - y_gamma
	omitted vec.Vector
	value   valueGrad
	scale   *float64 // the largest |grad_x f| measured
}

const deviceSteps = 20

func newFlatness(e *bilevel.Env, a *answer, rule vec.Rule, beta float64, x, y vec.Vector) *flatness {
	f := &flatness{e: e, answer: a, yg: e.BlockFrom("flatness/y_g", y), diff: y.New(), omitted: x.New(),
		value: valueGrad{e, x.New()}, scale: e.Scalar("flatness/scale", 0)}
	if rows, _ := e.Rows(); rows > 0 {
		f.mug = e.Block("flatness/mu_g", e.NewMultiplier())
	}
	if e.Dense() == nil {
		f.descent = newDescent(e, "flatness/y_g", rule, beta, 0, y)
	}
	return f
}

// measure sets p.Delta and p.Omitted at x; dx is grad_x f(x, y_gamma).
func (f *flatness) measure(p *bilevel.Progress, gamma float64, x, y, mu, dx vec.Vector) error {
	if f.descent != nil {
		f.descent.run(x, f.yg, 0, 1, deviceSteps)
	} else if _, err := f.answer.level().solve(math.Inf(1), x, f.yg, f.mug, exactTol); err != nil {
		return err
	}
	f.at(p, gamma, x, y, mu, f.yg, f.mug, dx)
	return nil
}

// at is measure with y_g and its multiplier given; it returns the length of the
// omitted terms.
func (f *flatness) at(p *bilevel.Progress, gamma float64, x, y, mu, yg, mug, dx vec.Vector) float64 {
	f.diff.Copy(yg)
	f.diff.Add(-1, y)
	p.Delta = math.Max(math.Abs(f.e.Upper(x, yg)-f.e.Upper(x, y))-flatC*math.Pow(vec.Norm(f.diff), flatAlpha), 0)
	f.value.compute(f.omitted, gamma, x, y, mu, yg, mug)
	kept, omitted := vec.Norm(dx), vec.Norm(f.omitted)
	*f.scale = math.Max(*f.scale, kept)
	p.Omitted = 0
	if omitted > 0 {
		p.Omitted = omitted / math.Max(kept, 1e-300) // a number, not Inf, where grad_x f is 0
	}
	return omitted
}
