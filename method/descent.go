package method

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// descent takes projected gradient steps in y on the penalised lower level
// without coupling, at a fixed x:
//
//	y <- Proj_Y( y - beta ( grad_y g(x, y) + grad_y f(x, y)/gamma ) ).
//
// It is the inner loop of PBGD-Free, V-PBGD, F2SA and BOME.
type descent struct {
	e               *bilevel.Env
	opt             vec.Optimizer
	rate            float64 // beta
	tolerance       float64 // stop when |y - y+|/beta <= tolerance; 0: take every step
	grad, part, old vec.Vector
}

// newDescent makes the inner loop of the block of that name, with an optimiser
// of its own.
func newDescent(e *bilevel.Env, block string, rule vec.Rule, rate, tolerance float64, y vec.Vector) *descent {
	return newDescentIn(e, e, block, rule, rate, tolerance, y)
}

// newDescentIn is newDescent with the optimiser's state kept in st.
func newDescentIn(st vec.Store, e *bilevel.Env, block string, rule vec.Rule, rate, tolerance float64, y vec.Vector) *descent {
	return &descent{e: e, opt: optimizer(st, e, rule, block, rate, y), rate: rate, tolerance: tolerance,
		grad: y.New(), part: y.New(), old: y.New()}
}

// run takes at most k steps. inv is 1/gamma, 0 for the lower level itself; scale
// multiplies the step.
func (d *descent) run(x, y vec.Vector, inv, scale float64, k int) {
	for range k {
		if d.e.Stopped() {
			return
		}
		d.e.LowerGradY(d.grad, x, y)
		if inv != 0 {
			d.e.UpperGradY(d.part, x, y)
			d.grad.Add(inv, d.part)
			vec.Release(d.part)
		}
		if scale != 1 {
			d.grad.Scale(scale)
		}
		if d.tolerance > 0 {
			d.old.Copy(y)
		}
		d.opt.Step(y, d.grad)
		vec.Release(d.grad)
		d.e.ProjectY(y)
		d.e.Counts().Inner++
		if d.tolerance > 0 {
			d.old.Add(-1, y)
			step := vec.Norm(d.old)
			vec.Release(d.old)
			if step <= d.tolerance*d.rate*scale {
				return
			}
		}
	}
}

// optimizer is the optimiser of one block: the run's, or the one that rule names.
func optimizer(st vec.Store, e *bilevel.Env, rule vec.Rule, block string, rate float64, like vec.Vector) vec.Optimizer {
	if f := e.Settings.Optimizer; f != nil {
		return f(st, block, like)
	}
	return rule.New(st, block, rate, like)
}

// mover takes the outer step  x <- Proj_X( x - eta d )  of one block.
type mover struct {
	project func(vec.Vector)
	opt     vec.Optimizer
	plain   bool    // the step is -eta d
	rate    float64 // eta
	old     vec.Vector
}

// newMover makes the outer step of the block of that name, with an optimiser of
// its own.
func newMover(e *bilevel.Env, block string, project func(vec.Vector), rule vec.Rule, rate float64, x vec.Vector) *mover {
	return &mover{project: project, opt: optimizer(e, e, rule, block, rate, x), plain: rule == vec.SGD && e.Settings.Optimizer == nil, rate: rate, old: x.New()}
}

// move steps x along -d, which it overwrites, and returns the length of the
// step and the size of the projected gradient |x - Proj_X(x - eta d)| / eta.
// scale multiplies the step.
func (m *mover) move(x, d vec.Vector, scale float64) (length, stationarity float64) {
	if scale != 1 {
		d.Scale(scale)
	}
	if !m.plain {
		// The length of an Adam step says nothing of the gradient's size.
		m.old.Copy(x)
		m.old.Add(-m.rate, d)
		m.project(m.old)
		m.old.Add(-1, x)
		stationarity = vec.Norm(m.old) / (m.rate * scale)
	}
	m.old.Copy(x)
	m.opt.Step(x, d)
	vec.Release(d)
	m.project(x)
	m.old.Add(-1, x)
	length = vec.Norm(m.old)
	vec.Release(m.old)
	if m.plain {
		stationarity = length / (m.rate * scale)
	}
	return length, stationarity
}

// ruleOf reads an optimiser's name, which option.Fill has checked.
func ruleOf(name string) vec.Rule {
	if name == vec.Adam.String() {
		return vec.Adam
	}
	return vec.SGD
}

// valueGrad computes the value-function terms of the penalised gradient,
//
//	gamma [ grad_x g(x,y_gamma) + <mu_gamma, grad_x h(x,y_gamma)> - grad_x g(x,y_g) - <mu_g, grad_x h(x,y_g)> ]
//
// with multipliers in the scale of g (arXiv 2406.10148; arXiv 2302.05185
// without h). The methods that keep them and the one that omits them and
// measures what it omits share it.
type valueGrad struct {
	e    *bilevel.Env
	part vec.Vector
}

func (v *valueGrad) compute(dst vec.Vector, gamma float64, x, yGamma, muGamma, yG, muG vec.Vector) {
	v.e.LowerGradX(dst, x, yGamma)
	v.e.LowerGradX(v.part, x, yG)
	dst.Add(-1, v.part)
	vec.Release(v.part)
	if muG != nil {
		v.e.CouplingJacXT(v.part, x, yGamma, muGamma)
		dst.Add(1, v.part)
		v.e.CouplingJacXT(v.part, x, yG, muG)
		dst.Add(-1, v.part)
	}
	dst.Scale(gamma)
}
