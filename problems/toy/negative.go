package toy

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

// The negative toy of PBGD-Free (arXiv 2507.20400): x, y in [-8, 1.5],
//
//	f(x, y) = 10y + x^2,   g(x, y) = (y - x + 1)^2.
//
// Closed form: y_g(x) = x - 1 and y_gamma(x) = x - 1 - 5/gamma, both clipped to
// Y; phi(x) = x^2 + 10x - 10 for x >= -7, with its minimum -35 at x = -5, and
// F_gamma(x) = phi(x) - 25/gamma has the same minimiser for every gamma. The
// gradient of f in y is 10 everywhere: f is not flat, and PBGD-Free, which sees
// only grad_x f = 2x, ends at x = 0 where phi = -10.
func openNegative(r request) (*problems.Instance, error) {
	p := &bilevel.Problem{
		NX: 1, NY: 1, X: interval(-8, 1.5), Y: interval(-8, 1.5),
		Upper: scalar(
			func(x, y float64) float64 { return 10*y + x*x },
			func(x, y float64) float64 { return 2 * x },
			constant(10), constant(2), constant(0), constant(0),
		),
		Lower: scalar(
			func(x, y float64) float64 { return (y - x + 1) * (y - x + 1) },
			func(x, y float64) float64 { return -2 * (y - x + 1) },
			func(x, y float64) float64 { return 2 * (y - x + 1) },
			constant(2), constant(-2), constant(2),
		),
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 2, LowerQuadratic: true, JointlyConvex: true},
		X0:        []float64{1}, Y0: []float64{0},
		Oracle: negativeOracle{},
	}
	if r.random {
		rng := r.rng(streamStart)
		p.X0[0] = math.Min(3.5*rng.Float64(), 1.5)
		p.Y0[0] = math.Min(-5+13.5*rng.Float64(), 1.5)
	}
	published := map[string]string{"gamma": "15", "eta": "0.01", "beta": "0.01", "inner": "100", "inner_tol": "1e-8", "warm": "y_g", "max_iterations": "1000", "tolerance": "1e-8"}
	return &problems.Instance{
		Doc:     "The follower tracks x - 1; the leader's cost is steep in y, so the follower's reaction carries the whole gradient that PBGD-Free leaves out.",
		Source:  "PBGD-Free, arXiv 2507.20400",
		Problem: p,
		Known:   []problems.Known{{X: []float64{-5}, Y: []float64{-6}, Upper: -35, Global: true, Source: "closed form"}},
		Published: map[string]map[string]string{
			"pbgd-free": published, "v-pbgd": published,
		},
	}, nil
}

type negativeOracle struct{}

// SolveLower is the closed form above.
func (negativeOracle) SolveLower(gamma float64, x, y, _ []float64) (float64, error) {
	y[0] = math.Min(math.Max(x[0]-1-5/gamma, -8), 1.5)
	return 0, nil
}

// Adjoint is dy_g/dx = 1 inside Y, 0 where y is clipped.
func (negativeOracle) Adjoint(dst, x, _, _, v []float64) error {
	dst[0] = 0
	if y := x[0] - 1; y > -8 && y < 1.5 {
		dst[0] = v[0]
	}
	return nil
}
