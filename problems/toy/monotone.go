package toy

import "github.com/bilevel-go/bilevel"

// monotone is the oracle of a scalar, unconstrained, strongly convex lower
// level: the solution is the zero of the derivative, by bisection.
type monotone struct{ p *bilevel.Problem }

// SolveLower bisects the derivative of f/gamma + g in y.
func (o *monotone) SolveLower(gamma float64, x, y, _ []float64) (float64, error) {
	var at, f, g [1]float64
	d := func(y float64) float64 {
		at[0] = y
		o.p.Upper.GradY(f[:], x, at[:])
		o.p.Lower.GradY(g[:], x, at[:])
		return f[0]/gamma + g[0]
	}
	y[0] = minimise(d, y[0])
	r := d(y[0])
	return max(r, -r), nil
}

// response is y_g(x).
func (o *monotone) response(x float64) float64 {
	y := []float64{0}
	o.SolveLower(inf, []float64{x}, y, nil) // never fails
	return y[0]
}

// Adjoint is dy_g/dx = -g_xy/g_yy.
func (o *monotone) Adjoint(dst, x, y, _, v []float64) error {
	var xy, yy [1]float64
	o.p.Lower.HessXY(xy[:], x, y, v)
	one := [1]float64{1}
	o.p.Lower.HessYY(yy[:], x, y, one[:])
	dst[0] = -xy[0] / yy[0]
	return nil
}

// dphi is the hypergradient f_x + f_y dy_g/dx at y_g(x).
func (o *monotone) dphi(x float64) float64 {
	xs, y := []float64{x}, []float64{o.response(x)}
	var fx, fy, d [1]float64
	o.p.Upper.GradX(fx[:], xs, y)
	o.p.Upper.GradY(fy[:], xs, y)
	o.Adjoint(d[:], xs, y, nil, fy[:]) // never fails
	return fx[0] + d[0]
}
