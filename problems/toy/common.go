package toy

import (
	"math"
	"sort"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// interval is the set [lo, hi].
func interval(lo, hi float64) set.Set { return cube(1, lo, hi) }

// cube is [lo, hi]^n, lo < hi.
func cube(n int, lo, hi float64) set.Set {
	s, err := set.Interval(n, lo, hi)
	if err != nil {
		panic(err) // the bounds are constants of this package
	}
	return s
}

func constant1(c float64) func(float64) float64 { return func(float64) float64 { return c } }

// below is the scalar coupling constraint y <= u(x), with u and its derivative.
func below(u, du func(float64) float64) *bilevel.Coupling {
	zero := func(dst, _, _, _, _ []float64) { dst[0] = 0 }
	return &bilevel.Coupling{
		Rows:   1,
		Value:  func(dst, x, y []float64) { dst[0] = y[0] - u(x[0]) },
		JacXT:  func(dst, x, _, mu []float64) { dst[0] = -du(x[0]) * mu[0] },
		JacYT:  func(dst, _, _, mu []float64) { dst[0] = mu[0] },
		JacX:   func(dst, x, _, v []float64) { dst[0] = -du(x[0]) * v[0] },
		JacY:   func(dst, _, _, v []float64) { dst[0] = v[0] },
		HessYY: zero, HessXY: zero, HessYX: zero,
	}
}

// bestFirst sorts local minima by their value and marks the best as global.
func bestFirst(known []problems.Known) []problems.Known {
	sort.Slice(known, func(i, j int) bool { return known[i].Upper < known[j].Upper })
	known[0].Global = true
	return known
}

// filled is a vector of n equal components.
func filled(n int, v float64) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

var inf = math.Inf(1)

// multiply sets dst to m v, multiplyT to m'v, without allocating.
func multiply(dst []float64, m *mat.Dense, v []float64)  { product(blas.NoTrans, dst, m, v) }
func multiplyT(dst []float64, m *mat.Dense, v []float64) { product(blas.Trans, dst, m, v) }

func product(t blas.Transpose, dst []float64, m *mat.Dense, v []float64) {
	blas64.Gemv(t, 1, m.RawMatrix(), blas64.Vector{N: len(v), Inc: 1, Data: v}, 0, blas64.Vector{N: len(dst), Inc: 1, Data: dst})
}
