package repro

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
)

// publishedData is the folder of external data, or a skip with the reason.
func publishedData(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		dir = "../../shared/data"
	}
	if _, err := os.Stat(dir + "/svm"); err != nil {
		t.Skipf("the published SVM files are not there: %v", err)
	}
	return dir
}

// tableOf runs an experiment of the size of a test.
func tableOf(t *testing.T, e func(*session) error, o Options) []Row {
	t.Helper()
	s := &session{ctx: context.Background(), o: o}
	if err := e(s); err != nil {
		t.Fatal(err)
	}
	return s.rows
}

func rowOf(t *testing.T, rows []Row, dataset, method, metric string) Row {
	t.Helper()
	for _, r := range rows {
		if r.Dataset == dataset && r.Method == method && r.Metric == metric {
			return r
		}
	}
	t.Fatalf("no row %s, %s, %s", dataset, method, metric)
	return Row{}
}

// The five methods of arXiv 2507.20400 on the published splits. The first C is
// drawn by another generator than the published one: agreement is asked for
// within the published deviation over splits, and within 0.012, one and a half
// of 118 test rows, for LV-HBA, whose published deviation is 0.
func TestPBGDFreeTableAgrees(t *testing.T) {
	rows := tableOf(t, pbgdFreeSVM(3), Options{Mode: bilevel.Faithful, Data: publishedData(t)})
	for _, c := range []struct {
		method, suffix string
		deviation      float64
	}{{"lv-hba", "", .012}, {"gam", "", .0080}, {"bic-gaffa", "", .0243}, {"blocc", "_gamma", .0144}, {"pbgd-free", "_gamma", .0120}} {
		r := rowOf(t, rows, "diabetes", c.method, "test_accuracy"+c.suffix)
		if d := math.Abs(float64(r.Ours - r.Published)); !(d <= c.deviation) {
			t.Errorf("%s: test accuracy %.4f, published %.4f ± %.4f", c.method, float64(r.Ours), float64(r.Published), c.deviation)
		}
		if c.method == "bic-gaffa" {
			continue // its published loss is a sum of normalised losses
		}
		// Losses hardly depend on the first C.
		r = rowOf(t, rows, "diabetes", c.method, "validation_loss"+c.suffix)
		if d := math.Abs(float64(r.Ours - r.Published)); !(d <= .01) {
			t.Errorf("%s: validation loss %.4f, published %.4f", c.method, float64(r.Ours), float64(r.Published))
		}
	}
}

// The published curves, means over three splits: exact vector data of the figures.
func TestPublishedCurves(t *testing.T) {
	s := &session{ctx: context.Background(), o: Options{Mode: bilevel.Faithful, Data: publishedData(t)}}
	standard := []int{0, 1, 2, 5, 10, 20, 30, 40, 49}
	for _, c := range []struct {
		method, metric string
		tolerance      float64
		want           []float64
	}{
		{"bic-gaffa", "validation_accuracy", .02, []float64{.6444, .6622, .46, .4644}},
		{"pbgd-free", "validation_accuracy_gamma", .02, []float64{.6444, .7556, .7622, .7822, .7889, .7867, .7800, .7689, .7733}},
		{"pbgd-free", "validation_loss_gamma", .02, []float64{3.2717, 2.0433, 1.9633, 1.9028, 1.8924, 1.9070, 1.9255, 1.9447, 1.9626}},
		{"blocc", "validation_loss_gamma", .02, []float64{3.2717, 1.8859, 1.8818, 1.8894, 1.9026, 1.9257, 1.9420, 1.9508, 1.9532}},
		{"blocc", "test_loss_gamma", .02, []float64{3.2019, 2.2258, 2.2247, 2.2123, 2.1957, 2.1761, 2.1680, 2.1654, 2.1655}},
		{"lv-hba", "validation_loss", .02, []float64{nan, 2.4804, 2.4427, 2.3717, 2.3023, 2.2265, 2.1836, 2.1619, 2.1606}},
		{"lv-hba", "test_loss", .02, []float64{nan, 2.5126, 2.4791, 2.4142, 2.3474, 2.2701, 2.2255, 2.2030, 2.1994}},
		{"gam", "validation_loss", .02, []float64{nan, 2.4208, 2.4197, 2.4165, 2.4113, 2.4015, 2.3920, 2.3826, 2.3742}},
	} {
		runs, err := s.svmRuns(svmSpec{problem: "svm/diabetes", dataset: "diabetes", method: c.method, iterations: 50, penalised: strings.HasSuffix(c.metric, "_gamma")}, 3)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			epoch := standard[i]
			if c.method == "bic-gaffa" {
				epoch = i
			}
			mean, _ := statistic(runs, func(r *svmRun) float64 { return r.points[epoch].metrics[c.metric] })
			tolerance := c.tolerance
			if epoch == 0 {
				tolerance = 5e-5 // the start does not depend on C
			}
			if d := math.Abs(float64(mean) - want); d > tolerance {
				t.Errorf("%s, %s, epoch %d: %.4f, published %.4f", c.method, c.metric, epoch, float64(mean), want)
			}
		}
	}
}

