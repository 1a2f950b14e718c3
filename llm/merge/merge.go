// Package merge writes a tuned model for other tools: as a model folder in Hugging
// Face's layout, an adapter and a head merged into the weights, or as the adapter's
// folder with the head beside it.
//
// Merging goes tensor by tensor: W + s B A, formed in float32 with the product in
// float64, is computed when it is written, so that memory holds one tensor and not
// the model.
package merge

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// DefaultShard is the size in bytes above which weights are written as several
// files, transformers' own.
const DefaultShard = 5_000_000_000

// Tuned is what was trained on top of a model.
type Tuned struct {
	// Adapter fits the model (weights.Adapter.Bind); nil: none.
	Adapter *weights.Adapter
	// Head replaces the output head, [Vocabulary, Hidden] row-major, and the one of
	// the adapter; nil: none.
	Head []float32
}

// Settings say how a folder is written.
type Settings struct {
	Type weights.Type // of all numbers: F32 (the default), F16 or BF16
	// Shard is the most bytes of tensors in one file, default DefaultShard. A single
	// tensor may exceed it.
	Shard int64
}

// Report says what was written.
type Report struct {
	Files   []string // names in the folder, in the order in which they were written
	Tensors int
	Bytes   int64 // of all tensors
	// Changed counts the tensors that differ from the base model's, up to rounding.
	Changed int
	// Untied says that the base model's head was its embedding and is now apart.
	Untied bool
	// Missing says what the folder lacks for tools that need it; empty when nothing.
	Missing string
}

// Write writes the folder of the merged model: config.json, model.safetensors or
// shards with their index, and the tokenizer's files. dir is made; it may exist when
// it is empty. config.json, without which nobody takes the folder for a model, is
// written last.
//
// Errors: dir that is not empty, an adapter or head that does not fit, a number
// beyond the range of Type, files that cannot be read or written.
func Write(dir string, m *weights.Model, t Tuned, s Settings) (*Report, error) {
	if s.Shard == 0 {
		s.Shard = DefaultShard
	}
	if s.Shard < 1 {
		return nil, &bilevel.SettingError{Field: "Shard", Value: s.Shard, Allowed: "bytes >= 1, or 0 for the default"}
	}
	p, err := newPlan(m, t, s.Type)
	if err != nil {
		return nil, err
	}
	if err := emptyFolder(dir); err != nil {
		return nil, err
	}
	r := &Report{Tensors: len(p.outputs), Changed: p.changed, Untied: p.untied}
	for _, o := range p.outputs {
		r.Bytes += size(o)
	}
	if err := writeShards(dir, p.outputs, s.Shard, r); err != nil {
		return nil, err
	}
	if err := writeTokenizer(dir, m, r); err != nil {
		return nil, err
	}
	if err := weights.WriteConfig(filepath.Join(dir, "config.json"), &p.config, s.Type); err != nil {
		return nil, err
	}
	r.Files = append(r.Files, "config.json")
	return r, nil
}

// emptyFolder makes dir, or refuses one with something in it.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return &bilevel.SettingError{Field: "folder " + dir, Value: fmt.Sprintf("%d files, %s among them", len(entries), entries[0].Name()), Allowed: "a new or empty folder"}
	}
	return nil
}

// plan is what the weights' files will hold.
type plan struct {
	config  weights.Config
	outputs []weights.Output
	changed int
	untied  bool
}

