package weights

// LoRA adapters in PEFT's format (arXiv 2106.09685): for a linear layer W the
// adapted layer is W + s B A with A [r, in], B [out, r] and s = alpha/r, or
// alpha/sqrt(r) with use_rslora (arXiv 2312.03732). In adapter_model.safetensors
// a layer MODULE has base_model.model.MODULE.lora_A.weight and .lora_B.weight;
// modules_to_save are stored whole as base_model.model.MODULE.weight.

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names of the files of an adapter's folder.
const (
	AdapterConfigFile = "adapter_config.json"
	AdapterModelFile  = "adapter_model.safetensors"
)

const adapterPrefix = "base_model.model."

// LoRA is the low-rank update of one linear layer.
type LoRA struct {
	Module  string // name of the layer in the model, as in "model.layers.0.self_attn.q_proj"
	Rank    int
	Out, In int
	A       []float32 // [Rank, In], row-major
	B       []float32 // [Out, Rank], row-major
}

// Saved is a tensor that the adapter replaces whole (modules_to_save), such as the
// head.
type Saved struct {
	Name   string // parameter name in the model, as in "lm_head.weight"
	Shape  []int
	Values []float32
}

// Adapter is an adapter's folder: settings, updates and replaced tensors, each
// sorted by name.
type Adapter struct {
	Config AdapterConfig
	Layers []LoRA
	Saved  []Saved
}

// Rank is the rank of a layer's update.
func (a *Adapter) Rank(module string) int { return a.Config.rank(module) }

// Scale is the factor s of a layer's update.
func (a *Adapter) Scale(module string) float64 {
	r, alpha := float64(a.Config.rank(module)), a.Config.alpha(module)
	if a.Config.UseRSLoRA {
		return alpha / math.Sqrt(r)
	}
	return alpha / r
}

// Delta is the update s B A of layer i, [Out, In], with sums in float64.
func (a *Adapter) Delta(i int) []float32 {
	l := &a.Layers[i]
	s := a.Scale(l.Module)
	delta, row := make([]float32, l.Out*l.In), make([]float64, l.In)
	for o := range l.Out {
		clear(row)
		for k := range l.Rank {
			b := float64(l.B[o*l.Rank+k])
			for j, v := range l.A[k*l.In : (k+1)*l.In] {
				row[j] += b * float64(v)
			}
		}
		for j, v := range row {
			delta[o*l.In+j] = float32(s * v)
		}
	}
	return delta
}

// ReadAdapter reads an adapter's folder. Settings that change the mathematics
// beyond W + s B A (DoRA, biases, ...) are refused by name.
func ReadAdapter(dir string) (*Adapter, error) {
	a := &Adapter{}
	config := filepath.Join(dir, AdapterConfigFile)
	if err := a.Config.read(config); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, AdapterModelFile)
	if _, err := os.Stat(path); err != nil {
		if _, old := os.Stat(filepath.Join(dir, "adapter_model.bin")); old == nil {
			return nil, refuse(dir, "adapter", "adapter_model.bin", AdapterModelFile+": save the adapter as safetensors first")
		}
		return nil, err
	}
	s, _, err := OpenSafetensors(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(a.readTensors(s), s.Close()); err != nil {
		return nil, err
	}
	return a, a.validate(path)
}

