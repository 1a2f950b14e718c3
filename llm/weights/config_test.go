package weights

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Both spellings of one configuration give the same Config.
func TestGoldenConfigurations(t *testing.T) {
	llama := Config{
		Architecture: Llama, Vocabulary: 512, Hidden: 64, Intermediate: 96, Layers: 2, Heads: 4, KVHeads: 2, HeadSize: 16, Context: 512,
		Epsilon: 1e-5, Activation: SiLU, BOS: 0, PAD: -1, EOS: []int{1}, Rope: Rope{Base: 500000, Dims: 16},
	}
	scaled := llama
	scaled.Rope = Rope{Base: 500000, Dims: 16, Scaling: "llama3", Factor: 8, LowFrequency: 1, HighFrequency: 4, OriginalContext: 64}
	neox := Config{
		Architecture: GPTNeoX, Vocabulary: 512, Hidden: 64, Intermediate: 128, Layers: 3, Heads: 4, KVHeads: 4, HeadSize: 16, Context: 512,
		Epsilon: 1e-5, Activation: GELU, AttentionBias: true, MLPBias: true, ParallelResidual: true, BOS: 0, PAD: -1, EOS: []int{0},
		Rope: Rope{Base: 10000, Dims: 4},
	}
	sequential := neox
	sequential.ParallelResidual, sequential.Rope.Dims = false, 8
	stories := Config{
		Architecture: Llama, Vocabulary: 512, Hidden: 64, Intermediate: 172, Layers: 5, Heads: 8, KVHeads: 4, HeadSize: 8, Context: 512,
		Epsilon: 1e-5, Activation: SiLU, TiedHead: true, BOS: 1, PAD: -1, EOS: []int{2}, Rope: Rope{Base: 10000, Dims: 8},
	}
	for file, want := range map[string]Config{
		"stories260k/config.json": stories, "tiny_llama_gqa/config.json": llama, "tiny_llama_gqa/config_rope_llama3.json": scaled,
		"tiny_llama_gqa/config_rope_llama3_transformers5.json": scaled, "tiny_neox/config.json": neox,
		"tiny_neox/config_transformers5.json": neox, "tiny_neox/config_sequential.json": sequential,
	} {
		t.Run(file, func(t *testing.T) {
			got, err := ReadConfig(goldenPath(t, "lm", file))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, want) {
				t.Fatalf("%+v\nwant %+v", *got, want)
			}
			path := filepath.Join(t.TempDir(), "config.json")
			if err := WriteConfig(path, got, F32); err != nil {
				t.Fatal(err)
			}
			again, err := ReadConfig(path)
			if err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("written and read again: %+v, %v", again, err)
			}
		})
	}
}

const plainLlama = `"model_type":"llama","vocab_size":11,"hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":4`

