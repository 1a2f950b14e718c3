package weights

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/bilevel-go/bilevel/internal/wholefile"
)

// configJSON is config.json in the spellings of transformers 4 and 5. Pointers
// tell what is absent from what is zero. With omitempty it is also what is written.
type configJSON struct {
	Architectures    []string        `json:"architectures,omitempty"`
	ModelType        string          `json:"model_type,omitempty"`
	VocabSize        *int            `json:"vocab_size,omitempty"`
	HiddenSize       *int            `json:"hidden_size,omitempty"`
	IntermediateSize *int            `json:"intermediate_size,omitempty"`
	Layers           *int            `json:"num_hidden_layers,omitempty"`
	Heads            *int            `json:"num_attention_heads,omitempty"`
	KVHeads          *int            `json:"num_key_value_heads,omitempty"`
	HeadDim          *int            `json:"head_dim,omitempty"`
	MaxPosition      *int            `json:"max_position_embeddings,omitempty"`
	HiddenAct        *string         `json:"hidden_act,omitempty"`
	RMSNormEps       *float64        `json:"rms_norm_eps,omitempty"`
	LayerNormEps     *float64        `json:"layer_norm_eps,omitempty"`
	TieEmbeddings    *bool           `json:"tie_word_embeddings,omitempty"`
	AttentionBias    *bool           `json:"attention_bias,omitempty"`
	MLPBias          *bool           `json:"mlp_bias,omitempty"`
	ParallelResidual *bool           `json:"use_parallel_residual,omitempty"`
	RopeTheta        *float64        `json:"rope_theta,omitempty"`
	RotaryEmbBase    *float64        `json:"rotary_emb_base,omitempty"`
	RotaryPct        *float64        `json:"rotary_pct,omitempty"`
	PartialRotary    *float64        `json:"partial_rotary_factor,omitempty"`
	RopeScaling      *ropeJSON       `json:"rope_scaling,omitempty"`
	RopeParameters   *ropeJSON       `json:"rope_parameters,omitempty"`
	Quantization     json.RawMessage `json:"quantization_config,omitempty"`
	TorchDType       string          `json:"torch_dtype,omitempty"`
	specialJSON
}

// ropeJSON is rope_scaling (4) or rope_parameters (5).
type ropeJSON struct {
	RopeType        string   `json:"rope_type,omitempty"`
	Type            string   `json:"type,omitempty"` // the older word for rope_type
	RopeTheta       *float64 `json:"rope_theta,omitempty"`
	PartialRotary   *float64 `json:"partial_rotary_factor,omitempty"`
	Factor          *float64 `json:"factor,omitempty"`
	LowFrequency    *float64 `json:"low_freq_factor,omitempty"`
	HighFrequency   *float64 `json:"high_freq_factor,omitempty"`
	OriginalContext *int     `json:"original_max_position_embeddings,omitempty"`
}

// specialJSON holds the special ids, in config.json and generation_config.json.
type specialJSON struct {
	BOS *int    `json:"bos_token_id,omitempty"`
	EOS *idList `json:"eos_token_id,omitempty"`
	PAD *int    `json:"pad_token_id,omitempty"`
}

// idList is one id or a list of them.
type idList []int

func (l *idList) UnmarshalJSON(b []byte) error {
	var one int
	if json.Unmarshal(b, &one) == nil {
		*l = idList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]int)(l))
}

func (l idList) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]int(l))
}

// apply overrides the special ids that the file has.
func (s *specialJSON) apply(c *Config) {
	if s.BOS != nil {
		c.BOS = *s.BOS
	}
	if s.PAD != nil {
		c.PAD = *s.PAD
	}
	if s.EOS != nil {
		c.EOS = append([]int(nil), *s.EOS...)
	}
}

// ReadConfig reads a config.json of the Llama family or of GPT-NeoX, as
// transformers 4 or 5 writes it, with transformers' defaults for what is optional.
// When there is a generation_config.json beside it, its special ids count, as they
// do there.
func ReadConfig(path string) (*Config, error) {
	var j configJSON
	if err := readJSON(path, &j); err != nil {
		return nil, err
	}
	c, err := j.config(path)
	if err != nil {
		return nil, err
	}
	generation := filepath.Join(filepath.Dir(path), "generation_config.json")
	if _, err := os.Stat(generation); err == nil {
		var g struct{ specialJSON }
		if err := readJSON(generation, &g); err != nil {
			return nil, err
		}
		g.apply(c)
		path = generation
	}
	return c, c.Validate(path)
}

