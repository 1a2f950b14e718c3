package svm

import (
	"math"

	"github.com/bilevel-go/bilevel/lower"
)

// ridgeOracle is the hingeOracle of the ridge formulation with a lower bound on
// its upper objective.
type ridgeOracle struct {
	*hingeOracle
	up *marginLoss
	d  []float64 // diagonal of D: the least ridge weights
}

// LowerBound: every lower solution has g(x, y_g) <= g(x, 0) = 1, and therefore
// y'Dy <= 2 with D the least ridge weights that x may have. For every tau > 0
//
//	min { f(y) : y'Dy <= 2 }  >=  min_y F(y),   F = f + tau/2 (y'Dy - 2),
//
// and F, strongly convex with modulus tau in the norm of D, has
// min F >= F(y) - |grad F(y)|^2 / (2 tau) in the dual norm at any y: whatever y
// the solver returns, the bound holds. The best of several tau is taken.
func (o *ridgeOracle) LowerBound() (float64, string, error) {
	n := len(o.d)
	y, g := make([]float64, n), make([]float64, n)
	var tau float64
	p := lower.Problem{N: n,
		Value: func(y []float64) float64 {
			sum := -2.0
			for j, v := range y {
				sum += o.d[j] * v * v
			}
			return o.up.value(y) + tau/2*sum
		},
		Grad: func(dst, y []float64) {
			o.up.grad(dst, y)
			for j, v := range y {
				dst[j] += tau * o.d[j] * v
			}
		},
		HessVec: func(dst, y, v []float64) {
			o.up.hess(dst, y, v)
			for j, u := range v {
				dst[j] += tau * o.d[j] * u
			}
		},
	}
	solver := lower.New(&p)
	best := 0.0 // the logistic loss is positive
	for tau = 1; tau > 1e-9; tau /= 4 {
		if _, err := solver.Solve(&p, y, nil, 1e-10, nil); err != nil {
			return math.NaN(), "", err
		}
		p.Grad(g, y)
		gap := 0.0
		for j, v := range g {
			gap += v * v / o.d[j]
		}
		best = max(best, p.Value(y)-gap/(2*tau))
	}
	return best, "least validation loss of any classifier within the norm that the box on x allows", nil
}
