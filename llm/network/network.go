package network

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/weights"
)

// Node is a value inside a graph.
type Node = graph.Node

// Weights gives the node of a parameter by its Hugging Face name, as
// weights.Config.Parameters lists them; it panics when there is none.
type Weights func(name string) *Node

// Update is the low-rank update of one linear layer: y = W x + Scale B (A x).
type Update struct {
	A     *Node // [rank, in]
	B     *Node // [out, rank]
	Scale float64
}

// Adapter is a set of updates. A nil Adapter, or one without updates, is the base
// model and costs nothing.
type Adapter struct {
	// Updates by the name of the layer, as in "model.layers.0.self_attn.q_proj".
	Updates map[string]Update
	// Dropout is the probability that an entry of a layer's input is left out of
	// A x, in [0, 1); the others are divided by 1 - Dropout. 0 in evaluation.
	Dropout float64
	// Seed is a scalar uint32 that the masks are made from, one and the same on
	// every backend: give a new one with each step. Needed when Dropout > 0.
	Seed *Node
}

// Network builds the graphs of one model.
type Network struct {
	// Checkpoint keeps only the states between blocks for the backward pass and
	// computes the inside of each block again there: a third more work, and half the
	// memory (8 layers of width 128 with 8 heads, 8 x 512 tokens: 0.6 GB at the peak
	// of the process and not 1.1, on either backend). No number changes.
	Checkpoint bool

	config weights.Config
}

// New takes a model's Config, which is validated.
func New(c *weights.Config) (*Network, error) {
	if err := c.Validate("model"); err != nil {
		return nil, err
	}
	return &Network{config: *c}, nil
}

// Config is the model's.
func (n *Network) Config() *weights.Config { return &n.config }

// Hidden is the state of every position after the final norm, [B, T, Hidden] for
// ids of [B, T] int32. See the package comment on padding.
func (n *Network) Hidden(w Weights, a *Adapter, ids *Node) *Node {
	batch, length := idsShape(ids)
	p := n.pass(w, a, ids)
	p.rotate = rotation(ids.Graph(), &n.config, length, nil)
	p.attend = causal(ids.Graph(), length)
	return graph.Reshape(p.run(ids), batch, length, n.config.Hidden)
}

// Logits are the scores of every token of the vocabulary, hidden head^T: [..., V]
// for hidden [..., H] and head [V, H].
func Logits(hidden, head *Node) *Node {
	dims := slices.Clone(hidden.Shape().Dimensions)
	flat := hidden
	if len(dims) != 2 {
		flat = graph.Reshape(hidden, -1, dims[len(dims)-1])
	}
	logits := dense(flat, head)
	if len(dims) == 2 {
		return logits
	}
	dims[len(dims)-1] = head.Shape().Dimensions[0]
	return graph.Reshape(logits, dims...)
}

// Merge is W + Scale B A, the weight of an updated layer.
func (u Update) Merge(w *Node) *Node {
	return graph.Add(w, graph.Dot(graph.MulScalar(u.B, u.Scale), u.A).Product())
}

// Catch runs a function that builds a graph and returns what it panicked with as
// an error.
func Catch(build func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = r
		default:
			err = fmt.Errorf("%v", r)
		}
	}()
	build()
	return nil
}

// idsShape is B and T of a batch of ids.
func idsShape(ids *Node) (batch, length int) {
	s := ids.Shape()
	if s.Rank() != 2 || s.DType != dtypes.Int32 {
		panic(fmt.Errorf("network: ids are %s, want [B, T] of int32", s))
	}
	return s.Dimensions[0], s.Dimensions[1]
}

// pass is one forward pass under construction. States are [B*T, width] throughout.
type pass struct {
	*Network
	weights       Weights
	adapter       *Adapter
	batch, length int

	// rotate turns queries or keys [B, heads, T, head size] by their positions;
	// the scale multiplies the result.
	rotate func(x *Node, scale float64) *Node
	// attend is the attention of layer i: queries [B, kv heads, group, T, head
	// size], scaled and turned, keys and values [B, kv heads, T, head size].
	attend func(i int, q, k, v *Node) *Node
}

func (n *Network) pass(w Weights, a *Adapter, ids *Node) *pass {
	p := &pass{Network: n, weights: w, adapter: a}
	p.batch, p.length = idsShape(ids)
	if a != nil && a.Dropout != 0 {
		switch {
		case !(a.Dropout > 0 && a.Dropout < 1):
			panic(fmt.Errorf("network: Dropout is %g, want a number in [0, 1)", a.Dropout))
		case a.Seed == nil:
			panic(errors.New("network: Adapter.Seed is nil, want a scalar uint32 where Dropout > 0"))
		case !a.Seed.IsScalar() || a.Seed.DType() != dtypes.Uint32:
			panic(fmt.Errorf("network: Adapter.Seed is %s, want a scalar uint32", a.Seed.Shape()))
		}
	}
	return p
}

// run is the stack of blocks between the embedding and the final norm.
func (p *pass) run(ids *Node) *Node {
	c := &p.config
	flat := graph.Reshape(ids, p.batch*p.length, 1)
	x := graph.Gather(p.weights(c.EmbeddingName()), flat)
	block, norm, last := p.llama, p.rmsNorm, "model.norm"
	if c.Architecture == weights.GPTNeoX {
		block, norm, last = p.neox, p.layerNorm, "gpt_neox.final_layer_norm"
	}
	for i := range c.Layers {
		if p.Checkpoint {
			x = x.Checkpoint()
		}
		x = block(i, x)
	}
	if p.Checkpoint {
		x = x.StopCheckpoint()
	}
	return norm(x, last)
}
