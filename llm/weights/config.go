package weights

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Architecture is a family of models, by the model_type of its config.json.
type Architecture string

// The architectures.
const (
	// Llama: RMSNorm, rotary positions, grouped-query attention, gated MLP.
	Llama Architecture = "llama"
	// GPTNeoX: LayerNorm with bias, rotary positions on a part of each head,
	// fused query-key-value, optionally parallel residual.
	GPTNeoX Architecture = "gpt_neox"
)

// Architectures lists what is supported.
func Architectures() []Architecture { return []Architecture{Llama, GPTNeoX} }

// Activation is the nonlinearity of the MLP.
type Activation string

// The activations.
const (
	SiLU     Activation = "silu"
	GELU     Activation = "gelu"              // x Phi(x), by erf
	GELUTanh Activation = "gelu_pytorch_tanh" // the tanh approximation
)

// Config describes a model, whatever its file called things.
type Config struct {
	Architecture Architecture
	Vocabulary   int // rows of the embedding and of the head
	Hidden       int // width of the residual stream
	Intermediate int // width inside the MLP
	Layers       int
	Heads        int // query heads
	KVHeads      int // key and value heads; divides Heads
	HeadSize     int
	Context      int // longest sequence the model was made for
	// Epsilon of RMSNorm or LayerNorm.
	Epsilon    float64
	Activation Activation
	Rope       Rope
	// TiedHead: the head is the embedding matrix.
	TiedHead bool
	// AttentionBias: the attention's linear layers have biases.
	AttentionBias bool
	// MLPBias: the MLP's linear layers have biases (always so in GPT-NeoX).
	MLPBias bool
	// ParallelResidual: x + attention(norm1 x) + mlp(norm2 x), GPT-NeoX only.
	ParallelResidual bool
	// BOS and PAD are special ids, -1 when there is none; EOS lists every id that
	// ends a text.
	BOS, PAD int
	EOS      []int
}

// Rope describes rotary positions: pair i of the Dims first dimensions of a head
// (dimensions i and i + Dims/2) turns by position times InverseFrequencies()[i].
type Rope struct {
	Base float64
	Dims int // dimensions of each head that turn; even, at most the head size
	// Scaling is "" (none), "linear" or "llama3".
	Scaling string
	// Factor of "linear" and "llama3".
	Factor float64
	// LowFrequency, HighFrequency and OriginalContext of "llama3".
	LowFrequency, HighFrequency float64
	OriginalContext             int
	// Divisors, when not nil, divide the unscaled frequencies one by one: the form
	// in which GGUF files hold "llama3" (Scaling is "" then).
	Divisors []float64
}

// InverseFrequencies is the angle per position of each of the Dims/2 pairs,
// Base^(-2i/Dims), scaled. "llama3" with wavelength L = 2 pi / f, original context
// C, low l and high h: f where L < C/h; f/Factor where L > C/l; between them
// (1-s) f/Factor + s f with s = (C/L - l)/(h - l), as in the Llama 3.1 release.
func (r *Rope) InverseFrequencies() []float64 {
	f := make([]float64, r.Dims/2)
	for i := range f {
		f[i] = math.Pow(r.Base, -float64(2*i)/float64(r.Dims))
		switch r.Scaling {
		case "linear":
			f[i] /= r.Factor
		case "llama3":
			turns := float64(r.OriginalContext) * f[i] / (2 * math.Pi) // C/L
			s := (turns - r.LowFrequency) / (r.HighFrequency - r.LowFrequency)
			s = min(max(s, 0), 1)
			f[i] = (1-s)*f[i]/r.Factor + s*f[i]
		}
		if r.Divisors != nil {
			f[i] /= r.Divisors[i]
		}
	}
	return f
}

// Parameter is a tensor that an architecture has.
type Parameter struct {
	Name  string
	Shape []int
}

// Linear is one linear layer, y = W x + b with W of shape [Out, In].
type Linear struct {
	Module  string // full name without ".weight", as in "model.layers.0.self_attn.q_proj"
	Layer   int
	Out, In int
	Bias    bool
}

// EmbeddingName is the name of the token embedding, [Vocabulary, Hidden].
func (c *Config) EmbeddingName() string {
	if c.Architecture == GPTNeoX {
		return "gpt_neox.embed_in.weight"
	}
	return "model.embed_tokens.weight"
}

