package svm

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems/svm/margin"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// slackFreeOracle solves the slack-free lower level exactly by package margin.
// It implements bilevel.LowerSolver, Sensitivity, JointProjector, Relaxer and Bounder.
type slackFreeOracle struct {
	rows, validation rowsMatrix
	lower            *margin.MinNorm
	penalised        *margin.Penalised
	joint            *margin.JointProjection
	t                []float64
	active, rhs      blas64.General // of the sensitivity: active rows as columns, one right-hand side
	index            []int
	size             [1]float64 // of work, as asked for
	work             []float64
}

func newSlackFreeOracle(t *task) (*slackFreeOracle, error) {
	o := &slackFreeOracle{rows: t.train, validation: t.validation, t: make([]float64, t.n()), index: make([]int, 0, t.n())}
	var err error
	if o.lower, err = margin.NewMinNorm(t.train); err != nil {
		return nil, err
	}
	if o.penalised, err = margin.NewPenalised(t.train, t.validation); err != nil {
		return nil, err
	}
	return o, nil
}

// SolveLower minimises f(x, .)/gamma + g(x, .) under the margin constraints. Its
// answer depends on its arguments alone.
func (o *slackFreeOracle) SolveLower(gamma float64, x, y, mu []float64) (float64, error) {
	for i, c := range x {
		o.t[i] = 1 - c
	}
	var r margin.Result
	var err error
	if math.IsInf(gamma, 1) {
		if err = o.lower.Start(mu); err == nil {
			r, err = o.lower.Solve(y, mu, o.t)
		}
	} else if err = o.penalised.Start(y, mu); err == nil {
		r, err = o.penalised.Solve(y, mu, o.t, gamma)
	}
	return solved(r, err)
}

// solved is levelError for a lower level, where a point short of its tolerance is
// no error: its residual tells.
func solved(r margin.Result, err error) (float64, error) {
	if errors.Is(err, margin.ErrNumerical) {
		err = nil
	}
	return r.KKT.Max(), levelError(err)
}

// levelError translates an error of package margin.
func levelError(err error) error {
	if err == nil {
		return nil
	}
	var infeasible *margin.InfeasibleError
	switch {
	case errors.As(err, &infeasible):
		return &bilevel.LevelError{Status: bilevel.LowerInfeasible,
			Detail: fmt.Sprintf("The margin of training row %d cannot be met together with the others: the slack bounds are too small.", infeasible.Row)}
	}
	return &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: err.Error()}
}

// Adjoint: on the rows A with positive multipliers y = A'(A A')^-1 (1 - C_A),
// hence (dy/dC)'v = -(A A')^-1 A v there and 0 elsewhere: minus the
// least-squares solution z of A'z = v.
func (o *slackFreeOracle) Adjoint(dst, _, _, mu, v []float64) error {
	clear(dst)
	o.index = o.index[:0]
	for i, m := range mu {
		if m > 0 {
			o.index = append(o.index, i)
		}
	}
	d, k := o.rows.Cols, len(o.index)
	if k == 0 {
		return nil
	}
	if cap(o.active.Data) < d*len(mu) {
		o.active.Data = make([]float64, d*len(mu))
		o.rhs = blas64.General{Cols: 1, Stride: 1, Data: make([]float64, max(d, len(mu)))}
	}
	o.active = blas64.General{Rows: d, Cols: k, Stride: k, Data: o.active.Data[:d*k]}
	for c, i := range o.index {
		row := o.rows.Data[i*o.rows.Stride : i*o.rows.Stride+d]
		for j, a := range row {
			o.active.Data[j*k+c] = a
		}
	}
	o.rhs.Rows = max(d, k)
	clear(o.rhs.Data)
	copy(o.rhs.Data, v)
	lapack64.Gels(blas.NoTrans, o.active, o.rhs, o.size[:], -1)
	if len(o.work) < int(o.size[0]) {
		o.work = make([]float64, int(o.size[0]))
	}
	if !lapack64.Gels(blas.NoTrans, o.active, o.rhs, o.work, len(o.work)) {
		return &bilevel.LevelError{Status: bilevel.NumericalFailure,
			Detail: fmt.Sprintf("The %d training rows with positive multipliers are linearly dependent: the lower solution has no derivative there.", k)}
	}
	for c, i := range o.index {
		dst[i] = -o.rhs.Data[c]
	}
	return nil
}

// ProjectJoint projects on { C >= floor, margins met }.
func (o *slackFreeOracle) ProjectJoint(x, y []float64) error {
	if o.joint == nil {
		var err error
		if o.joint, err = margin.NewJointProjection(o.rows, floorC); err != nil {
			return levelError(err)
		}
	}
	_, err := o.joint.ProjectMargin(y, x)
	return levelError(err)
}

// relaxed is the oracle of problems whose f is the exponential loss plus
// 1/2 |C|^2: the relaxation that forgets the lower level's objective is convex
// and solved to optimality.
type relaxed struct {
	*slackFreeOracle
	relaxation *margin.Relaxation
}

func newRelaxed(t *task) (*relaxed, error) {
	o, err := newSlackFreeOracle(t)
	if err != nil {
		return nil, err
	}
	return &relaxed{slackFreeOracle: o}, nil
}

// SolveRelaxation minimises f over C >= floor and the margins.
func (o *relaxed) SolveRelaxation(x, y []float64) error {
	_, err := o.solve(x, y)
	return err
}

func (o *relaxed) solve(x, y []float64) (margin.Bound, error) {
	if o.relaxation == nil {
		var err error
		if o.relaxation, err = margin.NewRelaxation(o.rows, o.validation, floorC); err != nil {
			return margin.Bound{}, levelError(err)
		}
	}
	b, err := o.relaxation.Solve(x, y)
	return b, levelError(err)
}

// LowerBound is the relaxation's dual bound.
func (o *relaxed) LowerBound() (float64, string, error) {
	b, err := o.solve(make([]float64, o.rows.Rows), make([]float64, o.rows.Cols))
	return b.Lower, "high-point relaxation (convex)", err
}

// halved is the oracle of bloccCode, whose f holds -weight/4 |y|^2: f/gamma + g is
// then kappa times the plain penalised problem with gamma kappa for gamma,
// kappa = 1 - weight/(2 gamma), and so are its multipliers.
type halved struct {
	*slackFreeOracle
	weight float64
}

// SolveLower minimises f(x, .)/gamma + g(x, .) under the margin constraints.
func (o *halved) SolveLower(gamma float64, x, y, mu []float64) (float64, error) {
	kappa := 1 - o.weight/(2*gamma)
	if math.IsInf(gamma, 1) {
		kappa = 1
	}
	if !(kappa > 0) {
		return math.NaN(), &bilevel.LevelError{Status: bilevel.LowerUnbounded,
			Detail: fmt.Sprintf("With gamma = %g the halved regulariser of blocc-code leaves no curvature: gamma must exceed %g.", gamma, o.weight/2)}
	}
	floats.Scale(1/kappa, mu)
	r, err := o.slackFreeOracle.SolveLower(gamma*kappa, x, y, mu)
	floats.Scale(kappa, mu)
	return r * kappa, err
}
