package tune

import (
	"fmt"

	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/gomlx/gomlx/core/graph"
)

// layout places tensors one after the other in a vector.
type layout struct {
	names  []string
	shapes [][]int
	starts []int // of each tensor, and the length of the vector
}

func layoutOf(parameters []lora.Parameter) layout {
	l := layout{starts: []int{0}}
	for _, p := range parameters {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		l.names = append(l.names, p.Name)
		l.shapes = append(l.shapes, p.Shape)
		l.starts = append(l.starts, l.starts[len(l.starts)-1]+n)
	}
	return l
}

// size is the length of the vector.
func (l *layout) size() int { return l.starts[len(l.starts)-1] }

// pieces are the tensors of the vector v, made once in a trace.
func (l *layout) pieces(t *device.Trace, v *graph.Node) []*graph.Node {
	return device.Memo(t, "pieces of "+t.Key(v), func() []*graph.Node {
		all := make([]*graph.Node, len(l.names))
		for i := range all {
			all[i] = graph.Reshape(graph.Slice(v, graph.AxisRange(l.starts[i], l.starts[i+1])), l.shapes[i]...)
		}
		return all
	})
}

// join is the inverse of pieces.
func join(pieces []*graph.Node) *graph.Node {
	flat := make([]*graph.Node, len(pieces))
	for i, p := range pieces {
		flat[i] = graph.Reshape(p, -1)
	}
	if len(flat) == 1 {
		return flat[0]
	}
	return graph.Concatenate(flat, 0)
}

// frozen are the base model's parameters on the device.
type frozen struct {
	names  []string
	arrays []*device.Array
}

// load puts the parameters of m that the backbone needs on the device, and
// returns the output head on the host.
func load(s *device.Space, m *weights.Model) (frozen, []float32, error) {
	var f frozen
	for _, p := range m.Config.Parameters() {
		if p.Name == m.Config.HeadName() {
			continue
		}
		values, shape, err := m.Tensor(p.Name)
		if err != nil {
			return f, nil, err
		}
		f.names = append(f.names, p.Name)
		f.arrays = append(f.arrays, s.Float32s(values, shape...).Hold())
	}
	head, _, err := m.Tensor(m.Config.HeadName())
	if err != nil {
		return f, nil, err
	}
	return f, head, nil
}

// weights finds the base model's parameters among the nodes of an operation's
// inputs.
func (f *frozen) weights(nodes []*graph.Node) network.Weights {
	index := make(map[string]*graph.Node, len(f.names))
	for i, name := range f.names {
		index[name] = nodes[i]
	}
	return func(name string) *graph.Node {
		n, ok := index[name]
		if !ok {
			panic(fmt.Errorf("tune: the network asks for parameter %q, which the model has not", name))
		}
		return n
	}
}