func TestConfigDefaultsAndRefusals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	try := func(text string) (*Config, error) {
		write(t, path, []byte("{"+text+"}"))
		return ReadConfig(path)
	}
	c, err := try(plainLlama)
	if err != nil {
		t.Fatal(err)
	}
	if c.KVHeads != 4 || c.HeadSize != 2 || c.Context != 2048 || c.Epsilon != 1e-6 || c.TiedHead || c.BOS != -1 || c.EOS != nil || !reflect.DeepEqual(c.Rope, Rope{Base: 10000, Dims: 2}) {
		t.Errorf("defaults %+v", c)
	}
	if c, err = try(plainLlama + `,"head_dim":6,"eos_token_id":[3,4],"pad_token_id":-1,"rope_scaling":{"type":"linear","factor":2}`); err != nil || c.HeadSize != 6 || fmt.Sprint(c.EOS) != "[3 4]" || c.Rope.Scaling != "linear" || c.Rope.Factor != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	llama3 := func(low, high, factor, context string) string {
		return plainLlama + `,"rope_scaling":{"rope_type":"llama3","factor":` + factor + `,"low_freq_factor":` + low + `,"high_freq_factor":` + high + `,"original_max_position_embeddings":` + context + `}`
	}
	if _, err = try(llama3("1", "4", "8", "64")); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ text, says, also string }{
		{`"model_type":"mamba"`, "model_type", "llama, gpt_neox"},
		{``, "model_type", "llama, gpt_neox"},
		{strings.Replace(plainLlama, `"vocab_size":11,`, "", 1), "vocab_size", "missing"},
		{strings.Replace(plainLlama, `:11`, ":0", 1), "vocab_size", "0"},
		{strings.Replace(plainLlama, `:11`, ":-3", 1), "vocab_size", "-3"},
		{strings.Replace(plainLlama, `:11`, ":99999999999", 1), "vocab_size", "99999999999"},
		{strings.Replace(plainLlama, `:11`, `:"x"`, 1), "JSON", "string"},
		{strings.Replace(plainLlama, `"hidden_size":8`, `"hidden_size":10`, 1), "hidden_size", "multiple of num_attention_heads = 4"},
		{strings.Replace(plainLlama, `layers":2`, `layers":100000`, 1), "num_hidden_layers", "4096"},
		{strings.Replace(plainLlama, `heads":4`, `heads":0`, 1), "num_attention_heads", "0"},
		{plainLlama + `,"num_key_value_heads":3`, "num_key_value_heads", "divisor"},
		{plainLlama + `,"num_key_value_heads":0`, "num_key_value_heads", "0"},
		{plainLlama + `,"head_dim":3`, "rotary dimensions", "even"},
		{plainLlama + `,"partial_rotary_factor":0.5,"head_dim":4`, "rotary dimensions", "Llama"},
		{plainLlama + `,"partial_rotary_factor":2`, "partial rotary factor", "(0, 1]"},
		{plainLlama + `,"hidden_act":"relu"`, "hidden_act", "silu"},
		{plainLlama + `,"rms_norm_eps":0`, "norm epsilon", "> 0"},
		{plainLlama + `,"rope_theta":-1`, "rope_theta", "> 0"},
		{plainLlama + `,"rope_scaling":{"rope_type":"yarn","factor":2}`, "rope_type", "yarn"},
		{plainLlama + `,"rope_scaling":{"rope_type":"linear"}`, "rope factor", "0"},
		{llama3("4", "1", "8", "64"), "high_freq_factor", "> low_freq_factor"},
		{llama3("0", "1", "8", "64"), "low_freq_factor", "> 0"},
		{llama3("1", "4", "0", "64"), "rope factor", "> 0"},
		{llama3("1", "4", "8", "0"), "original_max_position_embeddings", ">= 1"},
		{plainLlama + `,"bos_token_id":11`, "special token id", "vocab_size = 11"},
		{plainLlama + `,"eos_token_id":[1,99]`, "special token id", "99"},
		{plainLlama + `,"eos_token_id":"x"`, "JSON", "valid"},
		{plainLlama + `,"quantization_config":{"bits":4}`, "quantization_config", "GGUF"},
		{strings.Replace(plainLlama, "llama", "gpt_neox", 1) + `,"num_key_value_heads":2,"rotary_pct":1`, "num_key_value_heads", "GPT-NeoX"},
		{strings.Replace(plainLlama, "llama", "gpt_neox", 1) + `,"head_dim":4,"rotary_pct":1`, "head_dim", "GPT-NeoX"},
	} {
		_, err := try(c.text)
		if err == nil {
			t.Errorf("accepted: %s", c.text)
			continue
		}
		mustRefuse(t, err, path, c.says, c.also)
	}
}

func TestGenerationConfigWins(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	write(t, path, []byte("{"+plainLlama+`,"eos_token_id":1,"bos_token_id":2}`))
	write(t, filepath.Join(dir, "generation_config.json"), []byte(`{"eos_token_id":[5,6],"pad_token_id":7,"temperature":0.6}`))
	c, err := ReadConfig(path)
	if err != nil || fmt.Sprint(c.EOS) != "[5 6]" || c.BOS != 2 || c.PAD != 7 {
		t.Errorf("%+v, %v", c, err)
	}
	write(t, filepath.Join(dir, "generation_config.json"), []byte(`{"eos_token_id":12}`))
	_, err = ReadConfig(path)
	mustRefuse(t, err, "generation_config.json", "12")
}

