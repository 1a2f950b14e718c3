package method_test

import (
	"testing"

	"github.com/bilevel-go/bilevel"
)

// The settings are the published ones with the random start replaced by y = 0,
// lambda = 1. These runs are known to 8 decimals; x is the point of the last
// inner solves, and inner iterations are those of both problems together.
func TestBLOCCToysAsPublished(t *testing.T) {
	for _, c := range []struct {
		problem      string
		x, y         float64
		outer, inner int64
	}{
		{"toy/blocc-1", 0.29999864, 0.30010739, 64, 67573},
		{"toy/blocc-2", 0.98513164, 0.98524102, 79, 84501},
	} {
		inst := open(t, c.problem, bilevel.Faithful)
		r := solve(t, inst.Problem, with(t, "blocc", published(inst, "blocc")), bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: 500, Tolerance: 1e-4})
		near(t, c.problem+" x", r.X[0], c.x, 5e-9)
		near(t, c.problem+" y_F", r.PenalisedY[0], c.y, 5e-9)
		if r.Status != bilevel.Converged || int64(r.Iterations) != c.outer || r.Counts.Inner != c.inner {
			t.Errorf("%s: %v after %d outer and %d inner iterations, want %d and %d", c.problem, r.Status, r.Iterations, r.Counts.Inner, c.outer, c.inner)
		}
	}
}
