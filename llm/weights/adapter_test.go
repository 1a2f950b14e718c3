package weights

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestGoldenAdapters(t *testing.T) {
	for _, c := range []struct {
		adapter, model string
		layers         int
		scale          float64
		saved          string
		dropout        float64
	}{
		{"stories260k/adapter", "stories260k", 10, 2, "", 0},
		{"tiny_llama_gqa/adapter", "tiny_llama_gqa", 4, 2, "", 0},
		{"tiny_neox/adapter", "tiny_neox", 3, 2, "", 0},
		{"peft/lora", "stories260k", 10, 2, "", 0.05},
		{"peft/lora_rslora_head", "stories260k", 10, 4, "lm_head.weight", 0},
		{"peft/lora_neox", "tiny_neox", 3, 2, "", 0},
	} {
		t.Run(c.adapter, func(t *testing.T) {
			dir := goldenPath(t, "lm", c.adapter)
			m := open(t, goldenPath(t, "lm", c.model))
			a, err := ReadAdapter(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Bind(dir, &m.Config); err != nil {
				t.Fatal(err)
			}
			if len(a.Layers) != c.layers || a.Config.Rank != 4 || a.Config.Alpha != 8 || a.Config.Dropout != c.dropout {
				t.Errorf("%d layers, configuration %+v", len(a.Layers), a.Config)
			}
			chosen, err := a.Config.Targets.Choose(&m.Config)
			if err != nil || len(chosen) != c.layers {
				t.Fatalf("%d layers chosen, %v", len(chosen), err)
			}
			byName := map[string]bool{}
			for _, l := range a.Layers {
				byName[l.Module] = true
				if s := a.Scale(l.Module); s != c.scale {
					t.Errorf("%s: scale %g, want %g", l.Module, s, c.scale)
				}
			}
			for _, l := range chosen {
				if !byName[l.Module] {
					t.Errorf("%s is chosen and not in the file", l.Module)
				}
			}
			saved := ""
			for _, s := range a.Saved {
				saved += s.Name
			}
			if saved != c.saved {
				t.Errorf("saved %q, want %q", saved, c.saved)
			}
			// Written and read again, nothing changes; nor do the bytes of the tensors.
			out := filepath.Join(t.TempDir(), "adapter")
			if err := a.Write(out, F32); err != nil {
				t.Fatal(err)
			}
			again, err := ReadAdapter(out)
			if err != nil || !reflect.DeepEqual(again, a) {
				t.Errorf("written and read again: %v", err)
			}
			if string(read(t, filepath.Join(out, AdapterModelFile))) != string(read(t, filepath.Join(dir, AdapterModelFile))) {
				t.Error("the tensor file differs from the one that PEFT wrote")
			}
		})
	}
}

func smallAdapter() *Adapter {
	return &Adapter{
		Config: AdapterConfig{
			Base: "base", TaskType: "CAUSAL_LM", Rank: 2, Alpha: 3, Targets: Targets{Names: []string{"q_proj", "up_proj"}}, ModulesToSave: []string{"lm_head"},
			RankPattern: map[string]int{"layers.1.mlp.up_proj": 1}, AlphaPattern: map[string]float64{"up_proj": 5},
		},
		Layers: []LoRA{
			{Module: "model.layers.0.self_attn.q_proj", Rank: 2, Out: 8, In: 8, A: make([]float32, 16), B: make([]float32, 16)},
			{Module: "model.layers.1.mlp.up_proj", Rank: 1, Out: 12, In: 8, A: make([]float32, 8), B: make([]float32, 12)},
		},
		Saved: []Saved{{Name: "lm_head.weight", Shape: []int{11, 8}, Values: make([]float32, 88)}},
	}
}

func TestAdapterDelta(t *testing.T) {
	a := smallAdapter()
	l := &a.Layers[0]
	for i := range l.A {
		l.A[i], l.B[i] = float32(i), float32(1-i)
	}
	delta := a.Delta(0)
	for o := range 8 {
		for j := range 8 {
			want := 1.5 * (float64(l.B[2*o])*float64(l.A[j]) + float64(l.B[2*o+1])*float64(l.A[8+j]))
			if got := float64(delta[8*o+j]); got != want {
				t.Fatalf("delta[%d,%d] = %g, want %g", o, j, got, want)
			}
		}
	}
	if s := a.Scale("model.layers.1.mlp.up_proj"); s != 5 {
		t.Errorf("scale by pattern %g, want 5/1", s)
	}
	a.Config.UseRSLoRA = true
	if s := a.Scale("model.layers.0.self_attn.q_proj"); math.Abs(s-3/math.Sqrt2) > 1e-15 {
		t.Errorf("scale %g, want 3/sqrt 2", s)
	}
}

func TestAdapterRefusals(t *testing.T) {
	dir := t.TempDir()
	for says, change := range map[string]func(a *Adapter){
		"r =":             func(a *Adapter) { a.Config.Rank = 0 },
		"lora_alpha":      func(a *Adapter) { a.Config.Alpha = math.NaN() },
		"lora_dropout":    func(a *Adapter) { a.Config.Dropout = 1 },
		"rank_pattern":    func(a *Adapter) { a.Config.RankPattern["("] = 1 },
		"several entries": func(a *Adapter) { a.Config.AlphaPattern["mlp.up_proj"] = 6 },
		"rank = ":         func(a *Adapter) { a.Config.RankPattern = nil },
		"lora_A":          func(a *Adapter) { a.Layers[0].A = nil },
		"lora_B":          func(a *Adapter) { a.Layers[0].B = nil },
		"values":          func(a *Adapter) { a.Layers[0].A = make([]float32, 3) },
		"saved tensor":    func(a *Adapter) { a.Config.ModulesToSave = nil },
		"none":            func(a *Adapter) { a.Layers, a.Saved = nil, nil },
		"target_modules":  func(a *Adapter) { a.Config.Targets = Targets{} },
	} {
		a := smallAdapter()
		change(a)
		mustRefuse(t, a.Write(dir, F32), says)
	}
	for says, change := range map[string]func(a *Adapter){
		"model.layers.7.": func(a *Adapter) { a.Layers[0].Module = "model.layers.7.self_attn.q_proj" },
		"8 to 8":          func(a *Adapter) { a.Layers[0].In = 9 },
		"saved tensor":    func(a *Adapter) { a.Saved[0].Shape = []int{8, 11} },
	} {
		a := smallAdapter()
		change(a)
		mustRefuse(t, a.Bind("folder", smallConfig()), "folder", says)
	}
	if err := smallAdapter().Bind("folder", smallConfig()); err != nil {
		t.Error(err)
	}
}

func TestAdapterFilesRefused(t *testing.T) {
	dir := t.TempDir()
	if err := smallAdapter().Write(dir, F16); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, AdapterConfigFile)
	good := string(read(t, config))
	for _, c := range []struct{ old, new, says string }{
		{`"LORA"`, `"IA3"`, "peft_type"},
		{`"use_dora": false`, `"use_dora": true`, "use_dora"},
		{`"bias": "none"`, `"bias": "all"`, "bias"},
		{`"fan_in_fan_out": false`, `"fan_in_fan_out": true`, "fan_in_fan_out"},
		{`"r": 2`, `"r": 2, "layer_replication": [[0,1]]`, "layer_replication"},
		{`"r": 2`, `"r": 3`, "rank"},
		{`"r": 2`, `"r": "two"`, "JSON"},
		{`"init_lora_weights": true`, `"init_lora_weights": "pissa_niter_4"`, "init_lora_weights"},
		{`{`, `[`, "JSON"},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("%s is not in the file", c.old)
		}
		write(t, config, []byte(strings.Replace(good, c.old, c.new, 1)))
		_, err := ReadAdapter(dir)
		mustRefuse(t, err, dir, c.says)
	}
	write(t, config, []byte(strings.Replace(good, `"r": 2`, `"r": 2, "megatron_core": "megatron.core", "new_setting": null`, 1)))
	if _, err := ReadAdapter(dir); err != nil {
		t.Errorf("harmless settings: %v", err)
	}
	path := filepath.Join(dir, AdapterModelFile)
	for says, name := range map[string]string{
		"begins with":    "model.layers.0.self_attn.q_proj.lora_A.weight",
		"lora_magnitude": "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
		"two dimensions": "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
	} {
		if err := WriteSafetensors(path, []Output{{Name: name, Shape: []int{1}, Values: []float32{1}}}, nil); err != nil {
			t.Fatal(err)
		}
		_, err := ReadAdapter(dir)
		mustRefuse(t, err, path, says)
	}
	list := []Output{
		{Name: "base_model.model.x.lora_A.default.weight", Shape: []int{2, 1}, Values: []float32{1, 2}},
		{Name: "base_model.model.x.lora_B.default.weight", Shape: []int{1, 3}, Values: []float32{1, 2, 3}},
	}
	if err := WriteSafetensors(path, list, nil); err != nil {
		t.Fatal(err)
	}
	_, err := ReadAdapter(dir)
	mustRefuse(t, err, "rank 2")
	if err := os.Rename(path, filepath.Join(dir, "adapter_model.bin")); err != nil {
		t.Fatal(err)
	}
	_, err = ReadAdapter(dir)
	mustRefuse(t, err, "adapter_model.bin", "safetensors")
}

