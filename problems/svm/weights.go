package svm

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
)

// The log-weight formulation (GAM, arXiv 2302.01970). x = c holds one
// log-weight per training row, y = (w, b); the slack is eliminated:
//
//	lower  g = 1/2 |w|^2 + 1/2 sum_i e^(c_i) max(1 - s_i (w'a_i + b), 0)^2
//	upper  f = sum over the validation rows of exp(1 - s (w'a + b))
//
// It is another lower level than the slack-free one: its losses do not compare
// with that one's line by line. g is convex and once differentiable in y; its
// second derivatives are those of the rows with a positive slack.
func (t *task) logWeight(lo, hi float64) (*bilevel.Problem, error) {
	x, err := set.Interval(t.n(), lo, hi)
	if err != nil {
		return nil, err
	}
	up := newMarginLoss(t.validation, exponential, 1)
	h := newSquaredHinge(t.train)
	d := t.d
	p := &bilevel.Problem{
		NX: t.n(), NY: d, X: x,
		Upper: onlyY(up.value, up.grad, up.hess),
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				h.at(y)
				sum := 0.0
				for i, s := range h.slack {
					sum += math.Exp(x[i]) * s * s
				}
				return (floats.Dot(y[:d-1], y[:d-1]) + sum) / 2
			},
			GradX: func(dst, x, y []float64) {
				h.at(y)
				for i, s := range h.slack {
					dst[i] = math.Exp(x[i]) * s * s / 2
				}
			},
			GradY: func(dst, x, y []float64) {
				h.at(y)
				for i, s := range h.slack {
					h.tmp[i] = -math.Exp(x[i]) * s
				}
				mulT(dst, h.r, h.tmp)
				floats.Add(dst[:d-1], y[:d-1])
			},
			HessYY: func(dst, x, y, v []float64) {
				h.at(y)
				mul(h.tmp, h.r, v)
				for i, s := range h.slack {
					if s > 0 {
						h.tmp[i] *= math.Exp(x[i])
					} else {
						h.tmp[i] = 0
					}
				}
				mulT(dst, h.r, h.tmp)
				floats.Add(dst[:d-1], v[:d-1])
			},
			HessXY: func(dst, x, y, v []float64) {
				h.at(y)
				mul(dst, h.r, v)
				for i, s := range h.slack {
					dst[i] *= -math.Exp(x[i]) * s
				}
			},
			HessYX: func(dst, x, y, u []float64) {
				h.at(y)
				for i, s := range h.slack {
					h.tmp[i] = -math.Exp(x[i]) * s * u[i]
				}
				mulT(dst, h.r, h.tmp)
			},
			HessXX: func(dst, x, y, u []float64) {
				h.at(y)
				for i, s := range h.slack {
					dst[i] = math.Exp(x[i]) * s * s / 2 * u[i]
				}
			},
		},
		Structure: bilevel.Structure{LowerConvex: true},
	}
	p.Oracle, err = newHingeOracle(t, p, false, func(ridge, weight, x []float64) {
		for j := range ridge {
			ridge[j] = 1
		}
		ridge[d-1] = 0
		for i, c := range x {
			weight[i] = math.Exp(c)
		}
	})
	return p, err
}

// biasRidge is the fixed weight of b in the ridge formulation: small enough not
// to matter, and g is strongly convex.
const biasRidge = 1e-6

// The ridge formulation: what is tuned in practice, with one weight per feature
// instead of one for all. x_j is the logarithm of feature j's ridge weight,
// y = (w, b):
//
//	lower  g = 1/2 sum_j e^(x_j) w_j^2 + 1/2 1e-6 b^2 + (1/n) sum_i max(1 - s_i (w'a_i + b), 0)^2
//	upper  f = mean over the validation rows of ln(1 + exp(-s (w'a + b)))
//
// with x in a box. Equal x_j are LIBLINEAR's C = e^(-x)/n for its L2-regularised
// squared hinge loss (b apart).
func (t *task) ridge(lo, hi float64) (*bilevel.Problem, error) {
	d := t.d
	x, err := set.Interval(d-1, lo, hi)
	if err != nil {
		return nil, err
	}
	up := newMarginLoss(t.validation, logistic, 1/float64(t.validation.Rows))
	h := newSquaredHinge(t.train)
	n := float64(t.n())
	p := &bilevel.Problem{
		NX: d - 1, NY: d, X: x,
		Upper: onlyY(up.value, up.grad, up.hess),
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				h.at(y)
				sum := biasRidge * y[d-1] * y[d-1]
				for j, a := range x {
					sum += math.Exp(a) * y[j] * y[j]
				}
				return sum/2 + floats.Dot(h.slack, h.slack)/n
			},
			GradX: func(dst, x, y []float64) {
				for j, a := range x {
					dst[j] = math.Exp(a) * y[j] * y[j] / 2
				}
			},
			GradY: func(dst, x, y []float64) {
				h.at(y)
				floats.ScaleTo(h.tmp, -2/n, h.slack)
				mulT(dst, h.r, h.tmp)
				for j, a := range x {
					dst[j] += math.Exp(a) * y[j]
				}
				dst[d-1] += biasRidge * y[d-1]
			},
			HessYY: func(dst, x, y, v []float64) {
				h.at(y)
				mul(h.tmp, h.r, v)
				for i, s := range h.slack {
					if s > 0 {
						h.tmp[i] *= 2 / n
					} else {
						h.tmp[i] = 0
					}
				}
				mulT(dst, h.r, h.tmp)
				for j, a := range x {
					dst[j] += math.Exp(a) * v[j]
				}
				dst[d-1] += biasRidge * v[d-1]
			},
			HessXY: func(dst, x, y, v []float64) {
				for j, a := range x {
					dst[j] = math.Exp(a) * y[j] * v[j]
				}
			},
			HessYX: func(dst, x, y, u []float64) {
				for j, a := range x {
					dst[j] = math.Exp(a) * y[j] * u[j]
				}
				dst[d-1] = 0
			},
			HessXX: func(dst, x, y, u []float64) {
				for j, a := range x {
					dst[j] = math.Exp(a) * y[j] * y[j] / 2 * u[j]
				}
			},
		},
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: math.Min(math.Exp(lo), biasRidge)},
	}
	inner, err := newHingeOracle(t, p, true, func(ridge, weight, x []float64) {
		for j, a := range x {
			ridge[j] = math.Exp(a)
		}
		ridge[d-1] = biasRidge
		for i := range weight {
			weight[i] = 2 / n
		}
	})
	least := constant(d, math.Exp(lo))
	least[d-1] = biasRidge
	p.Oracle = &ridgeOracle{inner, newMarginLoss(t.validation, logistic, 1/float64(t.validation.Rows)), least}
	return p, err
}

// squaredHinge holds the slacks max(1 - r y, 0) at the last y.
type squaredHinge struct {
	r          blas64.General
	slack, tmp []float64
}

func newSquaredHinge(r blas64.General) *squaredHinge {
	return &squaredHinge{r, make([]float64, r.Rows), make([]float64, r.Rows)}
}

func (h *squaredHinge) at(y []float64) { hinge(h.slack, h.r, y, 0) }
