package method_test

import (
	"math"
	"os"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/svm"
	"github.com/bilevel-go/bilevel/problems/toy"
)

// The published script diverges on LLC: ln(|x - x*|/|x*|) at iterations 1, 10,
// 100, 500 and 1500, printed to three digits.
func TestLLCAsPublished(t *testing.T) {
	inst := open(t, "toy/llc", bilevel.Faithful)
	want := map[int]float64{1: 3.407, 10: 0.692, 100: 2.717, 500: 4.890, 1500: 4.776}
	seen := 0
	solve(t, inst.Problem, &method.LVHBA{Alpha: 0.008, Beta: 0.02, Eta: 0.01, Gamma1: 10, Gamma2: 10, C: 0.025, P: 0.3, R: 1000, Lambda0: 1, Z0: -1},
		bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: 1500, Tolerance: never, Recorder: watch(func(p *bilevel.Progress) {
			if w, ok := want[p.Iteration]; ok {
				seen++
				x := make([]float64, p.X.Len())
				p.X.Read(x)
				d, n := 0.0, 0.0
				for i, s := range inst.Known[0].X {
					d += (x[i] - s) * (x[i] - s)
					n += s * s
				}
				near(t, "metric", math.Log(math.Sqrt(d/n)), w, 5e-4)
			}
		})})
	if seen != len(want) {
		t.Errorf("%d of %d iterations seen", seen, len(want))
	}
}