// transformers has had two names for the head of GPT-NeoX.
func TestNeoXHeadHasTwoNames(t *testing.T) {
	c := &Config{
		Architecture: GPTNeoX, Vocabulary: 11, Hidden: 8, Intermediate: 12, Layers: 1, Heads: 2, KVHeads: 2, HeadSize: 4, Context: 64, Epsilon: 1e-5,
		Activation: GELU, AttentionBias: true, MLPBias: true, BOS: -1, PAD: -1, Rope: Rope{Base: 10000, Dims: 2},
	}
	m := open(t, saveModel(t, c, func(list []Output) []Output {
		list[len(list)-1].Name = "lm_head.weight"
		return list
	}))
	if _, shape, err := m.Tensor("embed_out.weight"); err != nil || fmt.Sprint(shape) != "[11 8]" {
		t.Errorf("shape %v, %v", shape, err)
	}
	a := &Adapter{
		Config: AdapterConfig{Rank: 1, Alpha: 1, Targets: Targets{Pattern: AllLinear}, ModulesToSave: []string{"lm_head"}},
		Saved:  []Saved{{Name: "lm_head.weight", Shape: []int{11, 8}, Values: make([]float32, 88)}},
	}
	if err := a.Bind("folder", c); err != nil || a.Saved[0].Name != "embed_out.weight" || fmt.Sprint(a.Config.ModulesToSave) != "[embed_out]" {
		t.Errorf("%+v, %v", a.Config, err)
	}
	dir := t.TempDir()
	if err := a.Write(dir, F32); err != nil {
		t.Fatal(err)
	}
	again, err := ReadAdapter(dir)
	if err != nil || again.Saved[0].Name != "lm_head.weight" || fmt.Sprint(again.Config.ModulesToSave) != "[lm_head]" {
		t.Fatalf("%+v, %v: want the name that transformers has now", again, err)
	}
	if err := again.Bind("folder", c); err != nil || !reflect.DeepEqual(again, a) {
		t.Errorf("%+v, %v; want %+v", again, err, a)
	}
}

