package repro

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// smallToys is the protocol with fewer random starts and without the toy on
// which the automatic method takes longest.
var smallToys = toySize{starts: 12, sensitivity: 2, negative: 6, auto: func(name string) bool { return name != "toy/llsc" }}

func small(t *testing.T, mode bilevel.Mode, workers int) []Row {
	t.Helper()
	return ofSize(t, smallToys, mode, workers)
}

func ofSize(t *testing.T, size toySize, mode bilevel.Mode, workers int) []Row {
	t.Helper()
	s := &session{ctx: context.Background(), o: Options{Mode: mode, Seed: 1, Workers: workers}}
	if err := toysOf(size)(s); err != nil {
		t.Fatal(err)
	}
	return s.rows
}

// find returns the row of a figure.
func find(t *testing.T, rows []Row, method, dataset, metric string) Row {
	t.Helper()
	for _, r := range rows {
		if r.Method == method && r.Dataset == dataset && r.Metric == metric {
			return r
		}
	}
	t.Fatalf("no row %s, %s, %s", method, dataset, metric)
	return Row{}
}

// In faithful mode the deterministic figures are the published ones.
func TestToysAsPublished(t *testing.T) {
	rows := small(t, bilevel.Faithful, 0)
	for _, c := range []struct {
		method, dataset string
		metrics         string
		tolerance       float64
	}{
		// Eight printed decimals; iterations are equal.
		{"blocc", "toy/blocc-1", "x y_gamma", 5e-9},
		{"blocc", "toy/blocc-2", "x y_gamma", 5e-9},
		// Six printed decimals. PBGD-Free contracts x by 0.98 at most 1000 times: |x| < 3e-9.
		{"v-pbgd", "toy/pbgd-negative", "x y_g y_gamma", 1e-6},
		{"pbgd-free", "toy/pbgd-negative", "x", 3e-9},
		{"pbgd-free", "toy/pbgd-negative", "y_g", 1e-8},
		// Printed from 32-bit weights of size 5 moved thousands of times.
		{"v-pbgd", "toy/pbgd-positive, iteration 100", "x y_gamma", 2e-5},
		{"v-pbgd", "toy/pbgd-positive, iteration 1000", "x y_gamma", 2e-5},
		{"v-pbgd", "toy/pbgd-positive, iteration 2000", "x y_gamma", 2e-5},
		{"v-pbgd", "toy/pbgd-positive, iteration 3000", "x y_gamma", 2e-5},
		{"v-pbgd", "toy/pbgd-positive, iteration 5000", "x y_gamma", 2e-5},
		{"pbgd-free", "toy/pbgd-positive, iteration 100", "x y_gamma", 2e-5},
		{"pbgd-free", "toy/pbgd-positive, iteration 1000", "x y_gamma", 2e-5},
		{"pbgd-free", "toy/pbgd-positive, iteration 2500", "x y_gamma", 2e-5},
		{"pbgd-free", "toy/pbgd-positive, iteration 3300", "x y_gamma", 2e-5},
		{"pbgd-free", "toy/pbgd-positive, iteration 4900", "x y_gamma", 2e-5},
		// The 32-bit weights are frozen here, short of the limit.
		{"pbgd-free", "toy/pbgd-positive, iteration 14500", "x y_gamma", 1e-4},
		// Four printed decimals.
		{"v-pbgd", "toy/pbgd-positive, iteration 100", "f g", 6e-5},
		{"v-pbgd", "toy/pbgd-positive, iteration 1000", "f g", 6e-5},
		{"v-pbgd", "toy/pbgd-positive, iteration 5000", "f g", 6e-5},
		{"pbgd-free", "toy/pbgd-positive, iteration 100", "f g", 6e-5},
		{"pbgd-free", "toy/pbgd-positive, iteration 4900", "f g", 6e-5},
		{"pbgd-free", "toy/pbgd-positive, iteration 14500", "f g", 6e-5},
		// Two and three printed decimals.
		{"grid", "toy/pbgd-positive", "grid_best_x grid_best_y", 5e-3},
		{"v-pbgd", "toy/pbgd-positive", "distance_to_grid_best distance_to_optimum", 5e-4},
		{"pbgd-free", "toy/pbgd-positive", "distance_to_grid_best distance_to_optimum", 5e-4},
		{"v-pbgd", "toy/pbgd-positive", "largest_delta", 0},
		// Three printed decimals of a run that diverges.
		{"lv-hba", "toy/llc (eta 0.01), iteration 1", "ln_relative_distance", 5e-4},
		{"lv-hba", "toy/llc (eta 0.01), iteration 10", "ln_relative_distance", 5e-4},
		{"lv-hba", "toy/llc (eta 0.01), iteration 100", "ln_relative_distance", 5e-4},
		{"lv-hba", "toy/llc (eta 0.01), iteration 500", "ln_relative_distance", 5e-4},
		{"lv-hba", "toy/llc (eta 0.01), iteration 1500", "ln_relative_distance", 5e-4},
		{"lv-hba", "toy/llc (eta 0.001), iteration 500", "ln_relative_distance", 5e-4},
		{"lv-hba", "toy/llc (eta 0.001), iteration 1000", "ln_relative_distance", 5e-4},
		{"lv-hba", "toy/llc (eta 0.001), iteration 1500", "ln_relative_distance", 5e-4},
		// The last digit of this figure is cut, not rounded: 3.00594.
		{"lv-hba", "toy/llc (eta 0.001), iteration 100", "ln_relative_distance", 1e-3},
	} {
		for metric := range strings.FieldsSeq(c.metrics) {
			r := find(t, rows, c.method, c.dataset, metric)
			if d := math.Abs(float64(r.Ours - r.Published)); !(d <= c.tolerance) {
				t.Errorf("%s, %s, %s: %.9g, published %.9g", c.method, c.dataset, metric, r.Ours, r.Published)
			}
		}
	}
	for _, problem := range []string{"toy/blocc-1", "toy/blocc-2"} {
		for metric, want := range map[string][2]float64{"outer_iterations": {64, 79}, "inner_iterations": {67573, 84501}} {
			r := find(t, rows, "blocc", problem, metric)
			if w := want[int(problem[len(problem)-1]-'1')]; float64(r.Ours) != w {
				t.Errorf("%s: %g %s, want %g", problem, r.Ours, metric, w)
			}
		}
		// The published offset from the exact minima, and the published gap.
		if d := find(t, rows, "blocc", problem, "largest_distance_to_minimum").Ours; d > 6e-3 || d < 5e-4 {
			t.Errorf("%s: largest distance to a minimum %g", problem, d)
		}
		if g := find(t, rows, "blocc", problem, "largest_gap_x_y_gamma").Ours; g > 1.15e-4 {
			t.Errorf("%s: largest gap %g", problem, g)
		}
	}
}

