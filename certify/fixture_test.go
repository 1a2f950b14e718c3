package certify

import (
	"math"

	"github.com/bilevel-go/bilevel"
)

// interval is a box, so that these tests depend on no other package's sets.
type interval struct{ lo, hi []float64 }

func (b interval) Dim() int { return len(b.lo) }
func (b interval) Project(dst, x []float64) {
	for i, v := range x {
		dst[i] = math.Min(math.Max(v, b.lo[i]), b.hi[i])
	}
}
func (b interval) ProjectDeriv(dst, x, v []float64) bool {
	smooth := true
	for i := range x {
		dst[i] = v[i]
		if x[i] < b.lo[i] || x[i] > b.hi[i] {
			dst[i] = 0
		}
		smooth = smooth && x[i] != b.lo[i] && x[i] != b.hi[i]
	}
	return smooth
}
func (b interval) String() string { return "box" }

func box(n int, lo, hi float64) interval {
	b := interval{make([]float64, n), make([]float64, n)}
	for i := range n {
		b.lo[i], b.hi[i] = lo, hi
	}
	return b
}

// scalarProblem is a problem with one x and one y. Its derivatives are the
// certificate's central differences unless given.
func scalarProblem(name string, f, g func(x, y float64) float64) *bilevel.Problem {
	return &bilevel.Problem{Name: name, NX: 1, NY: 1,
		Upper: bilevel.Objective{Value: func(x, y []float64) float64 { return f(x[0], y[0]) }},
		Lower: bilevel.Objective{Value: func(x, y []float64) float64 { return g(x[0], y[0]) }},
	}
}

// kinked is the BLOCC toy (arXiv 2406.10148): g = (y-2x)², h = y - x, and
// f = e^(2-y)/(2+cos kx) + ln((4x-2)²+1)/2 + square·x².
func kinked(k, square float64) *bilevel.Problem {
	d := func(x float64) float64 { return 2 + math.Cos(k*x) }
	return &bilevel.Problem{Name: "kinked", NX: 1, NY: 1, X: box(1, 0, 3),
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				return math.Exp(2-y[0])/d(x[0]) + math.Log(math.Pow(4*x[0]-2, 2)+1)/2 + square*x[0]*x[0]
			},
			GradX: func(dst, x, y []float64) {
				dst[0] = k*math.Exp(2-y[0])*math.Sin(k*x[0])/(d(x[0])*d(x[0])) + (16*x[0]-8)/(math.Pow(4*x[0]-2, 2)+1) + 2*square*x[0]
			},
			GradY:  func(dst, x, y []float64) { dst[0] = -math.Exp(2-y[0]) / d(x[0]) },
			HessYY: func(dst, x, y, v []float64) { dst[0] = v[0] * math.Exp(2-y[0]) / d(x[0]) },
		},
		Lower: bilevel.Objective{
			Value:  func(x, y []float64) float64 { return (y[0] - 2*x[0]) * (y[0] - 2*x[0]) },
			GradX:  func(dst, x, y []float64) { dst[0] = -4 * (y[0] - 2*x[0]) },
			GradY:  func(dst, x, y []float64) { dst[0] = 2 * (y[0] - 2*x[0]) },
			HessYY: func(dst, _, _, v []float64) { dst[0] = 2 * v[0] },
			HessXY: func(dst, _, _, v []float64) { dst[0] = -4 * v[0] },
			HessYX: func(dst, _, _, u []float64) { dst[0] = -4 * u[0] },
		},
		Coupling: &bilevel.Coupling{Rows: 1, Affine: true,
			Value: func(dst, x, y []float64) { dst[0] = y[0] - x[0] },
			JacXT: func(dst, _, _, mu []float64) { dst[0] = -mu[0] },
			JacYT: func(dst, _, _, mu []float64) { dst[0] = mu[0] },
			JacX:  func(dst, _, _, u []float64) { dst[0] = -u[0] },
			JacY:  func(dst, _, _, v []float64) { dst[0] = v[0] },
		},
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 2, LowerQuadratic: true},
	}
}
