package toy_test

import (
	"errors"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/toy"
)

// The stationary points of the BLOCC toys, known to 1e-12 from an independent
// computation.
func TestBLOCCMinima(t *testing.T) {
	for name, want := range map[string][][2]float64{
		"toy/blocc-1": {{0.300704778330, 2.654498331391}, {1.162690218041, 3.584996889778}},
		"toy/blocc-2": {{0.986224826650, 1.721878814735}, {2.019725634455, 2.156114888454}, {2.990774029194, 2.445734751055}, {0.148891000865, 2.968498595673}},
	} {
		known := open(t, name, nil).Known
		if len(known) != len(want) {
			t.Fatalf("%s: %d minima, want %d", name, len(known), len(want))
		}
		for i, k := range known {
			if math.Abs(k.X[0]-want[i][0]) > 1e-12 || math.Abs(k.Upper-want[i][1]) > 1e-12 {
				t.Errorf("%s: minimum %d is (%.12f, %.12f), want %v", name, i, k.X[0], k.Upper, want[i])
			}
		}
	}
	p := open(t, "toy/blocc-1", nil).Problem
	at := func(x float64) float64 { return p.Upper.Value([]float64{x}, []float64{x}) }
	slope := func(x float64) float64 {
		var a, b [1]float64
		p.Upper.GradX(a[:], []float64{x}, []float64{x})
		p.Upper.GradY(b[:], []float64{x}, []float64{x})
		return a[0] + b[0]
	}
	for _, c := range [][2]float64{{at(0), 3.267737655861}, {slope(0), -4.063018699644}, {at(3), 11.436919728530}, {slope(0.789148670161), 0}} {
		if math.Abs(c[0]-c[1]) > 1e-10 {
			t.Errorf("got %.12f, want %.12f", c[0], c[1])
		}
	}
}

// penalisedGradient is the gradient of the penalised value in x, scalar problems,
//
//	f_x(x,y_gamma) + gamma [ g_x(x,y_gamma) + <mu_gamma, h_x> - g_x(x,y_g) - <mu_g, h_x> ].
func penalisedGradient(p *bilevel.Problem, gamma, x float64) float64 {
	o := p.Oracle.(bilevel.LowerSolver)
	lagrangian := func(gamma float64) (slope float64, y []float64) {
		y = make([]float64, 1)
		xs, mu, g, h := []float64{x}, []float64{0}, []float64{0}, []float64{0}
		if p.Coupling == nil {
			o.SolveLower(gamma, xs, y, nil)
		} else {
			o.SolveLower(gamma, xs, y, mu)
			p.Coupling.JacXT(h, xs, y, mu)
		}
		p.Lower.GradX(g, xs, y)
		return g[0] + h[0], y
	}
	low, _ := lagrangian(math.Inf(1))
	high, y := lagrangian(gamma)
	f := []float64{0}
	p.Upper.GradX(f, []float64{x}, y)
	return f[0] + gamma*(high-low)
}

// On the BLOCC toys the penalty has no influence on the exact solution.
func TestBLOCCPenaltyHasNoInfluence(t *testing.T) {
	for _, name := range []string{"toy/blocc-1", "toy/blocc-2"} {
		p := open(t, name, nil).Problem
		for _, gamma := range []float64{0.001, 0.1, 5, 1000} {
			for _, x := range []float64{0.01, 0.5, 1.3, 2.9} {
				var a, b [1]float64
				p.Upper.GradX(a[:], []float64{x}, []float64{x})
				p.Upper.GradY(b[:], []float64{x}, []float64{x})
				// The terms in gamma, of size 4 gamma x, cancel.
				if d := penalisedGradient(p, gamma, x) - a[0] - b[0]; math.Abs(d) > 1e-14*max(10, 100*gamma) {
					t.Errorf("%s, gamma %g, x %g: differs by %g", name, gamma, x, d)
				}
			}
		}
	}
}

// On the negative toy the penalised value has the minimiser -5 for every gamma
// at which y_gamma(-5) = -6 - 5/gamma is not clipped.
func TestNegativePenalty(t *testing.T) {
	p := open(t, "toy/pbgd-negative", nil).Problem
	for _, gamma := range []float64{2.5, 5, 15, 1000} {
		if d := penalisedGradient(p, gamma, -5); math.Abs(d) > 1e-11 {
			t.Errorf("gamma %g: gradient %g at -5", gamma, d)
		}
	}
}