// Two splits of the table of arXiv 2406.10148: the rows, the figures that hardly
// depend on the split (y_g is almost 0, so that its loss is e: independently
// computed 2.7085 and 2.7108), and the accuracies within three deviations.
func TestBLOCCTableAgrees(t *testing.T) {
	rows := tableOf(t, bloccTable2(2), Options{Mode: bilevel.Faithful, Data: publishedData(t)})
	for _, dataset := range []string{"diabetes", "fourclass"} {
		if v := rowOf(t, rows, dataset, "blocc", "validation_loss"); math.Abs(float64(v.Ours)-2.71) > .02 {
			t.Errorf("%s: validation loss of y_g %.4f, want 2.71", dataset, float64(v.Ours))
		}
		if v := rowOf(t, rows, dataset, "blocc", "half_norm2"); !(v.Ours < 1e-3) {
			t.Errorf("%s: |w_g|^2/2 = %g, want almost 0", dataset, float64(v.Ours))
		}
		for method, metric := range map[string]string{"blocc": "test_accuracy_gamma", "lv-hba": "test_accuracy", "gam": "test_accuracy"} {
			if r := rowOf(t, rows, dataset, method, metric); !(math.Abs(float64(r.Ours-r.Published)) < .12) {
				t.Errorf("%s, %s: %.4f, published %.4f ± 0.039", dataset, method, float64(r.Ours), float64(r.Published))
			}
		}
	}
}

// Corrected runs need no external data, end near the proven bound, and have the
// same bits for any number of workers.
func TestCorrectedTable(t *testing.T) {
	one := tableOf(t, bloccTable2(2), Options{Workers: 1})
	two := tableOf(t, bloccTable2(2), Options{Workers: 2})
	if len(one) != len(two) {
		t.Fatalf("%d and %d rows", len(one), len(two))
	}
	same := func(a, b certify.Number) bool { return a == b || !a.Known() && !b.Known() }
	for i, r := range one {
		if r.Unit != "s" && (!same(r.Ours, two[i].Ours) || !same(r.Std, two[i].Std)) {
			t.Errorf("%s, %s, %s: %v with one worker, %v with two", r.Dataset, r.Method, r.Metric, r.Ours, two[i].Ours)
		}
	}
	if r := rowOf(t, one, "diabetes", "lv-hba", "upper_over_bound"); !(r.Ours >= 1 && r.Ours < 1.002) {
		t.Errorf("LV-HBA ends at %.5f times the bound", float64(r.Ours))
	}
	if r := rowOf(t, one, "diabetes", "blocc", "upper_over_bound"); !(r.Ours >= 1 && r.Ours < 1.1) {
		t.Errorf("BLOCC ends at %.5f times the bound", float64(r.Ours))
	}
	if r := rowOf(t, one, "fourclass", "blocc", "test_accuracy"); r.Ours.Known() || !strings.Contains(r.Note, "--data") {
		t.Errorf("fourclass without data: %+v", r)
	}
}
