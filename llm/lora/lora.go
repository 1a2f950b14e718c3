// Package lora makes, names and merges the low-rank updates of a model's linear
// layers.
//
// A layer W [out, in] becomes W + s B A with A [r, in], B [out, r] and s = alpha/r
// (alpha/sqrt(r) with rank stabilisation). Only A and B are trained. Sources: Hu et
// al., arXiv 2106.09685; rank stabilisation, Kalajdzievski, arXiv 2312.03732.
//
// Which layers are adapted, and with what rank and alpha, is read as PEFT reads it
// (package weights); values lie on the host as a weights.Adapter, which is what is
// saved, and Bind puts their nodes into a graph.
package lora

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// DefaultTargets are the layers that are adapted when nothing is said: queries and
// values, or the fused layer that holds them.
func DefaultTargets(a weights.Architecture) weights.Targets {
	if a == weights.GPTNeoX {
		return weights.Targets{Names: []string{"query_key_value"}}
	}
	return weights.Targets{Names: []string{"q_proj", "v_proj"}}
}

// New makes the adapter that the settings describe: A uniform in +-1/sqrt(in), B
// zero, as PEFT does, so that the model starts unchanged. A layer's values depend
// on the seed, its name and its sizes only. Settings without targets get
// DefaultTargets.
func New(c *weights.Config, settings weights.AdapterConfig, seed uint64) (*weights.Adapter, error) {
	if len(settings.Targets.Names) == 0 && settings.Targets.Pattern == "" {
		settings.Targets = DefaultTargets(c.Architecture)
	}
	chosen, err := settings.Targets.Choose(c)
	if err != nil {
		return nil, err
	}
	a := &weights.Adapter{Config: settings}
	for _, l := range chosen {
		r := a.Rank(l.Module)
		if r < 1 || r > min(l.In, l.Out) {
			return nil, fmt.Errorf("lora: rank of layer %s is %d, want 1 to %d, the smaller side of its [%d, %d]", l.Module, r, min(l.In, l.Out), l.Out, l.In)
		}
		update := weights.LoRA{Module: l.Module, Rank: r, In: l.In, Out: l.Out,
			A: make([]float32, r*l.In), B: make([]float32, l.Out*r)}
		initial(update.A, l, seed)
		a.Layers = append(a.Layers, update)
	}
	return a, nil
}

// initial fills A.
func initial(dst []float32, l weights.Linear, seed uint64) {
	name := fnv.New64a()
	name.Write([]byte(l.Module))
	random := rand.New(rand.NewPCG(seed, name.Sum64()))
	bound := 1 / math.Sqrt(float64(l.In))
	for i := range dst {
		dst[i] = float32(bound * (2*random.Float64() - 1))
	}
}

// ParameterA and ParameterB are the names of a layer's factors.
func ParameterA(module string) string { return module + ".lora_A.weight" }

// ParameterB: see ParameterA.
func ParameterB(module string) string { return module + ".lora_B.weight" }

// Parameter is a trained tensor: its name, its shape and its values on the host,
// which are the adapter's own.
type Parameter struct {
	Name   string
	Shape  []int
	Values []float32
}

// Parameters lists the adapter's trained tensors, A and B of each layer in turn.
func Parameters(a *weights.Adapter) []Parameter {
	var list []Parameter
	for _, l := range a.Layers {
		list = append(list,
			Parameter{ParameterA(l.Module), []int{l.Rank, l.In}, l.A},
			Parameter{ParameterB(l.Module), []int{l.Out, l.Rank}, l.B})
	}
	return list
}

// Bind gives the adapter's nodes in a graph; node finds the node of a parameter by
// its name. Dropout is left at 0: set it, with a seed, where the graph trains.
func Bind(a *weights.Adapter, node func(name string) *network.Node) *network.Adapter {
	bound := &network.Adapter{Updates: map[string]network.Update{}}
	for _, l := range a.Layers {
		bound.Updates[l.Module] = network.Update{
			A: node(ParameterA(l.Module)), B: node(ParameterB(l.Module)), Scale: a.Scale(l.Module),
		}
	}
	return bound
}

// Merge adds the update of a layer to its weight, in place and with sums in
// float64; other tensors are left as they are. name is a parameter's
// ("....q_proj.weight"). A tensor that the adapter saves whole is replaced.
func Merge(a *weights.Adapter, name string, values []float32) error {
	for _, s := range a.Saved {
		if s.Name == name {
			if len(s.Values) != len(values) {
				return fmt.Errorf("lora: %s has %d values, want %d as in the adapter", name, len(values), len(s.Values))
			}
			copy(values, s.Values)
		}
	}
	for i := range a.Layers {
		if l := &a.Layers[i]; l.Module+".weight" == name {
			if len(values) != l.Out*l.In {
				return fmt.Errorf("lora: %s has %d values, want %d x %d as in the adapter", name, len(values), l.Out, l.In)
			}
			for j, d := range a.Delta(i) {
				values[j] += d
			}
		}
	}
	return nil
}
