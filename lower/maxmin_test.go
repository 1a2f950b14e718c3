package lower

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// bloccToy is the lower level F of the BLOCC toys at x: g (gamma = 0) or
// f + gamma g, with the constraint y <= x.
type bloccToy struct{ k, gamma, x float64 }

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

// TestMaxMinRecursions compares every order, with and without acceleration, with
// the recursion written out for min y^2/2 - 2y1 subject to y1 + y2 <= 0, y2 = 1.
func TestMaxMinRecursions(t *testing.T) {
	const eta1, eta2, steps = 0.3, 0.2, 7
	p := nearTo([]float64{2, 0}, mat.NewDense(2, 2, []float64{0, 1, 1, 1}), []float64{1, 0}, 1, nil)
	c := func(y [2]float64) [2]float64 { return [2]float64{y[1] - 1, y[0] + y[1]} }
	primal := func(y, mu [2]float64) [2]float64 {
		g0, g1 := y[0]-2+mu[1], y[1]+mu[0]+mu[1]
		return [2]float64{y[0] - eta1*g0, y[1] - eta1*g1}
	}
	for order := GaussSeidel; order <= DualFirst; order++ {
		for _, accelerated := range []bool{false, true} {
			for _, ty := range []int{1, 3} {
				y, mu, last := [2]float64{1, -1}, [2]float64{0.5, 0.25}, [2]float64{0.5, 0.25}
				for k := range steps {
					hat := mu
					if accelerated && k > 0 {
						w := float64(k-1) / float64(k+2)
						hat = [2]float64{mu[0] + w*(mu[0]-last[0]), mu[1] + w*(mu[1]-last[1])}
					}
					dual := func(y [2]float64) [2]float64 {
						d := c(y)
						return [2]float64{hat[0] + eta2*d[0], math.Max(0.01, hat[1]+eta2*d[1])}
					}
					last = mu
					old, with := y, hat
					if order == DualFirst {
						mu = dual(y)
						with = mu
					}
					for range ty {
						y = primal(y, with)
					}
					if order == GaussSeidel {
						mu = dual(y)
					} else if order == Simultaneous {
						mu = dual(old)
					}
				}
				s := &MaxMin{Eta1: eta1, Eta2: eta2, T: steps, Ty: ty, Accelerated: accelerated, Order: order, Stop: StopNever, Floor: 0.01}
				at, m := []float64{1, -1}, []float64{0.5, 0.25}
				info, err := s.Solve(p, at, m, 0, nil)
				if err != nil || info.Iterations != steps || info.Converged {
					t.Fatal(err, info)
				}
				if math.Abs(at[0]-y[0])+math.Abs(at[1]-y[1])+math.Abs(m[0]-mu[0])+math.Abs(m[1]-mu[1]) > 1e-14 {
					t.Errorf("order %d, accelerated %v, Ty %d: %v %v, want %v %v", order, accelerated, ty, at, m, y, mu)
				}
				if a := testing.AllocsPerRun(3, func() { _, err = s.Solve(p, at, m, 0, nil) }); a != 0 || err != nil {
					t.Errorf("order %d: %v allocations, %v", order, a, err)
				}
			}
		}
	}
}

