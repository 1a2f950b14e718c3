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
	group int // rows fed at once, where there is more than one token
	// greedy: the device returns tokens and not logits.
	greedy bool
	cache  []*device.Array
}

func newDecoder(m *Model, rows, size, piece int, greedy bool) *decoder {
	d := &decoder{model: m, rows: rows, size: size, piece: piece, group: (rows + 3) / 4, greedy: greedy}
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

// step feeds length tokens at start[i] to row rows[i] of the cache, for a group of
// rows, or to every row in turn where rows is nil, and returns what follows token
// last[i] of them. A row < 0 is none.
func (d *decoder) step(ids []int32, length int, start, last, rows []int32) (*output, error) {
	net, s := d.model.Network, d.model.Space
	c := net.Config()
	n := len(start)
	at := make([]int32, n)
	for i := range at {
		at[i] = int32(i*length) + last[i]
	}
	inputs := []*device.Array{s.Int32s(ids, n, length), s.Int32s(start, n), s.Int32s(at, n, 1)}
	name := "logits of "
	outputs := []shapes.Shape{shapes.Make(dtypes.Float32, n, c.Vocabulary)}
	if d.greedy {
		name = "greedy tokens of "
		outputs = []shapes.Shape{shapes.Make(dtypes.Int32, n), shapes.Make(dtypes.Float32, n)}
	}
	if rows != nil {
		name = "group's " + name
		inputs = append(inputs, d.places(rows)...)
	}
	first, heads := len(inputs), len(outputs)
	inputs = append(append(inputs, d.cache...), d.model.Arrays...)
	for range d.cache {
		outputs = append(outputs, net.CacheShape(d.rows, d.size))
	}
	out := s.Record(name+d.model.Key, inputs, outputs, func(_ *device.Trace, in []*graph.Node) []*graph.Node {
		cache := in[first : first+len(d.cache)]
		b := d.model.Bind(in[first+len(d.cache):])
		part := cache
		if rows != nil {
			part = take(cache, in[3])
		}
		hidden, updated := net.Step(b.Weights, b.Adapter, in[0], in[1], part)
		if rows != nil {
			updated = put(cache, updated, in[4])
		}
		hidden = graph.Reshape(hidden, n*length, c.Hidden)
		if length > 1 {
			hidden = graph.Gather(hidden, in[2])
		}
		logits := network.Logits(hidden, b.Head)
		chosen := []*graph.Node{logits}
		if d.greedy {
			// The sum is there to be looked at: the first of several NaN would go
			// for the largest.
			chosen = []*graph.Node{graph.ArgMax(logits, -1, dtypes.Int32), graph.ReduceSum(logits, -1)}
		}
		return append(chosen, updated...)
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
	for i, v := range sums {
		if rows != nil && rows[i] < 0 {
			continue
		}
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("generate: the logits after position %d are not finite", start[i]+last[i])
		}
	}
	return o, nil
}

// places are the arrays by which a group's rows are taken out of a cache, [n, 1],
// and put back, [rows, 1]: the place in the group of each row of the cache, -1 for
// rows that stay.
func (d *decoder) places(rows []int32) []*device.Array {
	from, back := make([]int32, len(rows)), make([]int32, d.rows)
	for r := range back {
		back[r] = -1
	}
	for i, r := range rows {
		if r >= 0 {
			from[i], back[r] = r, int32(i)
		}
	}
	return []*device.Array{d.model.Space.Int32s(from, len(rows), 1), d.model.Space.Int32s(back, d.rows, 1)}
}

// take is the rows of a cache's tensors at [n, 1].
func take(cache []*graph.Node, at *graph.Node) []*graph.Node {
	part := make([]*graph.Node, len(cache))
	for i, t := range cache {
		part[i] = graph.Gather(t, at)
	}
	return part
}

// put is the cache with the rows of a group at [rows, 1] in the place of its own.
func put(cache, part []*graph.Node, at *graph.Node) []*graph.Node {
	none := graph.ScalarZero(at.Graph(), at.DType())
	stays := graph.Reshape(graph.LessThan(at, none), -1, 1, 1, 1)
	at = graph.MaxScalar(at, int32(0))
	whole := make([]*graph.Node, len(cache))
	for i, t := range cache {
		whole[i] = graph.Where(graph.BroadcastToDims(stays, t.Shape().Dimensions...), t, graph.Gather(part[i], at))
	}
	return whole
}
