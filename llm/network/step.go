package network

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// CacheShape is the shape of each of the 2 x Layers tensors of a cache for batch
// sequences of at most size positions: keys [B, kv heads, size, head size] of each
// layer, then the values. They may start as zeros or anything finite.
func (n *Network) CacheShape(batch, size int) shapes.Shape {
	return shapes.Make(dtypes.Float32, batch, n.config.KVHeads, size, n.config.HeadSize)
}

// CacheTensors is the number of tensors of a cache.
func (n *Network) CacheTensors() int { return 2 * n.config.Layers }

// Step is Hidden for new tokens that follow what is in a cache: ids [B, T] of int32
// at positions start[b] to start[b]+T-1 of row b, start [B] of int32. It returns
// the states of the new tokens, [B, T, Hidden], and the cache with their keys and
// values written into it.
//
// A position sees the cache up to itself, so whatever lies behind it is of no
// consequence: prompts of several lengths are padded on the right, and the next
// call begins each row where its prompt ends. start[b]+T must not exceed the
// cache's size: positions beyond it are not stored.
func (n *Network) Step(w Weights, a *Adapter, ids, start *Node, cache []*Node) (hidden *Node, updated []*Node) {
	batch, length := idsShape(ids)
	size := n.checkCache(batch, start, cache)
	g := ids.Graph()

	steps := graph.Iota(g, shapes.Make(dtypes.Int32, batch, length), 1)
	positions := graph.Add(graph.InsertAxes(start, -1), steps)
	p := n.pass(w, a, ids)
	p.rotate = rotation(g, &n.config, size, graph.MinScalar(positions, int32(size-1)))

	// Position [b, t] sees slots up to its own.
	grid := shapes.Make(dtypes.Int32, batch, length, size)
	slot := graph.Iota(g, grid, 2)
	mask := hide(graph.LessOrEqual(slot, graph.BroadcastToDims(graph.InsertAxes(positions, -1), grid.Dimensions...)))
	mask = graph.Reshape(mask, batch, 1, 1, length, size)

	updated = make([]*Node, len(cache))
	write := writer(n.CacheShape(batch, size), length, start)
	p.attend = func(i int, q, k, v *Node) *Node {
		k, v = write(cache[i], k), write(cache[n.config.Layers+i], v)
		updated[i], updated[n.config.Layers+i] = k, v
		return weighted(q, k, v, mask)
	}
	return graph.Reshape(p.run(ids), batch, length, n.config.Hidden), updated
}

func (n *Network) checkCache(batch int, start *Node, cache []*Node) (size int) {
	if s := start.Shape(); s.Rank() != 1 || s.Dimensions[0] != batch || s.DType != dtypes.Int32 {
		panic(fmt.Errorf("network: start is %s, want [%d] of int32", s, batch))
	}
	if len(cache) != n.CacheTensors() {
		panic(fmt.Errorf("network: %d tensors in the cache, want %d, keys and values of each layer", len(cache), n.CacheTensors()))
	}
	if cache[0].Rank() == 4 {
		size = cache[0].Shape().Dimensions[2]
	}
	for i, t := range cache {
		if want := n.CacheShape(batch, size); !t.Shape().Equal(want) {
			panic(fmt.Errorf("network: tensor %d of the cache is %s, want %s", i, t.Shape(), want))
		}
	}
	return size
}

// writer makes the function that puts length new entries [B, K, length, D] into a
// tensor of the cache, those of row b at start[b].
func writer(cache shapes.Shape, length int, start *Node) func(old, fresh *Node) *Node {
	g := start.Graph()
	batch, heads, size, width := cache.Dimensions[0], cache.Dimensions[1], cache.Dimensions[2], cache.Dimensions[3]
	grid := shapes.Make(dtypes.Int32, batch, size)
	// step is which of the new entries belongs into a slot.
	step := graph.Sub(graph.Iota(g, grid, 1), graph.BroadcastToDims(graph.InsertAxes(start, -1), grid.Dimensions...))
	zero := graph.ScalarZero(g, dtypes.Int32)
	inside := graph.LogicalAnd(graph.GreaterOrEqual(step, zero), graph.LessThan(step, graph.Const(g, int32(length))))
	written := graph.BroadcastToDims(graph.Reshape(inside, batch, 1, size, 1), cache.Dimensions...)
	if length == 1 {
		return func(old, fresh *Node) *Node {
			return graph.Where(written, graph.BroadcastToDims(fresh, cache.Dimensions...), old)
		}
	}
	step = graph.MaxScalar(graph.MinScalar(step, int32(length-1)), int32(0))
	index := graph.Concatenate([]*Node{
		graph.Iota(g, shapes.Make(dtypes.Int32, batch, size, 1), 0), graph.InsertAxes(step, -1),
	}, -1)
	return func(old, fresh *Node) *Node {
		rows := graph.Reshape(graph.TransposeAllAxes(fresh, 0, 2, 1, 3), batch, length, heads, width)
		placed := graph.TransposeAllAxes(graph.Gather(rows, index), 0, 2, 1, 3)
		return graph.Where(written, placed, old)
	}
}
