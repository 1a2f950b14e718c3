package weights

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var goldenModels = []string{"stories260k", "tiny_neox", "tiny_llama_gqa"}

func TestGoldenModelsAreReadInFull(t *testing.T) {
	for _, name := range goldenModels {
		t.Run(name, func(t *testing.T) {
			dir := goldenPath(t, "lm", name)
			m := open(t, dir)
			all := readAll(t, m)
			count := 0
			for _, n := range m.Names() {
				count += len(all[n])
			}
			if count != m.Config.ParameterCount() {
				t.Errorf("%d values read, %d expected", count, m.Config.ParameterCount())
			}
			if name == "stories260k" && count != 260_032 {
				t.Errorf("%d parameters, the model's documentation says 260,032", count)
			}
			if u := m.Unused(); len(u) != 0 || m.Kind != Safetensors || m.Dir() != dir {
				t.Errorf("unused %v, kind %s, folder %s", u, m.Kind, m.Dir())
			}
			file := open(t, filepath.Join(dir, "model.safetensors"))
			for n, values := range readAll(t, file) {
				mustEqual(t, n, values, all[n])
			}
		})
	}
}

func TestLlama2cEqualsSafetensors(t *testing.T) {
	golden := open(t, goldenPath(t, "lm", "stories260k"))
	ours := open(t, dataPath(t, "lm", "stories260K.bin"))
	if ours.Kind != Llama2c {
		t.Errorf("kind %s", ours.Kind)
	}
	if !reflect.DeepEqual(ours.Config, golden.Config) {
		t.Errorf("configuration %+v\nwant %+v", ours.Config, golden.Config)
	}
	want := readAll(t, golden)
	for name, values := range readAll(t, ours) {
		mustEqual(t, name, values, want[name])
	}
}

// llama2cBytes is a tiny model whose values are their own places in the file.
func llama2cBytes(vocabulary int32, extra int) []byte {
	header := []int32{8, 12, 1, 2, 1, vocabulary, 4} // dim, hidden, layers, heads, kv heads, vocabulary, context
	v := int(max(vocabulary, -vocabulary))
	n := v*8 + 8 + 64 + 32 + 32 + 64 + 8 + 3*96 + 8 + 4*4
	if vocabulary < 0 {
		n += v * 8
	}
	var b []byte
	for _, h := range header {
		b = binary.LittleEndian.AppendUint32(b, uint32(h))
	}
	for i := range n + extra {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(i)))
	}
	return b
}

func TestLlama2c(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.bin")
	write(t, path, llama2cBytes(-5, 0))
	m := open(t, path)
	head, _, err := m.Tensor("lm_head.weight")
	if err != nil || m.Config.TiedHead || head[0] != 40+8+64+32+32+64+8+288+8+16 {
		t.Errorf("untied head begins with %v, %v", head[0], err)
	}
	q, _, err := m.Tensor("model.layers.0.self_attn.q_proj.weight")
	if err != nil {
		t.Fatal(err)
	}
	// Two heads of four rows of eight: rows 0 2 1 3 and 4 6 5 7 of the file.
	for i, row := range []float32{0, 2, 1, 3, 4, 6, 5, 7} {
		if want := 48 + 8*row; q[8*i] != want {
			t.Errorf("q row %d begins with %v, want %v", i, q[8*i], want)
		}
	}
	for _, c := range []struct {
		b    []byte
		says string
	}{
		{llama2cBytes(5, 1), "file length"},
		{llama2cBytes(5, -1), "file length"},
		{llama2cBytes(5, 0)[:200], "model.layers.0.input_layernorm.weight"},
		{llama2cBytes(5, 0)[:20], "file length"},
		{llama2cBytes(0, 0), "vocab_size"},
		{append([]byte("24ka\x01\x00\x00\x00"), make([]byte, 300)...), "version"},
		{make([]byte, 300), "vocab_size"},
		{binary.LittleEndian.AppendUint32(nil, math.MaxInt32), "llama2.c"},
	} {
		write(t, path, c.b)
		_, err := Open(path)
		if err == nil {
			t.Errorf("accepted a file that should fail for %q", c.says)
			continue
		}
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %q does not say %q", err, c.says)
		}
	}
}

