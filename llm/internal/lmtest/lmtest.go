// Package lmtest is what the tests of language-model graphs share: golden files,
// batches, and running a graph on every backend there is.
package lmtest

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// Golden finds a file under golden/lm, or skips.
func Golden(tb testing.TB, elem ...string) string {
	tb.Helper()
	root := os.Getenv("BILEVEL_GOLDEN")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "golden")
	}
	path := filepath.Join(append([]string{root, "lm"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("%s is not there (set BILEVEL_GOLDEN)", filepath.Join(elem...))
	}
	return path
}

// JSON reads a JSON file into v.
func JSON(tb testing.TB, path string, v any) {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
}

// Tensors opens a safetensors file for the length of the test.
func Tensors(tb testing.TB, path string) *weights.Store {
	tb.Helper()
	s, _, err := weights.OpenSafetensors(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// Tensor reads one tensor.
func Tensor(tb testing.TB, s *weights.Store, name string) ([]float32, []int) {
	tb.Helper()
	values, shape, err := s.Tensor(name)
	if err != nil {
		tb.Fatal(err)
	}
	return values, shape
}

// Model is a model in memory.
type Model struct {
	Config *weights.Config
	Values map[string][]float32
}

// Shape is the shape of a parameter or of the head.
func (m *Model) Shape(name string) []int {
	for _, p := range m.Config.Parameters() {
		if p.Name == name {
			return p.Shape
		}
	}
	if name == m.Config.HeadName() {
		return []int{m.Config.Vocabulary, m.Config.Hidden}
	}
	return nil
}

// Open reads a model whole; config, when given, is read in place of its own.
func Open(tb testing.TB, dir, config string) *Model {
	tb.Helper()
	stored, err := weights.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer stored.Close()
	m := &Model{Config: &stored.Config, Values: map[string][]float32{}}
	if config != "" {
		if m.Config, err = weights.ReadConfig(filepath.Join(dir, config)); err != nil {
			tb.Fatal(err)
		}
	}
	for _, name := range append(stored.Names(), m.Config.HeadName()) {
		if m.Values[name], _, err = stored.Tensor(name); err != nil {
			tb.Fatal(err)
		}
	}
	return m
}

// Adapter reads an adapter and fits it to a model.
func (m *Model) Adapter(tb testing.TB, dir string) *weights.Adapter {
	tb.Helper()
	a, err := weights.ReadAdapter(dir)
	if err == nil {
		err = a.Bind(dir, m.Config)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// Batch is a batch in the form of the golden files: ids padded on the right, label
// -100 where a token is not scored.
type Batch struct {
	IDs    [][]int32 `json:"input_ids"`
	Mask   [][]int   `json:"attention_mask"`
	Labels [][]int32 `json:"labels"`
}

// Pad makes the batch length wide, the new positions filled with id.
func (b Batch) Pad(length int, id int32) Batch {
	wide := Batch{}
	for r := range b.IDs {
		ids, labels, mask := make([]int32, length), make([]int32, length), make([]int, length)
		for t := range length {
			ids[t], labels[t] = id, -100
		}
		copy(ids, b.IDs[r])
		if b.Labels != nil {
			copy(labels, b.Labels[r])
		}
		copy(mask, b.Mask[r])
		wide.IDs, wide.Labels, wide.Mask = append(wide.IDs, ids), append(wide.Labels, labels), append(wide.Mask, mask)
	}
	return wide
}

// Join puts the rows of c under those of b, at a common length.
func (b Batch) Join(c Batch) Batch {
	length := max(len(b.IDs[0]), len(c.IDs[0]))
	b, c = b.Pad(length, 0), c.Pad(length, 0)
	return Batch{
		IDs:    slices.Concat(b.IDs, c.IDs),
		Mask:   slices.Concat(b.Mask, c.Mask),
		Labels: slices.Concat(b.Labels, c.Labels),
	}
}

// Positions lists the scored positions, padded to a multiple of pad with weight 0.
func (b Batch) Positions(pad int) (at, target, row []int32, weight []float32) {
	length := len(b.IDs[0])
	for r, labels := range b.Labels {
		for t := 1; t < length; t++ {
			if labels[t] >= 0 {
				at = append(at, int32(r*length+t-1))
				target = append(target, labels[t])
				row = append(row, int32(r))
				weight = append(weight, 1)
			}
		}
	}
	for len(at)%pad != 0 {
		at, target, row, weight = append(at, 0), append(target, 0), append(row, 0), append(weight, 0)
	}
	return at, target, row, weight
}

// Flat is the ids row by row.
func (b Batch) Flat() []int32 {
	var flat []int32
	for _, row := range b.IDs {
		flat = append(flat, row...)
	}
	return flat
}

// Feed is a graph under construction with the values of its parameters.
type Feed struct {
	*graph.Graph
	nodes  map[string]*graph.Node
	values []any
}

// NewFeed starts a graph.
func NewFeed(b compute.Backend, name string) *Feed {
	return &Feed{Graph: graph.NewGraph(b, name), nodes: map[string]*graph.Node{}}
}

// Float is a parameter of float32, made when it is first asked for.
func (f *Feed) Float(name string, values []float32, shape ...int) *graph.Node {
	return feed(f, name, values, shape)
}

// Int is a parameter of int32.
func (f *Feed) Int(name string, values []int32, shape ...int) *graph.Node {
	return feed(f, name, values, shape)
}

// IDs is a parameter [B, T].
func (f *Feed) IDs(name string, b Batch) *graph.Node {
	return f.Int(name, b.Flat(), len(b.IDs), len(b.IDs[0]))
}

func feed[T float32 | int32](f *Feed, name string, values []T, shape []int) *graph.Node {
	if n, ok := f.nodes[name]; ok {
		return n
	}
	n := graph.Parameter(f.Graph, name, shapes.Make(dtypes.FromGenericsType[T](), shape...))
	f.nodes[name] = n
	f.values = append(f.values, tensors.FromFlatDataAndDimensions(values, shape...))
	return n
}

// Weights gives the parameters of a model.
func (f *Feed) Weights(m *Model) network.Weights {
	return func(name string) *graph.Node {
		values, ok := m.Values[name]
		if !ok {
			panic("no parameter " + name)
		}
		return f.Float(name, values, m.Shape(name)...)
	}
}

// Parameters gives named tensors.
func (f *Feed) Parameters(list []lora.Parameter) func(name string) *graph.Node {
	return func(name string) *graph.Node {
		for _, p := range list {
			if p.Name == name {
				return f.Float(name, p.Values, p.Shape...)
			}
		}
		panic("no parameter " + name)
	}
}

// Compile ends the graph and returns what runs it.
func (f *Feed) Compile(tb testing.TB, outputs ...*graph.Node) func() []*tensors.Tensor {
	tb.Helper()
	if err := f.Graph.Compile(outputs...); err != nil {
		tb.Fatal(err)
	}
	return func() []*tensors.Tensor { return f.Graph.Run(f.values...) }
}

// Run builds a graph, runs it once and returns its float32 outputs.
func Run(tb testing.TB, b compute.Backend, build func(f *Feed) []*graph.Node) [][]float32 {
	tb.Helper()
	f := NewFeed(b, tb.Name())
	defer f.Finalize()
	var outputs []*graph.Node
	if err := network.Catch(func() { outputs = build(f) }); err != nil {
		tb.Fatalf("%+v", err)
	}
	var values [][]float32
	for _, t := range f.Compile(tb, outputs...)() {
		v, err := tensors.CopyFlatData[float32](t)
		if err != nil {
			tb.Fatal(err)
		}
		values = append(values, v)
		t.FinalizeAll()
	}
	return values
}

// Sample skips a case of a table that is not part of its sample on a backend that
// takes seconds to compile a graph, which XLA does.
func Sample(t *testing.T, b compute.Backend, part bool) {
	t.Helper()
	if !part && b.String() != backend.Go {
		t.Skip("not in the sample that runs on ", b.Name())
	}
}

// Near checks that two tensors differ by at most tolerance times the largest entry
// of the expected one.
func Near(tb testing.TB, what string, got, want []float32, tolerance float64) {
	tb.Helper()
	if len(got) != len(want) {
		tb.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	scale, worst, at := 0.0, 0.0, 0
	for i, w := range want {
		scale = max(scale, math.Abs(float64(w)))
		d := math.Abs(float64(got[i]) - float64(w))
		if d > worst || math.IsNaN(d) {
			worst, at = d, i
			if math.IsNaN(d) {
				break
			}
		}
	}
	if !(worst <= tolerance*scale) {
		tb.Errorf("%s: entry %d is %g, want %g: differs by %.2g of the largest entry %g, want at most %.2g", what, at, got[at], want[at], worst/scale, scale, tolerance)
	}
}
