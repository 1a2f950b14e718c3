package network_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// subject is a random model with an adapter on every linear layer.
type subject struct {
	model   *lmtest.Model
	adapter *weights.Adapter
	net     *network.Network
	batch   lmtest.Batch
}

func newSubject(t testing.TB, c *weights.Config) *subject {
	net, err := network.New(c)
	if err != nil {
		t.Fatal(err)
	}
	batch, _ := sentences(0)
	return &subject{random(c, 1), adapterOf(t, c), net, batch}
}

// gradients are those of a sum over the states, weighted at random, by every factor
// and by the embedding.
func (s *subject) gradients(t testing.TB, b compute.Backend, dropout float64, seed uint32) [][]float32 {
	return lmtest.Run(t, b, func(f *lmtest.Feed) []*graph.Node {
		parameters := f.Parameters(lora.Parameters(s.adapter))
		a := lora.Bind(s.adapter, parameters)
		a.Dropout, a.Seed = dropout, graph.Const(f.Graph, seed)
		hidden := s.net.Hidden(f.Weights(s.model), a, f.IDs("ids", s.batch))
		weight := graph.Cos(graph.IotaFull(f.Graph, hidden.Shape()))
		loss := graph.ReduceAllSum(graph.Mul(hidden, weight))
		with := []*graph.Node{f.Weights(s.model)(s.model.Config.EmbeddingName())}
		for _, p := range lora.Parameters(s.adapter) {
			with = append(with, parameters(p.Name))
		}
		return append([]*graph.Node{loss}, graph.Gradient(loss, with...)...)
	})
}

// Computing blocks again in the backward pass changes no number.
func TestCheckpointChangesNothing(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, b compute.Backend) {
		for _, c := range []*weights.Config{llamaConfig(nil), neoxConfig(nil)} {
			t.Run(string(c.Architecture), func(t *testing.T) {
				lmtest.Sample(t, b, c.Architecture == weights.Llama)
				s := newSubject(t, c)
				plain := s.gradients(t, b, 0.3, 1)
				s.net.Checkpoint = true
				for i, g := range s.gradients(t, b, 0.3, 1) {
					lmtest.Near(t, "loss and gradients", g, plain[i], 2e-6)
				}
			})
		}
	})
}

func TestDropout(t *testing.T) {
	s := newSubject(t, llamaConfig(nil))
	var across [][]float32
	backendtest.Each(t, func(t *testing.T, b compute.Backend) {
		first := s.gradients(t, b, 0.5, 1)
		if across == nil {
			across = first
		}
		for i := range first {
			lmtest.Near(t, "the same seed on another backend", first[i], across[i], 1e-5)
		}
		lmtest.Sample(t, b, false)
		if slices.Equal(s.gradients(t, b, 0.5, 2)[0], first[0]) || slices.Equal(s.gradients(t, b, 0, 1)[0], first[0]) {
			t.Error("another seed, or no dropout, with the same loss")
		}
		if got, want := s.gradients(t, b, 1e-12, 3)[0], s.gradients(t, b, 0, 0)[0]; !slices.Equal(got, want) {
			t.Errorf("a probability of 1e-12: %v, want %v", got, want)
		}
	})
}

