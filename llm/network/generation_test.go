package network_test

import (
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/network"
)

// decoder runs Step for a model in memory, with one compiled graph for each number
// of new tokens.
type decoder struct {
	t     *testing.T
	b     compute.Backend
	model *lmtest.Model
	net   *network.Network
	size  int
	runs  map[int]*graph.Graph
	names []string
	cache []*tensors.Tensor
}

func newDecoder(t *testing.T, b compute.Backend, model *lmtest.Model, batch, size int) *decoder {
	net, err := network.New(model.Config)
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{t: t, b: b, model: model, net: net, size: size, runs: map[int]*graph.Graph{}}
	for range net.CacheTensors() {
		d.cache = append(d.cache, tensors.FromShape(net.CacheShape(batch, size)))
	}
	for _, p := range model.Config.Parameters() {
		d.names = append(d.names, p.Name)
	}
	if model.Config.TiedHead {
		d.names = append(d.names, model.Config.HeadName())
	}
	return d
}

// step feeds ids at start and returns the logits [B, T, V] of the new positions.
func (d *decoder) step(ids [][]int32, start []int32) []float32 {
	batch, length := len(ids), len(ids[0])
	g := d.runs[length]
	if g == nil {
		f := lmtest.NewFeed(d.b, "step")
		g = f.Graph
		d.runs[length] = g
		d.t.Cleanup(g.Finalize)
		var outputs []*graph.Node
		if err := network.Catch(func() {
			w := f.Weights(d.model)
			for _, name := range d.names {
				w(name)
			}
			idsNode := f.Int("ids", make([]int32, batch*length), batch, length)
			startNode := f.Int("start", make([]int32, batch), batch)
			var cache []*graph.Node
			for i := range d.cache {
				cache = append(cache, graph.Parameter(g, string(rune('a'+i)), d.net.CacheShape(batch, d.size)))
			}
			hidden, updated := d.net.Step(w, nil, idsNode, startNode, cache)
			outputs = append([]*graph.Node{network.Logits(hidden, w(d.model.Config.HeadName()))}, updated...)
		}); err != nil {
			d.t.Fatalf("%+v", err)
		}
		if err := g.Compile(outputs...); err != nil {
			d.t.Fatal(err)
		}
	}
	var in []any
	for _, name := range d.names {
		in = append(in, tensors.FromFlatDataAndDimensions(d.model.Values[name], d.model.Shape(name)...))
	}
	in = append(in, tensors.FromFlatDataAndDimensions(slices.Concat(ids...), batch, length), tensors.FromFlatDataAndDimensions(start, batch))
	for _, c := range d.cache {
		in = append(in, c)
	}
	out := g.Run(in...)
	d.cache = out[1:]
	logits, err := tensors.CopyFlatData[float32](out[0])
	if err != nil {
		d.t.Fatal(err)
	}
	return logits
}

func argmax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}

// Both prompts in one batch, padded to the longer, through the cache: the ids of the
// golden file, and the logits that each was chosen from.
func TestGoldenGeneration(t *testing.T) {
	var golden struct {
		Cases []struct {
			Prompt []int32 `json:"prompt_ids"`
			New    []int32 `json:"new_ids"`
			Logits string
		}
	}
	lmtest.JSON(t, lmtest.Golden(t, "generation.json"), &golden)
	store := lmtest.Tensors(t, lmtest.Golden(t, "generation.safetensors"))
	model := lmtest.Open(t, lmtest.Golden(t, "stories260k"), "")
	vocabulary := model.Config.Vocabulary
	batch, length := len(golden.Cases), 0
	for _, c := range golden.Cases {
		length = max(length, len(c.Prompt))
	}
	for _, piece := range []int{length, 5} { // the prompts at once, and in pieces
		backendtest.Each(t, func(t *testing.T, b compute.Backend) {
			lmtest.Sample(t, b, piece != length)
			d := newDecoder(t, b, model, batch, length+64)
			next, ends := make([]int32, batch), make([]int32, batch)
			logits := make([][]float32, batch) // what the next token is chosen from
			for from := 0; from < length; from += piece {
				ids, start := make([][]int32, batch), make([]int32, batch)
				for r, c := range golden.Cases {
					ids[r], start[r] = make([]int32, piece), int32(from)
					for i := range ids[r] {
						ids[r][i] = 7 // padding: any token
						if from+i < len(c.Prompt) {
							ids[r][i] = c.Prompt[from+i]
						}
					}
				}
				out := d.step(ids, start)
				for r, c := range golden.Cases {
					ends[r] = int32(len(c.Prompt))
					if last := len(c.Prompt) - 1 - from; last >= 0 && last < piece {
						logits[r] = out[(r*piece+last)*vocabulary:][:vocabulary]
					}
				}
			}
			for i := range 64 {
				ids, start := make([][]int32, batch), make([]int32, batch)
				for r, c := range golden.Cases {
					want, _ := lmtest.Tensor(t, store, c.Logits)
					lmtest.Near(t, "logits", logits[r], want[i*vocabulary:][:vocabulary], tolerance)
					next[r] = argmax(logits[r])
					if next[r] != c.New[i] {
						t.Fatalf("row %d: token %d is %d, want %d", r, i, next[r], c.New[i])
					}
					ids[r], start[r] = next[r:r+1], ends[r]+int32(i)
				}
				out := d.step(ids, start)
				for r := range logits {
					logits[r] = out[r*vocabulary:][:vocabulary]
				}
			}
		})
	}
}