// saveModel writes a model's folder from a Config, with change applied to the
// list of its tensors.
func saveModel(t *testing.T, c *Config, change func([]Output) []Output) string {
	t.Helper()
	dir := t.TempDir()
	if err := WriteConfig(filepath.Join(dir, "config.json"), c, F32); err != nil {
		t.Fatal(err)
	}
	var list []Output
	for i, p := range c.Parameters() {
		n, _ := volume(p.Shape)
		o := Output{Name: p.Name, Shape: p.Shape, Values: make([]float32, n)}
		o.Values[0] = float32(i)
		list = append(list, o)
	}
	if change != nil {
		list = change(list)
	}
	if err := WriteSafetensors(filepath.Join(dir, "model.safetensors"), list, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func smallConfig() *Config {
	return &Config{
		Architecture: Llama, Vocabulary: 11, Hidden: 8, Intermediate: 12, Layers: 2, Heads: 4, KVHeads: 2, HeadSize: 2, Context: 64, Epsilon: 1e-5,
		Activation: SiLU, BOS: 1, PAD: -1, EOS: []int{2}, Rope: Rope{Base: 10000, Dims: 2},
	}
}

func TestModelAgainstConfiguration(t *testing.T) {
	c := smallConfig()
	drop := func(names ...string) func([]Output) []Output {
		return func(list []Output) (kept []Output) {
			for _, o := range list {
				if !strings.Contains(strings.Join(names, " "), o.Name) {
					kept = append(kept, o)
				}
			}
			return kept
		}
	}
	_, err := Open(saveModel(t, c, drop("model.layers.1.mlp.up_proj.weight", "lm_head.weight")))
	mustRefuse(t, err, "2 missing", "model.layers.1.mlp.up_proj.weight", "lm_head.weight")
	_, err = Open(saveModel(t, c, func(list []Output) []Output {
		list[0].Shape, list[0].Values = []int{10, 8}, make([]float32, 80)
		return list
	}))
	mustRefuse(t, err, "model.embed_tokens.weight", "[10 8]", "[11 8]")
	extra := func(list []Output) []Output {
		return append(list, Output{Name: "model.rotary_emb.inv_freq", Shape: []int{1}, Values: []float32{1}})
	}
	if m := open(t, saveModel(t, c, extra)); fmt.Sprint(m.Unused()) != "[model.rotary_emb.inv_freq]" {
		t.Errorf("unused %v", m.Unused())
	}
	// A copy of the head that a file holds beside a tied embedding does not count.
	c.TiedHead = true
	m := open(t, saveModel(t, c, func(list []Output) []Output {
		return append(list, Output{Name: "lm_head.weight", Shape: []int{11, 8}, Values: make([]float32, 88)})
	}))
	list := make([]float32, 88)
	if err := m.ReadInto("model.embed_tokens.weight", list); err != nil {
		t.Fatal(err)
	}
	list[0]++ // differs from the copy
	head, _, err := m.Tensor("lm_head.weight")
	if err != nil || head[0] != list[0]-1 || fmt.Sprint(m.Shape("lm_head.weight")) != "[11 8]" {
		t.Errorf("tied head %v, %v", head[0], err)
	}
}

func TestOpenRefusesFolders(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir)
	mustRefuse(t, err, dir, "config.json")
	write(t, filepath.Join(dir, "pytorch_model.bin"), []byte("PK"))
	_, err = Open(dir)
	mustRefuse(t, err, "pytorch_model.bin", "safetensors")
	gguf := read(t, "testdata/llama.gguf")
	write(t, filepath.Join(dir, "a.gguf"), gguf)
	open(t, dir)
	write(t, filepath.Join(dir, "b.gguf"), gguf)
	_, err = Open(dir)
	mustRefuse(t, err, "a.gguf, b.gguf")
	if _, err = Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(dir, "none")) {
		t.Errorf("a path that is not there: %v", err)
	}
	_, err = Open(write(t, filepath.Join(dir, "alone.safetensors"), safetensorsBytes(`{}`, 0)))
	mustRefuse(t, err, "config.json", "missing")
	for name, b := range map[string][]byte{"a.pt": []byte("PK\x03\x04........"), "a.txt": []byte("once upon a time"), "tiny": {1}, "big.gguf": []byte("FUGG............")} {
		_, err = Open(write(t, filepath.Join(t.TempDir(), name), b))
		mustRefuse(t, err, name)
	}
	_, err = Open("hf:nobody")
	mustRefuse(t, err, "hf:nobody", "hf:owner/name")
}

// The same model through every container: safetensors in shards, half types, and
// GGUF written here from Hugging Face's order by the converter's permutation.
func TestGoldenModelsThroughGGUF(t *testing.T) {
	for _, name := range goldenModels {
		t.Run(name, func(t *testing.T) {
			m := open(t, goldenPath(t, "lm", name))
			want := readAll(t, m)
			path := filepath.Join(t.TempDir(), "x.gguf")
			write(t, path, toGGUF(t, m, want))
			g := open(t, path)
			ours := g.Config
			ours.BOS, ours.EOS, ours.PAD = m.Config.BOS, m.Config.EOS, m.Config.PAD
			if !reflect.DeepEqual(ours, m.Config) {
				t.Errorf("configuration %+v\nwant %+v", ours, m.Config)
			}
			for n, values := range readAll(t, g) {
				mustEqual(t, n, values, want[n])
			}
		})
	}
}

