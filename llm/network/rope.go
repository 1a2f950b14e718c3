package network

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/weights"
)

// rotation makes the function that turns queries and keys [B, heads, T, D] by
// their positions: the pair of dimensions i and i + Dims/2 by position times
// InverseFrequencies()[i] (Su et al., arXiv 2104.09864, in the half-split order of
// Hugging Face). The first Dims dimensions of a head turn, the others stay.
//
// Positions are 0 to length-1, the same in every row, or, where given, [B, T]
// int32 below length. The tables of cosines and sines are made once for a graph,
// in float64, and shared by all layers.
func rotation(g *graph.Graph, c *weights.Config, length int, positions *Node) func(x *Node, scale float64) *Node {
	frequencies := c.Rope.InverseFrequencies()
	half := len(frequencies)
	cosine, sine := make([][]float32, length), make([][]float32, length)
	for t := range length {
		cosine[t], sine[t] = make([]float32, half), make([]float32, half)
		for i, f := range frequencies {
			s, c := math.Sincos(float64(t) * f)
			cosine[t][i], sine[t][i] = float32(c), float32(s)
		}
	}
	tables := [2]*Node{graph.Const(g, cosine), graph.Const(g, sine)}
	if positions != nil {
		b, t := positions.Shape().Dimensions[0], positions.Shape().Dimensions[1]
		for i, table := range tables {
			gathered := graph.Gather(table, graph.Reshape(positions, b*t, 1))
			tables[i] = graph.Reshape(gathered, b, 1, t, half)
		}
	}
	type key struct {
		batch, heads int
		scale        float64
	}
	made := map[key][2]*Node{}
	// spread gives the tables the shape of half a head, once for each shape.
	spread := func(batch, heads int, scale float64) [2]*Node {
		k := key{batch, heads, scale}
		if _, ok := made[k]; !ok {
			var both [2]*Node
			for i, table := range tables {
				if scale != 1 {
					table = graph.MulScalar(table, scale)
				}
				if positions == nil {
					both[i] = graph.BroadcastPrefix(table, batch, heads)
				} else {
					t := table.Shape().Dimensions[2]
					both[i] = graph.BroadcastToDims(table, batch, heads, t, half)
				}
			}
			made[k] = both
		}
		return made[k]
	}
	return func(x *Node, scale float64) *Node {
		dims := x.Shape().Dimensions
		both := spread(dims[0], dims[1], scale)
		part := func(from, to int) *Node {
			return graph.Slice(x, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisRange(from, to))
		}
		a, b := part(0, half), part(half, 2*half)
		turned := []*Node{
			graph.Sub(graph.Mul(a, both[0]), graph.Mul(b, both[1])),
			graph.Add(graph.Mul(b, both[0]), graph.Mul(a, both[1])),
		}
		if 2*half < dims[3] {
			rest := part(2*half, dims[3])
			if scale != 1 {
				rest = graph.MulScalar(rest, scale)
			}
			turned = append(turned, rest)
		}
		return graph.Concatenate(turned, -1)
	}
}
