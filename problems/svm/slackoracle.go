package svm

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/problems/svm/margin"
	"gonum.org/v1/gonum/floats"
)

// slackOracle solves the lower levels with slacks by those without: xi = C is
// best, and leaves
//
//	min 1/2 |w|^2 (+ 1/2 b^2)   subject to   s_i (w'a_i + b) >= 1 - C_i.
//
// The multipliers of xi_i <= C_i are those of the margins. The same holds of the
// penalised level, whose f does not depend on xi: it is left to a general solver,
// in (w, b). It implements bilevel.LowerSolver.
type slackOracle struct {
	d        int
	min      *margin.MinNorm
	freeBias bool // b is not in g
	t, shift []float64

	general lower.Solver
	level   lower.Problem
	x, tmp  []float64
	inv     float64
}

// biasStep is the weight of the proximal term for a bias that is not in g.
const biasStep = 1e-2

func newSlackOracle(t *task, p *bilevel.Problem, freeBias bool) (*slackOracle, error) {
	m, err := margin.NewMinNorm(t.train)
	if err != nil {
		return nil, err
	}
	o := &slackOracle{d: t.d, min: m, freeBias: freeBias, t: make([]float64, t.n()), shift: make([]float64, t.d), tmp: make([]float64, t.d)}
	if freeBias {
		w := constant(t.d, 1)
		w[t.d-1] = biasStep
		if err := m.SetDiagonal(w); err != nil {
			return nil, err
		}
	}
	h := t.margins()
	o.level = lower.Problem{
		N: t.d, Rows: h.Rows, Affine: true,
		Value: func(y []float64) float64 { return p.Lower.Value(o.x, y) + o.inv*p.Upper.Value(o.x, y) },
		Grad: func(dst, y []float64) {
			p.Lower.GradY(dst, o.x, y)
			p.Upper.GradY(o.tmp, o.x, y)
			floats.AddScaled(dst, o.inv, o.tmp)
		},
		Constraint: func(dst, y []float64) { h.Value(dst, o.x, y) },
		JacT:       func(dst, y, mu []float64) { h.JacYT(dst, o.x, y, mu) },
		Jac:        func(dst, y, v []float64) { h.JacY(dst, o.x, y, v) },
	}
	if hess := p.Upper.HessYY; hess != nil {
		o.level.HessVec = func(dst, y, v []float64) {
			p.Lower.HessYY(dst, o.x, y, v)
			hess(o.tmp, o.x, y, v)
			floats.AddScaled(dst, o.inv, o.tmp)
		}
		o.general = lower.New(&o.level)
	}
	return o, nil
}

// SolveLower minimises f(x, .)/gamma + g(x, .) under the margins and the slack bounds.
func (o *slackOracle) SolveLower(gamma float64, x, y, mu []float64) (float64, error) {
	n := len(o.t)
	wb, m := y[:o.d], mu[:n]
	residual, err := 0.0, error(nil)
	if math.IsInf(gamma, 1) {
		for i, c := range x {
			o.t[i] = 1 - c
		}
		if err := o.min.Start(m); err != nil {
			return math.NaN(), levelError(err)
		}
		residual, err = o.solveBias(wb, m)
	} else if o.general != nil {
		var info lower.Info
		o.x, o.inv = x, 1/gamma
		info, err = o.general.Solve(&o.level, wb, m, 1e-10, nil)
		residual = info.Max()
	} else {
		return math.NaN(), &bilevel.LevelError{Status: bilevel.NumericalFailure,
			Detail: "The penalised lower level holds normalised margins, which are not convex: use a method that needs none."}
	}
	copy(y[o.d:], x)
	copy(mu[n:], m)
	return residual, err
}

// proximalSteps limits the proximal steps for a free bias; a few do.
const proximalSteps = 100

// solveBias is one solve where b is in g, and else the proximal point method in b,
//
//	y <- argmin 1/2 |w|^2 + 1/2 biasStep (b - b_k)^2 under the margins,
//
// which ends after finitely many steps on a quadratic programme. What its last
// step leaves in the optimality condition of b is biasStep |b - b_k|.
func (o *slackOracle) solveBias(wb, mu []float64) (float64, error) {
	if !o.freeBias {
		return solved(o.min.Solve(wb, mu, o.t))
	}
	b := &wb[o.d-1]
	for range proximalSteps {
		before := *b
		o.shift[o.d-1] = -biasStep * before
		if err := o.min.SetLinear(o.shift); err != nil {
			return math.NaN(), levelError(err)
		}
		residual, err := solved(o.min.Solve(wb, mu, o.t))
		left := biasStep * math.Abs(*b-before)
		if err != nil || left <= 1e-11 {
			return math.Max(residual, left), err
		}
	}
	return biasStep, nil
}

// relaxedSlack adds what the relaxation without slacks says: there, too, xi = C
// is best.
type relaxedSlack struct {
	*slackOracle
	relaxed *relaxed
	upper   func(x, y []float64) float64
}

// SolveRelaxation minimises f over C >= floor, the margins and the slack bounds.
// Minimisers need not be unique (a constant feature and a free bias do the same
// work): where a lower solution is one of them, it is returned.
func (o *relaxedSlack) SolveRelaxation(x, y []float64) error {
	if err := o.relaxed.SolveRelaxation(x, y[:o.d]); err != nil {
		return err
	}
	copy(y[o.d:], x)
	yg, mu := make([]float64, len(y)), make([]float64, 2*len(x))
	if _, err := o.SolveLower(math.Inf(1), x, yg, mu); err != nil {
		return err
	}
	if f := o.upper(x, y); o.upper(x, yg) <= f+1e-9*math.Abs(f) {
		copy(y, yg)
	}
	return nil
}

// LowerBound is that of the slack-free relaxation, which has the same optimum.
func (o *relaxedSlack) LowerBound() (float64, string, error) { return o.relaxed.LowerBound() }

// publishedSlack is the oracle of the published code of LV-HBA: its projection,
// without a floor on C, and its mini-batches.
type publishedSlack struct {
	*slackOracle
	*slackRows
	joint *margin.JointProjection
}

// ProjectJoint projects (C, w, b, xi) on the margins and xi <= C.
func (o *publishedSlack) ProjectJoint(x, y []float64) error {
	if o.joint == nil {
		var err error
		if o.joint, err = margin.NewJointProjection(o.all, math.Inf(-1)); err != nil {
			return levelError(err)
		}
	}
	_, err := o.joint.Project(y[:o.d], y[o.d:], x)
	return levelError(err)
}