// toGGUF writes a model as F32 GGUF.
func toGGUF(t *testing.T, m *Model, all map[string][]float32) []byte {
	t.Helper()
	c := &m.Config
	arch := "llama"
	if c.Architecture == GPTNeoX {
		arch = "gptneox"
	}
	g := newGGUF(3, uint64(len(m.Names())), 11)
	g.text("general.architecture").u32(8).text(arch)
	for _, e := range []struct {
		key   string
		value int
	}{
		{"embedding_length", c.Hidden}, {"block_count", c.Layers}, {"feed_forward_length", c.Intermediate}, {"attention.head_count", c.Heads},
		{"attention.head_count_kv", c.KVHeads}, {"context_length", c.Context}, {"rope.dimension_count", c.Rope.Dims},
	} {
		g.text(arch + "." + e.key).u32(4).u32(uint32(e.value))
	}
	for _, e := range []struct {
		key   string
		value float64
	}{{"rope.freq_base", c.Rope.Base}, {"attention.layer_norm_epsilon", c.Epsilon}, {"attention.layer_norm_rms_epsilon", c.Epsilon}} {
		g.text(arch + "." + e.key).u32(6).u32(math.Float32bits(float32(e.value)))
	}
	names := map[string]string{}
	for part, hf := range ggufTop[c.Architecture] {
		names[hf] = part
	}
	for i := range c.Layers {
		for part, hf := range ggufModules[c.Architecture] {
			names[c.layerPrefix(i)+hf] = fmt.Sprintf("blk.%d.%s", i, part)
		}
	}
	var values []float32
	for _, name := range m.Names() {
		dot := strings.LastIndexByte(name, '.')
		shape := m.Shape(name)
		sizes := make([]uint64, len(shape))
		for i, n := range shape {
			sizes[len(shape)-1-i] = uint64(n)
		}
		for len(values)%8 != 0 {
			values = append(values, 0)
		}
		g.tensor(names[name[:dot]]+name[dot:], 0, uint64(4*len(values)), sizes...)
		v := all[name]
		width := len(v) / shape[0]
		row := func(i int) []float32 { return v[i*width : (i+1)*width] }
		heads := map[bool]int{true: c.Heads, false: c.KVHeads}[strings.Contains(name, "q_proj")]
		for i := range shape[0] {
			switch {
			case strings.Contains(name, "q_proj") || strings.Contains(name, "k_proj"):
				size := shape[0] / heads
				h, j := i/size, i%size
				values = append(values, row(h*size+j/2+j%2*size/2)...)
			case strings.Contains(name, "query_key_value"):
				k, h, j := i/c.Hidden, i/c.HeadSize%c.Heads, i%c.HeadSize
				values = append(values, row(h*3*c.HeadSize+k*c.HeadSize+j)...)
			default:
				values = append(values, row(i)...)
			}
		}
	}
	b := g.data(0)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func TestShardedHalfPrecisionModel(t *testing.T) {
	m := open(t, goldenPath(t, "lm", "tiny_llama_gqa"))
	dir := t.TempDir()
	if err := WriteConfig(filepath.Join(dir, "config.json"), &m.Config, BF16); err != nil {
		t.Fatal(err)
	}
	index := map[string]map[string]string{"weight_map": {}}
	shards := [][]Output{nil, nil, nil}
	for i, name := range m.Names() {
		file := fmt.Sprintf("model-%05d-of-00003.safetensors", i%3+1)
		index["weight_map"][name] = file
		shards[i%3] = append(shards[i%3], Output{
			Name: name, Shape: m.Shape(name), Type: []Type{F32, F16, BF16}[i%3],
			Load: func() (v []float32, err error) { v, _, err = m.Tensor(name); return },
		})
	}
	for i, list := range shards {
		if err := WriteSafetensors(filepath.Join(dir, fmt.Sprintf("model-%05d-of-00003.safetensors", i+1)), list, nil); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "model.safetensors.index.json"), b)
	s := open(t, dir)
	if !reflect.DeepEqual(s.Config, m.Config) {
		t.Errorf("configuration %+v\nwant %+v", s.Config, m.Config)
	}
	want := readAll(t, m)
	for i, name := range s.Names() {
		got, _, err := s.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		// Half an ulp of 11 and of 8 significant bits; below 2^-14 a half has steps of 2^-24.
		relative, absolute := []float64{0, 0x1p-11, 0x1p-8}[i%3], []float64{0, 0x1p-25, 0}[i%3]
		for j, v := range got {
			if w := float64(want[name][j]); math.Abs(float64(v)-w) > relative*math.Abs(w)+absolute {
				t.Fatalf("%s value %d: %v, want %v", name, j, v, w)
			}
		}
	}
}
