package bilevel

import "math"

// Steps of central differences, relative to max(1, |x_i|): the cube root of the
// unit roundoff balances truncation and rounding for a function known to full
// precision; a function that is itself a difference is known to about two
// thirds of the digits only, hence the larger step.
var (
	stepExact = math.Cbrt(0x1p-53)
	stepNoisy = math.Pow(0x1p-53, 2.0/9)
)

// diffGrad is the central-difference gradient of f in x (inX) or y.
func diffGrad(f func(x, y []float64) float64, n int, inX bool) func(dst, x, y []float64) {
	z := make([]float64, n)
	return func(dst, x, y []float64) {
		at := func(z []float64) float64 { return f(x, z) }
		if inX {
			copy(z, x)
			at = func(z []float64) float64 { return f(z, y) }
		} else {
			copy(z, y)
		}
		for i, c := range z {
			h := stepExact * math.Max(1, math.Abs(c))
			z[i] = c + h
			up, hi := at(z), z[i]
			z[i] = c - h
			dst[i] = (up - at(z)) / (hi - z[i])
			z[i] = c
		}
	}
}

// diffAlong is the central difference of a vector function of (x, y), of length
// m, along a direction in x (inX) or y, both of length n.
func diffAlong(f func(dst, x, y []float64), n int, inX bool, m int, exact bool) product {
	z, up := make([]float64, n), make([]float64, m)
	step := stepExact
	if !exact {
		step = stepNoisy
	}
	return func(dst, x, y, v []float64) {
		base := y
		if inX {
			base = x
		}
		size, scale := 0.0, 1.0
		for i, c := range v {
			size = math.Max(size, math.Abs(c))
			scale = math.Max(scale, math.Abs(base[i]))
		}
		if size == 0 {
			clear(dst)
			return
		}
		t := step * scale / size
		move := func(out []float64, t float64) {
			for i := range z {
				z[i] = base[i] + t*v[i]
			}
			if inX {
				f(out, z, y)
			} else {
				f(out, x, z)
			}
		}
		move(up, t)
		move(dst, -t)
		for i := range dst {
			dst[i] = (up[i] - dst[i]) / (2 * t)
		}
	}
}

// transposed applies the transpose of a Jacobian known by products with
// directions of length n, one product per column.
func transposed(jac product, n, rows int) product {
	e, col := make([]float64, n), make([]float64, rows)
	return func(dst, x, y, mu []float64) {
		for j := range e {
			e[j] = 1
			jac(col, x, y, e)
			e[j] = 0
			s := 0.0
			for i, c := range col {
				s += c * mu[i]
			}
			dst[j] = s
		}
	}
}
