package evaluate

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/generate"
)

// Preferences is how a model ranks pairs of answers beside its reference (arXiv
// 2305.18290): with h = [log pi(c) - log pi(r)] - [log pi_ref(c) - log pi_ref(r)], of
// log-probabilities summed over the answers, the loss -ln sigma(beta h), the margin of
// rewards beta h, and the share of pairs with h > 0.
type Preferences struct {
	Pairs    int     `json:"pairs"`
	Loss     float64 `json:"dpo_loss"`
	Accuracy float64 `json:"dpo_accuracy"`
	Margin   float64 `json:"dpo_margin"`
	// The standard errors of the means, from the spread between pairs; NaN for one pair.
	LossErr, MarginErr float64 `json:"-"`
}

// PairLogs are the summed log-probabilities of the answers of pairs, chosen and
// rejected.
func PairLogs(ctx context.Context, m *generate.Model, examples []data.Preference) (logs [][2]float64, err error) {
	sequences := make([][]int32, 0, 2*len(examples))
	for _, e := range examples {
		for _, answer := range [][]int32{e.Chosen, e.Rejected} {
			sequences = append(sequences, append(append([]int32(nil), e.Prompt...), answer...))
		}
	}
	scores, err := m.LogProbs(ctx, sequences)
	if err != nil {
		return nil, err
	}
	for i, e := range examples {
		from := len(e.Prompt) - 1
		logs = append(logs, [2]float64{sumOf(scores[2*i][from:]), sumOf(scores[2*i+1][from:])})
	}
	return logs, nil
}

// Rank compares the log-probabilities of a model with its reference's.
func Rank(logs, reference [][2]float64, beta float64) (Preferences, error) {
	if len(logs) == 0 || len(logs) != len(reference) {
		return Preferences{}, &bilevel.SettingError{Field: "pairs", Value: len(logs), Allowed: "at least one, and as many as of the reference"}
	}
	p := Preferences{Pairs: len(logs)}
	loss, right, margin := make([]float64, len(logs)), make([]float64, len(logs)), make([]float64, len(logs))
	for i := range logs {
		h := logs[i][0] - logs[i][1] - reference[i][0] + reference[i][1]
		margin[i] = beta * h
		loss[i] = math.Log1p(math.Exp(-math.Abs(beta*h))) + math.Max(-beta*h, 0)
		if h > 0 {
			right[i] = 1
		}
	}
	p.Loss, p.LossErr = meanErr(loss)
	p.Accuracy, _ = meanErr(right)
	p.Margin, p.MarginErr = meanErr(margin)
	return p, nil
}

// meanErr is the mean of values and its standard error.
func meanErr(v []float64) (mean, err float64) {
	n := float64(len(v))
	for _, x := range v {
		mean += x / n
	}
	square := 0.0
	for _, x := range v {
		square += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(square / (n - 1) / n)
}

// ShareInterval is the 95 % interval of a share of n cases by Wilson's score, which
// stays within [0, 1] and has a width where the share is 0 or 1.
func ShareInterval(share float64, n int) (low, high float64) {
	const z = 1.96
	w := z * z / float64(n)
	middle, half := (share+w/2)/(1+w), z/(1+w)*math.Sqrt(share*(1-share)/float64(n)+w/float64(4*n))
	return math.Max(0, middle-half), math.Min(1, middle+half)
}
