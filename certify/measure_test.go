package certify

import (
	"context"
	"encoding/json"
	"testing"
)

func TestRightAndWrongAnswersOfKinkedToy(t *testing.T) {
	const x = 0.300704778330
	for _, c := range []struct {
		name     string
		x, y, mu float64
		want     Verdict
	}{
		{"optimum", x, x, 2 * x, Verified},
		{"wrong y", x, x - 0.1, 2 * x, Refuted},
	} {
		got, err := Measure(context.Background(), kinked(4, 1), []float64{c.x}, []float64{c.y}, []float64{c.mu}, Settings{})
		if err != nil {
			t.Fatal(err)
		}
		js, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if got.Verdict != c.want {
			t.Errorf("%s: verdict %v, want %v\n%s", c.name, got.Verdict, c.want, js)
		}
		t.Logf("%s", js)
	}
}
