package svm

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
)

// The slack-free formulation (the loops of arXiv 2406.10148 and arXiv
// 2507.20400, with one weight for the regulariser everywhere). x = C holds one
// slack bound per training row, y = (w, b):
//
//	lower  g = 1/2 (|w|^2 + b^2)   subject to   h_i = 1 - C_i - s_i (w'a_i + b) <= 0
//	upper  f = sum over the validation rows of exp(1 - s (w'a + b)) + 1/2 |C|^2,   C >= 1e-4
//
// The multipliers satisfy w = sum mu_i s_i a_i, b = sum mu_i s_i, and the
// gradient of the value function is -mu. Where all C_i >= 1 the lower solution
// is 0 and C does not move it. Where C is too small the margins cannot be met
// and the lower level has no solution.

// floorC is the smallest slack bound.
const floorC = 1e-4

func (t *task) slackFree() (*bilevel.Problem, error) {
	x, err := set.AtLeast(t.n(), floorC)
	if err != nil {
		return nil, err
	}
	oracle, err := newRelaxed(t)
	if err != nil {
		return nil, err
	}
	loss := newMarginLoss(t.validation, exponential, 1)
	return &bilevel.Problem{
		NX: t.n(), NY: t.d, X: x,
		Upper:    plusHalfSquare(loss.value, loss.grad, loss.hess),
		Lower:    halfSquare(t.d),
		Coupling: t.margins(),
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 1, LowerQuadratic: true,
			JointlyConvex: true},
		Oracle: oracle,
	}, nil
}

// bloccCode is the slack-free formulation as the published code of arXiv
// 2406.10148 computes it. There the regulariser has half its weight in the
// penalised Lagrangian, and f holds |C| instead of |C|^2/2. As L_F = f + gamma g + ...,
// the half weight is the same as f without gamma/4 |y|^2: f is then no longer
// an upper objective anybody wants, but its penalised problem is the published one.
func (t *task) bloccCode(gamma float64) (*bilevel.Problem, error) {
	p, err := t.slackFree()
	if err != nil {
		return nil, err
	}
	loss := newMarginLoss(t.validation, exponential, 1)
	p.Structure.JointlyConvex = false
	p.Oracle = &halved{p.Oracle.(*relaxed).slackFreeOracle, gamma}
	p.Upper = bilevel.Objective{
		Value: func(x, y []float64) float64 {
			return loss.value(y) + floats.Norm(x, 2) - gamma/4*floats.Dot(y, y)
		},
		GradX: func(dst, x, _ []float64) { floats.ScaleTo(dst, 1/floats.Norm(x, 2), x) },
		GradY: func(dst, _, y []float64) {
			loss.grad(dst, y)
			floats.AddScaled(dst, -gamma/2, y)
		},
		HessYY: func(dst, _, y, v []float64) {
			loss.hess(dst, y, v)
			floats.AddScaled(dst, -gamma/2, v)
		},
		HessXY: zero, HessYX: zero,
		HessXX: func(dst, x, _, u []float64) {
			n := floats.Norm(x, 2)
			along := floats.Dot(x, u) / (n * n)
			for i, a := range u {
				dst[i] = (a - along*x[i]) / n
			}
		},
	}
	return p, nil
}

// normalised is the slack-free formulation with the margins of the upper loss
// divided by |w| and C not bounded below, as the published SVM code of BiC-GAFFA has it.
func (t *task) normalised() (*bilevel.Problem, error) {
	p, err := t.slackFree()
	if err != nil {
		return nil, err
	}
	loss := newNormalisedLoss(t.validation)
	p.Structure.JointlyConvex = false
	p.Oracle = struct{ bilevel.JointProjector }{p.Oracle.(*relaxed)}
	p.X = nil
	p.Upper = plusHalfSquare(loss.value, loss.grad, nil)
	return p, nil
}

// margins is h_i = 1 - C_i - row_i.y.
func (t *task) margins() *bilevel.Coupling {
	r := t.train
	return &bilevel.Coupling{
		Rows: t.n(),
		Value: func(dst, x, y []float64) {
			mul(dst, r, y)
			for i, m := range dst {
				dst[i] = 1 - x[i] - m
			}
		},
		JacXT: func(dst, _, _, mu []float64) { floats.ScaleTo(dst, -1, mu) },
		JacX:  func(dst, _, _, u []float64) { floats.ScaleTo(dst, -1, u) },
		JacYT: func(dst, _, _, mu []float64) {
			mulT(dst, r, mu)
			floats.Scale(-1, dst)
		},
		JacY: func(dst, _, _, v []float64) {
			mul(dst, r, v)
			floats.Scale(-1, dst)
		},
		Affine: true,
	}
}

// plusHalfSquare is loss(y) + 1/2 |x|^2. hess may be nil.
func plusHalfSquare(value func(y []float64) float64, grad func(dst, y []float64), hess func(dst, y, v []float64)) bilevel.Objective {
	o := bilevel.Objective{
		Value:  func(x, y []float64) float64 { return value(y) + floats.Dot(x, x)/2 },
		GradX:  func(dst, x, _ []float64) { copy(dst, x) },
		GradY:  func(dst, _, y []float64) { grad(dst, y) },
		HessXY: zero, HessYX: zero,
		HessXX: func(dst, _, _, u []float64) { copy(dst, u) },
	}
	if hess != nil {
		o.HessYY = func(dst, _, y, v []float64) { hess(dst, y, v) }
	}
	return o
}

// onlyY is an objective that does not depend on x.
func onlyY(value func(y []float64) float64, grad func(dst, y []float64), hess func(dst, y, v []float64)) bilevel.Objective {
	return bilevel.Objective{
		Value:  func(_, y []float64) float64 { return value(y) },
		GradX:  func(dst, _, _ []float64) { clear(dst) },
		GradY:  func(dst, _, y []float64) { grad(dst, y) },
		HessYY: func(dst, _, y, v []float64) { hess(dst, y, v) },
		HessXY: zero, HessYX: zero, HessXX: zero,
	}
}

// halfSquare is half the squared norm of the first k components of y.
func halfSquare(k int) bilevel.Objective {
	return onlyY(
		func(y []float64) float64 { return floats.Dot(y[:k], y[:k]) / 2 },
		func(dst, y []float64) { copy(dst[:k], y); clear(dst[k:]) },
		func(dst, _, v []float64) { copy(dst[:k], v); clear(dst[k:]) },
	)
}

func zero(dst, _, _, _ []float64) { clear(dst) }

// constant is a vector of n equal numbers.
func constant(n int, v float64) []float64 {
	c := make([]float64, n)
	for i := range c {
		c[i] = v
	}
	return c
}

// halfNorm2 is 1/2 |w|^2 of y = (w, b, ...).
func (t *task) halfNorm2(y []float64) float64 {
	n := floats.Norm(y[:t.d-1], 2)
	return n * n / 2
}
