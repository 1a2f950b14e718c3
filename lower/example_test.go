package lower_test

import (
	"fmt"

	"github.com/bilevel-go/bilevel/lower"
)

// The lower level of a BLOCC toy at x = 0.7: min (y - 1.4)^2 subject to y <= 0.7.
func Example() {
	p := &lower.Problem{
		N: 1, Rows: 1, Affine: true, Quadratic: true,
		Value:      func(y []float64) float64 { return (y[0] - 1.4) * (y[0] - 1.4) },
		Grad:       func(dst, y []float64) { dst[0] = 2 * (y[0] - 1.4) },
		HessVec:    func(dst, _, v []float64) { dst[0] = 2 * v[0] },
		Constraint: func(dst, y []float64) { dst[0] = y[0] - 0.7 },
		Jac:        func(dst, _, v []float64) { dst[0] = v[0] },
		JacT:       func(dst, _, mu []float64) { dst[0] = mu[0] },
	}
	y, mu := []float64{0}, []float64{0}
	info, err := lower.New(p).Solve(p, y, mu, 1e-10, nil)
	fmt.Printf("y = %.6f, multiplier %.6f, converged %v, error %v\n", y[0], mu[0], info.Converged, err)
	// Output: y = 0.700000, multiplier 1.400000, converged true, error <nil>
}