// readTensors sorts the tensors into layers and saved modules.
func (a *Adapter) readTensors(s *Store) error {
	layers := map[string]*LoRA{}
	for _, key := range s.names {
		name, ok := strings.CutPrefix(key, adapterPrefix)
		if !ok {
			return refuse(s.path, "tensor", key, "a name that begins with "+adapterPrefix)
		}
		values, shape, err := s.Tensor(key)
		if err != nil {
			return err
		}
		module, isA, isLoRA := loraModule(name)
		if !isLoRA {
			if strings.Contains(name, "lora_") {
				return refuse(s.path, "tensor", key, "MODULE.lora_A.weight, MODULE.lora_B.weight, or a saved module's tensor")
			}
			// An older PEFT left its own wrapper in the name of a saved module.
			name = strings.NewReplacer(".modules_to_save.default.", ".", ".modules_to_save.", ".").Replace(name)
			a.Saved = append(a.Saved, Saved{name, shape, values})
			continue
		}
		if len(shape) != 2 {
			return refuse(s.path, "shape of tensor "+clip(key), shape, "two dimensions")
		}
		l := layers[module]
		if l == nil {
			l = &LoRA{Module: module}
			layers[module] = l
		}
		if isA {
			l.A, l.In = values, shape[1]
		} else {
			l.B, l.Out = values, shape[0]
		}
		if rank := shape[boolIndex(isA, 0, 1)]; l.Rank == 0 {
			l.Rank = rank
		} else if l.Rank != rank {
			return refuse(s.path, "shape of tensor "+clip(key), shape, fmt.Sprintf("rank %d, as the other factor has", l.Rank))
		}
	}
	for _, module := range sortedKeys(layers) {
		a.Layers = append(a.Layers, *layers[module])
	}
	slices.SortFunc(a.Saved, func(x, y Saved) int { return strings.Compare(x.Name, y.Name) })
	return nil
}

func boolIndex(which bool, yes, no int) int {
	if which {
		return yes
	}
	return no
}

// loraModule takes the name of a factor apart.
func loraModule(name string) (module string, isA, ok bool) {
	for _, end := range []string{".weight", ".default.weight"} {
		if m, ok := strings.CutSuffix(name, ".lora_A"+end); ok {
			return m, true, true
		}
		if m, ok := strings.CutSuffix(name, ".lora_B"+end); ok {
			return m, false, true
		}
	}
	return "", false, false
}

// validate checks that factors are whole and of the ranks that the settings give.
func (a *Adapter) validate(file string) error {
	if err := a.Config.validate(file); err != nil {
		return err
	}
	if len(a.Layers) == 0 && len(a.Saved) == 0 {
		return refuse(file, "tensors", "none", "at least one adapted layer or saved module")
	}
	for i := range a.Layers {
		l := &a.Layers[i]
		what := "layer " + clip(l.Module)
		switch want := a.Config.rank(l.Module); {
		case l.A == nil:
			return refuse(file, what+" lora_A", "missing", "both factors of a layer")
		case l.B == nil:
			return refuse(file, what+" lora_B", "missing", "both factors of a layer")
		case l.Rank != want:
			return refuse(file, what+" rank", l.Rank, fmt.Sprintf("r = %d, as "+AdapterConfigFile+" says", want))
		case ambiguous(a.Config.RankPattern, l.Module) || ambiguous(a.Config.AlphaPattern, l.Module):
			return refuse(file, what, "several entries of rank_pattern or alpha_pattern", "one entry for a layer")
		case len(l.A) != l.Rank*l.In || len(l.B) != l.Out*l.Rank:
			return refuse(file, what+" values", [2]int{len(l.A), len(l.B)}, fmt.Sprintf("%d in A and %d in B", l.Rank*l.In, l.Out*l.Rank))
		}
	}
	for _, s := range a.Saved {
		if n, ok := volume(s.Shape); !ok || n != len(s.Values) {
			return refuse(file, "saved tensor "+clip(s.Name)+" values", len(s.Values), fmt.Sprintf("as many as shape %v has", s.Shape))
		}
		if !slices.ContainsFunc(a.Config.ModulesToSave, func(m string) bool { return savedBy(m, s.Name) }) {
			return refuse(file, "saved tensor", s.Name, fmt.Sprintf("tensors of modules_to_save = %v", a.Config.ModulesToSave))
		}
	}
	return nil
}

// savedBy reports whether a parameter belongs to an entry of modules_to_save.
func savedBy(entry, name string) bool {
	dot := strings.LastIndexByte(name, '.')
	return dot >= 0 && matchesName(entry, name[:dot])
}

