package weights

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/llm/hub"
	"github.com/bilevel-go/bilevel/llm/modelref"
)

// Kind is the kind of file that a model was opened from.
type Kind string

// The kinds.
const (
	Safetensors Kind = "safetensors"
	GGUFFile    Kind = "gguf"
	Llama2c     Kind = "llama2.c"
)

// Model is one view of a model on disk: its Config and its parameters under their
// Hugging Face names. Close it when the values have been read.
type Model struct {
	Config Config
	Kind   Kind
	// Path is the file or folder opened, after the reference was resolved.
	Path string

	store *Store
	gguf  *GGUF
}

// Open opens a model by its reference: a folder with config.json and safetensors
// or with one GGUF file, a .safetensors file beside its config.json, a GGUF file,
// a llama2.c .bin file, hf:owner/name[@revision][/file], which package hub fetches
// with its settings from the environment, or the name of a pulled model (package
// modelref). Every parameter is checked to be there in the shape that the Config
// gives it; values are read later.
func Open(reference string) (*Model, error) {
	return OpenContext(context.Background(), reference, hub.Settings{})
}

// OpenContext is Open with the hub's settings and a context for downloads.
func OpenContext(ctx context.Context, reference string, settings hub.Settings) (*Model, error) {
	path, err := modelref.Resolve(ctx, reference, settings)
	if err != nil {
		return nil, err
	}
	m := &Model{Path: path}
	if err := m.open(path); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// open finds out what path is and opens its store.
func (m *Model) open(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return m.openFolder(path)
	}
	kind, err := fileKind(path)
	if err != nil {
		return err
	}
	switch m.Kind = kind; kind {
	case GGUFFile:
		return m.openGGUF(path)
	case Llama2c:
		c, s, err := openLlama2c(path)
		if err != nil {
			return err
		}
		m.Config, m.store = *c, s
		return nil
	}
	config := filepath.Join(filepath.Dir(path), "config.json")
	if _, err := os.Stat(config); err != nil {
		return refuse(path, "config.json", "missing", "a config.json beside a safetensors file")
	}
	return m.openHF(config, func() (s *Store, err error) { s, _, err = OpenSafetensors(path); return })
}

// openFolder chooses as transformers does: one file before shards.
func (m *Model) openFolder(dir string) error {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	config := filepath.Join(dir, "config.json")
	switch {
	case has("config.json") && has("model.safetensors"):
		return m.openHF(config, func() (s *Store, err error) {
			s, _, err = OpenSafetensors(filepath.Join(dir, "model.safetensors"))
			return
		})
	case has("config.json") && has("model.safetensors.index.json"):
		return m.openHF(config, func() (*Store, error) { return OpenSharded(filepath.Join(dir, "model.safetensors.index.json")) })
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var gguf, names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if strings.EqualFold(filepath.Ext(e.Name()), ".gguf") {
			gguf = append(gguf, e.Name())
		}
	}
	switch {
	case len(gguf) == 1:
		return m.openGGUF(filepath.Join(dir, gguf[0]))
	case len(gguf) > 1:
		return refuse(dir, "model folder", strings.Join(gguf, ", "), "one GGUF file: give the path of the one that is meant")
	case slices.Contains(names, "pytorch_model.bin"), slices.Contains(names, "pytorch_model.bin.index.json"):
		return refuse(dir, "model folder", "pytorch_model.bin", "safetensors or GGUF: save the model as safetensors first")
	}
	return refuse(dir, "model folder", strings.Join(names, ", "), "config.json with model.safetensors or model.safetensors.index.json, or a GGUF file")
}

func (m *Model) openHF(config string, open func() (*Store, error)) error {
	m.Kind = Safetensors
	c, err := ReadConfig(config)
	if err != nil {
		return err
	}
	if m.store, err = open(); err != nil {
		return err
	}
	for _, name := range m.store.Names() {
		m.store.rename(name, c.canonical(name))
	}
	m.Config = *c
	return nil
}

func (m *Model) openGGUF(path string) error {
	m.Kind, m.Path = GGUFFile, path
	g, err := OpenGGUF(path)
	if err != nil {
		return err
	}
	c, view, err := g.model()
	if err != nil {
		return errors.Join(err, g.Close())
	}
	m.Config, m.store, m.gguf = *c, view, g
	return nil
}

