package toy

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

// A nonconvex lower level: x in [-1, 1], y real,
//
//	f(x, y) = (x^2 - 1/4)^2 + (y - 1)^2/16,   g(x, y) = y^4/4 - y^2/2 - x y.
//
// g(x, .) has two local minima for |x| < 2/(3 sqrt 3); the global one has the
// sign of x, so y_g jumps from -1 to 1 at x = 0. On each branch x = y^3 - y and
// dy_g/dx = 1/(3y^2 - 1), and the local minima of phi are the zeros of
//
//	phi'(x) = 4x(x^2 - 1/4) + (y - 1)/(8 (3y^2 - 1))
//
// where it grows: a global one with x > 0 and a local one with x < 0 (x is
// bisected, y solves the cubic). Following the wrong branch of local minima of g
// leads to smaller values of f that are not bilevel feasible. The penalised
// lower level is a quartic of the same form: its minimiser solves
// y^3 + (1/(8 gamma) - 1) y = x + 1/(8 gamma).
func openDoubleWell(request) (*problems.Instance, error) {
	p := &bilevel.Problem{
		NX: 1, NY: 1, X: interval(-1, 1),
		Upper: scalar(
			func(x, y float64) float64 { q := x*x - 0.25; return q*q + (y-1)*(y-1)/16 },
			func(x, _ float64) float64 { return 4 * x * (x*x - 0.25) },
			func(_, y float64) float64 { return (y - 1) / 8 },
			func(x, _ float64) float64 { return 12*x*x - 1 },
			constant(0), constant(1./8),
		),
		Lower: scalar(
			func(x, y float64) float64 { return y*y*(y*y/4-0.5) - x*y },
			func(_, y float64) float64 { return -y },
			func(x, y float64) float64 { return y*(y*y-1) - x },
			constant(0), constant(-1),
			func(_, y float64) float64 { return 3*y*y - 1 },
		),
		X0: []float64{0.8}, Y0: []float64{1},
		Oracle: wellOracle{},
	}
	at := func(x float64) float64 { return quarticMin(-1, x) }
	dphi := func(x float64) float64 {
		y := at(x)
		return 4*x*(x*x-0.25) + (y-1)/(8*(3*y*y-1))
	}
	var known []problems.Known
	// The jump at 0 is no minimum of either branch; keep clear of it.
	for _, side := range [][2]float64{{1e-3, 1}, {-1, -1e-3}} {
		zs, grows := zeros(dphi, side[0], side[1], 1000)
		for i, x := range zs {
			if grows[i] {
				y := at(x)
				known = append(known, problems.Known{X: []float64{x}, Y: []float64{y}, Upper: p.Upper.Value([]float64{x}, []float64{y}), Source: "zero of phi' by bisection"})
			}
		}
	}
	return &problems.Instance{
		Doc:    "The follower sits in the deeper of two wells and changes sides when x changes sign.",
		Source: "classic", Problem: p, Known: bestFirst(known),
	}, nil
}

// quarticMin is the global minimiser of y^4/4 + p y^2/2 - q y: the zero of
// y^3 + p y - q with the sign of q that is farthest from 0 (q = 0: the
// non-negative one), by Newton's method from beyond it, where it converges
// monotonically.
func quarticMin(p, q float64) float64 {
	a := abs(q)
	y := 1 + math.Cbrt(a) + math.Sqrt(max(-p, 0)) // beyond the zero: y^3 + p y > q there
	for {
		next := y - (y*y*y+p*y-a)/(3*y*y+p)
		if !(next < y) {
			break
		}
		y = next
	}
	return math.Copysign(y, q)
}

type wellOracle struct{}

// SolveLower is the global minimiser, by the sign of the linear term.
func (wellOracle) SolveLower(gamma float64, x, y, _ []float64) (float64, error) {
	w := 1 / (8 * gamma)
	p, q := w-1, x[0]+w
	y[0] = quarticMin(p, q)
	return abs(y[0]*y[0]*y[0] + p*y[0] - q), nil
}
