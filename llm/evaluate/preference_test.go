package evaluate_test

import (
	"errors"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/evaluate"
)

// Values by hand: h = 3, -1 and 0 with beta = 0.5.
func TestRank(t *testing.T) {
	logs := [][2]float64{{-1, -5}, {-4, -2}, {-7, -7}}
	reference := [][2]float64{{-2, -3}, {-3, -2}, {-1, -1}}
	p, err := evaluate.Rank(logs, reference, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	loss := []float64{math.Log(1 + math.Exp(-1.5)), math.Log(1 + math.Exp(0.5)), math.Ln2}
	mean := (loss[0] + loss[1] + loss[2]) / 3
	square := 0.0
	for _, l := range loss {
		square += (l - mean) * (l - mean)
	}
	near(t, "loss", p.Loss, mean)
	near(t, "its error", p.LossErr, math.Sqrt(square/6))
	near(t, "margin", p.Margin, (1.5-0.5)/3)
	near(t, "accuracy", p.Accuracy, 1./3)
	if p.Pairs != 3 {
		t.Errorf("%d pairs", p.Pairs)
	}
	// A large h does not overflow.
	far, err := evaluate.Rank([][2]float64{{0, -1e5}, {-1e5, 0}}, [][2]float64{{0, 0}, {0, 0}}, 1)
	if err != nil || far.Loss != 5e4 {
		t.Errorf("%v, %v", far, err)
	}
	if _, err := evaluate.Rank(nil, nil, 1); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("no pairs: %v", err)
	}
}

// Wilson's interval for 8 of 10 is 0.490 to 0.943, and for 0 of 10 it is 0 to 0.278
// (R's prop.test without correction).
func TestShareInterval(t *testing.T) {
	for _, c := range []struct {
		share, low, high float64
	}{{0.8, 0.4902, 0.9433}, {0, 0, 0.2775}, {1, 0.7225, 1}} {
		low, high := evaluate.ShareInterval(c.share, 10)
		if math.Abs(low-c.low) > 1e-4 || math.Abs(high-c.high) > 1e-4 {
			t.Errorf("%g of 10: %g to %g, want %g to %g", 10*c.share, low, high, c.low, c.high)
		}
	}
}
