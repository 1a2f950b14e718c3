package merge_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/merge"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// logits are those of the golden inputs for a model in memory, with the update
// apart from the weights where a is not nil.
func logits(t *testing.T, m *lmtest.Model, a *weights.Adapter) []float32 {
	t.Helper()
	var inputs lmtest.Batch
	lmtest.JSON(t, lmtest.Golden(t, "peft", "inputs.json"), &inputs)
	net, err := network.New(m.Config)
	if err != nil {
		t.Fatal(err)
	}
	return lmtest.Run(t, backendtest.Open(t, backend.Go), func(f *lmtest.Feed) []*graph.Node {
		w := f.Weights(m)
		var bound *network.Adapter
		if a != nil {
			bound = lora.Bind(a, f.Parameters(lora.Parameters(a)))
		}
		return []*graph.Node{network.Logits(net.Hidden(w, bound, f.IDs("ids", inputs)), w(m.Config.HeadName()))}
	})[0]
}

// tuned is a model of the golden files, with what was trained on it.
type tuned struct {
	dir    string
	stored *weights.Model
	merge.Tuned
}

func open(t *testing.T, model, adapter string, head bool) tuned {
	t.Helper()
	dir := lmtest.Golden(t, model)
	stored, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stored.Close() })
	x := tuned{dir: dir, stored: stored}
	if adapter != "" {
		if x.Adapter, err = weights.ReadAdapter(lmtest.Golden(t, "peft", adapter)); err != nil {
			t.Fatal(err)
		}
		if err := x.Adapter.Bind(adapter, &stored.Config); err != nil {
			t.Fatal(err)
		}
	}
	if head {
		if x.Head, err = weights.ReadHead(lmtest.Golden(t, "peft", "lm_head.safetensors"), &stored.Config); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// A merged folder, in one file and in shards, computes what the adapter and the
// head compute apart from the weights.
func TestMergedEqualsUnmerged(t *testing.T) {
	for _, c := range []struct {
		name, model, adapter string
		head                 bool
		shard                int64
		files                int // of weights, with the index
	}{
		{"base", "stories260k", "", false, 0, 1},
		{"adapter", "stories260k", "lora", false, 0, 1},
		{"head", "stories260k", "", true, 1 << 18, 6},
		{"adapter and head", "stories260k", "lora", true, 1 << 18, 6},
		{"adapter with its head", "stories260k", "lora_rslora_head", false, 1, 49},
		{"neox", "tiny_neox", "lora_neox", false, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := open(t, c.model, c.adapter, c.head)
			apart := lmtest.Open(t, x.dir, "")
			if x.Adapter != nil {
				for _, s := range x.Adapter.Saved {
					apart.Values[s.Name] = s.Values
				}
			}
			if x.Head != nil {
				apart.Values[apart.Config.HeadName()] = x.Head
			}
			want := logits(t, apart, x.Adapter)

			dir := filepath.Join(t.TempDir(), "merged")
			r, err := merge.Write(dir, x.stored, x.Tuned, merge.Settings{Shard: c.shard})
			if err != nil {
				t.Fatal(err)
			}
			written := slices.DeleteFunc(slices.Clone(r.Files), func(s string) bool { return !strings.HasPrefix(s, "model") })
			if len(written) != c.files {
				t.Errorf("%d files of weights: %v; want %d", len(written), written, c.files)
			}
			lmtest.Near(t, "logits", logits(t, lmtest.Open(t, dir, ""), nil), want, 1e-5)
			m, err := weights.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			ownHead := x.Head != nil || x.Adapter != nil && len(x.Adapter.Saved) > 0
			if tied := x.stored.Config.TiedHead && !ownHead; m.Config.TiedHead != tied || r.Untied != (x.stored.Config.TiedHead && ownHead) || r.Tensors != len(m.Names()) {
				t.Errorf("tied %t, want %t; %+v", m.Config.TiedHead, tied, r)
			}
			if changed := countChanged(t, m, x.stored); changed != r.Changed {
				t.Errorf("%d tensors changed, reported %d", changed, r.Changed)
			}
			if _, err := os.Stat(filepath.Join(x.dir, "tokenizer.json")); err == nil {
				if _, err := tokenizer.OfModel(m); err != nil || r.Missing != "" {
					t.Errorf("tokenizer: %v; %s", err, r.Missing)
				}
			} else if r.Missing == "" {
				t.Error("nothing is said of the missing tokenizer")
			}
		})
	}
}

// countChanged counts the tensors of m that another model has not got with the
// same values.
func countChanged(t *testing.T, m, other *weights.Model) int {
	t.Helper()
	n := 0
	for _, name := range m.Names() {
		a, _, err := m.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if b, _, err := other.Tensor(name); err != nil || !slices.Equal(a, b) {
			n++
		}
	}
	return n
}

