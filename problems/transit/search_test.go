package transit

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/method"
)

// searched runs auto for some rounds of the search, before its answer is measured.
func searched(t *testing.T, workers, rounds int, from *bilevel.State) *bilevel.Result {
	t.Helper()
	in := openInstance(t, "transit/9node", nil)
	r, err := bilevel.Solve(context.Background(), in.Problem, new(method.Auto), bilevel.Settings{Seed: 3, Workers: workers, MaxIterations: rounds, Resume: from})
	if err != nil {
		t.Fatal(err)
	}
	if r.State == nil {
		t.Fatalf("ended after %d rounds: %s", r.Iterations, r.Message)
	}
	return r
}

// An interrupted search goes on to the same bits, whatever the number of workers.
func TestSearchResumes(t *testing.T) {
	whole, part := searched(t, 1, 6, nil), searched(t, 4, 2, nil)
	rest := searched(t, 2, 6, part.State)
	if !slices.Equal(whole.X, rest.X) || !maps.EqualFunc(whole.State.Blocks, rest.State.Blocks, slices.Equal) {
		t.Error("a resumed search ends with other bits than an uninterrupted one")
	}
}

// Designs found under limits keep them.
func TestSearchKeepsLimits(t *testing.T) {
	for _, c := range []map[string]string{
		{"budget": "60"}, {"symmetric": "true"}, {"forbid": "1>2,2>1"}, {"force": "1>2:4,9>1:2"}, {"symmetric": "true", "budget": "60", "force": "1>2:2"},
	} {
		in := openInstance(t, "transit/9node", c)
		r, err := bilevel.Solve(context.Background(), in.Problem, new(method.Auto), bilevel.Settings{Seed: 1, MaxIterations: 4})
		if err != nil {
			t.Fatal(err)
		}
		x := slices.Clone(r.X)
		in.Problem.X.Project(x, x)
		for e := range x {
			if d := x[e] - r.X[e]; d > 1e-7 || d < -1e-7 {
				t.Errorf("%v: capacity %d = %v, and %v within the limits", c, e, r.X[e], x[e])
			}
		}
		t.Logf("%v: profit %.6f", c, -r.Upper)
	}
}