// Expected values by hand: with base 2^8 and 8 dimensions the frequencies are 1,
// 1/4, 1/16, 1/64. With context 64 pi, f gives 32 f turns: 32, 8, 2, 0.5. With low
// 1 and high 4 the first two stay, the last is divided by 8, and the third has
// s = (2-1)/(4-1) = 1/3, so (2/3)/8 + 1/3 = 5/12 of it.
func TestInverseFrequencies(t *testing.T) {
	r := Rope{Base: 256, Dims: 8}
	check := func(what string, want ...float64) {
		t.Helper()
		for i, f := range r.InverseFrequencies() {
			if math.Abs(f-want[i]) > 1e-3*want[i] { // 201 for 64 pi
				t.Errorf("%s: frequency %d is %g, want %g", what, i, f, want[i])
			}
		}
	}
	check("plain", 1, 0.25, 0.0625, 0.015625)
	r.Scaling, r.Factor = "linear", 4
	check("linear", 0.25, 0.0625, 0.015625, 0.00390625)
	r.Scaling, r.Factor, r.LowFrequency, r.HighFrequency, r.OriginalContext = "llama3", 8, 1, 4, 201
	check("llama3", 1, 0.25, 0.0625*5/12, 0.015625/8)
	r = Rope{Base: 256, Dims: 8, Divisors: []float64{1, 2, 4, 8}}
	check("divisors", 1, 0.125, 0.015625, 0.001953125)
}

func TestWriteConfigRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	c := smallConfig()
	c.Rope.Divisors = []float64{2}
	mustRefuse(t, WriteConfig(path, c, F32), "rope_scaling", "GGUF")
	c = smallConfig()
	mustRefuse(t, WriteConfig(path, c, Q4_0), "torch_dtype", "Q4_0")
	c.Heads = 3
	mustRefuse(t, WriteConfig(path, c, F32), path, "num_key_value_heads")
}

// The product that readers form of rotary_pct and the head size is rounded down.
func TestRotaryFractionSurvivesWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	for size := 2; size <= 130; size++ {
		for dims := 2; dims <= size; dims += 2 {
			c := Config{
				Architecture: GPTNeoX, Vocabulary: 3, Hidden: size, Intermediate: 3, Layers: 1, Heads: 1, KVHeads: 1, HeadSize: size, Context: 8,
				Epsilon: 1e-5, Activation: GELU, AttentionBias: true, MLPBias: true, BOS: -1, PAD: -1, Rope: Rope{Base: 1e4, Dims: dims},
			}
			if dims != 2 && dims != size-size%2 && (size*dims)%31 != 0 { // a sample
				continue
			}
			if err := WriteConfig(path, &c, F32); err != nil {
				t.Fatal(err)
			}
			if got, err := ReadConfig(path); err != nil || got.Rope.Dims != dims {
				t.Fatalf("%d of %d dimensions: %+v, %v", dims, size, got, err)
			}
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("{" + plainLlama + "}"))
	f.Add([]byte("{" + plainLlama + `,"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":64},"eos_token_id":[1]}`))
	f.Add([]byte(`{"model_type":"gpt_neox","vocab_size":11,"hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"rotary_pct":0.5}`))
	path := filepath.Join(f.TempDir(), "config.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		write(t, path, b)
		c, err := ReadConfig(path)
		if err != nil {
			return
		}
		if err := WriteConfig(path, c, BF16); err != nil {
			t.Fatalf("accepted and cannot be written: %v", err)
		}
		if again, err := ReadConfig(path); err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v became %+v, %v", c, again, err)
		}
		for i, v := range c.Rope.InverseFrequencies() {
			if !(v >= 0) || math.IsInf(v, 0) {
				t.Fatalf("frequency %d is %g", i, v)
			}
		}
	})
}

func FuzzLlama2c(f *testing.F) {
	f.Add(llama2cBytes(5, 0))
	f.Add(llama2cBytes(-5, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newStore("fuzz")
		c, err := s.addLlama2c(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, p := range c.Parameters() {
			if v, _, err := s.Tensor(p.Name); err != nil || len(v) > len(b) {
				t.Fatalf("%s: %d values, %v", p.Name, len(v), err)
			}
		}
	})
}