// HeadName is the name of the output head, [Vocabulary, Hidden], tied or not. For
// GPT-NeoX it is the name that transformers used before 5.14; files with the later
// one, "lm_head.weight", are read under this name too.
func (c *Config) HeadName() string {
	if c.Architecture == GPTNeoX {
		return "embed_out.weight"
	}
	return "lm_head.weight"
}

// canonical is the name under which this package knows a parameter.
func (c *Config) canonical(name string) string {
	if c.Architecture == GPTNeoX && name == "lm_head.weight" {
		return c.HeadName()
	}
	return name
}

// layerPrefix is what the names of layer i begin with.
func (c *Config) layerPrefix(i int) string {
	if c.Architecture == GPTNeoX {
		return fmt.Sprintf("gpt_neox.layers.%d.", i)
	}
	return fmt.Sprintf("model.layers.%d.", i)
}

// Linears lists the linear layers inside the blocks, layer by layer; the head is
// not one of them. It is what PEFT means by "all-linear".
func (c *Config) Linears() []Linear {
	q, kv := c.Heads*c.HeadSize, c.KVHeads*c.HeadSize
	var list []Linear
	for i := range c.Layers {
		p := c.layerPrefix(i)
		add := func(name string, out, in int, bias bool) {
			list = append(list, Linear{p + name, i, out, in, bias})
		}
		switch c.Architecture {
		case GPTNeoX:
			add("attention.query_key_value", q+2*kv, c.Hidden, c.AttentionBias)
			add("attention.dense", c.Hidden, q, c.AttentionBias)
			add("mlp.dense_h_to_4h", c.Intermediate, c.Hidden, c.MLPBias)
			add("mlp.dense_4h_to_h", c.Hidden, c.Intermediate, c.MLPBias)
		default:
			add("self_attn.q_proj", q, c.Hidden, c.AttentionBias)
			add("self_attn.k_proj", kv, c.Hidden, c.AttentionBias)
			add("self_attn.v_proj", kv, c.Hidden, c.AttentionBias)
			add("self_attn.o_proj", c.Hidden, q, c.AttentionBias)
			add("mlp.gate_proj", c.Intermediate, c.Hidden, c.MLPBias)
			add("mlp.up_proj", c.Intermediate, c.Hidden, c.MLPBias)
			add("mlp.down_proj", c.Hidden, c.Intermediate, c.MLPBias)
		}
	}
	return list
}

// Parameters lists every tensor of the model with its shape: the embedding, the
// layers, the final norm and, unless it is tied, the head.
func (c *Config) Parameters() []Parameter {
	list := []Parameter{{c.EmbeddingName(), []int{c.Vocabulary, c.Hidden}}}
	linears := c.Linears()
	perLayer := len(linears) / max(c.Layers, 1)
	norm := func(name string) {
		list = append(list, Parameter{name + ".weight", []int{c.Hidden}})
		if c.Architecture == GPTNeoX {
			list = append(list, Parameter{name + ".bias", []int{c.Hidden}})
		}
	}
	for i := range c.Layers {
		p := c.layerPrefix(i)
		norm(p + "input_layernorm")
		norm(p + "post_attention_layernorm")
		for _, l := range linears[i*perLayer : (i+1)*perLayer] {
			list = append(list, Parameter{l.Module + ".weight", []int{l.Out, l.In}})
			if l.Bias {
				list = append(list, Parameter{l.Module + ".bias", []int{l.Out}})
			}
		}
	}
	if c.Architecture == GPTNeoX {
		norm("gpt_neox.final_layer_norm")
	} else {
		norm("model.norm")
	}
	if !c.TiedHead {
		list = append(list, Parameter{c.HeadName(), []int{c.Vocabulary, c.Hidden}})
	}
	return list
}

// ParameterCount is the number of values in Parameters.
func (c *Config) ParameterCount() int {
	n := 0
	for _, p := range c.Parameters() {
		k, _ := volume(p.Shape)
		n += k
	}
	return n
}

