package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// FlatC and FlatAlpha are c and alpha of the flatness test quantity, with the
// constants published in arXiv 2507.20400,
//
//	delta(x; c, alpha) = max( |f(x,y_g) - f(x,y_gamma)| - c |y_g - y_gamma|^alpha, 0 ).
//
// OmittedSmall is the size from which the omitted terms count along a run of
// PBGD-Free, relative to grad_x f at the same x, and omittedAtEnd that at its end,
// where grad_x f vanishes, relative to the largest grad_x f that was measured.
const (
	FlatC        = 0.5
	FlatAlpha    = 1.5
	OmittedSmall = 0.1
	omittedAtEnd = 1e-3
)

// flatness measures, along a run of PBGD-Free, what the method leaves out.
//
// On []float64 it keeps a warm-started y_g of its own, solved exactly. Elsewhere
// neither y_g nor y_gamma is ever exact, and the difference between them that
// matters is the one that f/gamma makes: both are continued from the present y,
// by deviceSteps steps of the method's inner loop on further samples, and are
// compared on samples held out where the model has any. Nothing of that outlives
// the measurement.
type flatness struct {
	e       *bilevel.Env
	answer  *answer
	rule    vec.Rule
	beta    float64
	yg, mug vec.Vector // exact, on []float64
	diff    vec.Vector // y_g - y_gamma
	omitted vec.Vector
	value   valueGrad
	scale   *float64 // the largest |grad_x f| measured
}

const deviceSteps = 10

func newFlatness(e *bilevel.Env, a *answer, rule vec.Rule, beta float64, x, y vec.Vector) *flatness {
	f := &flatness{e: e, answer: a, rule: rule, beta: beta, diff: y.New(), omitted: x.New(),
		value: valueGrad{e, x.New()}, scale: e.Scalar("flatness/scale", 0)}
	if e.Dense() != nil {
		f.yg = e.BlockFrom("flatness/y_g", y)
	}
	if rows, _ := e.Rows(); rows > 0 {
		f.mug = e.Block("flatness/mu_g", e.NewMultiplier())
	}
	return f
}

// measure sets p.Delta and p.Omitted at x; dx is grad_x f(x, y_gamma). It returns
// the length of the omitted terms.
func (f *flatness) measure(p *bilevel.Progress, gamma float64, x, y, mu, dx vec.Vector) (float64, error) {
	if f.e.Dense() == nil {
		return f.continued(p, gamma, x, y)
	}
	if _, err := f.answer.level().solve(math.Inf(1), x, f.yg, f.mug, exactTol); err != nil {
		return 0, err
	}
	return f.at(p, gamma, x, y, mu, f.yg, f.mug, dx), nil
}

// continued is measure where the lower level cannot be solved exactly.
func (f *flatness) continued(p *bilevel.Progress, gamma float64, x, y vec.Vector) (float64, error) {
	yg, ya, dx := vec.Clone(y), vec.Clone(y), x.New()
	var store vec.Scratch
	defer store.Release()
	toG := newDescentIn(&store, f.e, "y_g", f.rule, f.beta, 0, y)
	toGamma := newDescentIn(&store, f.e, "y_gamma", f.rule, f.beta, 0, y)
	sampler, _ := f.e.Model.(bilevel.Sampler)
	present := f.e.Outer()
	for k := range deviceSteps {
		if sampler != nil {
			if err := sampler.Sample(present + 1 + k); err != nil {
				return 0, err
			}
		}
		toG.run(x, yg, 0, 1, 1)
		toGamma.run(x, ya, 1/gamma, 1, 1)
	}
	if sampler != nil {
		if err := sampler.Sample(present); err != nil {
			return 0, err
		}
	}
	if h, ok := f.e.Model.(bilevel.HeldOut); ok {
		h.HoldOut(true)
		defer h.HoldOut(false)
	}
	f.e.UpperGradX(dx, x, ya)
	omitted := f.at(p, gamma, x, ya, nil, yg, nil, dx)
	for _, v := range [...]vec.Vector{yg, ya, dx} {
		vec.Release(v)
	}
	return omitted, nil
}

// at is measure with y_g and its multiplier given; it returns the length of the
// omitted terms.
func (f *flatness) at(p *bilevel.Progress, gamma float64, x, y, mu, yg, mug, dx vec.Vector) float64 {
	f.diff.Copy(yg)
	f.diff.Add(-1, y)
	distance := vec.Norm(f.diff)
	vec.Release(f.diff)
	p.Delta = math.Max(math.Abs(f.e.Upper(x, yg)-f.e.Upper(x, y))-FlatC*math.Pow(distance, FlatAlpha), 0)
	f.value.compute(f.omitted, gamma, x, y, mu, yg, mug)
	kept, omitted := vec.Norm(dx), vec.Norm(f.omitted)
	vec.Release(f.omitted)
	*f.scale = math.Max(*f.scale, kept)
	p.Omitted = 0
	if omitted > 0 {
		p.Omitted = omitted / math.Max(kept, 1e-300) // a number, not Inf, where grad_x f is 0
	}
	return omitted
}
