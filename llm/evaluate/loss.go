package evaluate

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/generate"
)

// Loss is the cross-entropy of responses.
type Loss struct {
	Tokens       int     `json:"tokens"`        // of responses
	CrossEntropy float64 `json:"cross_entropy"` // mean over Tokens, in nats
	// StdErr is the standard error of CrossEntropy from the spread between examples,
	// with L the mean and s_i the sum over the t_i tokens of example i
	//	sqrt( n/(n-1) sum (s_i - L t_i)^2 ) / sum t_i ;
	// NaN for a single example.
	StdErr float64 `json:"-"`
}

// Perplexity is exp(CrossEntropy).
func (l Loss) Perplexity() float64 { return math.Exp(l.CrossEntropy) }

// ResponseLoss measures the responses of examples under a model.
func ResponseLoss(ctx context.Context, m *generate.Model, examples []data.Supervised) (Loss, error) {
	if len(examples) == 0 {
		return Loss{}, &bilevel.SettingError{Field: "examples", Value: 0, Allowed: "at least one"}
	}
	sequences := make([][]int32, len(examples))
	for i, e := range examples {
		sequences[i] = append(append([]int32(nil), e.Prompt...), e.Response...)
	}
	scores, err := m.LogProbs(ctx, sequences)
	if err != nil {
		return Loss{}, err
	}
	var l Loss
	sum := 0.0
	each := make([]float64, len(examples))
	for i, e := range examples {
		each[i] = -sumOf(scores[i][len(e.Prompt)-1:])
		sum += each[i]
		l.Tokens += len(e.Response)
	}
	l.CrossEntropy = sum / float64(l.Tokens)
	square := 0.0
	for i, e := range examples {
		d := each[i] - l.CrossEntropy*float64(len(e.Response))
		square += d * d
	}
	n := float64(len(examples))
	l.StdErr = math.Sqrt(n/(n-1)*square) / float64(l.Tokens) // NaN for n = 1
	return l, nil
}

// sumOf adds log-probabilities in float64.
func sumOf(logs []float32) float64 {
	sum := 0.0
	for _, v := range logs {
		sum += float64(v)
	}
	return sum
}