// TestMaxMinFixedSteps: with admissible steps the iteration converges to the
// known solution in every order, plain and accelerated, and its stop rules hold
// where they say so.
func TestMaxMinFixedSteps(t *testing.T) {
	// Orthogonal rows: the solution is found by hand.
	a := mat.NewDense(3, 4, []float64{1, 1, 0, 0, 1, -1, 0, 0, 0, 0, 2, 0})
	p := nearTo([]float64{3, 1, 1, 3}, a, []float64{3, 5, 1}, 1, nil)
	y, mu := []float64{2.5, 0.5, 0.5, 3}, []float64{0.5, 0, 0.25}
	for order := GaussSeidel; order <= DualFirst; order++ {
		for _, accelerated := range []bool{false, true} {
			for _, rule := range []StopRule{StopChange, StopGradients} {
				if accelerated && (order != GaussSeidel || rule == StopGradients) {
					continue // extrapolation is for dual gradients at nearly solved primal problems
				}
				s := &MaxMin{Eta1: 0.3, Eta2: 0.1, T: 20000, Ty: 20, Order: order, Accelerated: accelerated, Stop: rule}
				at, m := make([]float64, p.N), make([]float64, p.Rows)
				info, err := s.Solve(p, at, m, 1e-9, nil)
				if err != nil {
					t.Fatal(err)
				}
				if rule == StopChange && info.Iterations == s.T {
					t.Errorf("order %d, accelerated %v: stop rule not met: %+v", order, accelerated, info)
				}
				if d, e := floats.Distance(at, y, 2), floats.Distance(m, mu, 2); d > 1e-6 || e > 1e-6 {
					t.Errorf("order %d, accelerated %v, rule %d: off by %g and %g after %d", order, accelerated, rule, d, e, info.Iterations)
				}
			}
		}
	}
}

// TestMaxMinDiverges: steps that are too long end with the status Diverged and
// leave the point alone.
func TestMaxMinDiverges(t *testing.T) {
	p := nearTo([]float64{2, 0}, mat.NewDense(1, 2, []float64{1, 1}), []float64{0}, 0, nil)
	y, mu := []float64{1, -1}, []float64{0.5}
	_, err := (&MaxMin{Eta1: 3, Eta2: 1, Stop: StopNever, T: 5000}).Solve(p, y, mu, 0, nil)
	var level *bilevel.LevelError
	if !errors.As(err, &level) || level.Status != bilevel.Diverged || !floats.Equal(y, []float64{1, -1}) || mu[0] != 0.5 {
		t.Errorf("%v, y = %v, mu = %v", err, y, mu)
	}
}

// TestMaxMinGradientRule: the primal loop ends with the gradient it used, in the
// norm given.
func TestMaxMinGradientRule(t *testing.T) {
	calls := 0
	p := nearTo([]float64{1, 1}, mat.NewDense(1, 2, []float64{1, 0}), []float64{5}, 0, nil)
	grad := p.Grad
	p.Grad = func(dst, y []float64) { calls++; grad(dst, y) }
	sum := func(g []float64) float64 { return math.Abs(g[0]) + math.Abs(g[1]) }
	s := &MaxMin{Eta1: 0.5, Eta2: 0.1, T: 1, Ty: 100, Stop: StopGradients, GradientNorm: sum}
	// |grad|_1 = 2, 1, 1/2, ...: below 0.3 at the fourth gradient.
	if _, err := s.Solve(p, []float64{0, 0}, []float64{0}, 0.3, nil); err != nil || calls != 5 {
		t.Errorf("%d gradients (one of them for the residuals), %v; want 5", calls, err)
	}
}

func TestMaxMinSettings(t *testing.T) {
	p := nearTo([]float64{0}, mat.NewDense(1, 1, []float64{1}), []float64{0}, 0, nil)
	for _, c := range []struct {
		s    MaxMin
		want string
	}{
		{MaxMin{Eta1: -1, Eta2: 1}, "MaxMin.Eta1 = -1"},
		{MaxMin{Eta1: 1, Eta2: math.NaN()}, "MaxMin.Eta2 = NaN"},
		{MaxMin{Eta1: 1}, "MaxMin.Eta2 = 0"},
		{MaxMin{T: -1}, "MaxMin.T = -1"},
		{MaxMin{Ty: -2}, "MaxMin.Ty = -2"},
		{MaxMin{Floor: math.Inf(1)}, "MaxMin.Floor = +Inf"},
		{MaxMin{Order: 7}, "MaxMin.Order = 7"},
		{MaxMin{Stop: -1}, "MaxMin.Stop = -1"},
	} {
		_, err := c.s.Solve(p, []float64{0}, []float64{0}, 1e-6, nil)
		if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want an error with %q", err, c.want)
		}
	}
}
