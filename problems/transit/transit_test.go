package transit

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/transit/network"
)

func openInstance(t testing.TB, name string, set map[string]string) *problems.Instance {
	t.Helper()
	if set == nil {
		set = map[string]string{"bound_effort": "1"} // tests of the bound itself are in package bound
	}
	in, err := Family{}.Open(problems.Request{Name: name, Seed: 1, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Problem.Validate(); err != nil {
		t.Fatal(err)
	}
	return in
}

// solveLevel solves the (penalised) lower level by the oracle.
func solveLevel(t testing.TB, p *bilevel.Problem, gamma float64, x, y, mu []float64) {
	t.Helper()
	r, err := p.Oracle.(bilevel.LowerSolver).SolveLower(gamma, x, y, mu)
	if err != nil || !(r <= 1e-8) {
		t.Fatalf("residual %g, error %v", r, err)
	}
}

func sigma(t float64) float64 { return 1 / (1 + math.Exp(-t)) }

func TestDerivatives(t *testing.T) {
	for _, name := range []string{"transit/3node", "transit/9node"} {
		p := openInstance(t, name, nil).Problem
		rng := rand.New(rand.NewPCG(1, 2))
		x, y := make([]float64, p.NX), make([]float64, p.NY)
		for i := range x {
			x[i] = 1 + rng.Float64()
		}
		for i := range y {
			y[i] = 0.1 + 0.8*rng.Float64()
		}
		if err := p.CheckDerivativesAt(x, y); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// golden is a point of the 3-node network with known lower and penalised
// solutions: capacities 0.5, 0.2 and 0.3 of 1-2, 1-3 and 2-3 in both directions.
func golden(p *bilevel.Problem) []float64 {
	x := make([]float64, p.NX)
	for e, l := range [][2]int{{1, 2}, {1, 3}, {2, 1}, {2, 3}, {3, 1}, {3, 2}} {
		x[e] = map[int]float64{3: 0.5, 4: 0.2, 5: 0.3}[l[0]+l[1]]
	}
	return x
}

// The figures solve y12 = sigma(2 - l12), y13 = sigma(-l12 - l23), y23 = sigma(1 - l23),
// y12 + y13 = 0.5, y13 + y23 = 0.3, and the same with margins over gamma; they are
// given to 8 to 12 digits.
func TestGoldenThreeStations(t *testing.T) {
	p := openInstance(t, "transit/3node", nil).Problem
	x := golden(p)
	y, mu := make([]float64, p.NY), make([]float64, p.Coupling.Rows)
	near := func(what string, got, want, tol float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tol) {
			t.Errorf("%s = %.12f, want %.12f", what, got, want)
		}
	}
	solveLevel(t, p, math.Inf(1), x, y, mu)
	prices := slices.Clone(mu[len(mu)-6:])
	for e, want := range []float64{2.07158153, 0, 2.07158153, 1.93400816, 0, 1.93400816} {
		near("lambda", prices[e], want, 1e-8)
	}
	for k, want := range []float64{0.482112253632, 0.017887746368, 0.482112253632, 0.282112253632, 0.017887746368, 0.282112253632} {
		near("share", y[k], want, 1e-11)
	}
	near("g", p.Lower.Value(x, y), 12.753036576591, 1e-11)
	near("f(x, y_g)", p.Upper.Value(x, y), 4.092673521794, 1e-10)
	v := p.Lower.Value(x, y)

	const gamma = 4.0
	yf, muf := make([]float64, p.NY), make([]float64, p.Coupling.Rows)
	solveLevel(t, p, gamma, x, yf, muf)
	for e, want := range []float64{10.5230735, 0, 10.5230735, 9.03234761, 0, 9.03234761} {
		near("lambda F", gamma*muf[len(muf)-6+e], want, 1e-7)
	}
	for k, want := range []float64{0.467354413873, 0.032645586127, 0.467354413873, 0.267354413873, 0.032645586127, 0.267354413873} {
		near("share F", yf[k], want, 1e-11)
	}
	near("F", p.Upper.Value(x, yf)+gamma*(p.Lower.Value(x, yf)-v), 4.051911105697, 1e-10)
	near("f(x, y_F)", p.Upper.Value(x, yf), 4.004126483236, 1e-10)
	for e, want := range []float64{-1.236747362836, 10, -1.236747362836, 1.703685031602, 10, 1.703685031602} {
		c := []float64{1, 10, 1, 3, 10, 3}[e]
		near("gradient of F", c+gamma*(prices[e]-muf[len(muf)-6+e]), want, 1e-7)
	}
}

// No design of the 3-node network has a larger profit than 2 sigma(2), and the
// design x12 = x21 = sigma(2) has it.
func TestThreeStationsOptimum(t *testing.T) {
	in := openInstance(t, "transit/3node", nil)
	p := in.Problem
	best := 2 * sigma(2)
	x := make([]float64, p.NX)
	x[0], x[2] = sigma(2), sigma(2)
	if got := in.Metrics(x, nil, nil)["profit"]; math.Abs(got-best) > 1e-12 {
		t.Errorf("profit %.15f of the optimal design, want %.15f", got, best)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	bound := in.Metrics(x, nil, nil)["profit_bound"]
	if bound < best {
		t.Errorf("bound %g below the optimum", bound)
	}
	for range 300 {
		for e := range x {
			if x[e] = 0; rng.IntN(3) > 0 {
				x[e] = math.Exp(3 * (rng.Float64() - 0.8))
			}
		}
		if got := in.Metrics(x, nil, nil)["profit"]; !(got <= best) {
			t.Errorf("profit %.12f at %v exceeds the optimum", got, x)
		}
	}
}

// The gradient of F_gamma is c + gamma (lambda_g - lambda_F).
func TestPenaltyGradient(t *testing.T) {
	for _, name := range []string{"transit/9node", "transit/seville"} {
		p := openInstance(t, name, nil).Problem
		rng := rand.New(rand.NewPCG(5, 6))
		const gamma = 3.0
		value := func(x []float64, grad []float64) float64 {
			y, mu := make([]float64, p.NY), make([]float64, p.Coupling.Rows)
			solveLevel(t, p, math.Inf(1), x, y, mu)
			v := p.Lower.Value(x, y)
			if grad != nil {
				p.Upper.GradX(grad, x, y)
				for e := range grad {
					grad[e] += gamma * mu[len(mu)-p.NX+e]
				}
			}
			clear(mu)
			solveLevel(t, p, gamma, x, y, mu)
			for e := range grad {
				grad[e] -= gamma * mu[len(mu)-p.NX+e]
			}
			return p.Upper.Value(x, y) + gamma*(p.Lower.Value(x, y)-v)
		}
		x, grad := slices.Clone(p.X0), make([]float64, p.NX)
		for e := range x {
			x[e] = 0.2 + x[e]*(0.3+rng.Float64())
		}
		value(x, grad)
		for range 4 {
			d, slope := make([]float64, p.NX), 0.0
			for e := range d {
				d[e] = x[e] * rng.NormFloat64()
				slope += d[e] * grad[e]
			}
			const h = 1e-5
			up, down := slices.Clone(x), slices.Clone(x)
			for e := range d {
				up[e] += h * d[e]
				down[e] -= h * d[e]
			}
			diff := (value(up, nil) - value(down, nil)) / (2 * h)
			// The values carry 1e-12 relative of sums of some thousands.
			if math.Abs(diff-slope) > 1e-4*(1+math.Abs(slope)) {
				t.Errorf("%s: slope %g, differences %g", name, slope, diff)
			}
		}
	}
}

// The response agrees with the general interior-point solver of package lower.
func TestAgainstGeneralSolver(t *testing.T) {
	p := openInstance(t, "transit/3node", nil).Problem
	rng := rand.New(rand.NewPCG(7, 8))
	for range 5 {
		x := make([]float64, p.NX)
		for e := range x {
			x[e] = 0.05 + 0.6*rng.Float64()
		}
		y, mu := make([]float64, p.NY), make([]float64, p.Coupling.Rows)
		solveLevel(t, p, math.Inf(1), x, y, mu)
		c, err := certify.Measure(context.Background(), p, x, y, mu, certify.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if float64(c.LowerGap[1]) > 1e-8 || float64(c.LowerFeasibility) > 1e-9 || float64(c.LowerKKT) > 1e-7 {
			t.Errorf("gap %v, feasibility %v, KKT %v", c.LowerGap, c.LowerFeasibility, c.LowerKKT)
		}
	}
}

// The derivative of the response is that of differences.
func TestSensitivity(t *testing.T) {
	for _, name := range []string{"transit/3node", "transit/9node", "transit/seville"} {
		p := openInstance(t, name, nil).Problem
		rng := rand.New(rand.NewPCG(9, 10))
		x := slices.Clone(p.X0)
		for e := range x {
			x[e] = 0.1 + x[e]*(0.3+0.5*rng.Float64())
		}
		y, mu := make([]float64, p.NY), make([]float64, p.Coupling.Rows)
		solveLevel(t, p, math.Inf(1), x, y, mu)
		v, grad := make([]float64, p.NY), make([]float64, p.NX)
		p.Upper.GradY(v, x, y) // on the shares
		if err := p.Oracle.(bilevel.Sensitivity).Adjoint(grad, x, y, mu, v); err != nil {
			t.Fatal(err)
		}
		at := func(h float64, d []float64) float64 {
			z := slices.Clone(x)
			for e := range z {
				z[e] += h * d[e]
			}
			yz, muz := make([]float64, p.NY), make([]float64, p.Coupling.Rows)
			solveLevel(t, p, math.Inf(1), z, yz, muz)
			sum := 0.0
			for i, a := range v {
				sum += a * yz[i]
			}
			return sum
		}
		for range 3 {
			d, slope := make([]float64, p.NX), 0.0
			for e := range d {
				d[e] = x[e] * rng.NormFloat64()
				slope += d[e] * grad[e]
			}
			const h = 1e-5
			diff := (at(h, d) - at(-h, d)) / (2 * h)
			if math.Abs(diff-slope) > 1e-5*(1+math.Abs(slope)) {
				t.Errorf("%s: slope %g, differences %g", name, slope, diff)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		set  map[string]string
		want string
	}{
		{"transit", nil, "network=DIR"},
		{"transit/3nod", nil, `did you mean "transit/3node"?`},
		{"transit/3node", map[string]string{"network": filepath.Join(dir, "none")}, "a folder that can be read"},
		{"transit/3node", map[string]string{"network": file}, "a folder with network.yaml"},
		{"transit/3node", map[string]string{"network": dir}, "network.yaml"},
		{"transit/3node", map[string]string{"net": file}, "together with trips"},
		{"transit/3node", map[string]string{"net": file, "trips": file, "network": dir}, "either a folder"},
		{"transit/3node", map[string]string{"net": file, "trips": dir}, "trips"},
		{"transit/3node", map[string]string{"net": file, "trips": file}, "file:1"},
		{"transit/3node", map[string]string{"start": "-1"}, "all, none, or"},
		{"transit/grid", map[string]string{"rows": "1", "columns": "1"}, "two stations"},
	} {
		_, err := Family{}.Open(problems.Request{Name: c.name, Set: c.set})
		if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, want an error with %q", c.name, c.set, err, c.want)
		}
	}
}

// A user's folder opens as the network it was written from.
func TestOwnNetwork(t *testing.T) {
	n, err := network.Open("9node")
	if err != nil {
		t.Fatal(err)
	}
	files, err := network.Encode(n)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := openInstance(t, "transit", map[string]string{"network": dir}), openInstance(t, "transit/9node", nil)
	x := b.Problem.X0
	ma, mb := a.Metrics(x, nil, nil), b.Metrics(x, nil, nil)
	for k, v := range mb {
		if ma[k] != v {
			t.Errorf("%s = %v from the folder, %v built in", k, ma[k], v)
		}
	}
}

// The profit of every design stays below the bound, closed links and all.
func TestProfitBound(t *testing.T) {
	for _, name := range []string{"transit/9node", "transit/seville", "transit/grid"} {
		in := openInstance(t, name, map[string]string{"rows": "4", "columns": "4"})
		rng := rand.New(rand.NewPCG(11, 12))
		x := slices.Clone(in.Problem.X0)
		for range 20 {
			for e := range x {
				if x[e] = 0; rng.IntN(4) > 0 {
					x[e] = in.Problem.X0[e] * rng.Float64()
				}
			}
			m := in.Metrics(x, nil, nil)
			if !(m["profit"] <= m["profit_bound"]) || !(m["response_gap"] <= 1e-9) {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}
