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
