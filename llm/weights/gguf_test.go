package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"testing"
)

// fixtureValue is the number that make_fixtures.py stores at an index of a tensor.
func fixtureValue(tensor int, shape []int) []float32 {
	n, _ := volume(shape)
	columns := shape[len(shape)-1]
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i/columns%128) + float32(i%columns)/32
		if tensor%2 != 0 {
			v[i] = -v[i]
		}
	}
	return v
}

func checkFixture(t *testing.T, m *Model, numbers map[string]int) {
	t.Helper()
	for _, name := range m.Names() {
		values, shape, err := m.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		base := name
		for i := range m.Config.Layers {
			if p := m.Config.layerPrefix(i); len(name) > len(p) && name[:len(p)] == p {
				base = name[len(p):]
			}
		}
		number, ok := numbers[base]
		if !ok {
			t.Errorf("unexpected tensor %s", name)
			continue
		}
		if base == "attention.query_key_value.bias" {
			shape = append(shape, 1)
		}
		mustEqual(t, name, values, fixtureValue(number, shape))
	}
}

func TestGGUFLlama(t *testing.T) {
	m := open(t, "testdata/llama.gguf")
	want := Config{
		Architecture: Llama, Vocabulary: 40, Hidden: 32, Intermediate: 48, Layers: 2, Heads: 4, KVHeads: 2, HeadSize: 8, Context: 256,
		Epsilon: 1e-5, Activation: SiLU, TiedHead: true, BOS: 0, PAD: -1, EOS: []int{1},
		Rope: Rope{Base: 500000, Dims: 8, Scaling: "llama3", Factor: 32, LowFrequency: 1, HighFrequency: 4, OriginalContext: 8192},
	}
	if !reflect.DeepEqual(m.Config, want) {
		t.Errorf("configuration %+v\nwant %+v", m.Config, want)
	}
	checkFixture(t, m, map[string]int{
		"model.embed_tokens.weight": 0, "input_layernorm.weight": 1, "self_attn.q_proj.weight": 2, "self_attn.k_proj.weight": 3,
		"self_attn.v_proj.weight": 4, "self_attn.o_proj.weight": 5, "post_attention_layernorm.weight": 6, "mlp.gate_proj.weight": 7,
		"mlp.up_proj.weight": 8, "mlp.down_proj.weight": 9, "model.norm.weight": 10,
	})
	head, shape, err := m.Tensor("lm_head.weight")
	if err != nil || fmt.Sprint(shape) != "[40 32]" {
		t.Fatalf("tied head: shape %v, %v", shape, err)
	}
	mustEqual(t, "tied head", head, fixtureValue(0, shape))
	if u := m.Unused(); len(u) != 0 {
		t.Errorf("unused tensors %v", u)
	}
	if m.StoredAs("model.layers.0.self_attn.q_proj.weight") != "F16" || m.Kind != GGUFFile {
		t.Errorf("type %s, kind %s", m.StoredAs("model.layers.0.self_attn.q_proj.weight"), m.Kind)
	}
	v, err := m.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	if v.Model != "gpt2" || v.Pre != "llama-bpe" || len(v.Tokens) != 40 || v.Tokens[39] != "t39" || v.Types[1] != ControlToken ||
		len(v.Merges) != 2 || v.Merges[1] != "t 2" || v.BOS != 0 || v.EOS != 1 || v.PAD != -1 || v.AddBOS || v.ChatTemplate != "{{ x }}" {
		t.Errorf("vocabulary %+v", v)
	}
}

func TestGGUFNeoX(t *testing.T) {
	m := open(t, "testdata/neox.gguf")
	want := Config{
		Architecture: GPTNeoX, Vocabulary: 40, Hidden: 32, Intermediate: 48, Layers: 1, Heads: 4, KVHeads: 4, HeadSize: 8, Context: 256,
		Epsilon: 1e-5, Activation: GELU, AttentionBias: true, MLPBias: true, BOS: -1, PAD: -1, Rope: Rope{Base: 10000, Dims: 4},
	}
	if !reflect.DeepEqual(m.Config, want) {
		t.Errorf("configuration %+v\nwant %+v", m.Config, want)
	}
	checkFixture(t, m, map[string]int{
		"gpt_neox.embed_in.weight": 0, "input_layernorm.weight": 0, "input_layernorm.bias": 1, "post_attention_layernorm.weight": 1,
		"post_attention_layernorm.bias": 2, "attention.dense.weight": 2, "attention.dense.bias": 3, "mlp.dense_h_to_4h.weight": 3,
		"mlp.dense_h_to_4h.bias": 4, "mlp.dense_4h_to_h.weight": 4, "mlp.dense_4h_to_h.bias": 5, "attention.query_key_value.weight": 2,
		"attention.query_key_value.bias": 3, "gpt_neox.final_layer_norm.weight": 1, "gpt_neox.final_layer_norm.bias": 2, "embed_out.weight": 3,
	})
}

