package method_test

import (
	"maps"
	"math"
	"os"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/svm"
)

// openSVM opens the problem of the method's published run, from C = 3, or from
// its own range of log-weights for GAM.
func openSVM(t testing.TB, method string) *problems.Instance {
	t.Helper()
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		dir = "../../shared/data"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no external data: %v", err)
	}
	set := map[string]string{"start": "3"}
	if method == "gam" {
		delete(set, "start")
	}
	inst, err := svm.Family{}.Open(problems.Request{Name: "svm/diabetes", Mode: bilevel.Faithful, Method: method, Set: set, Data: os.DirFS(dir)})
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

// published are the method's own published settings.
func published(inst *problems.Instance, method string) map[string]string {
	set := maps.Clone(inst.Published[method])
	delete(set, "max_iterations")
	delete(set, "tolerance")
	return set
}

// One outer iteration on the published SVM problem (500 rows, 46 variables).
func BenchmarkSVMOuterIteration(b *testing.B) {
	for _, c := range []struct {
		name, method string
		mode         bilevel.Mode
		set          map[string]string
	}{
		{"pbgd-free/faithful", "pbgd-free", bilevel.Faithful, nil},
		{"blocc/faithful", "blocc", bilevel.Faithful, nil},
		{"lv-hba/faithful", "lv-hba", bilevel.Faithful, nil},
		{"gam/faithful", "gam", bilevel.Faithful, nil},
		{"bic-gaffa/faithful", "bic-gaffa", bilevel.Faithful, nil},
		{"blocc/exact", "blocc", bilevel.Corrected, map[string]string{"gamma": "15"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			inst := openSVM(b, c.method)
			if c.set == nil {
				c.set = published(inst, c.method)
			}
			iterations := 0
			for b.Loop() {
				iterations += solve(b, inst.Problem, with(b, c.method, c.set), bilevel.Settings{Mode: c.mode, MaxIterations: 20}).Iterations
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(iterations), "ns/outer")
		})
	}
}

// The published SVM runs of arXiv 2507.20400 on the seed-0 split of diabetes from
// C = 3: validation and test accuracy and loss and |w|^2/2 of the penalised
// solution, rounded to six digits; the multipliers start at 0. PBGD-Free's C is
// 0.995^k C_0 whatever the data say.
func TestSVMAsPublished(t *testing.T) {
	keys := [...]string{"validation_accuracy", "test_accuracy", "validation_loss", "test_loss", "half_norm2"}
	for _, c := range []struct {
		method string
		want   map[int][5]float64
	}{
		{"pbgd-free", map[int][5]float64{
			1: {.733333, .771186, 2.077553, 2.074480, .495795},
			2: {.740000, .762712, 2.007984, 2.065896, .748094},
			5: {.766667, .788136, 1.953475, 2.076388, 1.053837},
		}},
		{"blocc", map[int][5]float64{
			1: {.766667, .779661, 1.941310, 2.079395, 1.143001},
			5: {.773333, .779661, 1.935536, 2.080722, 1.188088},
		}},
	} {
		inst := openSVM(t, c.method)
		solve(t, inst.Problem, with(t, c.method, published(inst, c.method)), bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: 5, Tolerance: never, Recorder: watch(func(p *bilevel.Progress) {
			x, y := make([]float64, p.X.Len()), make([]float64, p.PenalisedY.Len())
			p.X.Read(x)
			p.PenalisedY.Read(y)
			figures := inst.Metrics(x, y, nil)
			if want, ok := c.want[p.Iteration]; ok {
				for i, k := range keys {
					near(t, c.method+" "+k, figures[k], want[i], 1e-6)
				}
			}
			if c.method == "pbgd-free" {
				near(t, "C", x[7], 3*math.Pow(0.995, float64(p.Iteration)), 1e-12)
			}
		})})
	}
}
