package network_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// reference computes the hidden states of one sequence in float64, position by
// position and sum by sum.
type reference struct {
	c       *weights.Config
	values  map[string][]float32
	adapter *weights.Adapter
}

func (r *reference) linear(module string, x []float64, bias bool) []float64 {
	w := r.values[module+".weight"]
	y := make([]float64, len(w)/len(x))
	for o := range y {
		for i, v := range x {
			y[o] += float64(w[o*len(x)+i]) * v
		}
		if bias {
			y[o] += float64(r.values[module+".bias"][o])
		}
	}
	if r.adapter != nil {
		for _, l := range r.adapter.Layers {
			if l.Module != module {
				continue
			}
			for k := range l.Rank {
				low := 0.0
				for i, v := range x {
					low += float64(l.A[k*l.In+i]) * v
				}
				for o := range y {
					y[o] += r.adapter.Scale(module) * float64(l.B[o*l.Rank+k]) * low
				}
			}
		}
	}
	return y
}

func (r *reference) norm(name string, x []float64) []float64 {
	mean, square := 0.0, 0.0
	layer := r.c.Architecture == weights.GPTNeoX
	for _, v := range x {
		if layer {
			mean += v / float64(len(x))
		}
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v - mean) / math.Sqrt(square+r.c.Epsilon) * float64(r.values[name+".weight"][i])
		if layer {
			y[i] += float64(r.values[name+".bias"][i])
		}
	}
	return y
}

