package lora_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
)

func llama() *weights.Config {
	return &weights.Config{Architecture: weights.Llama, Vocabulary: 50, Hidden: 32, Intermediate: 48, Layers: 2,
		Heads: 4, KVHeads: 2, HeadSize: 8, Context: 64, Epsilon: 1e-5, Activation: weights.SiLU,
		Rope: weights.Rope{Base: 1e4, Dims: 8}, BOS: -1, PAD: -1}
}

func modules(a *weights.Adapter) (names []string) {
	for _, l := range a.Layers {
		names = append(names, strings.TrimPrefix(l.Module, "model.layers."))
	}
	return names
}

func TestNew(t *testing.T) {
	neox := llama()
	neox.Architecture, neox.KVHeads = weights.GPTNeoX, 4
	for _, c := range []struct {
		name     string
		config   *weights.Config
		settings weights.AdapterConfig
		want     []string // modules
		rank     []int
		scale    []float64
	}{
		{"queries and values", llama(), weights.AdapterConfig{Rank: 4, Alpha: 8},
			[]string{"0.self_attn.q_proj", "0.self_attn.v_proj", "1.self_attn.q_proj", "1.self_attn.v_proj"},
			[]int{4, 4, 4, 4}, []float64{2, 2, 2, 2}},
		{"fused", neox, weights.AdapterConfig{Rank: 4, Alpha: 8, UseRSLoRA: true},
			[]string{"gpt_neox.layers.0.attention.query_key_value", "gpt_neox.layers.1.attention.query_key_value"},
			[]int{4, 4}, []float64{4, 4}},
		{"a pattern, ranks of their own", llama(), weights.AdapterConfig{Rank: 4, Alpha: 8,
			Targets:     weights.Targets{Pattern: `model\.layers\.1\.mlp\.(up|down)_proj`},
			RankPattern: map[string]int{"up_proj": 2}, AlphaPattern: map[string]float64{"down_proj": 1}},
			[]string{"1.mlp.up_proj", "1.mlp.down_proj"}, []int{2, 4}, []float64{4, 0.25}},
	} {
		a, err := lora.New(c.config, c.settings, 1)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := modules(a); !slices.Equal(got, c.want) {
			t.Errorf("%s: layers %v, want %v", c.name, got, c.want)
			continue
		}
		for i, l := range a.Layers {
			if l.Rank != c.rank[i] || a.Scale(l.Module) != c.scale[i] {
				t.Errorf("%s: rank %d, scale %g of %s, want %d and %g", c.name, l.Rank, a.Scale(l.Module), l.Module, c.rank[i], c.scale[i])
			}
		}
	}
	all, err := lora.New(llama(), weights.AdapterConfig{Rank: 1, Alpha: 1, Targets: weights.Targets{Names: []string{weights.AllLinear}}}, 1)
	if err != nil || len(all.Layers) != 14 {
		t.Errorf("all-linear: %d layers, %v, want 14", len(all.Layers), err)
	}
}

// A is uniform in +-1/sqrt(in): its mean 0, its variance bound^2/3. B is zero.
func TestInitialValues(t *testing.T) {
	settings := weights.AdapterConfig{Rank: 16, Alpha: 16, Targets: weights.Targets{Pattern: weights.AllLinear}}
	a, err := lora.New(llama(), settings, 1)
	if err != nil {
		t.Fatal(err)
	}
	n, mean, square := 0.0, 0.0, 0.0
	for _, l := range a.Layers {
		for _, v := range l.A {
			u := float64(v) * math.Sqrt(float64(l.In))
			if math.Abs(u) > 1 {
				t.Fatalf("%s: entry %g of A beyond 1/sqrt(%d)", l.Module, v, l.In)
			}
			n, mean, square = n+1, mean+u, square+u*u
		}
		if slices.ContainsFunc(l.B, func(v float32) bool { return v != 0 }) {
			t.Fatalf("%s: B is not zero", l.Module)
		}
	}
	// Four standard errors: 1/sqrt(3n) of the mean, sqrt(4/45/n) of the square.
	if math.Abs(mean/n) > 4/math.Sqrt(3*n) || math.Abs(square/n-1./3) > 4*math.Sqrt(4./45/n) {
		t.Errorf("mean %g, mean square %g of %g entries, want 0 and 1/3", mean/n, square/n, n)
	}

	// The seed and the name decide, and not what else is adapted.
	settings.Targets = weights.Targets{Names: []string{"v_proj"}}
	few, err := lora.New(llama(), settings, 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := lora.New(llama(), settings, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(few.Layers[1].A, a.Layers[9].A) || few.Layers[1].Module != a.Layers[9].Module {
		t.Error("the values of a layer depend on the other layers")
	}
	if slices.Equal(few.Layers[0].A, other.Layers[0].A) || slices.Equal(few.Layers[0].A, few.Layers[1].A) {
		t.Error("two seeds or two layers with the same values")
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		settings weights.AdapterConfig
		want     string
	}{
		{weights.AdapterConfig{Alpha: 8}, "rank of layer model.layers.0.self_attn.q_proj is 0, want 1 to 32"},
		{weights.AdapterConfig{Rank: 17, Alpha: 8, Targets: weights.Targets{Names: []string{"k_proj"}}}, "is 17, want 1 to 16"},
		{weights.AdapterConfig{Rank: 4, Targets: weights.Targets{Names: []string{"query"}}}, "query"},
	} {
		if _, err := lora.New(llama(), c.settings, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
}

func TestMerge(t *testing.T) {
	a := &weights.Adapter{
		Config: weights.AdapterConfig{Rank: 1, Alpha: 2},
		Layers: []weights.LoRA{{Module: "m.q_proj", Rank: 1, In: 2, Out: 3, A: []float32{1, 2}, B: []float32{1, 0, -1}}},
		Saved:  []weights.Saved{{Name: "lm_head.weight", Shape: []int{1, 2}, Values: []float32{7, 8}}},
	}
	for _, c := range []struct {
		name       string
		have, want []float32
	}{
		{"m.q_proj.weight", []float32{1, 1, 1, 1, 1, 1}, []float32{3, 5, 1, 1, -1, -3}},
		{"m.v_proj.weight", []float32{1, 1}, []float32{1, 1}},
		{"lm_head.weight", []float32{1, 1}, []float32{7, 8}},
	} {
		if err := lora.Merge(a, c.name, c.have); err != nil || !slices.Equal(c.have, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, c.have, err, c.want)
		}
	}
	if err := lora.Merge(a, "m.q_proj.weight", make([]float32, 5)); err == nil || !strings.Contains(err.Error(), "5 values, want 3 x 2") {
		t.Errorf("a weight of the wrong size: %v", err)
	}
}

func TestBindAsksForEachFactor(t *testing.T) {
	a, err := lora.New(llama(), weights.AdapterConfig{Rank: 4, Alpha: 8, Dropout: 0.1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	bound := lora.Bind(a, func(name string) *network.Node { asked = append(asked, name); return nil })
	var want []string
	for _, p := range lora.Parameters(a) {
		want = append(want, p.Name)
	}
	if !slices.Equal(asked, want) || len(bound.Updates) != len(a.Layers) || bound.Dropout != 0 {
		t.Errorf("asked for %v, want %v; %d layers, dropout %g", asked, want, len(bound.Updates), bound.Dropout)
	}
}
