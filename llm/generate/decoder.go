package generate

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/network"
)

// pieces are the lengths in which prompts are fed, and sizes those that a cache
// may have: few, because every one costs a compilation.
var (
	pieces = []int{16, 64, 256}
	sizes  = []int{128, 512, 2048, 8192, 32768, 131072}
)

// fit is the first of list that holds n, or the last.
func fit(list []int, n int) int {
	for _, v := range list {
		if n <= v {
			return v
		}
	}
	return list[len(list)-1]
}

// decoder runs the model for a number of rows on a cache.
type decoder struct {
	model *Model
	rows  int
	size  int // of the cache
	piece int // tokens of a row fed at once, where there is more than one
	// greedy: the device returns tokens and not logits.
	greedy bool
	cache  []*device.Array
}

func newDecoder(m *Model, rows, size, piece int, greedy bool) *decoder {
	d := &decoder{model: m, rows: rows, size: size, piece: piece, greedy: greedy}
	for range m.Network.CacheTensors() {
		d.cache = append(d.cache, m.Space.Zeros(m.Network.CacheShape(rows, size).Dimensions...).Hold())
	}
	return d
}

// grow gives the cache room for more positions.
func (d *decoder) grow(size int) {
	shape := d.model.Network.CacheShape(d.rows, size)
	grown := make([]*device.Array, len(d.cache))
	name := fmt.Sprintf("grow cache to %d", size)
	for i, old := range d.cache {
		grown[i] = d.model.Space.Record(name, []*device.Array{old}, []shapes.Shape{shape}, func(_ *device.Trace, in []*graph.Node) []*graph.Node {
			more := in[0].Shape().Clone()
			more.Dimensions[2] = size - more.Dimensions[2]
			return []*graph.Node{graph.Concatenate([]*graph.Node{in[0], graph.Zeros(in[0].Graph(), more)}, 2)}
		})[0].Hold()
		old.Release()
	}
	d.cache, d.size = grown, size
}

func (d *decoder) release() {
	for _, a := range d.cache {
		a.Release()
	}
	d.cache = nil
}

// output is what the device returns of a step, by row.
type output struct {
	tokens []int32   // greedy: the chosen token
	logits []float32 // otherwise [rows, Vocabulary]
	width  int
}

// row is the logits of a row.
func (o *output) row(r int) []float32 { return o.logits[r*o.width : (r+1)*o.width] }

// step feeds length tokens of each row at its start and returns what follows
// token last[r] of them.
func (d *decoder) step(ids []int32, length int, start, last []int32) (*output, error) {
	net, s := d.model.Network, d.model.Space
	c := net.Config()
	at := make([]int32, d.rows)
	for r := range at {
		at[r] = int32(r*length) + last[r]
	}
	inputs := []*device.Array{s.Int32s(ids, d.rows, length), s.Int32s(start, d.rows), s.Int32s(at, d.rows, 1)}
	inputs = append(inputs, d.cache...)
	inputs = append(inputs, d.model.Arrays...)
	outputs := []shapes.Shape{shapes.Make(dtypes.Float32, d.rows, c.Vocabulary)}
	name := "logits of " + d.model.Key
	if d.greedy {
		outputs = []shapes.Shape{shapes.Make(dtypes.Int32, d.rows), shapes.Make(dtypes.Float32, d.rows)}
		name = "greedy tokens of " + d.model.Key
	}
	heads := len(outputs)
	for range d.cache {
		outputs = append(outputs, net.CacheShape(d.rows, d.size))
	}
	out := s.Record(name, inputs, outputs, func(_ *device.Trace, in []*graph.Node) []*graph.Node {
		ids, start, at, cache := in[0], in[1], in[2], in[3:3+len(d.cache)]
		b := d.model.Bind(in[3+len(d.cache):])
		hidden, updated := net.Step(b.Weights, b.Adapter, ids, start, cache)
		hidden = graph.Reshape(hidden, d.rows*length, c.Hidden)
		if length > 1 {
			hidden = graph.Gather(hidden, at)
		}
		logits := network.Logits(hidden, b.Head)
		first := []*graph.Node{logits}
		if d.greedy {
			// The sum is there to be looked at: the first of several NaN would go
			// for the largest.
			first = []*graph.Node{graph.ArgMax(logits, -1, dtypes.Int32), graph.ReduceSum(logits, -1)}
		}
		return append(first, updated...)
	})
	for _, a := range out {
		a.Hold()
	}
	d.release()
	d.cache = out[heads:]
	o := &output{width: c.Vocabulary}
	if !d.greedy {
		o.logits = out[0].Floats()
		out[0].Release()
		return o, nil
	}
	o.tokens = out[0].Ints()
	sums := out[1].Floats()
	out[0].Release()
	out[1].Release()
	for r, v := range sums {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("generate: the logits of row %d are not finite at position %d", r, start[r]+last[r])
		}
	}
	return o, nil
}
