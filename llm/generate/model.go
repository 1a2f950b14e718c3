package generate

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// Bound is a model's parameters inside a graph.
type Bound struct {
	Weights network.Weights
	Adapter *network.Adapter // nil: none
	Head    *graph.Node      // [Vocabulary, Hidden]
}

// Model is a language model on a device. Load makes one of a model's files; a
// trainer, whose variables lie there already, fills in the fields itself.
type Model struct {
	Network *network.Network
	Space   *device.Space
	// Arrays are the parameters, in an order that Bind knows.
	Arrays []*device.Array
	// Bind makes a graph's nodes of Arrays the parameters that they are.
	Bind func(in []*graph.Node) Bound
	// Key names what Bind and Network do: models of one space with the same Key
	// share their compiled graphs.
	Key string

	base    map[string]*device.Array // by parameter name, of a model that Load made
	release []*device.Array
}

// Load puts a model's parameters onto the device, one after the other. Release
// gives the storage back.
func Load(s *device.Space, stored *weights.Model) (*Model, error) {
	net, err := network.New(&stored.Config)
	if err != nil {
		return nil, err
	}
	base := map[string]*device.Array{}
	m := &Model{Network: net, Space: s}
	err = device.Try(func() error {
		for _, name := range stored.Names() {
			values, shape, err := stored.Tensor(name)
			if err != nil {
				return err
			}
			base[name] = s.Float32s(values, shape...).Hold()
			m.release = append(m.release, base[name])
		}
		return nil
	})
	if err != nil {
		m.Release()
		return nil, err
	}
	if head := net.Config().HeadName(); base[head] == nil {
		base[head] = base[net.Config().EmbeddingName()]
	}
	m.bind(base, nil)
	return m, nil
}

// With is the model with an adapter, whose updates stay apart from the weights,
// and with another head, [Vocabulary, Hidden] row-major; either may be nil. The
// adapter must fit the model (weights.Adapter.Bind). The parameters that stay the
// same are shared; m and what With returns are released each on its own.
func (m *Model) With(a *weights.Adapter, head []float32) (*Model, error) {
	c := m.Network.Config()
	if m.base == nil {
		return nil, &bilevel.SettingError{Field: "model", Value: m.Key, Allowed: "a model that Load made"}
	}
	if head != nil && len(head) != c.Vocabulary*c.Hidden {
		return nil, &bilevel.SettingError{Field: "values of the head", Value: len(head), Allowed: fmt.Sprintf("%d x %d, as the model has", c.Vocabulary, c.Hidden)}
	}
	out := &Model{Network: m.Network, Space: m.Space}
	base := map[string]*device.Array{}
	for name, array := range m.base {
		base[name] = array
	}
	err := device.Try(func() error {
		set := func(name string, values []float32, shape ...int) {
			base[name] = m.Space.Float32s(values, shape...)
		}
		if a != nil {
			for _, saved := range a.Saved {
				set(saved.Name, saved.Values, saved.Shape...)
			}
			for _, p := range lora.Parameters(a) {
				set(p.Name, p.Values, p.Shape...)
			}
		}
		if head != nil {
			set(c.HeadName(), head, c.Vocabulary, c.Hidden)
		}
		if name := c.HeadName(); a != nil && head == nil && adapts(a, name) {
			// The graph updates the layers inside the blocks; the head's update is merged.
			values := base[name].Floats()
			for i, l := range a.Layers {
				if l.Module+".weight" == name {
					for j, d := range a.Delta(i) {
						values[j] += d
					}
				}
			}
			set(name, values, c.Vocabulary, c.Hidden)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, array := range base {
		out.release = append(out.release, array.Hold())
	}
	out.bind(base, a)
	return out, nil
}

// adapts reports whether a has an update for a parameter.
func adapts(a *weights.Adapter, name string) bool {
	return slices.ContainsFunc(a.Layers, func(l weights.LoRA) bool { return l.Module+".weight" == name })
}

// bind fills in Arrays, Bind and Key for parameters by name.
func (m *Model) bind(base map[string]*device.Array, a *weights.Adapter) {
	m.base = base
	index := map[string]int{}
	m.Arrays = nil
	at := map[*device.Array]int{}
	h := fnv.New64a()
	fmt.Fprintf(h, "%+v", *m.Network.Config())
	for _, name := range slices.Sorted(maps.Keys(base)) {
		array := base[name]
		if _, ok := at[array]; !ok {
			at[array] = len(m.Arrays)
			m.Arrays = append(m.Arrays, array)
		}
		index[name] = at[array]
		fmt.Fprintf(h, " %s %d", name, index[name])
	}
	if a != nil {
		for _, l := range a.Layers {
			fmt.Fprintf(h, " %s %g", l.Module, a.Scale(l.Module))
		}
	}
	m.Key = fmt.Sprintf("model %016x", h.Sum64())
	head := m.Network.Config().HeadName()
	m.Bind = func(in []*graph.Node) Bound {
		node := func(name string) *graph.Node {
			i, ok := index[name]
			if !ok {
				panic(fmt.Errorf("generate: the model has no parameter %s", name))
			}
			return in[i]
		}
		b := Bound{Weights: node, Head: node(head)}
		if a != nil {
			b.Adapter = lora.Bind(a, node)
		}
		return b
	}
}

// Release gives back the storage of a model that Load or With made, which must not
// be used afterwards.
func (m *Model) Release() {
	for _, a := range m.release {
		a.Release()
	}
	m.release, m.base, m.Arrays = nil, nil, nil
}