// Exact solutions of the positive toy, known to 1e-6 from an independent computation.
func TestPositiveSolutions(t *testing.T) {
	inst := open(t, "toy/pbgd-positive", nil)
	p := inst.Problem
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: %.7f, want %.6f", what, got, want)
		}
	}
	k := inst.Known[0]
	near("x", k.X[0], -6.167815)
	near("y", k.Y[0], 6.199888)
	near("f", k.Upper, 1.272180)
	near("g", p.Lower.Value(k.X, k.Y), 1.108433)
	near("initial g", p.Lower.Value(p.X0, p.Y0), 4.9998436)
	o := p.Oracle.(bilevel.LowerSolver)
	solve := func(gamma, x float64) (y []float64) {
		y = []float64{0}
		o.SolveLower(gamma, []float64{x}, y, nil)
		return y
	}
	zero := func(d func(float64) float64) float64 {
		a, b := -10.0, 0.0
		for range 60 {
			if m := (a + b) / 2; d(m) < 0 {
				a = m
			} else {
				b = m
			}
		}
		return a
	}
	for _, c := range []struct{ gamma, x, yGamma, y, f, phi float64 }{
		{1, -6.447849, 4.522719, 6.370634, 1.074280, 1.275580},
		{15, -6.189922, 6.055787, 6.213367, 1.252867, 1.272201},
		{16, -6.188557, 6.064594, 6.212535, 1.254036, 1.272199},
		// x and y_g here are from a computation with 50 digits.
		{1000, -6.1681513484, 6.197675, 6.2000926996, 1.271880, 1.272180},
	} {
		x := zero(func(x float64) float64 { return penalisedGradient(p, c.gamma, x) })
		xs := []float64{x}
		near("argmin F_gamma", x, c.x)
		near("y_gamma", solve(c.gamma, x)[0], c.yGamma)
		near("y_g", solve(math.Inf(1), x)[0], c.y)
		near("f", p.Upper.Value(xs, solve(c.gamma, x)), c.f)
		near("phi", p.Upper.Value(xs, solve(math.Inf(1), x)), c.phi)
	}
	grad := func(g func(dst, x, y []float64), x float64, y []float64) float64 {
		var d [1]float64
		g(d[:], []float64{x}, y)
		return d[0]
	}
	free := zero(func(x float64) float64 { return grad(p.Upper.GradX, x, []float64{0}) })
	near("PBGD-Free limit", free, -7.163917)
	near("its y_gamma", solve(16, free)[0], 6.643452)
	near("its y_g", solve(math.Inf(1), free)[0], 6.806689)
	near("its f", p.Upper.Value([]float64{free}, solve(16, free)), 1.292224)
	near("its phi", p.Upper.Value([]float64{free}, solve(math.Inf(1), free)), 1.314179)
	near("its g", p.Lower.Value([]float64{free}, solve(16, free)), 1.370811)
	near("min f", p.Upper.Value([]float64{free}, []float64{0}), 0.850869)
	low := zero(func(x float64) float64 { return grad(p.Lower.GradX, x, solve(math.Inf(1), x)) })
	near("argmin g", low, -1.429637)
	near("its y", solve(math.Inf(1), low)[0], 3.399245)
	near("its f", p.Upper.Value([]float64{low}, solve(math.Inf(1), low)), 2.223364)
	near("its g", p.Lower.Value([]float64{low}, solve(math.Inf(1), low)), 0.401985)
}

func TestReformulation(t *testing.T) {
	p := open(t, "toy/reformulation", nil).Problem
	o := p.Oracle.(bilevel.LowerSolver)
	for _, x := range []float64{-4, -3, -1, -0.1, 0, 0.1, 1, 4, 6} {
		y, mu := []float64{0}, []float64{0}
		o.SolveLower(math.Inf(1), []float64{x}, y, mu)
		want := 2 * x * x
		if math.Sin(x) < 0 {
			want += x * math.Sin(x)
		}
		if phi := p.Upper.Value([]float64{x}, y); math.Abs(phi-want) > 1e-14*max(1, want) {
			t.Errorf("phi(%g) = %g, want %g", x, phi, want)
		}
	}
}

func TestLLCOptimum(t *testing.T) {
	for _, n := range []string{"1", "7", "100", "2000"} {
		inst := open(t, "toy/llc", map[string]string{"n": n})
		k := inst.Known[0]
		if want := 0.05 * float64(len(k.X)); math.Abs(inst.Problem.Upper.Value(k.X, k.Y)-want) > 1e-12*want*float64(len(k.X)) {
			t.Errorf("n = %s: f = %g, want %g", n, inst.Problem.Upper.Value(k.X, k.Y), want)
		}
	}
}

func TestSettingsAreRefused(t *testing.T) {
	for _, c := range []struct{ name, key, value string }{
		{"toy/llc", "n", "-1"},
		{"toy/llc", "n", "many"},
		{"toy/blocc-1", "n", "3"},
		{"toy/llc", "start", "random"},
		{"toy/blocc-1", "start", "sometimes"},
		{"toy/blocc-1", "oracle", "perhaps"},
		{"toy/blocc-1", "size", "3"},
		{"toy/blocc-3", "start", "fixed"},
	} {
		_, err := toy.Family{}.Open(problems.Request{Name: c.name, Set: map[string]string{c.key: c.value}})
		var setting *bilevel.SettingError
		if !errors.As(err, &setting) || !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%s with %s=%s: got %v", c.name, c.key, c.value, err)
		}
	}
}

// The same seed gives the same problem, another seed another one.
func TestSeeds(t *testing.T) {
	for _, name := range []string{"toy/llsc", "toy/quadratic", "toy/ridge"} {
		at := func(seed uint64) float64 {
			inst, err := toy.Family{}.Open(problems.Request{Name: name, Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			return inst.Known[0].Upper
		}
		if at(1) != at(1) || at(1) == at(2) {
			t.Errorf("%s: optima %g, %g for seed 1, %g for seed 2", name, at(1), at(1), at(2))
		}
	}
	random := map[string]string{"start": "random"}
	for _, name := range []string{"toy/blocc-1", "toy/blocc-2", "toy/pbgd-negative"} {
		a := open(t, name, random).Problem
		b, _ := toy.Family{}.Open(problems.Request{Name: name, Seed: 2, Set: random})
		if a.X0[0] == b.Problem.X0[0] || a.Y0[0] == b.Problem.Y0[0] {
			t.Errorf("%s: the random start does not depend on the seed", name)
		}
	}
}

func TestMetrics(t *testing.T) {
	inst := open(t, "toy/blocc-2", nil)
	if d := inst.Metrics([]float64{2}, nil, nil)["distance_to_optimum"]; math.Abs(d-0.019725634455) > 1e-11 {
		t.Errorf("distance %g", d)
	}
}
