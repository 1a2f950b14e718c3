package svm

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

var formulations = []string{"slack-free", "slack", "log-weight", "ridge", "blocc-code", "normalised", "normalised-slack"}

// openBuiltIn opens the compiled-in data; set is "key=value ...".
func openBuiltIn(t testing.TB, set string) *problems.Instance {
	t.Helper()
	return openRequest(t, problems.Request{Name: "svm", Set: settings(set)})
}

func openRequest(t testing.TB, r problems.Request) *problems.Instance {
	t.Helper()
	in, err := Family{}.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Problem.Validate(); err != nil {
		t.Fatal(err)
	}
	return in
}

func settings(s string) map[string]string {
	set := map[string]string{}
	for _, kv := range strings.Fields(s) {
		k, v, _ := strings.Cut(kv, "=")
		set[k] = v
	}
	return set
}

func TestDerivatives(t *testing.T) {
	for _, f := range formulations {
		p := openBuiltIn(t, "formulation="+f).Problem
		rng := rand.New(rand.NewPCG(3, 4))
		for range 3 {
			x, y := slices.Clone(p.X0), slices.Clone(p.Y0)
			for i := range x {
				x[i] += 0.2 * rng.Float64()
			}
			for j := range y {
				y[j] += 0.3 * rng.NormFloat64()
			}
			if err := p.CheckDerivativesAt(x, y); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}

func TestBatchDerivatives(t *testing.T) {
	for _, c := range []struct{ train, batches, seen int }{{200, 1, 200}, {500, 1, 256}, {600, 2, 512}} {
		p := openBuiltIn(t, fmt.Sprintf("formulation=normalised-slack validation=60 train=%d", c.train)).Problem
		b := p.Oracle.(bilevel.Batched)
		if b.Batches() != c.batches {
			t.Fatalf("%d batches of %d rows, want %d", b.Batches(), c.train, c.batches)
		}
		rng := rand.New(rand.NewPCG(1, 1))
		h, seen := make([]float64, p.Coupling.Rows), 0
		for k := range b.Batches() {
			b.UseBatch(k, rng)
			if err := p.CheckDerivativesAt(p.X0, p.Y0); err != nil {
				t.Errorf("batch %d: %v", k, err)
			}
			p.Coupling.Value(h, p.X0, p.Y0)
			for _, v := range h[c.train:] {
				if v != 0 {
					seen++
				}
			}
		}
		if seen != c.seen {
			t.Errorf("one pass over %d rows sees %d slack bounds, want %d", c.train, seen, c.seen)
		}
		b.UseBatch(-1, nil)
		p.Coupling.Value(h, p.X0, p.Y0)
		full := slices.Clone(h)
		b.UseBatch(0, rng)
		b.UseBatch(-1, nil)
		p.Coupling.Value(h, p.X0, p.Y0)
		if !slices.Equal(h, full) {
			t.Error("batches have changed the rows themselves")
		}
		b.UseBatch(0, rng)
		p.Coupling.Value(h, p.X0, p.Y0)
		if slices.Equal(h[:200], full[:200]) {
			t.Error("a shuffled batch pairs every sample with its own slack")
		}
	}
}

// The facts of a lower level with every C_i >= 1: its solution is 0.
func TestLowerSolutionIsTrivialForLargeC(t *testing.T) {
	p := openBuiltIn(t, "start=3").Problem
	y, mu := slices.Clone(p.Y0), make([]float64, p.NX)
	r, err := p.Oracle.(bilevel.LowerSolver).SolveLower(math.Inf(1), p.X0, y, mu)
	if err != nil || r > 1e-12 {
		t.Fatalf("residual %g, error %v", r, err)
	}
	for _, v := range slices.Concat(y, mu) {
		if v != 0 {
			t.Fatalf("lower solution and multipliers hold %g, want 0", v)
		}
	}
	m := openBuiltIn(t, "start=3").Metrics(p.X0, y, nil)
	if math.Abs(m["validation_loss"]-math.E) > 1e-12 {
		t.Errorf("validation loss %.15g, want e", m["validation_loss"])
	}
}

// fixture is a published data folder in miniature: rows of two features.
func fixture(rows int) fs.FS {
	var b strings.Builder
	rng := rand.New(rand.NewPCG(5, 6))
	for range rows {
		x, y := rng.Float64(), rng.Float64()
		if x+y > 1 {
			b.WriteString("+1 ")
		} else {
			b.WriteString("-1 ")
		}
		b.WriteString("1:" + exact(x) + " 2:" + exact(y) + "\n")
	}
	return fstest.MapFS{"svm/fourclass.txt": {Data: []byte(b.String())}}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good.csv": "a,b,class\n" + strings.Repeat("1,2,0\n2,1,1\n", 10), "one.csv": "1,2,0\n2,1,0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := "file=" + filepath.Join(dir, "good.csv")
	for _, c := range []struct {
		name, set string
		mode      bilevel.Mode
		data      fs.FS
		want      string
	}{
		{"svm", "formulation=slackfree", 0, nil, "slack-free, slack"},
		{"svm", "formulatio=slack", 0, nil, `did you mean "formulation"`},
		{"svm/diabete", "", 0, nil, `did you mean "svm/diabetes"`},
		{"svm", "train=-1", 0, nil, "train"},
		{"svm", "train=700", 0, nil, "at most the 768 rows"},
		{"svm", "log_min=3 log_max=3", 0, nil, "log_min"},
		{"svm", "start=big", 0, nil, `start = "big"`},
		{"svm", "start=NaN", 0, nil, `start = "NaN"`},
		{"svm", "plus=yes", 0, nil, `"positive"`},
		{"svm", "label=class", 0, nil, "unless a file is given"},
		{"svm", "", bilevel.Faithful, nil, "--data"},
		{"svm", "data=published", 0, nil, "svm/diabete.txt"},
		{"svm", "data=published", 0, fstest.MapFS{}, "svm/diabete.txt"},
		{"svm/fourclass", "", 0, nil, "svm/fourclass.txt"},
		{"svm/fourclass", "data=built-in", 0, nil, "not compiled in"},
		{"svm/fourclass", "", 0, fixture(20), "at most the 20 rows"},
		{"svm", "file=" + filepath.Join(dir, "none.csv"), 0, nil, "no such file"},
		{"svm", "file=" + dir, 0, nil, "a regular file"},
		{"svm", "file=" + filepath.Join(dir, "one.csv"), 0, nil, `every row has the label "0"`},
		{"svm", good + " train=18 validation=2", 0, nil, "at least one test row"},
		{"svm", good + " data=published", 0, nil, "auto when a file is given"},
		{"svm", good + " label=c", 0, nil, "label"},
		{"svm", good + " train=1 validation=1", 0, nil, "training rows have one class"},
	} {
		_, err := Family{}.Open(problems.Request{Name: c.name, Mode: c.mode, Set: settings(c.set), Data: c.data})
		if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "allowed is") {
			t.Errorf("%s %s: error %v, want %q", c.name, c.set, err, c.want)
		}
	}
	in := openRequest(t, problems.Request{Name: "svm", Set: settings(good)})
	if in.Options["train"] != "12" || in.Options["validation"] != "4" || in.Options["test"] != "4" || in.Options["scaling"] != "train" {
		t.Errorf("options of a file of 20 rows: %v", in.Options)
	}
}

func TestFourclassFromExternalData(t *testing.T) {
	in := openRequest(t, problems.Request{Name: "svm/fourclass", Data: fixture(700)})
	if in.Problem.NX != 500 || in.Problem.NY != 3 || in.Options["features"] != "raw" {
		t.Errorf("%d, %d, %v", in.Problem.NX, in.Problem.NY, in.Options)
	}
}

func TestFeaturesMustStayFinite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge.csv")
	if err := os.WriteFile(file, []byte("1e300,2,0\n"+strings.Repeat("1,2,0\n2,1,1\n", 10)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Family{}.Open(problems.Request{Name: "svm", Set: settings("features=quadratic scaling=none file=" + file)})
	if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), "huge.csv:1:") {
		t.Errorf("error %v", err)
	}
}

func TestUniformStartIsReproducible(t *testing.T) {
	a := openBuiltIn(t, "start=uniform").Problem.X0
	b := openBuiltIn(t, "start=uniform").Problem.X0
	other := openRequest(t, problems.Request{Name: "svm", Seed: 1, Set: settings("start=uniform")}).Problem.X0
	if !slices.Equal(a, b) || slices.Equal(a, other) {
		t.Error("the uniform start must depend on the seed and on nothing else")
	}
	for _, v := range a {
		if v < 1 || v >= 5 {
			t.Fatalf("start %g outside [1, 5)", v)
		}
	}
}
