package tune

import (
	"fmt"

	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/objective"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Kind is the kind of a level's objective.
type Kind string

// The kinds.
const (
	SFT     Kind = "sft"
	DPO     Kind = "dpo"
	Distill Kind = "distill"
)

// Objective is what one level minimises.
type Objective struct {
	Kind Kind
	DPO  objective.DPO // settings of Kind DPO
	// Teacher is the model that Kind Distill imitates; nil is the base model itself.
	Teacher *Trainer
}

// backbone makes the operations of one model: names of operations that begin with
// its own, the frozen parameters, and where the trained ones lie in x.
type backbone struct {
	space   *device.Space
	network *network.Network
	adapter *weights.Adapter
	dropout float64
	x       device.Layout
	head    []int // shape of the head, [V, H]
	frozen  frozen
	name    string
}

// inputs of an operation, in this order: x, y, then the batch's arrays, then the
// frozen parameters.
const (
	inX = iota
	inY
	inStates
	inIDs
	inAt
	inTarget
	inRow
	inWeight
	inShare
	inPairs
	inReference
	inTeacher
	inSeed
	inFrozen
)

// args are an operation's inputs as nodes; absent ones are nil.
type args struct {
	x, y, states, ids, share, pairs, reference, teacher, seed *graph.Node
	scored                                                    objective.Scored
	weights                                                   network.Weights
}

// record adds an operation on a batch. Inputs that emit does not use are left out
// by passing nil.
func (m *backbone) record(name string, in [inFrozen]*device.Array, frozen bool, outputs []shapes.Shape, emit func(t *device.Trace, a args) []*graph.Node) []*device.Array {
	var list []*device.Array
	var at [inFrozen]int
	for i, a := range in {
		at[i] = -1
		if a != nil {
			at[i] = len(list)
			list = append(list, a)
		}
	}
	first := len(list)
	if frozen {
		list = append(list, m.frozen.arrays...)
	}
	return m.space.Record(m.name+" "+name, list, outputs, func(t *device.Trace, nodes []*graph.Node) []*graph.Node {
		get := func(i int) *graph.Node {
			if at[i] < 0 {
				return nil
			}
			return nodes[at[i]]
		}
		a := args{x: get(inX), states: get(inStates), ids: get(inIDs), share: get(inShare), pairs: get(inPairs),
			reference: get(inReference), teacher: get(inTeacher), seed: get(inSeed),
			scored: objective.Scored{At: get(inAt), Target: get(inTarget), Row: get(inRow), Weight: get(inWeight)}}
		if y := get(inY); y != nil {
			a.y = device.Memo(t, "head "+t.Key(y), func() *graph.Node { return graph.Reshape(y, m.head...) })
		}
		if frozen {
			a.weights = m.frozen.weights(nodes[first:])
		}
		return emit(t, a)
	})
}

// of are the inputs that a batch gives.
func (m *backbone) of(b *batch) (in [inFrozen]*device.Array) {
	in[inIDs], in[inAt], in[inTarget], in[inRow], in[inWeight] = b.ids, b.at, b.target, b.row, b.weight
	in[inPairs], in[inReference], in[inTeacher] = b.pairs, b.reference, b.teacher
	return in
}

// forward is the backbone's states at the scored positions, [N, H], computed once
// in a trace for each x and batch. A nil x is the base model.
func (m *backbone) forward(t *device.Trace, a args) *graph.Node {
	key := "states " + t.Key(a.ids)
	if a.x != nil {
		key += " at " + t.Key(a.x)
	}
	if a.seed != nil {
		key += " dropout " + t.Key(a.seed)
	}
	return device.Memo(t, key, func() *graph.Node {
		var adapter *network.Adapter
		if a.x != nil {
			byName := m.x.ByName(t, a.x)
			adapter = lora.Bind(m.adapter, func(name string) *network.Node { return byName[name] })
			if a.seed != nil {
				adapter.Dropout, adapter.Seed = m.dropout, graph.ConvertDType(a.seed, dtypes.Uint32)
			}
		}
		return a.scored.Gather(m.network.Hidden(a.weights, adapter, a.ids))
	})
}

// states are the backbone's states for a batch at x, from the batch where they are
// known.
func (m *backbone) states(b *batch, x *device.Array, training bool) *device.Array {
	training = training && m.dropout > 0
	if b.states != nil && b.x == x && b.training == training {
		return b.states
	}
	b.forget()
	in := m.of(b)
	in[inX], in[inTarget], in[inRow], in[inWeight], in[inPairs], in[inReference], in[inTeacher] = x, nil, nil, nil, nil, nil, nil
	name := "states"
	if training {
		in[inSeed], name = m.space.Int32s([]int32{b.seed}), "dropout states"
	}
	shape := shapes.Make(dtypes.Float32, len(b.host.At), m.head[1])
	b.states = m.record(name, in, true, []shapes.Shape{shape}, func(t *device.Trace, a args) []*graph.Node {
		return []*graph.Node{m.forward(t, a)}
	})[0].Hold()
	b.x, b.training = x.Hold(), training
	return b.states
}

// String tells objectives apart in the names of operations.
func (o Objective) String() string {
	if o.Kind == DPO {
		return fmt.Sprintf("dpo beta %g smoothing %g ipo %v", o.DPO.Beta, o.DPO.LabelSmoothing, o.DPO.IPO)
	}
	return string(o.Kind)
}

// figures is how many numbers values gives.
func (o Objective) figures() int {
	if o.Kind == DPO {
		return 3
	}
	return 1
}

// values are the loss of a batch times its share, and for preferences the shares
// of accuracy and mean margin, at the states and the head given.
func (o Objective) values(a args, states, head *graph.Node) []*graph.Node {
	switch o.Kind {
	case SFT:
		return []*graph.Node{graph.Mul(objective.SFT(states, head, a.scored), a.share)}
	case Distill:
		return []*graph.Node{graph.Mul(objective.Distill(states, head, a.teacher, a.scored), a.share)}
	}
	logs := objective.SequenceLogProbs(objective.LogProbs(states, head, a.scored), a.scored, a.reference.Shape().Size())
	p := o.DPO.Loss(logs, a.reference, a.pairs)
	return []*graph.Node{graph.Mul(p.Loss, a.share), graph.Mul(p.Accuracy, a.share), graph.Mul(p.Margin, a.share)}
}

func scalars(n int) []shapes.Shape {
	s := make([]shapes.Shape, n)
	for i := range s {
		s[i] = shapes.Make(dtypes.Float32)
	}
	return s
}

// gradX is the gradient in x, followed by the objective's values.
func (m *backbone) gradX(o Objective, b *batch, x, y *device.Array, training bool) []*device.Array {
	in := m.of(b)
	in[inX], in[inY], in[inShare] = x, y, m.space.Number(b.share)
	name := "gradient in x, "
	if training && m.dropout > 0 {
		in[inSeed], name = m.space.Int32s([]int32{b.seed}), "dropout gradient in x, "
	}
	outputs := append([]shapes.Shape{shapes.Make(dtypes.Float32, m.x.Size())}, scalars(o.figures())...)
	return m.record(name+o.String(), in, true, outputs, func(t *device.Trace, a args) []*graph.Node {
		values := o.values(a, m.forward(t, a), graph.StopGradient(a.y))
		return append([]*graph.Node{device.Join(graph.Gradient(values[0], m.x.Pieces(t, a.x)...))}, values...)
	})
}

// gradY is the gradient in y, followed by the objective's values.
func (m *backbone) gradY(o Objective, b *batch, x, y *device.Array, training bool) []*device.Array {
	in := m.of(b)
	in[inIDs], in[inAt] = nil, nil
	in[inStates], in[inY], in[inShare] = m.states(b, x, training), y, m.space.Number(b.share)
	outputs := append([]shapes.Shape{shapes.Make(dtypes.Float32, m.head[0]*m.head[1])}, scalars(o.figures())...)
	return m.record("gradient in y, "+o.String(), in, false, outputs, func(t *device.Trace, a args) []*graph.Node {
		values := o.values(a, graph.StopGradient(a.states), a.y)
		return append([]*graph.Node{device.Join(graph.Gradient(values[0], a.y))}, values...)
	})
}

// value is the objective's values. The states are a program of their own, which
// other occasions share.
func (m *backbone) value(o Objective, b *batch, x, y *device.Array) []*device.Array {
	in := m.of(b)
	in[inIDs], in[inAt] = nil, nil
	in[inStates], in[inY], in[inShare] = m.states(b, x, false), y, m.space.Number(b.share)
	m.space.Run()
	return m.record("value, "+o.String(), in, false, scalars(o.figures()), func(_ *device.Trace, a args) []*graph.Node {
		return o.values(a, a.states, a.y)
	})
}
