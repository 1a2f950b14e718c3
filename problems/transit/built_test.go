package transit

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// Where the search ends the slope over the prices of built links is held back on all
// sides, and no small change of them raises the profit by more than curvature does. At
// other designs it is not, and a step along what is left raises it.
func TestBuiltLinks(t *testing.T) {
	for _, c := range []struct {
		name   string
		rounds int
	}{{"transit/3node", 2}, {"transit/9node", 4}, {"transit/seville", 3}} {
		p := openInstance(t, c.name, nil).Problem
		d := openDesign(p)
		rng := rand.New(rand.NewPCG(41, 42))
		x := found(t, p, c.rounds)
		y, mu := respond(t, p, x)
		price := mu[d.rows:]
		left, err := d.builtLinks(x, y, price)
		if err != nil || !(left <= 1e-6) {
			t.Errorf("%s: slope %g, %v where the search ends", c.name, left, err)
		}
		e := response.NewPricing(d.m)
		trial := make([]float64, p.NX)
		for e, v := range x {
			if trial[e] = price[e]; !(v > 0) {
				trial[e] = math.Inf(1)
			}
		}
		best, near := e.Evaluate(trial), slices.Clone(trial)
		if profit := -p.Upper.Value(x, y); math.Abs(best-profit) > 1e-7*profit {
			t.Errorf("%s: profit %.10g at the prices, %.10g at the capacities", c.name, best, profit)
		}
		const step = 1e-5
		for range 300 {
			for i, v := range trial {
				near[i] = math.Max(0, v+step*rng.NormFloat64())
			}
			if v := e.Evaluate(near); v > best+1e3*step*step*math.Max(1, best) {
				t.Errorf("%s: profit %.12g next to %.12g", c.name, v, best)
			}
		}
		for i := range x { // tighter, so that all links have prices
			x[i] *= 0.7 + 0.2*rng.Float64()
		}
		y, mu = respond(t, p, x)
		if left, err := d.builtLinks(x, y, mu[d.rows:]); err == nil && !(left > 1e-3) {
			t.Errorf("%s: slope %g at a design that is too small", c.name, left)
		}
		x = slices.Clone(p.X0)
		y, mu = respond(t, p, x)
		x[0] += 1
		if _, err := d.builtLinks(x, y, mu[d.rows:]); err == nil || !strings.Contains(err.Error(), "not used") {
			t.Errorf("%s: capacity that is not used: %v", c.name, err)
		}
	}
}

// Known minimisers: with bounds that hold back, that do not, and with columns that
// depend on each other.
func TestNonNegativeLeastSquares(t *testing.T) {
	for _, c := range []struct {
		a        [][]float64
		b        []float64
		residual float64
	}{
		{[][]float64{{1, 0}, {0, 1}}, []float64{-2, -3}, 0},
		{[][]float64{{1, 0}, {0, 1}}, []float64{-2, 3}, 3},
		{[][]float64{{1, 1}, {1, -1}, {2, 2}}, []float64{-3, -1}, 0},
		{[][]float64{{1, 1}}, []float64{-1, 1}, math.Sqrt2},
		{[][]float64{{1, 2}, {2, 1}}, []float64{0, -3}, 3 / math.Sqrt(5)}, // along (1, 2) alone
		{nil, []float64{3, 4}, 5},
	} {
		z, residual := nonNegativeLeastSquares(c.a, c.b)
		if math.Abs(residual-c.residual) > 1e-12 || len(z) > 0 && slices.Min(z) < 0 {
			t.Errorf("%v, %v: z = %v, residual %v, want %v", c.a, c.b, z, residual, c.residual)
		}
	}
	// In many dimensions: the optimality conditions r'a >= 0, = 0 where z > 0.
	rng := rand.New(rand.NewPCG(51, 52))
	for range 20 {
		a, b := make([][]float64, 40), make([]float64, 15)
		for i := range b {
			b[i] = rng.NormFloat64()
		}
		for j := range a {
			a[j] = make([]float64, len(b))
			for i := range b {
				a[j][i] = rng.NormFloat64()
			}
			if j > 20 {
				a[j][0] = math.Abs(a[j][0]) // so that not everything can be cancelled
			}
		}
		z, _ := nonNegativeLeastSquares(a[21:], b)
		r := slices.Clone(b)
		for j, v := range z {
			for i := range r {
				r[i] += v * a[21+j][i]
			}
		}
		for j, v := range z {
			dot := 0.0
			for i := range r {
				dot += r[i] * a[21+j][i]
			}
			if v < 0 || dot < -1e-10 || v > 0 && math.Abs(dot) > 1e-10 {
				t.Errorf("z = %g, slope %g", v, dot)
			}
		}
	}
}
