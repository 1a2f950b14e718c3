package weights

// A GGUF file seen as a Hugging Face model: the Config from its metadata, the
// tensors under Hugging Face names and in Hugging Face's order of rows.
//
// The converter that made the file stores query and key rows of a Llama for
// rotary positions that turn neighbouring dimensions (2i, 2i+1) of a head;
// Hugging Face's turn i and i + n/2 for a head of n rows. So row i of a head's
// first half comes from the file's row 2i, row i of the second half from 2i+1.
// GPT-NeoX's fused rows are stored as all queries, all keys, all values; Hugging
// Face has query, key and value of one head after the other.

import (
	"fmt"
	"math"
	"strings"
)

// ggufArchitectures maps general.architecture.
var ggufArchitectures = map[string]Architecture{"llama": Llama, "gptneox": GPTNeoX}

// ggufModules maps a part of a tensor's name inside a block; ggufTop the others.
var ggufModules = map[Architecture]map[string]string{
	Llama: {
		"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
		"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
		"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
	},
	GPTNeoX: {
		"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
		"attn_qkv": "attention.query_key_value", "attn_output": "attention.dense",
		"ffn_up": "mlp.dense_h_to_4h", "ffn_down": "mlp.dense_4h_to_h",
	},
}

var ggufTop = map[Architecture]map[string]string{
	Llama:   {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"},
	GPTNeoX: {"token_embd": "gpt_neox.embed_in", "output_norm": "gpt_neox.final_layer_norm", "output": "embed_out"},
}

// ropeFactors is the tensor in which converters store scaled rotary frequencies.
const ropeFactors = "rope_freqs.weight"

// ggufName is the Hugging Face name of a tensor; ok is false for one that is not a
// parameter of the architecture.
func ggufName(c *Config, name string) (hf string, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return "", false
	}
	stem, kind := name[:dot], name[dot:]
	if top, ok := ggufTop[c.Architecture][stem]; ok {
		return top + kind, true
	}
	rest, inBlock := strings.CutPrefix(stem, "blk.")
	number, part, found := strings.Cut(rest, ".")
	var layer int
	if _, err := fmt.Sscanf(number, "%d", &layer); !inBlock || !found || err != nil || fmt.Sprint(layer) != number {
		return "", false
	}
	module, ok := ggufModules[c.Architecture][part]
	return c.layerPrefix(layer) + module + kind, ok
}

// halfSplit turns rows stored for neighbouring pairs into rows for half-split
// rotary positions, in each of the heads of size rows.
func halfSplit(heads, size int) func(values []float32) {
	return func(values []float32) {
		row := len(values) / (heads * size)
		old := make([]float32, size*row)
		for ; len(values) > 0; values = values[len(old):] {
			copy(old, values)
			for i := range size / 2 {
				copy(values[i*row:(i+1)*row], old[2*i*row:])
				copy(values[(i+size/2)*row:(i+size/2+1)*row], old[(2*i+1)*row:])
			}
		}
	}
}

// interleaveQKV turns rows [3][heads][size] into [heads][3][size].
func interleaveQKV(heads, size int) func(values []float32) {
	return func(values []float32) {
		block := len(values) / (3 * heads) // values of one head of one of the three
		old := append([]float32(nil), values...)
		for h := range heads {
			for k := range 3 {
				copy(values[(3*h+k)*block:(3*h+k+1)*block], old[(k*heads+h)*block:])
			}
		}
	}
}

// model is the Hugging Face view: the Config and the store with renamed,
// rearranged tensors. Tensors that are not parameters keep their names.
func (g *GGUF) model() (*Config, *Store, error) {
	c, err := g.config()
	if err != nil {
		return nil, nil, err
	}
	view := newStore(g.path)
	view.files = g.files
	for _, name := range g.names {
		t := *g.tensors[name]
		if hf, ok := ggufName(c, name); ok {
			t.name = hf
			// A shape that is not the architecture's is reported by whoever checks
			// shapes; it cannot be rearranged.
			rows := 0
			if len(t.shape) > 0 {
				rows = t.shape[0]
			}
			switch {
			case c.Architecture == Llama && strings.Contains(hf, ".q_proj.") && rows == c.Heads*c.HeadSize:
				t.rearrange = halfSplit(c.Heads, c.HeadSize)
			case c.Architecture == Llama && strings.Contains(hf, ".k_proj.") && rows == c.KVHeads*c.HeadSize:
				t.rearrange = halfSplit(c.KVHeads, c.HeadSize)
			case c.Architecture == GPTNeoX && strings.Contains(hf, ".query_key_value.") && rows == 3*c.Heads*c.HeadSize:
				t.rearrange = interleaveQKV(c.Heads, c.HeadSize)
			}
		}
		if err := view.add(&t); err != nil {
			return nil, nil, err
		}
	}
	return c, view, nil
}