// Corrected mode reaches the closed-form optima, and the certificate agrees.
func TestToysCorrected(t *testing.T) {
	rows := small(t, bilevel.Corrected, 0)
	automatic := 0
	for _, r := range rows {
		switch {
		case strings.Contains(r.Metric, "distance_to_minimum") && !(r.Ours <= 1e-6),
			strings.HasPrefix(r.Metric, "gap_") && r.Ours != 0:
			t.Errorf("%s, %s, %s: %g", r.Method, r.Dataset, r.Metric, r.Ours)
		case r.Method == "auto" && r.Metric == "distance_to_optimum":
			automatic++
			if !(r.Ours <= 1e-6) || !strings.Contains(r.Note, "certificate: verified") {
				t.Errorf("%s: %g from the optimum; %s", r.Dataset, r.Ours, r.Note)
			}
		}
	}
	if automatic < 13 {
		t.Errorf("only %d toys solved by auto", automatic)
	}
	for metric, want := range map[string]float64{"x": -5, "y_g": -6, "f": -35} {
		if r := find(t, rows, "v-pbgd", "toy/pbgd-negative", metric); math.Abs(float64(r.Ours)-want) > 1e-6 {
			t.Errorf("negative toy, v-pbgd, %s: %g, want %g", metric, r.Ours, want)
		}
	}
	// PBGD-Free alone stays blind to the lower level.
	if r := find(t, rows, "pbgd-free", "toy/pbgd-negative", "x"); math.Abs(float64(r.Ours)) > 1e-6 {
		t.Errorf("negative toy, pbgd-free: x = %g, want 0", r.Ours)
	}
}

// Figures other than times have the same bits for any number of workers.
func TestToysDoNotDependOnWorkers(t *testing.T) {
	size := smallToys
	size.auto = func(name string) bool { return !strings.HasPrefix(name, "toy/ll") }
	for _, mode := range []bilevel.Mode{bilevel.Faithful, bilevel.Corrected} {
		one, many := ofSize(t, size, mode, 1), ofSize(t, size, mode, 5)
		if len(one) != len(many) {
			t.Fatalf("%v: %d and %d rows", mode, len(one), len(many))
		}
		for i, a := range one {
			b := many[i]
			if a.Unit == "s" {
				a.Ours, a.Std, b.Ours, b.Std = 0, 0, 0, 0
			}
			if a.Method != b.Method || a.Dataset != b.Dataset || a.Metric != b.Metric || a.Note != b.Note || !same(float64(a.Ours), float64(b.Ours)) || !same(float64(a.Std), float64(b.Std)) {
				t.Errorf("%v: %+v with one worker, %+v with five", mode, a, b)
			}
		}
	}
}

func same(a, b float64) bool { return a == b || a != a && b != b }
