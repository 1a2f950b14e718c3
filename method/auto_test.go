package method

import (
	"context"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/toy"
)

func openToy(t *testing.T, name string, set map[string]string) *problems.Instance {
	t.Helper()
	inst, err := toy.Family{}.Open(problems.Request{Name: name, Seed: 1, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

// farFrom is the largest difference between x and a known x.
func farFrom(x []float64, k problems.Known) float64 {
	d := 0.0
	for i, v := range k.X {
		d = math.Max(d, math.Abs(v-x[i]))
	}
	return d
}

// size keeps the toys that have a size small enough for a quick test.
func size(name string) string {
	if name == "toy/llc" {
		return "20"
	}
	return "0"
}

func TestAutoReachesTheKnownOptima(t *testing.T) {
	for _, entry := range (toy.Family{}).Names() {
		if entry.Name == "toy/llsc" {
			continue // thousands of lower solves; its optimum is checked where the published tables are
		}
		for _, oracle := range []string{"true", "false"} {
			t.Run(entry.Name+"/oracle="+oracle, func(t *testing.T) {
				inst := openToy(t, entry.Name, map[string]string{"oracle": oracle, "n": size(entry.Name)})
				r, err := bilevel.Solve(context.Background(), inst.Problem, new(Auto), bilevel.Settings{Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range r.Notes {
					t.Logf("%d: %s", n.Iteration, n.Text)
				}
				t.Logf("%s after %d iterations, %v: %s", r.Status, r.Iterations, r.Wall, r.Message)
				c, err := certify.Measure(context.Background(), inst.Problem, r.X, r.Y, r.Multipliers, certify.Settings{Seed: 2})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: %s", c.Verdict, c.Message)
				if len(inst.Known) == 0 {
					return
				}
				if d := farFrom(r.X, inst.Known[0]); d > 1e-6 {
					t.Errorf("x = %.9v, want %.9v (distance %.2g)", r.X[:min(3, len(r.X))], inst.Known[0].X[:min(3, len(r.X))], d)
				}
				if !c.Verdict.OK() {
					t.Errorf("verdict %s", c.Verdict)
				}
			})
		}
	}
}

// A limit that comes before the first iteration has ended leaves the start with the
// follower's answer to it, not with no answer.
func TestAutoLimitedAtOnce(t *testing.T) {
	p := openToy(t, "toy/quadratic", nil).Problem
	r, err := bilevel.Solve(t.Context(), p, new(Auto), bilevel.Settings{TimeLimit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != bilevel.TimeLimit || r.Iterations != 0 {
		t.Fatalf("%v after %d iterations", r.Status, r.Iterations)
	}
	c, err := certify.Measure(t.Context(), p, r.X, r.Y, r.Multipliers, certify.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if float64(c.LowerGap[1]) > 1e-8 {
		t.Errorf("lower-level gap %v", c.LowerGap)
	}
}