// Bind fits an adapter to the model it is meant for: every adapted layer must be a
// linear layer there, of the same sizes, and every saved tensor a parameter or the
// head, whose name becomes the Config's where transformers has had two. file is
// what errors name.
func (a *Adapter) Bind(file string, c *Config) error {
	linears := map[string]Linear{c.headModule(): {Out: c.Vocabulary, In: c.Hidden}}
	for _, l := range c.Linears() {
		linears[l.Module] = l
	}
	for i := range a.Layers {
		l := &a.Layers[i]
		l.Module = strings.TrimSuffix(c.canonical(l.Module+".weight"), ".weight")
		base, ok := linears[l.Module]
		if !ok {
			return refuse(file, "adapted layer", l.Module, fmt.Sprintf("a linear layer of the model, such as %s", c.Linears()[0].Module))
		}
		if base.In != l.In || base.Out != l.Out {
			return refuse(file, "sizes of layer "+clip(l.Module), fmt.Sprintf("%d to %d", l.In, l.Out), fmt.Sprintf("%d to %d, as in the model", base.In, base.Out))
		}
	}
	shapes := map[string][]int{c.HeadName(): {c.Vocabulary, c.Hidden}}
	for _, p := range c.Parameters() {
		shapes[p.Name] = p.Shape
	}
	for i := range a.Saved {
		s := &a.Saved[i]
		if name := c.canonical(s.Name); name != s.Name {
			old := strings.TrimSuffix(s.Name, ".weight")
			s.Name = name
			a.Config.ModulesToSave = slices.Clone(a.Config.ModulesToSave)
			for j, entry := range a.Config.ModulesToSave {
				if entry == old {
					a.Config.ModulesToSave[j] = c.headModule()
				}
			}
		}
		if want, ok := shapes[s.Name]; !ok || !slices.Equal(want, s.Shape) {
			return refuse(file, "saved tensor "+clip(s.Name)+" shape", s.Shape, fmt.Sprintf("%v: a parameter of the model", want))
		}
	}
	return nil
}

// headModule is the head's name as a module.
func (c *Config) headModule() string { return strings.TrimSuffix(c.HeadName(), ".weight") }

// Write writes the adapter's folder, which is made when it is not there; stored is
// the type of its tensors. Each file is written whole or not at all.
//
// The head of GPT-NeoX, "embed_out", is written as "lm_head", its name since
// transformers 5.14: PEFT passes over a saved module that the model has not got,
// without a word. For an older transformers the two files need the older name.
func (a *Adapter) Write(dir string, stored Type) error {
	if err := a.validate(filepath.Join(dir, AdapterModelFile)); err != nil {
		return err
	}
	written := func(name string) string {
		if rest, ok := strings.CutPrefix(name, "embed_out"); ok && (rest == "" || rest[0] == '.') {
			return "lm_head" + rest
		}
		return name
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var list []Output
	for i := range a.Layers {
		l := &a.Layers[i]
		list = append(list,
			Output{Name: adapterPrefix + written(l.Module) + ".lora_A.weight", Shape: []int{l.Rank, l.In}, Type: stored, Values: l.A},
			Output{Name: adapterPrefix + written(l.Module) + ".lora_B.weight", Shape: []int{l.Out, l.Rank}, Type: stored, Values: l.B})
	}
	for _, s := range a.Saved {
		list = append(list, Output{Name: adapterPrefix + written(s.Name), Shape: s.Shape, Type: stored, Values: s.Values})
	}
	if err := WriteSafetensors(filepath.Join(dir, AdapterModelFile), list, nil); err != nil {
		return err
	}
	config := a.Config
	config.ModulesToSave = slices.Clone(config.ModulesToSave)
	for i, entry := range config.ModulesToSave {
		config.ModulesToSave[i] = written(entry)
	}
	return config.write(filepath.Join(dir, AdapterConfigFile))
}