func TestTypes(t *testing.T) {
	x := open(t, "stories260k", "lora", true)
	for stored, bound := range map[weights.Type]float32{weights.BF16: 1.0 / 256, weights.F16: 1.0 / 2048} {
		dir := filepath.Join(t.TempDir(), stored.String())
		r, err := merge.Write(dir, x.stored, x.Tuned, merge.Settings{Type: stored})
		if err != nil {
			t.Fatal(err)
		}
		m, err := weights.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		head, _, err := m.Tensor(m.Config.HeadName())
		if err != nil {
			t.Fatal(err)
		}
		if got := m.StoredAs(m.Config.HeadName()); got != stored.String() || r.Bytes != int64(2*m.Config.ParameterCount()) {
			t.Errorf("stored as %s in %d bytes", got, r.Bytes)
		}
		for i, v := range head { // half a unit in the last place, and more for subnormal numbers
			if d := max(v-x.Head[i], x.Head[i]-v); d > bound*max(x.Head[i], -x.Head[i])+1e-7 {
				t.Fatalf("%s: value %d is %g, want %g", stored, i, v, x.Head[i])
			}
		}
		config, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if want := map[weights.Type]string{weights.BF16: "bfloat16", weights.F16: "float16"}[stored]; err != nil || !strings.Contains(string(config), want) {
			t.Errorf("config.json lacks %s: %s %v", want, config, err)
		}
	}
}

// What Export writes is read back: the head among the saved modules, or apart.
func TestExport(t *testing.T) {
	for _, c := range []struct {
		name, model, adapter string
		head                 bool
	}{
		{"adapter and head", "stories260k", "lora", true},
		{"adapter with its head", "stories260k", "lora_rslora_head", false},
		{"another head than the adapter's", "stories260k", "lora_rslora_head", true},
		{"head", "stories260k", "", true},
		{"adapter", "tiny_neox", "lora_neox", false},
	} {
		for _, apart := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				x := open(t, c.model, c.adapter, c.head)
				config := &x.stored.Config
				head := x.Head
				if head == nil && len(x.Adapter.Saved) > 0 {
					head = x.Adapter.Saved[0].Values
				}
				dir := filepath.Join(t.TempDir(), "exported")
				r, err := merge.Export(dir, config, x.Tuned, weights.F32, apart)
				if err != nil {
					t.Fatal(err)
				}
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) != len(r.Files) {
					t.Errorf("%d files, reported %v; %v", len(entries), r.Files, err)
				}
				var got []float32
				if c.adapter != "" {
					a, err := weights.ReadAdapter(dir)
					if err == nil {
						err = a.Bind(dir, config)
					}
					if err != nil {
						t.Fatal(err)
					}
					if len(a.Layers) != len(x.Adapter.Layers) || !slices.Equal(a.Layers[0].B, x.Adapter.Layers[0].B) || a.Scale(a.Layers[0].Module) != x.Adapter.Scale(a.Layers[0].Module) {
						t.Errorf("%d layers, want %d with the same values", len(a.Layers), len(x.Adapter.Layers))
					}
					for _, s := range a.Saved {
						got = s.Values
					}
					if (len(a.Saved) > 0) != (head != nil && !apart) {
						t.Errorf("%d saved modules", len(a.Saved))
					}
				}
				if apart || c.adapter == "" {
					path := filepath.Join(dir, merge.HeadFile)
					if _, err := os.Stat(path); err == nil {
						if got, err = weights.ReadHead(path, config); err != nil {
							t.Fatal(err)
						}
					}
				}
				if !slices.Equal(got, head) {
					t.Errorf("a head of %d values, want %d, the same", len(got), len(head))
				}
			})
		}
	}
}

func TestRefuses(t *testing.T) {
	x := open(t, "stories260k", "lora", true)
	neox := open(t, "tiny_neox", "lora_neox", false)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "config.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(dir string) error{
		"a folder in use": func(string) error { _, err := merge.Write(full, x.stored, x.Tuned, merge.Settings{}); return err },
		"an export over it": func(string) error {
			_, err := merge.Export(full, &x.stored.Config, x.Tuned, weights.F32, true)
			return err
		},
		"nothing to export": func(dir string) error {
			_, err := merge.Export(dir, &x.stored.Config, merge.Tuned{}, weights.F32, true)
			return err
		},
		"a short head": func(dir string) error {
			_, err := merge.Write(dir, x.stored, merge.Tuned{Head: make([]float32, 5)}, merge.Settings{})
			return err
		},
		"another model's": func(dir string) error { _, err := merge.Write(dir, x.stored, neox.Tuned, merge.Settings{}); return err },
		"a type of a GGUF": func(dir string) error {
			_, err := merge.Write(dir, x.stored, x.Tuned, merge.Settings{Type: weights.Q8_0})
			return err
		},
		"shards of no bytes": func(dir string) error {
			_, err := merge.Write(dir, x.stored, x.Tuned, merge.Settings{Shard: -1})
			return err
		},
		"a number beyond F16": func(dir string) error {
			head := slices.Clone(x.Head)
			head[9] = 1e6
			_, err := merge.Write(dir, x.stored, merge.Tuned{Head: head}, merge.Settings{Type: weights.F16})
			return err
		},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		if err := f(dir); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
			t.Errorf("%s: what was refused looks like a model", name)
		}
	}
}
