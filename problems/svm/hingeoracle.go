package svm

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/problems/svm/margin"
	"gonum.org/v1/gonum/floats"
)

// hingeOracle solves the lower levels with a squared hinge loss (log-weight and
// ridge) by margin.SquaredHinge, and the penalised ones, which are smooth and
// unconstrained, by a general solver. It implements bilevel.LowerSolver and
// Sensitivity.
type hingeOracle struct {
	hinge         *margin.SquaredHinge
	weights       func(ridge, weight, x []float64) // of the hinge problem at x
	perFeature    bool                             // x are log ridge weights, not log row weights
	ridge, weight []float64
	y, xi, full   []float64

	general lower.Solver
	problem lower.Problem
	x, tmp  []float64
	inv     float64
}

func newHingeOracle(t *task, p *bilevel.Problem, perFeature bool, weights func(ridge, weight, x []float64)) (*hingeOracle, error) {
	s, err := margin.NewSquaredHinge(t.train)
	if err != nil {
		return nil, err
	}
	d := t.d
	o := &hingeOracle{hinge: s, weights: weights, perFeature: perFeature,
		ridge: make([]float64, d), weight: make([]float64, t.n()), y: make([]float64, d), xi: make([]float64, t.n()),
		full: make([]float64, d), tmp: make([]float64, d)}
	up, low := p.Upper, p.Lower
	o.problem = lower.Problem{
		N:     d,
		Value: func(y []float64) float64 { return low.Value(o.x, y) + o.inv*up.Value(o.x, y) },
		Grad: func(dst, y []float64) {
			low.GradY(dst, o.x, y)
			up.GradY(o.tmp, o.x, y)
			floats.AddScaled(dst, o.inv, o.tmp)
		},
		HessVec: func(dst, y, v []float64) {
			low.HessYY(dst, o.x, y, v)
			up.HessYY(o.tmp, o.x, y, v)
			floats.AddScaled(dst, o.inv, o.tmp)
		},
	}
	o.general = lower.New(&o.problem)
	return o, nil
}

// SolveLower minimises f(x, .)/gamma + g(x, .).
func (o *hingeOracle) SolveLower(gamma float64, x, y, _ []float64) (float64, error) {
	if !math.IsInf(gamma, 1) {
		o.x, o.inv = x, 1/gamma
		info, err := o.general.Solve(&o.problem, y, nil, 1e-10, nil)
		return info.Max(), err
	}
	o.weights(o.ridge, o.weight, x)
	if err := o.hinge.Start(y); err != nil {
		return math.NaN(), levelError(err)
	}
	return solved(o.hinge.Solve(y, o.xi, o.ridge, o.weight))
}

// Adjoint sets dst to (dy_g/dx)'v by one solve with the generalised Hessian at y.
func (o *hingeOracle) Adjoint(dst, x, y, _, v []float64) error {
	copy(o.y, y)
	if _, err := o.SolveLower(math.Inf(1), x, o.y, nil); err != nil {
		return err
	}
	if !o.perFeature {
		return levelError(o.hinge.Sensitivity(nil, dst, v))
	}
	err := o.hinge.Sensitivity(o.full, nil, v)
	copy(dst, o.full)
	return levelError(err)
}