func (r *reference) activation(x float64) float64 {
	switch r.c.Activation {
	case weights.SiLU:
		return x / (1 + math.Exp(-x))
	case weights.GELU:
		return x * 0.5 * (1 + math.Erf(x/math.Sqrt2))
	default:
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
}

// turn turns a head by its position.
func (r *reference) turn(x []float64, position int) []float64 {
	y := append([]float64(nil), x...)
	for i, f := range r.c.Rope.InverseFrequencies() {
		j := i + r.c.Rope.Dims/2
		s, c := math.Sincos(float64(position) * f)
		y[i], y[j] = x[i]*c-x[j]*s, x[j]*c+x[i]*s
	}
	return y
}

// attention of all positions, given the queries, keys and values of each by head.
func (r *reference) attention(q, k, v [][][]float64) [][]float64 {
	out := make([][]float64, len(q))
	for t := range q {
		for h := range r.c.Heads {
			kv := h * r.c.KVHeads / r.c.Heads
			query := r.turn(q[t][h], t)
			weight, sum := make([]float64, t+1), 0.0
			for s := range weight {
				key := r.turn(k[s][kv], s)
				for d := range query {
					weight[s] += query[d] * key[d] / math.Sqrt(float64(len(query)))
				}
				weight[s] = math.Exp(weight[s])
				sum += weight[s]
			}
			head := make([]float64, r.c.HeadSize)
			for s, w := range weight {
				for d := range head {
					head[d] += w / sum * v[s][kv][d]
				}
			}
			out[t] = append(out[t], head...)
		}
	}
	return out
}

func split(x []float64, size int) (parts [][]float64) {
	for ; len(x) > 0; x = x[size:] {
		parts = append(parts, x[:size])
	}
	return parts
}

func sum(x ...[]float64) []float64 {
	y := make([]float64, len(x[0]))
	for _, v := range x {
		for i := range y {
			y[i] += v[i]
		}
	}
	return y
}

// layers are the names of the modules of one block.
func (r *reference) block(i int, x [][]float64) {
	c := r.c
	module := func(j int) string { return c.Linears()[i*len(c.Linears())/c.Layers+j].Module }
	prefix := module(0)[:len(module(0))-len("self_attn.q_proj")]
	if c.Architecture == weights.GPTNeoX {
		prefix = module(0)[:len(module(0))-len("attention.query_key_value")]
	}
	q, k, v := make([][][]float64, len(x)), make([][][]float64, len(x)), make([][][]float64, len(x))
	for t := range x {
		h := r.norm(prefix+"input_layernorm", x[t])
		if c.Architecture == weights.GPTNeoX {
			for _, head := range split(r.linear(module(0), h, c.AttentionBias), 3*c.HeadSize) {
				parts := split(head, c.HeadSize)
				q[t], k[t], v[t] = append(q[t], parts[0]), append(k[t], parts[1]), append(v[t], parts[2])
			}
			continue
		}
		q[t] = split(r.linear(module(0), h, c.AttentionBias), c.HeadSize)
		k[t] = split(r.linear(module(1), h, c.AttentionBias), c.HeadSize)
		v[t] = split(r.linear(module(2), h, c.AttentionBias), c.HeadSize)
	}
	for t, a := range r.attention(q, k, v) {
		if c.Architecture == weights.GPTNeoX {
			a = r.linear(module(1), a, c.AttentionBias)
			in := x[t]
			if !c.ParallelResidual {
				in = sum(in, a)
			}
			h := r.linear(module(2), r.norm(prefix+"post_attention_layernorm", in), c.MLPBias)
			for j := range h {
				h[j] = r.activation(h[j])
			}
			x[t] = sum(x[t], a, r.linear(module(3), h, c.MLPBias))
			continue
		}
		x[t] = sum(x[t], r.linear(module(3), a, c.AttentionBias))
		h := r.norm(prefix+"post_attention_layernorm", x[t])
		gate, up := r.linear(module(4), h, c.MLPBias), r.linear(module(5), h, c.MLPBias)
		for j := range gate {
			gate[j] = r.activation(gate[j]) * up[j]
		}
		x[t] = sum(x[t], r.linear(module(6), gate, c.MLPBias))
	}
}

func (r *reference) hidden(ids []int32) (flat []float32) {
	c := r.c
	x := make([][]float64, len(ids))
	for t, id := range ids {
		for _, v := range r.values[c.EmbeddingName()][int(id)*c.Hidden:][:c.Hidden] {
			x[t] = append(x[t], float64(v))
		}
	}
	for i := range c.Layers {
		r.block(i, x)
	}
	last := "model.norm"
	if c.Architecture == weights.GPTNeoX {
		last = "gpt_neox.final_layer_norm"
	}
	for t := range x {
		for _, v := range r.norm(last, x[t]) {
			flat = append(flat, float32(v))
		}
	}
	return flat
}

func llamaConfig(change func(c *weights.Config)) *weights.Config {
	c := &weights.Config{Architecture: weights.Llama, Vocabulary: 23, Hidden: 12, Intermediate: 20, Layers: 2,
		Heads: 6, KVHeads: 2, HeadSize: 4, Context: 64, Epsilon: 1e-5, Activation: weights.SiLU,
		Rope: weights.Rope{Base: 1e4, Dims: 4}, BOS: -1, PAD: -1}
	if change != nil {
		change(c)
	}
	return c
}

func neoxConfig(change func(c *weights.Config)) *weights.Config {
	c := &weights.Config{Architecture: weights.GPTNeoX, Vocabulary: 23, Hidden: 16, Intermediate: 24, Layers: 2,
		Heads: 2, KVHeads: 2, HeadSize: 8, Context: 64, Epsilon: 1e-5, Activation: weights.GELU,
		Rope: weights.Rope{Base: 1e4, Dims: 2}, AttentionBias: true, MLPBias: true, ParallelResidual: true, BOS: -1, PAD: -1}
	if change != nil {
		change(c)
	}
	return c
}

var variants = []struct {
	name string
	c    *weights.Config
}{
	{"llama", llamaConfig(nil)},
	{"llama, heads not the width", llamaConfig(func(c *weights.Config) { c.HeadSize, c.Rope.Dims = 6, 6 })},
	{"llama, one key head, biases, tied", llamaConfig(func(c *weights.Config) {
		c.KVHeads, c.AttentionBias, c.MLPBias, c.TiedHead = 1, true, true, true
	})},
	{"llama, linear positions, tanh GELU", llamaConfig(func(c *weights.Config) {
		c.Rope.Scaling, c.Rope.Factor, c.Activation = "linear", 4, weights.GELUTanh
	})},
	{"llama, frequency divisors", llamaConfig(func(c *weights.Config) { c.Rope.Divisors = []float64{1, 8} })},
	{"neox", neoxConfig(nil)},
	{"neox, sequential, no attention bias, all dimensions turn", neoxConfig(func(c *weights.Config) {
		c.ParallelResidual, c.AttentionBias, c.Rope.Dims = false, false, 8
	})},
}

// random is a model with normal weights.
func random(c *weights.Config, seed uint64) *lmtest.Model {
	m := &lmtest.Model{Config: c, Values: map[string][]float32{}}
	source := rand.New(rand.NewPCG(seed, 1))
	for _, p := range c.Parameters() {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		for range n {
			v := 0.3 * source.NormFloat64()
			if len(p.Shape) == 1 && p.Name[len(p.Name)-4:] != "bias" {
				v++
			}
			m.Values[p.Name] = append(m.Values[p.Name], float32(v))
		}
	}
	return m
}

// adapterOf updates every linear layer, with a B that is not zero.
func adapterOf(t testing.TB, c *weights.Config) *weights.Adapter {
	a, err := lora.New(c, weights.AdapterConfig{Rank: 2, Alpha: 3, Targets: weights.Targets{Pattern: weights.AllLinear}}, 5)
	if err != nil {
		t.Fatal(err)
	}
	source := rand.New(rand.NewPCG(7, 7))
	for _, l := range a.Layers {
		for i := range l.B {
			l.B[i] = float32(0.2 * source.NormFloat64())
		}
	}
	return a
}

// sentences are three sequences of different lengths, padded.
func sentences(pad int32) (lmtest.Batch, []int) {
	lengths := []int{9, 4, 7}
	source := rand.New(rand.NewPCG(3, 3))
	var b lmtest.Batch
	for _, n := range lengths {
		ids, mask := make([]int32, 9), make([]int, 9)
		for t := range ids {
			ids[t] = pad
			if t < n {
				ids[t], mask[t] = int32(source.IntN(23)), 1
			}
		}
		b.IDs, b.Mask = append(b.IDs, ids), append(b.Mask, mask)
	}
	return b, lengths
}

func TestReference(t *testing.T) {
	batch, lengths := sentences(0)
	backendtest.Each(t, func(t *testing.T, b compute.Backend) {
		for _, v := range variants {
			t.Run(v.name, func(t *testing.T) {
				lmtest.Sample(t, b, false)
				model, a := random(v.c, 1), adapterOf(t, v.c)
				net, err := network.New(v.c)
				if err != nil {
					t.Fatal(err)
				}
				got := lmtest.Run(t, b, func(f *lmtest.Feed) []*graph.Node {
					w, ids := f.Weights(model), f.IDs("ids", batch)
					return []*graph.Node{net.Hidden(w, nil, ids), net.Hidden(w, lora.Bind(a, f.Parameters(lora.Parameters(a))), ids)}
				})
				for i, adapter := range []*weights.Adapter{nil, a} {
					r := &reference{v.c, model.Values, adapter}
					for row, n := range lengths {
						states := got[i][row*9*v.c.Hidden:][:n*v.c.Hidden]
						lmtest.Near(t, "hidden states", states, r.hidden(batch.IDs[row][:n]), 3e-6)
					}
				}
			})
		}
	})
}

// What stands in the padding, and how much of it there is, changes nothing before it.
func TestPadding(t *testing.T) {
	short, lengths := sentences(0)
	other, _ := sentences(17)
	long := other.Pad(200, 5)
	b := backendtest.Open(t, "go")
	for _, v := range variants {
		model := random(v.c, 1)
		net, _ := network.New(v.c)
		var got [3][]float32
		for i, batch := range []lmtest.Batch{short, other, long} {
			got[i] = lmtest.Run(t, b, func(f *lmtest.Feed) []*graph.Node {
				return []*graph.Node{net.Hidden(f.Weights(model), nil, f.IDs("ids", batch))}
			})[0]
		}
		for row, n := range lengths {
			at := func(i, width int) []float32 { return got[i][row*width*v.c.Hidden:][:n*v.c.Hidden] }
			lmtest.Near(t, v.name+": other padding", at(1, 9), at(0, 9), 0)
			lmtest.Near(t, v.name+": longer padding", at(2, 200), at(0, 9), 1e-6)
		}
	}
}
