package tune

import (
	"fmt"

	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/gomlx/gomlx/core/graph"
)

// layoutOf places the updates' tensors in x.
func layoutOf(parameters []lora.Parameter) device.Layout {
	var l device.Layout
	for _, p := range parameters {
		l.Add(p.Name, p.Shape...)
	}
	return l
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
