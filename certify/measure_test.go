package certify

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/toy"
)

func openToy(t testing.TB, name string) *problems.Instance {
	t.Helper()
	inst, err := toy.Family{}.Open(problems.Request{Name: name, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

// TestKnownOptima accepts every toy's known local and global optima.
func TestKnownOptima(t *testing.T) {
	for _, e := range (toy.Family{}).Names() {
		inst := openToy(t, e.Name)
		for _, k := range inst.Known {
			begin := time.Now()
			got, err := Measure(context.Background(), inst.Problem, k.X, k.Y, nil, Settings{})
			if err != nil {
				t.Fatal(err)
			}
			js, _ := json.Marshal(got)
			t.Logf("%s %v global=%v %v %v\n%s", e.Name, k.X[0], k.Global, got.Verdict, time.Since(begin), js)
			if !got.Verdict.OK() {
				t.Errorf("%s: %v", e.Name, got.Message)
			}
		}
	}
}