func TestGGUFMetadataOfEveryType(t *testing.T) {
	g, err := OpenGGUF("testdata/llama.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for key, want := range map[string]any{
		"u8": uint8(200), "i8": int8(-100), "u16": uint16(60000), "i16": int16(-30000), "u32": uint32(4000000000), "i32": int32(-2000000000),
		"f32": float32(0.1), "u64": uint64(1<<63 + 1), "i64": int64(-1 << 62), "f64": 0.1, "bool": true, "string": "\u00e9\U0001f600",
		"strings": []string{"a", "", "ccc"}, "ints": []int32{1, -2, 3}, "floats": []float32{0.5, -1.5}, "bools": []bool{true, false},
		"nested": []any{[]int32{1, 2}, []int32{3}},
	} {
		if got := g.Metadata["test."+key]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %T %v, want %T %v", key, got, got, want, want)
		}
	}
	if g.Version != 3 {
		t.Errorf("version %d", g.Version)
	}
}

// ggufBuilder writes GGUF headers, good and bad.
type ggufBuilder struct{ b []byte }

func newGGUF(version uint32, tensors, entries uint64) *ggufBuilder {
	g := &ggufBuilder{[]byte("GGUF")}
	return g.u32(version).u64(tensors).u64(entries)
}

func (g *ggufBuilder) u32(v uint32) *ggufBuilder {
	g.b = binary.LittleEndian.AppendUint32(g.b, v)
	return g
}

func (g *ggufBuilder) u64(v uint64) *ggufBuilder {
	g.b = binary.LittleEndian.AppendUint64(g.b, v)
	return g
}

func (g *ggufBuilder) text(s string) *ggufBuilder {
	g.u64(uint64(len(s))).b = append(g.b, s...)
	return g
}

func (g *ggufBuilder) tensor(name string, kind uint32, offset uint64, sizes ...uint64) *ggufBuilder {
	g.text(name).u32(uint32(len(sizes)))
	for _, n := range sizes {
		g.u64(n)
	}
	return g.u32(kind).u64(offset)
}

// data pads to 32 and appends n bytes.
func (g *ggufBuilder) data(n int) []byte {
	for len(g.b)%32 != 0 {
		g.b = append(g.b, 0)
	}
	return append(g.b, make([]byte, n)...)
}

func TestGGUFVersion2(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "x.gguf"), newGGUF(2, 2, 1).
		text("general.alignment").u32(4).u32(32).
		tensor("a", 0, 64, 2, 3).tensor("b", 8, 0, 32).data(88))
	g, err := OpenGGUF(path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if v, shape, err := g.Tensor("a"); err != nil || len(v) != 6 || fmt.Sprint(shape) != "[3 2]" || g.Version != 2 {
		t.Errorf("shape %v, version %d, %v", shape, g.Version, err)
	}
}

