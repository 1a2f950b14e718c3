package toy

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

// A lower level that has no feasible point for some x in X: x in [-3, 3],
//
//	f(x, y) = (x - 2)^2 + y,   g(x, y) = y^2/2,   x <= y <= 1.
//
// It is feasible for x <= 1 only, and the start x = 2 is not. For x <= 1,
// y_g(x) = max(x, 0); phi decreases up to the last feasible x = 1, the optimum,
// with y = 1 and f = 2.
func openInfeasible(request) (*problems.Instance, error) {
	zero := constant(0)
	return &problems.Instance{
		Doc:    "The follower must stay between x and 1, which it cannot for x above 1, where the run starts.",
		Source: "classic",
		Problem: &bilevel.Problem{
			NX: 1, NY: 1, X: interval(-3, 3),
			Upper: scalar(
				func(x, y float64) float64 { return (x-2)*(x-2) + y },
				func(x, _ float64) float64 { return 2 * (x - 2) },
				constant(1), constant(2), zero, zero,
			),
			Lower: scalar(
				func(_, y float64) float64 { return y * y / 2 }, zero,
				func(_, y float64) float64 { return y }, zero, zero, constant(1),
			),
			Coupling: &bilevel.Coupling{
				Rows: 2, Affine: true,
				Value: func(dst, x, y []float64) { dst[0], dst[1] = x[0]-y[0], y[0]-1 },
				JacXT: func(dst, _, _, mu []float64) { dst[0] = mu[0] },
				JacYT: func(dst, _, _, mu []float64) { dst[0] = mu[1] - mu[0] },
				JacX:  func(dst, _, _, u []float64) { dst[0], dst[1] = u[0], 0 },
				JacY:  func(dst, _, _, v []float64) { dst[0], dst[1] = -v[0], v[0] },
			},
			Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 1, LowerQuadratic: true, JointlyConvex: true},
			X0:        []float64{2}, Y0: []float64{0},
		},
		Known: []problems.Known{{X: []float64{1}, Y: []float64{1}, Upper: 2, Global: true, Source: "closed form"}},
	}, nil
}

// A lower level without a minimum for some x in X: x in [-1, 2], y real,
//
//	f(x, y) = (x + 1)^2/2 + (y - 1)^2/2,   g(x, y) = x y^2/2 - y.
//
// For x > 0 y_g(x) = 1/x; for x <= 0, where the start x = -1/2 lies, g is
// unbounded below. phi'(x) = x + 1 - (1/x - 1)/x^2 vanishes where
// x^4 + x^3 + x - 1 = (x^2 + x - 1)(x^2 + 1) = 0: at x = (sqrt 5 - 1)/2, y = 1/x.
func openUnbounded(request) (*problems.Instance, error) {
	x := (math.Sqrt(5) - 1) / 2
	y := 1 / x
	return &problems.Instance{
		Doc:    "The follower's cost curves up only for x above 0; the run starts below.",
		Source: "classic",
		Problem: &bilevel.Problem{
			NX: 1, NY: 1, X: interval(-1, 2),
			Upper: scalar(
				func(x, y float64) float64 { return ((x+1)*(x+1) + (y-1)*(y-1)) / 2 },
				func(x, _ float64) float64 { return x + 1 },
				func(_, y float64) float64 { return y - 1 },
				constant(1), constant(0), constant(1),
			),
			Lower: scalar(
				func(x, y float64) float64 { return x*y*y/2 - y },
				func(_, y float64) float64 { return y * y / 2 },
				func(x, y float64) float64 { return x*y - 1 },
				constant(0),
				func(_, y float64) float64 { return y },
				func(x, _ float64) float64 { return x },
			),
			Structure: bilevel.Structure{JointlyConvex: true},
			X0:        []float64{-0.5}, Y0: []float64{1},
		},
		Known: []problems.Known{{X: []float64{x}, Y: []float64{y}, Upper: ((x+1)*(x+1) + (y-1)*(y-1)) / 2, Global: true, Source: "closed form"}},
	}, nil
}
