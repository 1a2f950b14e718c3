package generate

import (
	"context"
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/objective"
)

// scoredTokens is about how many positions are scored in one run of a graph: each
// has a row of logits, in float32, on the device.
const scoredTokens = 1024

// LogProbs is log p(t_i | t_0 ... t_i-1) of every token of each sequence but its
// first: result i has one entry less than sequence i.
//
// Errors: a sequence of fewer than 2 tokens or more than the context holds, an id
// outside the vocabulary, failures of the backend (*device.Error), ctx's own when
// it is cancelled.
func (m *Model) LogProbs(ctx context.Context, sequences [][]int32) ([][]float32, error) {
	c := m.Network.Config()
	for i, s := range sequences {
		if len(s) < 2 || len(s) > c.Context {
			return nil, &bilevel.SettingError{Field: fmt.Sprintf("sequence %d", i), Value: fmt.Sprintf("%d tokens", len(s)), Allowed: fmt.Sprintf("2 to %d tokens, as the model's context holds", c.Context)}
		}
		if err := m.checkIDs(fmt.Sprintf("sequence %d", i), s); err != nil {
			return nil, err
		}
	}
	out := make([][]float32, len(sequences))
	order := make([]int, len(sequences))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(sequences[a]) - len(sequences[b]) })
	err := device.Try(func() error {
		for len(order) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			length := scoredLength(len(sequences[order[0]]))
			rows := max(1, scoredTokens/length)
			n := 0
			for n < min(rows, len(order)) && scoredLength(len(sequences[order[n]])) == length {
				n++
			}
			if n < rows/2 { // filling the batch would cost more than it saves
				rows, n = 1, 1
			}
			m.score(sequences, order[:n], rows, length, out)
			order = order[n:]
		}
		return nil
	})
	return out, err
}

// scoredLength is the length to which a sequence is padded: a power of two, 32 or
// more.
func scoredLength(n int) int {
	length := 32
	for length < n {
		length *= 2
	}
	return length
}

// score fills out for the sequences of the given numbers.
func (m *Model) score(sequences [][]int32, numbers []int, rows, length int, out [][]float32) {
	c := m.Network.Config()
	ids := make([]int32, rows*length)
	target := make([]int32, rows*length)
	for r, i := range numbers {
		s := sequences[i]
		copy(ids[r*length:], s)
		copy(target[r*length:], s[1:])
	}
	n := rows * length
	inputs := []*device.Array{m.Space.Int32s(ids, rows, length), m.Space.Int32s(target, n)}
	inputs = append(inputs, m.Arrays...)
	result := m.Space.Record("log-probabilities of "+m.Key, inputs, []shapes.Shape{shapes.Make(dtypes.Float32, n)}, func(_ *device.Trace, in []*graph.Node) []*graph.Node {
		b := m.Bind(in[2:])
		hidden := graph.Reshape(m.Network.Hidden(b.Weights, b.Adapter, in[0]), n, c.Hidden)
		return []*graph.Node{objective.LogProbs(hidden, b.Head, objective.Scored{Target: in[1]})}
	})[0]
	values := result.Floats()
	for r, i := range numbers {
		out[i] = slices.Clone(values[r*length : r*length+len(sequences[i])-1])
	}
}

// checkIDs refuses ids outside the vocabulary.
func (m *Model) checkIDs(what string, ids []int32) error {
	v := m.Network.Config().Vocabulary
	for j, id := range ids {
		if id < 0 || int(id) >= v {
			return &bilevel.SettingError{Field: fmt.Sprintf("%s, token %d", what, j), Value: id, Allowed: fmt.Sprintf("0 to %d, as the model's vocabulary has", v-1)}
		}
	}
	return nil
}