// Validate refuses a Config that no model can have; file is what the error names.
func (c *Config) Validate(file string) error {
	if !slices.Contains(Architectures(), c.Architecture) {
		return refuse(file, "model_type", string(c.Architecture), "one of "+architectureList())
	}
	for _, v := range []struct {
		name           string
		value, at, top int
	}{
		{"vocab_size", c.Vocabulary, 1, 1 << 24},
		{"hidden_size", c.Hidden, 1, 1 << 20},
		{"intermediate_size", c.Intermediate, 1, 1 << 22},
		{"num_hidden_layers", c.Layers, 1, 1 << 12},
		{"num_attention_heads", c.Heads, 1, 1 << 14},
		{"num_key_value_heads", c.KVHeads, 1, 1 << 14},
		{"head_dim", c.HeadSize, 1, 1 << 16},
		{"max_position_embeddings", c.Context, 1, 1 << 30},
		{"rotary dimensions", c.Rope.Dims, 2, c.HeadSize},
	} {
		if v.value < v.at || v.value > v.top {
			return refuse(file, v.name, v.value, fmt.Sprintf("%d to %d", v.at, v.top))
		}
	}
	switch {
	case c.Heads%c.KVHeads != 0:
		return refuse(file, "num_key_value_heads", c.KVHeads, fmt.Sprintf("a divisor of num_attention_heads = %d", c.Heads))
	case c.Rope.Dims%2 != 0:
		return refuse(file, "rotary dimensions", c.Rope.Dims, "an even number")
	case c.Architecture == Llama && c.Rope.Dims != c.HeadSize:
		return refuse(file, "rotary dimensions", c.Rope.Dims, fmt.Sprintf("the head size %d in the Llama family", c.HeadSize))
	case c.Architecture == GPTNeoX && c.KVHeads != c.Heads:
		return refuse(file, "num_key_value_heads", c.KVHeads, fmt.Sprintf("num_attention_heads = %d in GPT-NeoX", c.Heads))
	case c.Architecture == GPTNeoX && c.HeadSize*c.Heads != c.Hidden:
		return refuse(file, "head_dim", c.HeadSize, fmt.Sprintf("hidden_size / num_attention_heads = %d / %d in GPT-NeoX", c.Hidden, c.Heads))
	case !positive(c.Epsilon):
		return refuse(file, "norm epsilon", c.Epsilon, "a finite number > 0")
	case c.Activation != SiLU && c.Activation != GELU && c.Activation != GELUTanh:
		return refuse(file, "hidden_act", string(c.Activation), "silu, gelu or gelu_pytorch_tanh")
	}
	if err := c.Rope.validate(file); err != nil {
		return err
	}
	for _, id := range append([]int{c.BOS, c.PAD}, c.EOS...) {
		if id < -1 || id >= c.Vocabulary {
			return refuse(file, "special token id", id, fmt.Sprintf("-1 (none) or 0 to %d, as vocab_size = %d", c.Vocabulary-1, c.Vocabulary))
		}
	}
	return nil
}

func (r *Rope) validate(file string) error {
	switch {
	case !positive(r.Base):
		return refuse(file, "rope_theta", r.Base, "a finite number > 0")
	case r.Scaling != "" && r.Scaling != "linear" && r.Scaling != "llama3":
		return refuse(file, "rope_type", r.Scaling, "default, linear or llama3")
	case r.Scaling != "" && !positive(r.Factor):
		return refuse(file, "rope factor", r.Factor, "a finite number > 0")
	case r.Divisors != nil && len(r.Divisors) != r.Dims/2:
		return refuse(file, "rotary frequency divisors", len(r.Divisors), fmt.Sprintf("%d, one for each pair of dimensions", r.Dims/2))
	}
	for i, d := range r.Divisors {
		if !positive(d) {
			return refuse(file, fmt.Sprintf("rotary frequency divisor %d", i), d, "a finite number > 0")
		}
	}
	if r.Scaling != "llama3" {
		return nil
	}
	switch {
	case r.OriginalContext < 1:
		return refuse(file, "original_max_position_embeddings", r.OriginalContext, "an integer >= 1")
	case !positive(r.LowFrequency):
		return refuse(file, "low_freq_factor", r.LowFrequency, "a finite number > 0")
	case !positive(r.HighFrequency) || r.HighFrequency <= r.LowFrequency:
		return refuse(file, "high_freq_factor", r.HighFrequency, fmt.Sprintf("a finite number > low_freq_factor = %g", r.LowFrequency))
	}
	return nil
}

func positive(v float64) bool { return v > 0 && !math.IsInf(v, 1) }

func architectureList() string {
	var names []string
	for _, a := range Architectures() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}
