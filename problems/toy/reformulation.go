package toy

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

// The one-dimensional test of the penalty reformulation that accompanies code
// derived from BLOCC (arXiv 2406.10148): x, y real,
//
//	f(x, y) = x y + 2x^2,   g(x, y) = y^2,   h(x, y) = y - sin x <= 0.
//
// Closed form:
//
//	mu = [-2 sin x]_+,  y_g = -mu/2;   y_gamma = -(mu_gamma + x/gamma)/2,  mu_gamma = [-x/gamma - 2 sin x]_+
//
// so phi(x) = 2x^2 where sin x >= 0, else x sin x + 2x^2: its minimum is 0 at
// x = 0, where the constraint is weakly active and the second derivative of phi jumps from 6 to 4.
func openReformulation(request) (*problems.Instance, error) {
	zero := constant(0)
	return &problems.Instance{
		Doc:    "The follower keeps y near 0 and below sin x; the constraint is active for the x just below the optimum and inactive just above.",
		Source: "derived from BLOCC, arXiv 2406.10148",
		Problem: &bilevel.Problem{
			NX: 1, NY: 1,
			Upper: scalar(
				func(x, y float64) float64 { return x*y + 2*x*x },
				func(x, y float64) float64 { return y + 4*x },
				func(x, y float64) float64 { return x },
				constant(4), constant(1), zero,
			),
			Lower: scalar(
				func(x, y float64) float64 { return y * y }, zero,
				func(x, y float64) float64 { return 2 * y }, zero, zero, constant(2),
			),
			Coupling:  below(math.Sin, math.Cos),
			Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 2, LowerQuadratic: true},
			X0:        []float64{-1}, Y0: []float64{0},
			Oracle: reformulationOracle{},
		},
		Known: []problems.Known{{X: []float64{0}, Y: []float64{0}, Upper: 0, Global: true, Source: "closed form"}},
	}, nil
}

type reformulationOracle struct{}

// SolveLower is the closed form above.
func (reformulationOracle) SolveLower(gamma float64, x, y, mu []float64) (float64, error) {
	mu[0] = math.Max(-x[0]/gamma-2*math.Sin(x[0]), 0)
	y[0] = -(mu[0] + x[0]/gamma) / 2
	return 0, nil
}

// Adjoint is dy_g/dx = cos x where the constraint is active, else 0.
func (reformulationOracle) Adjoint(dst, x, _, mu, v []float64) error {
	dst[0] = 0
	if mu[0] > 0 {
		dst[0] = math.Cos(x[0]) * v[0]
	}
	return nil
}
