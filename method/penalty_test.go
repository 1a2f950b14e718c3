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
	r := solve(t, inst.Problem, &method.VPBGD{Gamma: 15, Beta: 0.01, Eta: 0.01, Inner: 100, InnerTol: 1e-8, Warm: "y_g"}, settings)
	near(t, "v-pbgd x", r.X[0], -4.336902, 1e-6)
	near(t, "v-pbgd y_g", r.Y[0], -5.336902, 1e-6)
	near(t, "v-pbgd y_gamma", r.PenalisedY[0], -5.626029, 1e-6)

	r = solve(t, inst.Problem, &method.PBGDFree{Gamma: 15, Beta: 0.01, Eta: 0.01, Inner: 100, InnerTol: 1e-8, Warm: "y_g"}, settings)
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
