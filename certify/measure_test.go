package certify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/toy"
	"github.com/bilevel-go/bilevel/set"
)

func openToy(t testing.TB, name string) *problems.Instance {
	t.Helper()
	r := problems.Request{Name: name, Seed: 1}
	if name == "toy/llc" {
		r.Set = map[string]string{"n": "30"} // 100 by default, which takes a second
	}
	inst, err := toy.Family{}.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

func measure(t testing.TB, p *bilevel.Problem, x, y, mu []float64) *Certificate {
	t.Helper()
	c, err := Measure(context.Background(), p, x, y, mu, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKnownOptima accepts every toy's known local and global optima, with and
// without y, and proves those it can.
func TestKnownOptima(t *testing.T) {
	want := map[string]Verdict{
		"toy/double-well": VerifiedLocally, "toy/unbounded": VerifiedLocally, // nothing declared convex
		"toy/simplex-kink": VerifiedLocally, // a kink in six dimensions
	}
	for _, e := range (toy.Family{}).Names() {
		inst := openToy(t, e.Name)
		for _, k := range inst.Known {
			for _, y := range [][]float64{k.Y, nil} {
				c := measure(t, inst.Problem, k.X, y, nil)
				atLeast, listed := want[e.Name]
				if !listed {
					atLeast = Verified
				}
				if c.Verdict > atLeast || c.Verdict == VerifiedGlobally && !k.Global {
					t.Errorf("%s at x[0] = %.6g, y given %v: %v, want %v or better: %s", e.Name, k.X[0], y != nil, c.Verdict, atLeast, c.Message)
				}
				if d := math.Abs(float64(c.UpperSpread[0]) - k.Upper); d > 1e-7*(1+math.Abs(k.Upper)) {
					t.Errorf("%s: f at the lower solution is off by %.3g", e.Name, d)
				}
				if len(c.FalseDeclarations) > 0 {
					t.Errorf("%s: declarations called false: %v", e.Name, c.FalseDeclarations)
				}
			}
		}
	}
}

// TestGlobal checks that the bound proves the toys whose relaxation is attained.
func TestGlobal(t *testing.T) {
	for _, name := range []string{"toy/blocc-1", "toy/blocc-2", "toy/infeasible"} {
		inst := openToy(t, name)
		k := inst.Known[0]
		if c := measure(t, inst.Problem, k.X, k.Y, nil); c.Verdict != VerifiedGlobally {
			t.Errorf("%s: %v: %s", name, c.Verdict, c.Message)
		}
	}
}

func moved(v []float64, i int, by float64) []float64 {
	w := append([]float64(nil), v...)
	w[i] += by
	return w
}

// TestWrongAnswers feeds every kind of wrong answer; each must be refused for
// its own reason.
func TestWrongAnswers(t *testing.T) {
	blocc1, blocc2 := openToy(t, "toy/blocc-1"), openToy(t, "toy/blocc-2")
	simplex, llc, well := openToy(t, "toy/simplex"), openToy(t, "toy/llc"), openToy(t, "toy/double-well")
	k := blocc1.Known[0]
	mu := []float64{2 * k.X[0]}
	one := func(v float64) []float64 { return []float64{v} }
	nan := math.NaN()
	near := blocc1.Known[1].X[0] // a local minimum, above the global bound
	for _, c := range []struct {
		name     string
		inst     *problems.Instance
		x, y, mu []float64
		want     Verdict
		reason   string
	}{
		{"wrong y", blocc1, k.X, moved(k.Y, 0, -0.1), mu, Refuted, "y is not a lower solution"},
		{"slightly wrong y", blocc1, k.X, moved(k.Y, 0, -1e-2), mu, Refuted, "y is not a lower solution"},
		{"barely wrong y", blocc1, k.X, moved(k.Y, 0, -1e-6), mu, Inexact, "tolerance"},
		{"wrong multipliers", blocc1, k.X, k.Y, one(mu[0] + 0.1), Refuted, "multipliers do not belong to y"},
		{"zero multipliers", blocc1, k.X, k.Y, one(0), Refuted, "multipliers do not belong to y"},
		{"barely wrong multipliers", blocc1, k.X, k.Y, one(mu[0] + 1e-5), Inexact, "multipliers do not belong to y"},
		{"negative multiplier", blocc1, k.X, k.Y, one(-mu[0]), Refuted, "negative"},
		{"x outside X", blocc1, one(-0.5), one(-0.5), nil, Refuted, "x is at distance 0.5 from X"},
		{"x just outside X", blocc2, one(-1e-5), one(-1e-5), nil, Refuted, "x"},
		{"y breaks the coupling", blocc1, k.X, moved(k.Y, 0, 0.1), mu, Refuted, "row 0 of the coupling constraint is violated by 0.1"},
		{"y outside Y", simplex, simplex.Known[0].X, moved(simplex.Known[0].Y, 2, 0.3), nil, Refuted, "from Y"},
		{"lower local minimum", well, one(0.2), one(otherMinimum(well, 0.2)), nil, Refuted, "another y has a lower objective"},
		{"x nan", blocc1, one(nan), k.Y, mu, Refuted, "component 0 of x is NaN"},
		{"y nan", blocc1, k.X, one(nan), mu, Refuted, "component 0 of y is NaN"},
		{"y infinite", blocc1, k.X, one(math.Inf(1)), mu, Refuted, "component 0 of y is +Inf"},
		{"multiplier nan", blocc1, k.X, k.Y, one(nan), Refuted, "component 0 of the multipliers is NaN"},
		{"x not stationary", blocc1, one(1), one(1), one(2), Refuted, "x is not a local minimum"},
		{"x a maximum", blocc1, one(0.789148670161), one(0.789148670161), nil, Refuted, "x is not a local minimum"},
		{"x at the boundary, descent inward", blocc2, one(3), one(3), nil, Refuted, "x is not a local minimum"},
		{"x on the kink, descent", blocc1, one(0), one(0), nil, Refuted, "x is not a local minimum"},
		{"x almost stationary", blocc1, one(near + 1e-4), one(near + 1e-4), nil, Inexact, "stationary"},
		{"published run, loose tolerances", blocc1, one(0.29999864), one(0.30010739), nil, Inexact, "coupling constraint"},
		{"published PBGD-Free", openToy(t, "toy/pbgd-negative"), one(0), one(-1), nil, Refuted, "x is not a local minimum"},
		{"pessimistic y", llc, llc.Known[0].X, pessimistic(llc.Known[0].Y), nil, Refuted, "not the optimistic one"},
	} {
		got := measure(t, c.inst.Problem, c.x, c.y, c.mu)
		if got.Verdict != c.want || !strings.Contains(got.Message, c.reason) {
			t.Errorf("%s: %v, want %v with %q: %s", c.name, got.Verdict, c.want, c.reason, got.Message)
		}
		if got.Verdict.OK() {
			t.Errorf("%s: accepted", c.name)
		}
	}
}

// otherMinimum is the follower's local minimum at x > 0 that is not the global
// one: the negative one, bisected.
func otherMinimum(inst *problems.Instance, x float64) float64 {
	d := make([]float64, 1)
	lo, hi := -2.0, -0.6
	for range 60 {
		mid := (lo + hi) / 2
		if inst.Problem.Lower.GradY(d, []float64{x}, []float64{mid}); d[0] < 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// pessimistic moves the part of y to which LLC's lower level is indifferent:
// 1'y2 stays, f grows.
func pessimistic(y []float64) []float64 {
	w := append([]float64(nil), y...)
	n := len(w) / 2
	w[n] += 0.5
	w[n+1] -= 0.5
	return w
}

// TestLowerLevelWithoutSolution: no y can be right where there is none.
func TestLowerLevelWithoutSolution(t *testing.T) {
	inf, unb := openToy(t, "toy/infeasible"), openToy(t, "toy/unbounded")
	for _, c := range []struct {
		p    *bilevel.Problem
		x, y []float64
		want string
	}{
		{inf.Problem, []float64{1.5}, nil, "no y that meets the lower constraints"},
		{inf.Problem, []float64{1.5}, []float64{1.2}, "coupling constraint is violated"},
		{unb.Problem, []float64{-0.5}, nil, "no minimum"},
		{unb.Problem, []float64{-0.5}, []float64{1}, ""},
	} {
		got := measure(t, c.p, c.x, c.y, nil)
		if got.Verdict != Refuted || !strings.Contains(got.Message, c.want) {
			t.Errorf("%s at x = %v, y = %v: %v: %s", c.p.Name, c.x, c.y, got.Verdict, got.Message)
		}
	}
}

// TestMistakes: what is not an answer at all is an error.
func TestMistakes(t *testing.T) {
	p := openToy(t, "toy/blocc-1").Problem
	ctx := context.Background()
	for name, call := range map[string]func() error{
		"len(x)":           func() error { _, err := Measure(ctx, p, []float64{1, 2}, nil, nil, Settings{}); return err },
		"len(y)":           func() error { _, err := Measure(ctx, p, []float64{1}, []float64{1, 2}, nil, Settings{}); return err },
		"len(multipliers)": func() error { _, err := Measure(ctx, p, []float64{1}, nil, []float64{}, Settings{}); return err },
		"Gamma":            func() error { _, err := Measure(ctx, p, []float64{1}, nil, nil, Settings{Gamma: -1}); return err },
		"Starts":           func() error { _, err := Measure(ctx, p, []float64{1}, nil, nil, Settings{Starts: -1}); return err },
		"Tolerances.Gap": func() error {
			_, err := Measure(ctx, p, []float64{1}, nil, nil, Settings{Tolerances: Tolerances{Gap: math.NaN()}})
			return err
		},
		"Lower.Value": func() error {
			q := *p
			q.Lower.Value = nil
			_, err := Measure(ctx, &q, []float64{1}, nil, nil, Settings{})
			return err
		},
	} {
		err := call()
		if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Measure(stopped, p, []float64{1}, nil, nil, Settings{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// TestFalseDeclarations: a declaration that a sample contradicts is reported and
// carries nothing.
func TestFalseDeclarations(t *testing.T) {
	inst := openToy(t, "toy/double-well")
	p := *inst.Problem
	p.Structure = bilevel.Structure{LowerConvex: true, LowerModulus: 1, LowerQuadratic: true, JointlyConvex: true}
	k := inst.Known[0]
	c := measure(t, &p, k.X, k.Y, nil)
	if c.Verdict != VerifiedLocally || len(c.FalseDeclarations) < 3 {
		t.Errorf("%v with %q", c.Verdict, c.FalseDeclarations)
	}
	wrong := []float64{otherMinimum(inst, 0.2)}
	if c := measure(t, &p, []float64{0.2}, wrong, nil); c.Verdict != Refuted {
		t.Errorf("local minimum under a false declaration: %v: %s", c.Verdict, c.Message)
	}
}

type liar float64

func (l liar) LowerBound() (float64, string, error) { return float64(l), "a claim", nil }

// TestFalseBound: a bound above a known answer is disproved by it.
func TestFalseBound(t *testing.T) {
	inst := openToy(t, "toy/blocc-1")
	p := *inst.Problem
	p.Oracle = liar(3)
	k := inst.Known[0]
	c := measure(t, &p, k.X, k.Y, nil)
	if c.Bound != nil || c.Verdict != Verified || !strings.Contains(strings.Join(c.Notes, " "), "is false") {
		t.Errorf("%v, bound %v, notes %q", c.Verdict, c.Bound, c.Notes)
	}
}

// TestKnownBound: a bound given in the settings goes before the problem's own.
func TestKnownBound(t *testing.T) {
	inst := openToy(t, "toy/blocc-1")
	p := *inst.Problem
	p.Oracle = liar(-9)
	k := inst.Known[0]
	c, err := Measure(t.Context(), &p, k.X, k.Y, nil, Settings{Bounder: liar(-7)})
	if err != nil {
		t.Fatal(err)
	}
	if c.Bound == nil || c.Bound.Value != -7 {
		t.Errorf("bound %v", c.Bound)
	}
}

// TestJSON: the field names are a contract, and figures that do not exist are null.
func TestJSON(t *testing.T) {
	inst := openToy(t, "toy/double-well")
	k := inst.Known[0]
	for _, x := range [][]float64{k.X, {math.NaN()}} {
		c := measure(t, inst.Problem, x, k.Y, nil)
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"verdict", "message", "upper_feasibility", "lower_feasibility", "lower_gap", "lower_kkt", "complementarity",
			"hypergradient", "unique", "upper_spread", "bound", "flatness"} {
			if _, ok := m[key]; !ok {
				t.Errorf("no %q in %s", key, b)
			}
		}
		for outer, keys := range map[string][]string{"hypergradient": {"norm", "error", "probe", "differentiable"}, "flatness": {"delta", "alpha", "c", "omitted_ratio"}} {
			for _, key := range keys {
				if _, ok := m[outer].(map[string]any)[key]; !ok {
					t.Errorf("no %s.%s in %s", outer, key, b)
				}
			}
		}
		if gap := m["lower_gap"].([]any); gap[1] != nil {
			t.Errorf("a nonconvex lower level has no dual bound, but lower_gap = %v", gap)
		}
		var back Certificate
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(&back); !bytes.Equal(again, b) {
			t.Errorf("read back as %s, was %s", again, b)
		}
		for _, r := range c.Sentences() {
			if r.Name == "" || !strings.HasSuffix(r.Sentence, ".") || strings.Contains(r.Value+r.Sentence, "NaN") && x[0] == x[0] {
				t.Errorf("row %+v", r)
			}
		}
	}
}

// TestRows: every row of right and wrong answers is a sentence without undefined
// figures, and a y that is not allowed shows on which side of v(x) it lies.
func TestRows(t *testing.T) {
	row := func(c *Certificate, name string) Row {
		for _, r := range c.Sentences() {
			if s := r.Value + " " + r.Sentence; !strings.HasSuffix(r.Sentence, ".") || strings.Contains(s, "Inf") || strings.Contains(s, "NaN") || strings.Contains(s, "%!") {
				t.Errorf("row %+v", r)
			}
			if r.Name == name {
				return r
			}
		}
		t.Fatalf("no row %q", name)
		return Row{}
	}
	blocc := openToy(t, "toy/blocc-1")
	k := blocc.Known[0]
	below, above := measure(t, blocc.Problem, k.X, moved(k.Y, 0, 0.1), nil), measure(t, blocc.Problem, k.X, moved(k.Y, 0, -0.1), nil)
	if !(below.LowerGap[0] < 0 && below.LowerGap[1] < 0) || !strings.Contains(row(below, "lower-level gap").Sentence, "misses the lower constraints by 0.1") ||
		!strings.Contains(row(below, "lower-level gap").Sentence, "below the least") {
		t.Errorf("y beyond the constraint: %v, %+v", below.LowerGap, row(below, "lower-level gap"))
	}
	if !(above.LowerGap[0] > 0) || !strings.Contains(row(above, "lower-level gap").Sentence, "has a better answer than y") {
		t.Errorf("y within the constraint: %v, %+v", above.LowerGap, row(above, "lower-level gap"))
	}
	for _, e := range (toy.Family{}).Names() {
		inst := openToy(t, e.Name)
		for _, k := range inst.Known {
			for _, x := range [][]float64{k.X, moved(k.X, 0, 0.3), moved(k.X, 0, -2)} {
				c := measure(t, inst.Problem, x, k.Y, nil)
				row(c, "flatness")
				if strings.Contains(c.Message, "Inf") || strings.Contains(strings.Join(c.Notes, " "), "Inf") {
					t.Errorf("%s: %s %q", e.Name, c.Message, c.Notes)
				}
			}
		}
	}
}

// TestDeterminism: the same point gives the same bits.
func TestDeterminism(t *testing.T) {
	inst := openToy(t, "toy/quadratic")
	k := inst.Known[0]
	a, _ := json.Marshal(measure(t, inst.Problem, k.X, nil, nil))
	b, _ := json.Marshal(measure(t, inst.Problem, k.X, nil, nil))
	if !bytes.Equal(a, b) {
		t.Errorf("%s\n%s", a, b)
	}
}

// TestDifferences: with values alone, everything rests on differences, and right
// and wrong answers are still told apart.
func TestDifferences(t *testing.T) {
	for _, name := range []string{"toy/blocc-1", "toy/simplex", "toy/pbgd-positive"} {
		inst := openToy(t, name)
		p := *inst.Problem
		p.Oracle = nil
		p.Upper = bilevel.Objective{Value: p.Upper.Value}
		p.Lower = bilevel.Objective{Value: p.Lower.Value}
		if h := p.Coupling; h != nil {
			p.Coupling = &bilevel.Coupling{Rows: h.Rows, Equalities: h.Equalities, Value: h.Value, Affine: h.Affine}
		}
		if y := p.Y; y != nil {
			plain, err := set.Func(p.NY, y.Project, "a set that knows its projection only")
			if err != nil {
				t.Fatal(err)
			}
			p.Y = plain
		}
		k := inst.Known[0]
		if c := measure(t, &p, k.X, k.Y, nil); c.Verdict != Verified {
			t.Errorf("%s: %v: %s", name, c.Verdict, c.Message)
		}
		if c := measure(t, &p, k.X, moved(k.Y, 0, 0.05), nil); c.Verdict != Refuted {
			t.Errorf("%s with y moved: %v: %s", name, c.Verdict, c.Message)
		}
		if c := measure(t, &p, moved(k.X, 0, 0.05), nil, nil); c.Verdict.OK() {
			t.Errorf("%s with x moved: %v: %s", name, c.Verdict, c.Message)
		}
	}
}