// hostileGGUF are files with what the refusal must say.
var hostileGGUF = []struct {
	says string
	b    []byte
}{
	{"magic", []byte("GGML\x03\x00\x00\x00")},
	{"magic", []byte("GG")},
	{"version", newGGUF(1, 0, 0).b},
	{"version", newGGUF(3<<24, 0, 0).b},
	{"cut off", []byte("GGUF\x03\x00\x00\x00\x01")},
	{"number of tensors", newGGUF(3, 1<<40, 0).data(1000)},
	{"number of metadata", newGGUF(3, 0, 1<<19).data(1000)},
	{"key of metadata", newGGUF(3, 0, 1).u64(1 << 60).data(100)},
	{"type", newGGUF(3, 0, 1).text("a").u32(13).data(64)},
	{"element type", newGGUF(3, 0, 1).text("a").u32(9).u32(77).u64(1).data(64)},
	{"a count of at most", newGGUF(3, 0, 1).text("a").u32(9).u32(8).u64(1 << 50).data(64)},
	{"a count of at most", newGGUF(3, 0, 1).text("a").u32(8).u64(1 << 30).data(64)},
	{"0 or 1", append(newGGUF(3, 0, 1).text("a").u32(7).b, 2)},
	{"nested", newGGUF(3, 0, 1).text("a").u32(9).u32(9).u64(1).u32(9).u64(1).u32(9).u64(1).u32(9).u64(1).u32(9).u64(1).data(64)},
	{"again", newGGUF(3, 0, 2).text("a").u32(4).u32(1).text("a").u32(4).u32(1).data(0)},
	{"general.alignment", newGGUF(3, 0, 1).text("general.alignment").u32(4).u32(24).data(0)},
	{"general.alignment", newGGUF(3, 0, 1).text("general.alignment").u32(4).u32(0).data(0)},
	{"general.alignment", newGGUF(3, 0, 1).text("general.alignment").u32(8).text("x").data(0)},
	{"dimensions", newGGUF(3, 1, 0).text("a").u32(5).data(100)},
	{"16", newGGUF(3, 1, 0).tensor("a", 16, 0, 256).data(100)},
	{"Q4_K", newGGUF(3, 1, 0).tensor("a", 16, 0, 256).data(100)},
	{"shape", newGGUF(3, 1, 0).tensor("a", 8, 0, 48).data(100)},
	{"shape", newGGUF(3, 1, 0).tensor("a", 0, 0, 1<<31, 1<<31, 1<<31).data(100)},
	{"less than 2^32", newGGUF(3, 1, 0).tensor("a", 0, 0, 1<<32).data(100)},
	{"within the file", newGGUF(3, 1, 0).tensor("a", 0, 0, 1<<20).data(100)},
	{"within the file", newGGUF(3, 1, 0).tensor("a", 0, 64, 1).data(64)},
	{"multiple of 32", newGGUF(3, 1, 0).tensor("a", 0, 4, 1).data(100)},
	{"offset", newGGUF(3, 1, 0).tensor("a", 0, math.MaxUint64-31, 1).data(100)},
	{"again", newGGUF(3, 2, 0).tensor("a", 0, 0, 1).tensor("a", 0, 32, 1).data(100)},
	{"ends", newGGUF(3, 2, 0).tensor("a", 0, 0, 9).tensor("b", 0, 32, 1).data(100)},
}

func TestGGUFRefusesHostileFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hostile.gguf")
	for _, c := range hostileGGUF {
		write(t, path, c.b)
		if n := allocated(func() {
			g, err := OpenGGUF(path)
			if err == nil {
				g.Close()
				t.Errorf("accepted a file that should fail for %q", c.says)
				return
			}
			mustRefuse(t, err, path, c.says)
		}); n > 1<<19 {
			t.Errorf("%s: %d bytes allocated", c.says, n)
		}
	}
	whole := read(t, "testdata/llama.gguf")
	for n := 0; n < len(whole); n += 97 {
		write(t, path, whole[:n])
		if m, err := Open(path); err == nil {
			m.Close()
			t.Fatalf("a file cut off at %d of %d bytes was accepted", n, len(whole))
		}
	}
}

func TestGGUFModelRefusals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.gguf")
	write(t, path, newGGUF(3, 0, 1).text("general.architecture").u32(8).text("mamba").data(0))
	_, err := Open(path)
	mustRefuse(t, err, path, "mamba", "llama", "gptneox")
	write(t, path, newGGUF(3, 0, 2).text("general.architecture").u32(8).text("llama").text("llama.block_count").u32(8).text("two").data(0))
	_, err = Open(path)
	mustRefuse(t, err, path, "llama.block_count", "two", "integer")
	write(t, path, newGGUF(3, 0, 1).text("general.architecture").u32(8).text("llama").data(0))
	_, err = Open(path)
	mustRefuse(t, err, path, "token_embd.weight")
}

func FuzzGGUF(f *testing.F) {
	for _, c := range hostileGGUF {
		f.Add(c.b)
	}
	f.Add(read(f, "testdata/llama.gguf")[:4096])
	f.Add(newGGUF(3, 1, 2).text("a").u32(9).u32(8).u64(2).text("x").text("y").text("b").u32(12).u64(5).tensor("t", 2, 0, 32, 2).data(36))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := &GGUF{Store: newStore("fuzz"), Metadata: map[string]any{}}
		if g.parse(bytes.NewReader(b), int64(len(b))) != nil {
			return
		}
		for _, name := range g.Names() {
			if v, shape, err := g.Tensor(name); err != nil {
				t.Fatalf("%q was accepted and cannot be read: %v", name, err)
			} else if n, ok := volume(shape); !ok || n != len(v) || len(v) > 2*len(b) {
				t.Fatalf("%q: %d values for shape %v from %d bytes", name, len(v), shape, len(b))
			}
		}
		g.model()
		g.Vocabulary()
	})
}
