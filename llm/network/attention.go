package network

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// masked is what is added to the score of a position that must not be seen: its
// exponential is 0 whatever the score, and it is finite, so that no infinity can
// meet another.
const masked = -1e30

// block is the largest number of queries that are taken at once. It is a compromise:
// at 128 tokens, two blocks of 64 save about a tenth of a training step on either
// backend, and double the operations of attention that have to be compiled.
const block = 128

// attention is the attention of layer i for queries [N, heads x D], keys and
// values [N, kv heads x D], turned by position here, to [N, heads x D].
func (p *pass) attention(i int, q, k, v *Node) *Node {
	c := &p.config
	heads := func(x *Node, n int) *Node {
		return graph.TransposeAllAxes(graph.Reshape(x, p.batch, p.length, n, c.HeadSize), 0, 2, 1, 3)
	}
	q = p.rotate(heads(q, c.Heads), 1/math.Sqrt(float64(c.HeadSize)))
	k = p.rotate(heads(k, c.KVHeads), 1)
	v = heads(v, c.KVHeads)
	group := c.Heads / c.KVHeads
	q = graph.Reshape(q, p.batch, c.KVHeads, group, p.length, c.HeadSize)
	out := graph.Reshape(p.attend(i, q, k, v), p.batch, c.Heads, p.length, c.HeadSize)
	return graph.Reshape(graph.TransposeAllAxes(out, 0, 2, 1, 3), p.batch*p.length, c.Heads*c.HeadSize)
}

// causal makes attention within the sequences of a batch. Queries are taken in
// blocks, each with the keys up to its own end, which leaves out most of what the
// mask would hide: of T x T scores about half, and the memory that holds them.
func causal(g *graph.Graph, length int) func(_ int, q, k, v *Node) *Node {
	bounds := []int{0}
	for n := (length + block - 1) / block; len(bounds) <= n; {
		bounds = append(bounds, length*len(bounds)/n)
	}
	masks := make([]*Node, len(bounds)-1)
	for i := range masks {
		from, to := bounds[i], bounds[i+1]
		grid := shapes.Make(dtypes.Int32, to-from, to)
		rows := graph.AddScalar(graph.Iota(g, grid, 0), int32(from))
		masks[i] = graph.Reshape(hide(graph.LessOrEqual(graph.Iota(g, grid, 1), rows)), 1, 1, 1, to-from, to)
	}
	return func(_ int, q, k, v *Node) *Node {
		if len(masks) == 1 {
			return weighted(q, k, v, masks[0])
		}
		all := graph.AxisRange()
		outs := make([]*Node, len(masks))
		for i := range masks {
			from, to := bounds[i], bounds[i+1]
			outs[i] = weighted(
				graph.Slice(q, all, all, all, graph.AxisRange(from, to)),
				graph.Slice(k, all, all, graph.AxisRange(0, to)),
				graph.Slice(v, all, all, graph.AxisRange(0, to)), masks[i])
		}
		return graph.Concatenate(outs, 3)
	}
}

// hide is what is added to scores: 0 where a position is seen.
func hide(seen *Node) *Node {
	g := seen.Graph()
	return graph.Where(seen, graph.ScalarZero(g, dtypes.Float32), graph.Const(g, float32(masked)))
}

// weighted is softmax(q k^T + mask) v for queries [B, K, G, T, D], keys and values
// [B, K, S, D] and a mask that broadcasts to [B, K, G, T, S].
//
// The sum that softmax divides by is taken out of the product with v, which has D
// columns where the scores have S: one pass less over the scores, and two less in
// the backward pass. The maximum cancels, so it has no gradient.
func weighted(q, k, v, mask *Node) *Node {
	scores := graph.DotGeneral(q, []int{4}, []int{0, 1}, k, []int{3}, []int{0, 1})
	scores = graph.Add(scores, mask)
	top := graph.StopGradient(graph.ReduceAndKeep(scores, graph.ReduceMax, -1))
	e := graph.Exp(graph.Sub(scores, top))
	sum := graph.ReduceAndKeep(e, graph.ReduceSum, -1)
	out := graph.DotGeneral(e, []int{4}, []int{0, 1}, v, []int{2}, []int{0, 1})
	return graph.Mul(out, graph.Reciprocal(sum))
}