// config forms and checks the Config.
func (j *configJSON) config(path string) (*Config, error) {
	c := &Config{Architecture: Architecture(j.ModelType), BOS: -1, PAD: -1}
	if !slices.Contains(Architectures(), c.Architecture) {
		return nil, refuse(path, "model_type", j.ModelType, "one of "+architectureList())
	}
	if len(j.Quantization) > 0 && string(j.Quantization) != "null" {
		return nil, refuse(path, "quantization_config", string(j.Quantization), "none: weights in F32, F16 or BF16, or a GGUF file")
	}
	for _, f := range []struct {
		name string
		from *int
		to   *int
	}{
		{"vocab_size", j.VocabSize, &c.Vocabulary},
		{"hidden_size", j.HiddenSize, &c.Hidden},
		{"intermediate_size", j.IntermediateSize, &c.Intermediate},
		{"num_hidden_layers", j.Layers, &c.Layers},
		{"num_attention_heads", j.Heads, &c.Heads},
	} {
		if f.from == nil {
			return nil, refuse(path, f.name, "missing", "an integer >= 1")
		}
		*f.to = *f.from
	}
	if c.Heads < 1 {
		return nil, refuse(path, "num_attention_heads", c.Heads, "an integer >= 1")
	}
	c.KVHeads = value(j.KVHeads, c.Heads)
	c.Context = value(j.MaxPosition, 2048)
	if j.HeadDim == nil && c.Hidden%c.Heads != 0 {
		return nil, refuse(path, "hidden_size", c.Hidden, fmt.Sprintf("a multiple of num_attention_heads = %d, or a head_dim beside it", c.Heads))
	}
	c.HeadSize = value(j.HeadDim, c.Hidden/c.Heads)
	rotary, activation := 1.0, string(SiLU)
	switch c.Architecture {
	case Llama:
		c.Epsilon = value(j.RMSNormEps, 1e-6)
		c.AttentionBias = value(j.AttentionBias, false)
		c.MLPBias = value(j.MLPBias, false)
	case GPTNeoX:
		c.Epsilon = value(j.LayerNormEps, 1e-5)
		c.AttentionBias, c.MLPBias = value(j.AttentionBias, true), true
		c.ParallelResidual = value(j.ParallelResidual, true)
		rotary, activation = 0.25, string(GELU)
	}
	c.TiedHead = value(j.TieEmbeddings, false)
	switch a := value(j.HiddenAct, activation); a {
	case "gelu_new", "gelu_fast": // names of the same approximation
		c.Activation = GELUTanh
	case "swish":
		c.Activation = SiLU
	default:
		c.Activation = Activation(a)
	}
	if err := j.rope(path, c, rotary); err != nil {
		return nil, err
	}
	j.apply(c)
	return c, c.Validate(path)
}

// rope reads the rotary settings; the newer spelling wins where both are there.
func (j *configJSON) rope(path string, c *Config, rotary float64) error {
	p := j.RopeParameters
	if p == nil {
		p = j.RopeScaling
	}
	if p == nil {
		p = &ropeJSON{}
	}
	c.Rope.Base = value(first(p.RopeTheta, j.RopeTheta, j.RotaryEmbBase), 10000)
	rotary = value(first(p.PartialRotary, j.PartialRotary, j.RotaryPct), rotary)
	if !(rotary > 0 && rotary <= 1) {
		return refuse(path, "partial rotary factor", rotary, "a number in (0, 1]")
	}
	c.Rope.Dims = int(float64(c.HeadSize) * rotary)
	kind := p.RopeType
	if kind == "" {
		kind = p.Type
	}
	if kind == "" || kind == "default" {
		return nil
	}
	c.Rope.Scaling = kind
	c.Rope.Factor = value(p.Factor, 0)
	if kind == "llama3" {
		c.Rope.LowFrequency = value(p.LowFrequency, 0)
		c.Rope.HighFrequency = value(p.HighFrequency, 0)
		c.Rope.OriginalContext = value(p.OriginalContext, 0)
	}
	return nil
}

// value is *p, or the default when p is nil.
func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func first(list ...*float64) *float64 {
	for _, p := range list {
		if p != nil {
			return p
		}
	}
	return nil
}

// WriteConfig writes config.json in transformers 4's spelling, which 5 reads too.
// stored is the type of the weights beside it.
func WriteConfig(path string, c *Config, stored Type) error {
	if err := c.Validate(path); err != nil {
		return err
	}
	if c.Rope.Divisors != nil {
		return refuse(path, "rope_scaling", "frequency divisors from a GGUF file", "default, linear or llama3, which config.json can express")
	}
	dtype, ok := map[Type]string{F32: "float32", F16: "float16", BF16: "bfloat16"}[stored]
	if !ok {
		return refuse(path, "torch_dtype", stored.String(), "F32, F16 or BF16")
	}
	act := string(c.Activation)
	j := configJSON{
		ModelType: string(c.Architecture), VocabSize: &c.Vocabulary, HiddenSize: &c.Hidden, IntermediateSize: &c.Intermediate,
		Layers: &c.Layers, Heads: &c.Heads, MaxPosition: &c.Context, HiddenAct: &act, TieEmbeddings: &c.TiedHead,
		AttentionBias: &c.AttentionBias, TorchDType: dtype,
	}
	switch c.Architecture {
	case Llama:
		j.Architectures = []string{"LlamaForCausalLM"}
		j.KVHeads, j.HeadDim, j.RMSNormEps, j.MLPBias, j.RopeTheta = &c.KVHeads, &c.HeadSize, &c.Epsilon, &c.MLPBias, &c.Rope.Base
	case GPTNeoX:
		j.Architectures = []string{"GPTNeoXForCausalLM"}
		part := float64(c.Rope.Dims) / float64(c.HeadSize)
		for int(float64(c.HeadSize)*part) < c.Rope.Dims { // readers round the product down
			part = math.Nextafter(part, 2)
		}
		j.LayerNormEps, j.ParallelResidual, j.RotaryEmbBase, j.RotaryPct = &c.Epsilon, &c.ParallelResidual, &c.Rope.Base, &part
	}
	if c.Rope.Scaling != "" {
		j.RopeScaling = &ropeJSON{RopeType: c.Rope.Scaling, Factor: &c.Rope.Factor}
		if c.Rope.Scaling == "llama3" {
			r := &c.Rope
			j.RopeScaling.LowFrequency, j.RopeScaling.HighFrequency, j.RopeScaling.OriginalContext = &r.LowFrequency, &r.HighFrequency, &r.OriginalContext
		}
	}
	if c.BOS >= 0 {
		j.BOS = &c.BOS
	}
	if c.PAD >= 0 {
		j.PAD = &c.PAD
	}
	if len(c.EOS) > 0 {
		list := idList(c.EOS)
		j.EOS = &list
	}
	return wholefile.Write(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(j)
	})
}