// With A the identity, B the identity and everything else taken away, a layer shows
// its mask: the share of entries left out and the size of the others.
func TestDropoutShare(t *testing.T) {
	const n, width, p = 40, 64, 0.3
	c := llamaConfig(func(c *weights.Config) {
		c.Vocabulary, c.Hidden, c.Layers, c.Heads, c.KVHeads, c.HeadSize, c.Rope.Dims = n, width, 1, 1, 1, width, width
	})
	m := random(c, 1)
	for name := range m.Values {
		clear(m.Values[name])
	}
	set := func(name string, v float32) {
		for i := range m.Values[name] {
			m.Values[name][i] = v
		}
	}
	identity := make([]float32, width*width)
	for i := range width {
		identity[i*width+i] = 1
	}
	set("model.embed_tokens.weight", 1) // a norm of constant rows is 1
	set("model.layers.0.input_layernorm.weight", 1)
	set("model.norm.weight", 1)
	copy(m.Values["model.layers.0.self_attn.o_proj.weight"], identity)
	// One token each, so that attention gives the value: 1 + mask/(1-p), then
	// normalised, from which the mask is read off by its sign.
	ids := lmtest.Batch{}
	for i := range n {
		ids.IDs = append(ids.IDs, []int32{int32(i)})
	}
	net, err := network.New(c)
	if err != nil {
		t.Fatal(err)
	}
	masks := map[uint32][]bool{}
	for _, seed := range []uint32{1, 2} {
		got := lmtest.Run(t, backendtest.Open(t, "go"), func(f *lmtest.Feed) []*graph.Node {
			one := f.Float("identity", identity, width, width)
			a := &network.Adapter{Dropout: p, Seed: graph.Const(f.Graph, seed),
				Updates: map[string]network.Update{"model.layers.0.self_attn.v_proj": {A: one, B: one, Scale: 1}}}
			return []*graph.Node{net.Hidden(f.Weights(m), a, f.IDs("ids", ids))}
		})[0]
		left := 0
		for row := range n {
			x := got[row*width:][:width]
			low, high := slices.Min(x), slices.Max(x)
			if ratio := float64(high / low); math.Abs(ratio-(1+1/(1-p))) > 1e-5 {
				t.Fatalf("kept entries are scaled so that the ratio is %g, want %g", ratio, 1+1/(1-p))
			}
			for _, v := range x {
				masks[seed] = append(masks[seed], v == low)
				if v == low {
					left++
				}
			}
		}
		// Four standard deviations of a binomial share.
		if share := float64(left) / (n * width); math.Abs(share-p) > 4*math.Sqrt(p*(1-p)/(n*width)) {
			t.Errorf("seed %d: share left out %g, want %g", seed, share, p)
		}
	}
	same := 0
	for i := range masks[1] {
		if masks[1][i] == masks[2][i] {
			same++
		}
	}
	if share, want := float64(same)/(n*width), p*p+(1-p)*(1-p); math.Abs(share-want) > 4*math.Sqrt(want*(1-want)/(n*width)) {
		t.Errorf("masks of two seeds agree in %g of the entries, want %g", share, want)
	}
}

func TestRefusals(t *testing.T) {
	c := llamaConfig(nil)
	net, err := network.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := network.New(llamaConfig(func(c *weights.Config) { c.KVHeads = 4 })); err == nil || !strings.Contains(err.Error(), "num_key_value_heads") {
		t.Errorf("4 key heads for 6: %v", err)
	}
	m := random(c, 1)
	for _, test := range []struct {
		want  string
		build func(f *lmtest.Feed)
	}{
		{"want [B, T] of int32", func(f *lmtest.Feed) { net.Hidden(f.Weights(m), nil, f.Int("ids", []int32{1, 2}, 2)) }},
		{"no parameter", func(f *lmtest.Feed) {
			net.Hidden(func(name string) *graph.Node { panic("no parameter " + name) }, nil, f.Int("ids", []int32{1, 2}, 1, 2))
		}},
		{"Dropout is 1", func(f *lmtest.Feed) {
			net.Hidden(f.Weights(m), &network.Adapter{Dropout: 1}, f.Int("ids", []int32{1, 2}, 1, 2))
		}},
		{"Seed is nil", func(f *lmtest.Feed) {
			net.Hidden(f.Weights(m), &network.Adapter{Dropout: 0.1}, f.Int("ids", []int32{1, 2}, 1, 2))
		}},
		{"want a scalar uint32", func(f *lmtest.Feed) {
			net.Hidden(f.Weights(m), &network.Adapter{Dropout: 0.1, Seed: graph.Const(f.Graph, int32(1))}, f.Int("ids", []int32{1, 2}, 1, 2))
		}},
		{"3 tensors in the cache, want 4", func(f *lmtest.Feed) {
			one := graph.Parameter(f.Graph, "cache", net.CacheShape(1, 8))
			net.Step(f.Weights(m), nil, f.Int("ids", []int32{1}, 1, 1), f.Int("start", []int32{0}, 1), []*graph.Node{one, one, one})
		}},
		{"tensor 0 of the cache is", func(f *lmtest.Feed) {
			one := graph.Parameter(f.Graph, "cache", shapes.Make(dtypes.Float32, 2, 2, 8, 4))
			net.Step(f.Weights(m), nil, f.Int("ids", []int32{1}, 1, 1), f.Int("start", []int32{0}, 1), []*graph.Node{one, one, one, one})
		}},
		{"start is", func(f *lmtest.Feed) {
			one := graph.Parameter(f.Graph, "cache", net.CacheShape(1, 8))
			net.Step(f.Weights(m), nil, f.Int("ids", []int32{1}, 1, 1), f.Int("start", []int32{0, 0}, 2), []*graph.Node{one, one, one, one})
		}},
	} {
		f := lmtest.NewFeed(backendtest.Open(t, "go"), "refusals")
		if err := network.Catch(func() { test.build(f) }); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want one that says %q", err, test.want)
		}
	}
}
