package method_test

import (
	"context"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/toy"
)

// open opens a toy; a name that ends in " general" is the toy without its closed
// forms, so that the general solvers work.
func open(t testing.TB, name string, mode bilevel.Mode) *problems.Instance {
	t.Helper()
	name, general := strings.CutSuffix(name, " general")
	set := map[string]string{"oracle": strconv.FormatBool(!general)}
	inst, err := toy.Family{}.Open(problems.Request{Name: name, Mode: mode, Seed: 1, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

func solve(t testing.TB, p *bilevel.Problem, m bilevel.Method, s bilevel.Settings) *bilevel.Result {
	t.Helper()
	r, err := bilevel.Solve(context.Background(), p, m, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.10g, want %.10g within %g", what, got, want, tolerance)
	}
}

// watch calls itself after every outer iteration.
type watch func(p *bilevel.Progress)

func (w watch) Record(p *bilevel.Progress) error { w(p); return nil }

// The published double loop on the negative toy restarts y_gamma at y_g and is
// cut at 100 steps of contraction 0.98 (inner tolerance 1e-8 never met first).
func TestNegativeToyAsPublished(t *testing.T) {
	settings := bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: 1000, Tolerance: 1e-8}
	inst := open(t, "toy/pbgd-negative", bilevel.Faithful)
	// Contraction 0.98 of x in 1000 steps leaves 1e-8 of the start.
	r := solve(t, inst.Problem, with(t, "v-pbgd", published(inst, "v-pbgd")), settings)
	near(t, "v-pbgd x", r.X[0], -4.336902, 1e-6)
	near(t, "v-pbgd y_g", r.Y[0], -5.336902, 1e-6)
	near(t, "v-pbgd y_gamma", r.PenalisedY[0], -5.626029, 1e-6)

	r = solve(t, inst.Problem, with(t, "pbgd-free", published(inst, "pbgd-free")), settings)
	if math.Abs(r.X[0]) >= 3e-9 {
		t.Errorf("pbgd-free x = %g, want |x| < 3e-9", r.X[0])
	}
	near(t, "pbgd-free y_g", r.Y[0], -1, 1e-8)
	t.Log(r.Status, r.Iterations)
}

// The 64-bit replay of the positive toy: weights after the outer step t, losses
// at (x_(t-1), y_gamma,t), each printed to the digits given.
func TestPositiveToyAsPublished(t *testing.T) {
	type row struct {
		t          int
		x, y, f, g float64 // f, g NaN: not printed in the replay
	}
	none := math.NaN()
	for _, c := range []struct {
		method bilevel.Method
		rows   []row
	}{
		{&method.VPBGD{Gamma: 16, Beta: 0.01, Eta: 0.01, Inner: 10},
			[]row{{100, 4.394047, -6.157374, none, none}, {1000, -0.435578, 2.120686, none, none}, {5000, -6.031204, 5.951256, 1.253057, 1.075760}}},
		{&method.PBGDFree{Gamma: 16, Beta: 0.01, Eta: 0.01, Inner: 2},
			[]row{{100, 4.409153, -9.039921, none, none}, {1000, -0.304400, -2.927921, none, none}, {5000, -6.832387, 5.987604, none, none},
				{10000, -7.154683, 6.625812, none, none}, {40000, -7.163917, 6.643452, 1.292224, 1.370811}}},
	} {
		inst := open(t, "toy/pbgd-positive", bilevel.Faithful)
		p := inst.Problem
		rows, before := c.rows, p.X0[0]
		last := rows[len(rows)-1].t
		solve(t, p, c.method, bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: last, Tolerance: 1e-300,
			Recorder: watch(func(pr *bilevel.Progress) {
				x, y := []float64{0}, []float64{0}
				pr.X.Read(x)
				pr.PenalisedY.Read(y)
				if len(rows) > 0 && pr.Iteration == rows[0].t {
					w := rows[0]
					rows = rows[1:]
					near(t, c.method.Name()+" x", x[0], w.x, 1e-5)
					near(t, c.method.Name()+" y_gamma", y[0], w.y, 1e-5)
					if w.f == w.f {
						at := []float64{before}
						near(t, c.method.Name()+" f", p.Upper.Value(at, y), w.f, 1e-6)
						near(t, c.method.Name()+" g", p.Lower.Value(at, y), w.g, 1e-6)
					}
				}
				before = x[0]
			})})
		if len(rows) > 0 {
			t.Errorf("%s: iteration %d was not reached", c.method.Name(), rows[0].t)
		}
	}
}

// PBGD-Free ends at the root of grad_x f(., y_gamma(.)), 0 on the negative toy
// the published limit on the positive one, and says what it left out; on the
// reformulation toy its limit is the optimum, and there is nothing to say.
func TestPBGDFreeLimits(t *testing.T) {
	for _, c := range []struct {
		problem string
		x, y    float64
		notes   int
		m       *method.PBGDFree
	}{
		{"toy/reformulation", 0, 0, 0, &method.PBGDFree{Gamma: 15}},
		{"toy/pbgd-negative", 0, -1, 1, &method.PBGDFree{Gamma: 15}},
		{"toy/pbgd-positive", -7.163917, 6.806689, 1, &method.PBGDFree{Gamma: 16, Eta: 1, Beta: 1, Inner: 50}},
	} {
		watched := false
		r := solve(t, open(t, c.problem, bilevel.Corrected).Problem, c.m, bilevel.Settings{Recorder: watch(func(p *bilevel.Progress) {
			watched = watched || p.Delta >= 0 && p.Omitted > 0
		})})
		near(t, c.problem+" x", r.X[0], c.x, 1e-6)
		near(t, c.problem+" y_g", r.Y[0], c.y, 1e-6)
		if r.Status != bilevel.Converged || !watched || len(r.Notes) != c.notes {
			t.Errorf("%s: %v, flatness seen: %v, notes %v", c.problem, r.Status, watched, r.Notes)
		}
	}
}

// Flatness on the negative toy in closed form: f(x,y_g) - f(x,y_gamma) = 50/gamma,
// y_g - y_gamma = 5/gamma, omitted terms 10 beside grad_x f = 2x.
func TestFlatness(t *testing.T) {
	const gamma = 15.0
	solve(t, open(t, "toy/pbgd-negative", bilevel.Corrected).Problem, &method.PBGDFree{Gamma: gamma, Inner: 2000, FlatnessEvery: 1},
		bilevel.Settings{MaxIterations: 5, Recorder: watch(func(p *bilevel.Progress) {
			x := []float64{0}
			p.X.Read(x)
			before := x[0] / (1 - 2*0.01) // flatness is measured where y_gamma was found
			near(t, "delta", p.Delta, 50/gamma-0.5*math.Pow(5/gamma, 1.5), 1e-9)
			near(t, "omitted", p.Omitted, 10/(2*before), 1e-9)
		})})
}

// The benchmark form of F2SA does not solve the negative toy: x overtakes y_g
// and ends at the bound 1.5.
func TestF2SAAsPublished(t *testing.T) {
	r := solve(t, open(t, "toy/pbgd-negative", bilevel.Faithful).Problem, &method.F2SA{Rho: 0.1}, bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: 20000})
	near(t, "x", r.X[0], 1.5, 0)
}