// fileKind tells the formats apart by their first bytes, not by their names.
func fileKind(path string) (Kind, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b [9]byte
	n, err := f.Read(b[:])
	if n < len(b) {
		return "", refuse(path, "file length", n, "a safetensors, GGUF or llama2.c file")
	}
	if err != nil {
		return "", err
	}
	switch length := binary.LittleEndian.Uint64(b[:]); {
	case string(b[:4]) == "GGUF":
		return GGUFFile, nil
	case b[8] == '{' && length <= maxHeader:
		return Safetensors, nil
	case string(b[:4]) == "FUGG":
		return "", refuse(path, "byte order", "big-endian GGUF", "little-endian")
	case string(b[:4]) == "PK\x03\x04" || string(b[:4]) == "\x80\x02\x8a\x0a":
		return "", refuse(path, "file", "a PyTorch pickle", "safetensors, GGUF or llama2.c: save the model as safetensors first")
	case strings.EqualFold(filepath.Ext(path), ".bin"):
		return Llama2c, nil
	}
	return "", refuse(path, "file", fmt.Sprintf("begins with % x", b), "safetensors, GGUF, or llama2.c with the ending .bin")
}

// check compares the store with the Config's parameters.
func (m *Model) check() error {
	var missing []string
	for _, p := range m.Config.Parameters() {
		t := m.store.tensors[p.Name]
		switch {
		case t == nil:
			missing = append(missing, p.Name)
		case !slices.Equal(t.shape, p.Shape):
			return refuse(t.path, "shape of tensor "+clip(p.Name), t.shape, fmt.Sprintf("%v, as the configuration says", p.Shape))
		case t.typ < 0:
			return refuse(t.path, "type of tensor "+clip(p.Name), t.dtype, "F32, F16 or BF16")
		}
	}
	if len(missing) > 0 {
		const most = 8
		list := strings.Join(missing[:min(most, len(missing))], ", ")
		if len(missing) > most {
			list += ", ..."
		}
		return refuse(m.Path, "tensors", fmt.Sprintf("%d missing: %s", len(missing), list), fmt.Sprintf("every parameter of a %s model with this configuration", m.Config.Architecture))
	}
	return nil
}

// stored is the name under which a parameter is stored: the tied head is the
// embedding, even where a file holds a copy.
func (m *Model) stored(name string) string {
	if m.Config.TiedHead && name == m.Config.HeadName() {
		return m.Config.EmbeddingName()
	}
	return name
}

// Names lists the parameters that are stored, in the order of Config.Parameters;
// a tied head is not among them.
func (m *Model) Names() []string {
	var names []string
	for _, p := range m.Config.Parameters() {
		names = append(names, p.Name)
	}
	return names
}

// Unused lists tensors in the files that are no parameters of the model, such as
// old files' rotary tables.
func (m *Model) Unused() []string {
	known := map[string]bool{m.stored(m.Config.HeadName()): true, ropeFactors: m.Kind == GGUFFile}
	for _, p := range m.Config.Parameters() {
		known[p.Name] = true
	}
	return slices.DeleteFunc(m.store.Names(), func(name string) bool { return known[name] })
}

// Tensor reads a parameter: its values, row-major, and its shape. The head's name
// gives the embedding when they are tied.
func (m *Model) Tensor(name string) ([]float32, []int, error) { return m.store.Tensor(m.stored(name)) }

// ReadInto reads a parameter into dst, whose length must be the number of its values.
func (m *Model) ReadInto(name string, dst []float32) error {
	return m.store.ReadInto(m.stored(name), dst)
}

// Shape is a parameter's shape, nil when there is none of that name.
func (m *Model) Shape(name string) []int { return m.store.Shape(m.stored(name)) }

// StoredAs is the file's word for a parameter's type ("BF16", "Q4_K").
func (m *Model) StoredAs(name string) string { return m.store.StoredAs(m.stored(name)) }

// Vocabulary is the tokenizer of a GGUF file; nil for other kinds, whose tokenizer
// is a file of its own (tokenizer.json in Dir).
func (m *Model) Vocabulary() (*Vocabulary, error) {
	if m.gguf == nil {
		return nil, nil
	}
	return m.gguf.Vocabulary()
}

// Dir is the folder that the model lies in.
func (m *Model) Dir() string {
	if info, err := os.Stat(m.Path); err == nil && info.IsDir() {
		return m.Path
	}
	return filepath.Dir(m.Path)
}

// Close closes the files.
func (m *Model) Close() error {
	if m.store == nil {
		return nil
	}
	return m.store.Close()
}