// config forms the Config from the metadata and from which tensors there are.
func (g *GGUF) config() (*Config, error) {
	general := &metadataReader{g: g, prefix: "general."}
	name := general.text("architecture", "")
	if general.err != nil {
		return nil, general.err
	}
	arch, ok := ggufArchitectures[name]
	if !ok {
		return nil, refuse(g.path, "general.architecture", name, "one of "+strings.Join(sortedKeys(ggufArchitectures), ", "))
	}
	c := &Config{Architecture: arch, Activation: SiLU}
	m := &metadataReader{g: g, prefix: name + "."}
	c.Hidden = m.integer("embedding_length", 0)
	c.Layers = m.integer("block_count", 0)
	c.Intermediate = m.integer("feed_forward_length", 0)
	c.Heads = m.integer("attention.head_count", 0)
	c.KVHeads = m.integer("attention.head_count_kv", c.Heads)
	c.Context = m.integer("context_length", 0)
	if c.Heads > 0 {
		c.HeadSize = m.integer("attention.key_length", c.Hidden/c.Heads)
	}
	if v := m.integer("attention.value_length", c.HeadSize); v != c.HeadSize {
		return nil, refuse(g.path, name+".attention.value_length", v, fmt.Sprintf("the key length %d", c.HeadSize))
	}
	if n := m.integer("expert_count", 0); n != 0 {
		return nil, refuse(g.path, name+".expert_count", n, "0: mixtures of experts are not supported")
	}
	c.Rope.Base = m.number("rope.freq_base", 10000)
	c.Rope.Dims = m.integer("rope.dimension_count", c.HeadSize)
	if c.Rope.Scaling = m.text("rope.scaling.type", ""); c.Rope.Scaling == "none" {
		c.Rope.Scaling = ""
	}
	if c.Rope.Scaling != "" {
		c.Rope.Factor = m.number("rope.scaling.factor", 0)
	}
	epsilon := "attention.layer_norm_rms_epsilon"
	if arch == GPTNeoX {
		epsilon = "attention.layer_norm_epsilon"
		c.Activation, c.AttentionBias, c.MLPBias = GELU, true, true
		c.ParallelResidual = m.boolean("use_parallel_residual", true)
	} else {
		c.AttentionBias, c.MLPBias = g.Has("blk.0.attn_q.bias"), g.Has("blk.0.ffn_up.bias")
	}
	c.Epsilon = m.number(epsilon, 0)
	m.prefix = "tokenizer.ggml."
	c.BOS = m.integer("bos_token_id", -1)
	c.PAD = m.integer("padding_token_id", -1)
	for _, key := range []string{"eos_token_id", "eot_token_id"} {
		if id := m.integer(key, -1); id >= 0 && (len(c.EOS) == 0 || c.EOS[0] != id) {
			c.EOS = append(c.EOS, id)
		}
	}
	if m.err != nil {
		return nil, m.err
	}
	if shape := g.Shape("token_embd.weight"); len(shape) == 2 {
		c.Vocabulary = shape[0]
	} else {
		return nil, refuse(g.path, "tensor \"token_embd.weight\" shape", shape, "[vocabulary, embedding length]")
	}
	c.TiedHead = !g.Has("output.weight")
	if err := c.Validate(g.path); err != nil {
		return nil, err
	}
	if g.Has(ropeFactors) {
		if err := g.ropeDivisors(c); err != nil {
			return nil, err
		}
	}
	return c, c.Validate(g.path)
}

// ropeDivisors takes scaled frequencies from the file. Where they are those of the
// Llama 3.1 and 3.2 releases (low 1, high 4, original context 8192), the settings
// are entered instead, which a config.json can express.
func (g *GGUF) ropeDivisors(c *Config) error {
	values, _, err := g.Tensor(ropeFactors)
	if err != nil {
		return err
	}
	released := Rope{Base: c.Rope.Base, Dims: c.Rope.Dims, Scaling: "llama3", LowFrequency: 1, HighFrequency: 4, OriginalContext: 8192}
	for _, v := range values {
		c.Rope.Divisors = append(c.Rope.Divisors, float64(v))
		released.Factor = max(released.Factor, float64(v))
	}
	if err := c.Rope.validate(g.path); err != nil {
		return err
	}
	if c.Rope.Scaling != "" || released.Factor <= 1 {
		return nil
	}
	ours, theirs := c.Rope.InverseFrequencies(), released.InverseFrequencies()
	for i := range ours {
		if math.Abs(ours[i]-theirs[i]) > 1e-5*theirs[i] { // divisors are float32, some from float32 arithmetic
			return nil
		}
	}
	c.Rope = released
	return nil
}