func TestTargets(t *testing.T) {
	c := smallConfig()
	for _, k := range []struct {
		targets Targets
		want    int
	}{
		{Targets{Names: []string{"q_proj", "v_proj"}}, 4},
		{Targets{Names: []string{"proj"}}, 0}, // a name is whole
		{Targets{Names: []string{"model.layers.1.mlp.up_proj"}}, 1},
		{Targets{Names: []string{AllLinear}}, 14},
		{Targets{Pattern: AllLinear}, 14},
		{Targets{Pattern: `.*layers\.0\..*(q|k)_proj`}, 2},
		{Targets{Pattern: "q_proj"}, 0}, // an expression is for the whole name
		{Targets{}, 0},
	} {
		chosen, err := k.targets.Choose(c)
		if len(chosen) != k.want || (err == nil) != (k.want > 0) {
			t.Errorf("%s: %d layers, %v; want %d", k.targets.String(), len(chosen), err, k.want)
		}
		if k.want == 0 {
			mustRefuse(t, err, "target_modules", "q_proj, k_proj")
		}
	}
	bad := Targets{Pattern: "("}
	_, err := bad.Choose(c)
	mustRefuse(t, err, "target_modules", "regular expression")
}

func FuzzAdapterConfig(f *testing.F) {
	f.Add([]byte(`{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q_proj"],"rank_pattern":{"a":1}}`))
	f.Add([]byte(`{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":"all-linear","use_rslora":true,"modules_to_save":["lm_head"]}`))
	path := filepath.Join(f.TempDir(), AdapterConfigFile)
	f.Fuzz(func(t *testing.T, b []byte) {
		write(t, path, b)
		var c, again AdapterConfig
		if c.read(path) != nil || len(c.Targets.Names) == 0 && c.Targets.Pattern == "" {
			return
		}
		if err := c.write(path); err != nil {
			t.Fatalf("accepted and cannot be written: %v", err)
		}
		if err := again.read(path); err != nil || again.Rank != c.Rank || again.Alpha != c.Alpha || again.Targets.String() == "" != (c.Targets.String() == "") {
			t.Fatalf("%+v became %+v, %v", c, again, err)
		}
	})
}
