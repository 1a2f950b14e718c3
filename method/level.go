package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/vec"
	"gonum.org/v1/gonum/floats"
)

// level is the penalised lower level at a fixed x,
//
//	min over y in Y of  g(x, y) + f(x, y)/gamma   subject to  h(x, y) <= 0,
//
// with gamma = +Inf for the lower level itself. Multipliers are in the scale of
// g. It is solved by the problem's own oracle when there is one, and by a
// general solver when there is not.
type level struct {
	e      *bilevel.Env
	p      *bilevel.Problem
	oracle bilevel.LowerSolver
	solver lower.Solver
	prob   lower.Problem
	x      []float64
	cf, cg float64 // the objective handed to the solver is cf f + cg g
	tmp    []float64
	// upperScale hands the solver f + gamma g, with multipliers in the scale of
	// f, instead of f/gamma + g: published step lengths may be meant for it.
	upperScale bool
	stop       func() bool // bound once: a method value made at every solve allocates
}

// newLevel prepares the level of a []float64 problem. A nil general solver is
// chosen by package lower.
func newLevel(e *bilevel.Env, solver lower.Solver) *level {
	p := e.Dense()
	l := &level{e: e, p: p, solver: solver, tmp: make([]float64, p.NY), stop: e.Stopped}
	if solver == nil {
		l.oracle, _ = p.Oracle.(bilevel.LowerSolver)
	}
	l.prob = lower.Problem{
		N: p.NY, Y: p.Y,
		Value:     l.value,
		Grad:      l.grad,
		HessVec:   l.hessVec,
		Quadratic: p.Structure.LowerQuadratic,
	}
	if h := p.Coupling; h != nil {
		l.prob.Rows, l.prob.Equalities = h.Rows, h.Equalities
		l.prob.Constraint = func(dst, y []float64) { h.Value(dst, l.x, y) }
		l.prob.JacT = func(dst, y, mu []float64) { h.JacYT(dst, l.x, y, mu) }
		l.prob.Jac = func(dst, y, v []float64) { h.JacY(dst, l.x, y, v) }
		l.prob.Affine = h.Affine || p.Structure.LowerQuadratic
		if !l.prob.Affine {
			l.prob.CurveVec = func(dst, y, mu, v []float64) { h.HessYY(dst, l.x, y, mu, v) }
		}
	}
	if l.oracle == nil && l.solver == nil {
		l.solver = lower.New(&l.prob)
	}
	return l
}

func (l *level) value(y []float64) float64 {
	v := l.cg * l.p.Lower.Value(l.x, y)
	if l.cf != 0 {
		v += l.cf * l.p.Upper.Value(l.x, y)
	}
	return v
}

func (l *level) grad(dst, y []float64) {
	l.p.Lower.GradY(dst, l.x, y)
	if l.cg != 1 {
		floats.Scale(l.cg, dst)
	}
	if l.cf != 0 {
		l.p.Upper.GradY(l.tmp, l.x, y)
		floats.AddScaled(dst, l.cf, l.tmp)
	}
}

func (l *level) hessVec(dst, y, v []float64) {
	l.p.Lower.HessYY(dst, l.x, y, v)
	if l.cg != 1 {
		floats.Scale(l.cg, dst)
	}
	if l.cf != 0 {
		l.p.Upper.HessYY(l.tmp, l.x, y, v)
		floats.AddScaled(dst, l.cf, l.tmp)
	}
}

// at fixes x and gamma for direct use of l.prob.
func (l *level) at(gamma float64, x []float64) *lower.Problem {
	l.x, l.cf, l.cg = x, 1/gamma, 1
	if l.upperScale {
		l.cf, l.cg = 1, gamma
	}
	l.prob.Quadratic = l.p.Structure.LowerQuadratic && l.cf == 0
	return &l.prob
}

// solve overwrites y and mu (warm start, in the scale of g) with the solution at
// x. With a solver given to newLevel it is as exact as that solver's settings.
func (l *level) solve(gamma float64, x, y, mu vec.Vector, tolerance float64) (lower.Info, error) {
	xs, ys := []float64(x.(vec.Dense)), []float64(y.(vec.Dense))
	var ms []float64
	if mu != nil {
		ms = mu.(vec.Dense)
	}
	l.e.Counts().LowerSolves++
	if l.oracle != nil {
		r, err := l.oracle.SolveLower(gamma, xs, ys, ms)
		if err == bilevel.ErrNoClosedForm {
			return l.general(gamma, xs, ys, ms, tolerance)
		}
		return lower.Info{Residuals: lower.Residuals{Stationarity: r}, Converged: err == nil && r <= math.Max(tolerance, 1e-9), Iterations: 1}, err
	}
	return l.general(gamma, xs, ys, ms, tolerance)
}

// general solves by the general solver.
func (l *level) general(gamma float64, xs, ys, ms []float64, tolerance float64) (lower.Info, error) {
	p := l.at(gamma, xs)
	if l.solver == nil {
		l.solver = lower.New(p)
	}
	if l.upperScale {
		floats.Scale(gamma, ms)
	}
	info, err := l.solver.Solve(p, ys, ms, tolerance, l.stop)
	if l.upperScale {
		floats.Scale(1/gamma, ms)
	}
	l.e.Counts().Inner += int64(info.Iterations)
	return info, err
}
