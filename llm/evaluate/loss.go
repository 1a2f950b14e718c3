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
	for i, e := range examples {
		for _, v := range scores[i][len(e.Prompt)-1:] {
			sum -= float64(v)
		}
		l.Tokens += len(e.Response)
	}
	l.CrossEntropy = sum / float64(l.Tokens)
	return l, nil
}
