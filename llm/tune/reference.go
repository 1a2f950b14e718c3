package tune

import (
	"fmt"

	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/objective"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// LogProbs are the log-probabilities of the two responses of each preference row
// under one model: [chosen, rejected] by row id.
type LogProbs map[int][2]float32

// Lookup is LogProbs as a Level's Reference.
func (l LogProbs) Lookup(row int) (chosen, rejected float32) { return l[row][0], l[row][1] }

// logits are the base model's at the scored positions of a batch, [N, V].
func (t *Trainer) logits(b *batch) *device.Array {
	m := t.b
	in := m.of(b)
	in[inY], in[inTarget], in[inRow], in[inWeight], in[inTeacher] = t.headAt, nil, nil, nil, nil
	shape := shapes.Make(dtypes.Float32, len(b.host.At), m.head[0])
	return m.record("logits of the base model", in, true, []shapes.Shape{shape}, func(t *device.Trace, a args) []*graph.Node {
		return []*graph.Node{network.Logits(m.forward(t, a), a.y)}
	})[0]
}

// reference computes the log-probabilities of a preference batch under the model
// without updates and with the head given.
func (m *backbone) reference(head *device.Array, host *data.Batch, into LogProbs) error {
	logs := m.rowLogProbs(nil, head, host)
	p := host.Rows / 2
	for i, row := range host.Source[:p] {
		if row == data.NoRow {
			continue
		}
		for _, v := range [2]float32{logs[i], logs[p+i]} {
			if v-v != 0 {
				return fmt.Errorf("the log-probability of a response of row %d under the reference model is %g", row, v)
			}
		}
		into[row] = [2]float32{logs[i], logs[p+i]}
	}
	return nil
}

// rowLogProbs are the log-probabilities of the responses of a batch, by row. A nil x
// is the model without updates.
func (m *backbone) rowLogProbs(x, head *device.Array, host *data.Batch) []float32 {
	b := upload(m.space, host)
	defer b.release()
	in, name := m.of(b), "log-probabilities of the base model"
	in[inY] = head
	if x != nil {
		in[inX], name = x, "log-probabilities"
	}
	out := m.record(name, in, true, []shapes.Shape{shapes.Make(dtypes.Float32, host.Rows)},
		func(t *device.Trace, a args) []*graph.Node {
			return []*graph.Node{objective.SequenceLogProbs(objective.LogProbs(m.forward(t, a), a.y, a.scored), a.scored, host.Rows)}
		})[0].Hold()
	defer out.Release()
	return out.Floats()
}
