package lower

import (
	"math"
	"testing"
)

// bloccToy is the lower level F of the BLOCC toys at x: g (gamma = 0) or
// f + gamma g, with the constraint y <= x.
type bloccToy struct{ k, square, gamma, x float64 }

func (t *bloccToy) problem() *Problem {
	return &Problem{
		N: 1, Rows: 1, Affine: true,
		Value: func(y []float64) float64 {
			g := (y[0] - 2*t.x) * (y[0] - 2*t.x)
			if t.gamma == 0 {
				return g
			}
			return math.Exp(2-y[0])/(2+math.Cos(t.k*t.x)) + t.gamma*g
		},
		Grad: func(dst, y []float64) {
			g := 2 * (y[0] - 2*t.x)
			if t.gamma == 0 {
				dst[0] = g
				return
			}
			dst[0] = -math.Exp(2-y[0])/(2+math.Cos(t.k*t.x)) + t.gamma*g
		},
		HessVec: func(dst, y, v []float64) {
			if t.gamma == 0 {
				dst[0] = 2 * v[0]
				return
			}
			dst[0] = (math.Exp(2-y[0])/(2+math.Cos(t.k*t.x)) + 2*t.gamma) * v[0]
		},
		Constraint: func(dst, y []float64) { dst[0] = y[0] - t.x },
		JacT:       func(dst, _, mu []float64) { dst[0] = mu[0] },
		Jac:        func(dst, _, v []float64) { dst[0] = v[0] },
	}
}

// TestPublishedToyRuns drives the published inner loop (simultaneous updates,
// the signed stopping sum) by the published outer loop of the BLOCC toys and
// compares with the deterministic runs from y = 0, lambda = 1, gamma = 5: the
// point of the last inner solves, the outer iterations and the inner iterations
// of both problems together. Points are known to 8 decimals.
func TestPublishedToyRuns(t *testing.T) {
	const gamma, alpha, eps = 5, 0.01, 1e-4
	for _, c := range []struct {
		name         string
		k, square    float64
		x0, x, y     float64
		outer, inner int
	}{
		{"toy 1", 4, 1, 0.1, 0.29999864, 0.30010739, 64, 67573},
		{"toy 2", 6, 0, 0.7, 0.98513164, 0.98524102, 79, 84501},
	} {
		solver := &MaxMin{Eta1: 0.1, Eta2: 0.1, Order: Simultaneous, Stop: StopSignedSum}
		lg, lf := &bloccToy{k: c.k}, &bloccToy{k: c.k, gamma: gamma}
		pg, pf := lg.problem(), lf.problem()
		x, yg, yf := c.x0, []float64{0}, []float64{0}
		var at, outer, inner = 0.0, 0, 0
		for outer = 1; outer <= 500; outer++ {
			lg.x, lf.x = x, x
			old := yg[0]
			mg, mf := []float64{0.1}, []float64{1}
			ig, err := solver.Solve(pg, yg, mg, eps, nil)
			if err != nil {
				t.Fatal(err)
			}
			yf[0] = yg[0]
			jf, err := solver.Solve(pf, yf, mf, eps, nil)
			if err != nil {
				t.Fatal(err)
			}
			inner += ig.Iterations + jf.Iterations
			at = x
			q := (4*x-2)*(4*x-2) + 1
			fx := c.k*math.Exp(2-yf[0])*math.Sin(c.k*x)/math.Pow(2+math.Cos(c.k*x), 2) + (16*x-8)/q + c.square*2*x
			dx := fx + gamma*(-4*(yf[0]-2*x)+4*(yg[0]-2*x)+mg[0]) - mf[0]
			next := math.Min(math.Max(x-alpha*dx, 0), 3)
			moved := math.Hypot(x-next, old-yg[0]) / alpha
			x = next
			if moved <= eps {
				break
			}
		}
		t.Logf("%s: x = %.8f y = %.8f outer %d inner %d", c.name, at, yf[0], outer, inner)
		if math.Abs(at-c.x) > 5e-9 || math.Abs(yf[0]-c.y) > 5e-9 || outer != c.outer || inner != c.inner {
			t.Errorf("%s: x = %.8f, y = %.8f, %d outer, %d inner; want %.8f, %.8f, %d, %d", c.name, at, yf[0], outer, inner, c.x, c.y, c.outer, c.inner)
		}
	}
}