// ALRIGHT ends near the root of the expected step: with f = 10y + x^2 and
// g = (y-x+1)^2 drawn evenly, coded x = 0, y = -6; generic 2x - 2(y-x+1) = 0 and
// 10 + 2(y-x+1) = 0, that is x = -5, y = -11, beyond Y: y = -8, x = -3.5. The
// mean over the second half of the run has a standard deviation of about 0.03.
func TestALRIGHT(t *testing.T) {
	for form, want := range map[string][2]float64{"coded": {0, -6}, "generic": {-3.5, -8}} {
		var sum [2]float64
		const n = 200000
		solve(t, open(t, "toy/pbgd-negative", bilevel.Corrected).Problem, &method.ALRIGHT{Form: form, Eta: 0.005, Beta: 0.005}, bilevel.Settings{Seed: 3, MaxIterations: n,
			Recorder: watch(func(p *bilevel.Progress) {
				if p.Iteration > n/2 {
					v := []float64{0}
					p.X.Read(v)
					sum[0] += v[0] / (n / 2)
					p.Y.Read(v)
					sum[1] += v[0] / (n / 2)
				}
			})})
		near(t, form+" mean x", sum[0], want[0], 0.1)
		near(t, form+" mean y", sum[1], want[1], 0.1)
	}
}

// Sequential descent on f = 10y + x^2 ends at x = 0, y = -8, the bound of Y; on
// g = (y-x+1)^2 at y = x - 1, whatever y was before. The stage that comes last wins.
func TestSequential(t *testing.T) {
	for order, want := range map[string][2]float64{"f": {0, -8}, "f-then-g": {0, -1}, "g-then-f": {0, -8}} {
		r := solve(t, open(t, "toy/pbgd-negative", bilevel.Faithful).Problem, &method.Sequential{Order: order},
			bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: 4000})
		near(t, order+" x", r.X[0], want[0], 1e-6)
		near(t, order+" y", r.Y[0], want[1], 1e-6)
	}
}

// On the negative toy PBGD-Free is wrong and Switching finds out: it ends at x = -5
// where gamma_end takes V-PBGD, and near it with a fixed gamma.
func TestSwitching(t *testing.T) {
	r := solve(t, open(t, "toy/pbgd-negative", bilevel.Corrected).Problem, &method.Switching{Gamma: 100, Inner: 100, Eta: 0.001, FlatnessEvery: 5}, bilevel.Settings{})
	near(t, "x", r.X[0], -5, 0.05)
	if len(r.Notes) == 0 || !strings.Contains(r.Notes[0].Text, "switching to V-PBGD") {
		t.Errorf("notes %v", r.Notes)
	}
}
