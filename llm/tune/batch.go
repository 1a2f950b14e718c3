package tune

import (
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
)

// batch is a micro-batch on the device, with the states of the backbone that were
// last computed for it.
type batch struct {
	host                         *data.Batch
	ids, at, target, row, weight *device.Array
	pairs                        *device.Array // [P] weight of each pair, of a preference batch
	reference                    *device.Array // [2P] log-probabilities of the reference model
	teacher                      *device.Array // [N, V] logits of the teacher
	// share is the part of this micro-batch in the mean over its batch.
	share float64
	seed  int32 // of dropout
	// states are those at x, in the mode of training.
	states, x *device.Array
	training  bool
	// passed is the x of the last forward pass, which operations of one program share.
	passed         *device.Array
	passedTraining bool
}

// upload puts a micro-batch on the device.
func upload(s *device.Space, b *data.Batch) *batch {
	n := len(b.At)
	return &batch{
		host:   b,
		ids:    s.Int32s(b.IDs, b.Rows, b.Length).Hold(),
		at:     s.Int32s(b.At, n).Hold(),
		target: s.Int32s(b.Target, n).Hold(),
		row:    s.Int32s(b.Row, n).Hold(),
		weight: s.Float32s(b.Weight, n).Hold(),
		share:  1,
	}
}

// asPairs adds what a preference loss needs.
func (b *batch) asPairs(s *device.Space, reference func(row int) (chosen, rejected float32)) {
	p := b.host.Rows / 2
	weight, logs := make([]float32, p), make([]float32, 2*p)
	for i := range p {
		if row := b.host.Source[i]; row != data.NoRow {
			weight[i] = 1
			logs[i], logs[p+i] = reference(row)
		}
	}
	b.pairs = s.Float32s(weight, p).Hold()
	b.reference = s.Float32s(logs, 2*p).Hold()
}

// release gives the storage of the batch back.
func (b *batch) release() {
	b.forget()
	for _, a := range []*device.Array{b.ids, b.at, b.target, b.row, b.weight, b.pairs, b.reference, b.teacher} {
		if a != nil {
			a.Release()
		}
	}
}

// shares reports whether a gradient in x can continue from the forward pass of
// states that are recorded and not yet run.
func (b *batch) shares(x *device.Array) bool {
	return b.states != nil && b.x == x && b.states.Pending()
}

// forget gives the states back.
func (b *batch) forget() {
	if b.states != nil {
		b.states.Release()
		b.x.Release()
		b.states, b.x = nil, nil
	}
}
