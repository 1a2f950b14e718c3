package toy

import (
	"math"

	"github.com/bilevel-go/bilevel"
)

// pair is a function of two scalars.
type pair func(x, y float64) float64

// scalar is the objective of a problem with scalar x and y from its value and
// its five derivatives.
func scalar(value, dx, dy, dxx, dxy, dyy pair) bilevel.Objective {
	grad := func(d pair) func(dst, x, y []float64) {
		return func(dst, x, y []float64) { dst[0] = d(x[0], y[0]) }
	}
	hess := func(d pair) func(dst, x, y, v []float64) {
		return func(dst, x, y, v []float64) { dst[0] = d(x[0], y[0]) * v[0] }
	}
	return bilevel.Objective{
		Value: func(x, y []float64) float64 { return value(x[0], y[0]) },
		GradX: grad(dx), GradY: grad(dy),
		HessXX: hess(dxx), HessXY: hess(dxy), HessYX: hess(dxy), HessYY: hess(dyy),
	}
}

func constant(c float64) pair { return func(_, _ float64) float64 { return c } }

// bisect returns a zero of f in [a, b], where f(a) and f(b) have opposite signs,
// to the last bit: the end of the final bracket of adjacent numbers where |f| is
// smaller.
func bisect(f func(float64) float64, a, b float64) float64 {
	fa, fb := f(a), f(b)
	for {
		m := a + (b-a)/2
		if m <= a || m >= b {
			if math.Abs(fa) <= math.Abs(fb) {
				return a
			}
			return b
		}
		if fm := f(m); (fm < 0) == (fa < 0) {
			a, fa = m, fm
		} else {
			b, fb = m, fm
		}
	}
}

// zeros returns the zeros of f in [a, b] at which it changes sign between
// neighbours of an even grid of n cells, and whether f grows there.
func zeros(f func(float64) float64, a, b float64, n int) (at []float64, grows []bool) {
	left, fl := a, f(a)
	for i := 1; i <= n; i++ {
		right := a + (b-a)*float64(i)/float64(n)
		fr := f(right)
		if fl != 0 && (fl < 0) != (fr < 0) {
			at = append(at, bisect(f, left, right))
			grows = append(grows, fr > fl)
		}
		left, fl = right, fr
	}
	return at, grows
}

// minimise returns the zero of the increasing function d, the derivative of a
// strictly convex coercive one, starting the bracket at y.
func minimise(d func(float64) float64, y float64) float64 {
	a, b, w := y, y, 1e-6*math.Max(1, math.Abs(y))
	for ; d(a) > 0 && !math.IsInf(a, 0); w *= 4 {
		a -= w
	}
	for ; d(b) < 0 && !math.IsInf(b, 0); w *= 4 {
		b += w
	}
	return bisect(d, a, b)
}

// sigmoid is 1/(1+e^-t) without overflow.
func sigmoid(t float64) float64 {
	if t < 0 {
		e := math.Exp(t)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-t))
}

// softplus is ln(1+e^t) without overflow.
func softplus(t float64) float64 { return math.Max(t, 0) + math.Log1p(math.Exp(-math.Abs(t))) }
