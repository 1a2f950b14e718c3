package mt19937

import (
	"math"
	"testing"
)

// The first values of numpy.random.seed(1); numpy.random.random_sample().
func TestFloat64(t *testing.T) {
	g := New(1)
	for i, want := range []float64{0.417022004702574, 0.7203244934421581, 0.00011437481734488664} {
		if got := g.Float64(); math.Abs(got-want) > 1e-16 {
			t.Errorf("value %d: %v, want %v", i, got, want)
		}
	}
}