func newPlan(m *weights.Model, t Tuned, stored weights.Type) (*plan, error) {
	c := m.Config
	head := c.HeadName()
	if t.Head != nil && len(t.Head) != c.Vocabulary*c.Hidden {
		return nil, &bilevel.SettingError{Field: "values of the head", Value: len(t.Head), Allowed: fmt.Sprintf("%d x %d, as the model has", c.Vocabulary, c.Hidden)}
	}
	changes := map[string]bool{}
	if t.Head != nil {
		changes[head] = true
	}
	if t.Adapter != nil {
		if err := t.Adapter.Bind("adapter", &c); err != nil {
			return nil, err
		}
		for _, l := range t.Adapter.Layers {
			changes[l.Module+".weight"] = true
		}
		for _, saved := range t.Adapter.Saved {
			changes[saved.Name] = true
		}
	}
	p := &plan{config: c, changed: len(changes), untied: c.TiedHead && changes[head]}
	if p.untied {
		p.config.TiedHead = false
	}
	for _, parameter := range p.config.Parameters() {
		load := func() ([]float32, error) { return merged(m, t, parameter.Name) }
		p.outputs = append(p.outputs, weights.Output{Name: parameter.Name, Shape: parameter.Shape, Type: stored, Load: load})
	}
	return p, nil
}

// merged is a parameter of the tuned model.
func merged(m *weights.Model, t Tuned, name string) ([]float32, error) {
	if name == m.Config.HeadName() && t.Head != nil {
		return t.Head, nil
	}
	values, _, err := m.Tensor(name)
	if err == nil && t.Adapter != nil {
		err = lora.Merge(t.Adapter, name, values)
	}
	return values, err
}

// size is the bytes of a tensor in its file.
func size(o weights.Output) int64 {
	n := int64(2)
	if o.Type == weights.F32 {
		n = 4
	}
	for _, d := range o.Shape {
		n *= int64(d)
	}
	return n
}

// Export writes what was trained, without the base model, as PEFT reads it: the
// adapter's folder in dir, with the head in it as one of modules_to_save, or, with
// apart, as a file of its own, HeadFile, for tools that know no modules_to_save.
func Export(dir string, c *weights.Config, t Tuned, stored weights.Type, apart bool) (*Report, error) {
	if t.Adapter == nil && t.Head == nil {
		return nil, &bilevel.SettingError{Field: "tuned", Value: "neither adapter nor head", Allowed: "at least one of them"}
	}
	if t.Head != nil && len(t.Head) != c.Vocabulary*c.Hidden {
		return nil, &bilevel.SettingError{Field: "values of the head", Value: len(t.Head), Allowed: fmt.Sprintf("%d x %d, as the model has", c.Vocabulary, c.Hidden)}
	}
	if err := emptyFolder(dir); err != nil {
		return nil, err
	}
	name := c.HeadName()
	var a *weights.Adapter
	if t.Adapter != nil {
		copied := *t.Adapter
		a = &copied
		a.Saved = slices.Clone(a.Saved)
		if err := a.Bind("adapter", c); err != nil {
			return nil, err
		}
	}
	head := t.Head
	if a != nil {
		if i := slices.IndexFunc(a.Saved, func(s weights.Saved) bool { return s.Name == name }); i >= 0 {
			if head == nil {
				head = a.Saved[i].Values
			}
			a.Saved = slices.Delete(a.Saved, i, i+1)
			module := strings.TrimSuffix(name, ".weight")
			a.Config.ModulesToSave = slices.DeleteFunc(slices.Clone(a.Config.ModulesToSave), func(m string) bool { return m == module })
		}
		if head != nil && !apart {
			a.Saved = append(a.Saved, weights.Saved{Name: name, Shape: []int{c.Vocabulary, c.Hidden}, Values: head})
			a.Config.ModulesToSave = append(slices.Clone(a.Config.ModulesToSave), strings.TrimSuffix(name, ".weight"))
			head = nil
		}
	}
	r := &Report{}
	if a != nil {
		if err := a.Write(dir, stored); err != nil {
			return nil, err
		}
		r.Files = append(r.Files, weights.AdapterModelFile, weights.AdapterConfigFile)
		r.Tensors += 2*len(a.Layers) + len(a.Saved)
	}
	if head != nil {
		if err := weights.WriteHead(filepath.Join(dir, HeadFile), c, head, stored); err != nil {
			return nil, err
		}
		r.Files = append(r.Files, HeadFile)
		r.Tensors++
	}
	return r, nil
}

// HeadFile is the name of the file of an output head.
const HeadFile = "lm_head.safetensors"