// LV-HBA and BiC-GAFFA reach x* itself: c grows until x, extrapolated to
// 1/c = 0, has settled. Their answers pass the certificate.
func TestGapMethodsReachKnownOptima(t *testing.T) {
	for _, c := range []struct{ problem, n string }{
		{"toy/blocc-1", ""}, {"toy/blocc-2", ""}, {"toy/reformulation", ""}, {"toy/llc", "10"}, {"toy/llc", "100"}, {"toy/pbgd-negative", ""},
		{"toy/pbgd-positive", ""}, {"toy/quadratic", ""}, {"toy/ridge", ""}, {"toy/simplex", ""}, {"toy/simplex-kink", ""}, {"toy/double-well", ""},
		{"toy/infeasible", ""}, {"toy/llsc", ""},
	} {
		for _, m := range []bilevel.Method{new(method.LVHBA), new(method.BiCGAFFA)} {
			if m.Name() == "bic-gaffa" && c.problem == "toy/llsc" {
				continue // the method's documented failure mode: too slow
			}
			t.Run(m.Name()+" "+c.problem+" "+c.n, func(t *testing.T) {
				inst := openSized(t, c.problem, c.n)
				r := solve(t, inst.Problem, m, bilevel.Settings{})
				if d := inst.Metrics(r.X, r.Y, nil)["distance_to_optimum"]; r.Status != bilevel.Converged || !(d <= 1e-6) {
					t.Errorf("%v after %d iterations, %g from the nearest known optimum: %s %+v", r.Status, r.Iterations, d, r.Message, r.Counts)
				}
				cert, err := certify.Measure(t.Context(), inst.Problem, r.X, r.Y, r.Multipliers, certify.Settings{Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				if !cert.Verdict.OK() {
					t.Errorf("certificate: %v", cert.Verdict)
				}
			})
		}
	}
}

// The fixed steps of corrected mode come near the optimum where they are small
// enough for the coupling: eta below 1/(gamma |grad_y h|²) on LLC.
func TestFixedStepsOfGapMethods(t *testing.T) {
	for _, c := range []struct {
		method   bilevel.Method
		problem  string
		distance float64
	}{
		{&method.LVHBA{Step: "fixed", Alpha: 0.05, Eta: 0.05, Beta: 0.5, Gamma1: 1, Gamma2: 1}, "toy/blocc-1", 0.05},
		{&method.BiCGAFFA{Step: "fixed", Alpha: 0.05, Eta: 0.05, Gamma1: 1, Gamma2: 1, P: 0.3}, "toy/blocc-1", 0.05},
		{&method.LVHBA{Step: "fixed", Alpha: 0.02, Eta: 0.1}, "toy/simplex", 0.05},
		{&method.BiCGAFFA{Step: "fixed", Alpha: 0.02, Eta: 0.1}, "toy/simplex", 0.05},
	} {
		t.Run(c.method.Name()+" "+c.problem, func(t *testing.T) {
			inst := open(t, c.problem, bilevel.Corrected)
			r := solve(t, inst.Problem, c.method, bilevel.Settings{MaxIterations: 20000})
			if d := inst.Metrics(r.X, r.Y, nil)["distance_to_optimum"]; !(d <= c.distance) {
				t.Errorf("x = %v (%v), %g from the nearest known optimum, allowed is %g", r.X, r.Status, d, c.distance)
			}
		})
	}
}

func openSized(t *testing.T, name, n string) *problems.Instance {
	if n == "" {
		return open(t, name, bilevel.Corrected)
	}
	inst, err := toy.Family{}.Open(problems.Request{Name: name, Seed: 1, Set: map[string]string{"n": n}})
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

// Means over the three published splits of the published SVM runs (exact vector
// data of the figures of arXiv 2507.20400). C's uniform draws are not
// reproducible: over draws the means of losses scatter by 0.01 (standard
// deviation), those of accuracies by 0.012, early and with BiC-GAFFA's long steps by 0.025,
// those of the lower objective by 2 %.
func TestGapMethodsOnTheSVMAsPublished(t *testing.T) {
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		dir = "../../shared/data"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no external data: %v", err)
	}
	type row struct{ accuracy, loss, lower float64 } // NaN: not published
	none := math.NaN()
	for _, c := range []struct {
		method, formulation       string
		accuracy, loss, lowerPart float64 // what is allowed
		rows                      map[int]row
	}{
		{"lv-hba", "normalised-slack", 0.04, 0.03, 0.05, map[int]row{1: {.6889, 2.4804, 5.294}, 2: {.7089, 2.4427, none}, 5: {.7267, 2.3717, none}, 6: {none, none, 4.380},
			10: {.7333, 2.3023, none}, 20: {.7378, 2.2265, none}, 30: {.7400, 2.1836, none}, 40: {.7400, 2.1619, none}, 49: {.7578, 2.1606, .743}}},
		{"gam", "log-weight", 0.03, 0.03, 0, map[int]row{1: {.6689, 2.4208, none}, 5: {.6756, 2.4165, none}, 10: {.6778, 2.4113, none}, 20: {.6933, 2.4015, none},
			30: {.6956, 2.3920, none}, 40: {.6956, 2.3826, none}, 49: {.7044, 2.3742, none}}},
		{"bic-gaffa", "normalised", 0.07, 0, 0.1, map[int]row{1: {.6622, none, 21.0}, 2: {.4600, none, none}, 3: {.4644, none, none}, 5: {.6867, none, none}, 10: {.7111, none, none},
			20: {.6956, none, none}, 30: {.7289, none, none}, 40: {.7444, none, none}, 49: {.7511, none, 8.9}}},
	} {
		t.Run(c.method, func(t *testing.T) {
			mean := map[int]row{}
			for seed := range 3 {
				inst, err := svm.Family{}.Open(problems.Request{Name: "svm/diabetes", Mode: bilevel.Faithful, Seed: uint64(seed), Set: map[string]string{"formulation": c.formulation}, Data: os.DirFS(dir)})
				if err != nil {
					t.Fatal(err)
				}
				x, y := make([]float64, inst.Problem.NX), make([]float64, inst.Problem.NY)
				solve(t, inst.Problem, with(t, c.method, published(inst, c.method)), bilevel.Settings{Mode: bilevel.Faithful, Seed: uint64(seed), MaxIterations: 49, Tolerance: never,
					Recorder: watch(func(p *bilevel.Progress) {
						if _, ok := c.rows[p.Iteration]; !ok {
							return
						}
						p.X.Read(x)
						p.Y.Read(y)
						m, r := inst.Metrics(x, y, nil), mean[p.Iteration]
						r.accuracy += m["validation_accuracy"] / 3
						r.loss += m["validation_loss"] / 3
						r.lower += inst.Problem.Lower.Value(x, y) / 3
						mean[p.Iteration] = r
					})})
			}
			for k, want := range c.rows {
				got := mean[k]
				for _, v := range []struct {
					name                 string
					got, want, tolerance float64
				}{{"validation accuracy", got.accuracy, want.accuracy, c.accuracy}, {"validation loss", got.loss, want.loss, c.loss}, {"g", got.lower, want.lower, c.lowerPart * want.lower}} {
					if v.want == v.want && !(math.Abs(v.got-v.want) <= v.tolerance) {
						t.Errorf("epoch %d: %s %.4f, published %.4f, allowed is a difference of %.4f", k, v.name, v.got, v.want, v.tolerance)
					}
				}
			}
		})
	}
}
