package network

import (
	"hash/fnv"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// dropout is x with entries left out, for the input of A in a layer.
//
// Entry i of the layer's input is kept when hash(seed, layer, i) >= p 2^32: a
// counter hashed with the 32-bit finalizer of MurmurHash3 (Appleby, public
// domain). Integer arithmetic only, so that a seed means the same mask on every
// backend and any number of workers, which a backend's own generator does not
// promise.
func (p *pass) dropout(x *Node, module string) *Node {
	a := p.adapter
	if a.Dropout == 0 {
		return x
	}
	g := x.Graph()
	name := fnv.New32a()
	name.Write([]byte(module))
	constant := func(v uint32) *Node { return graph.Const(g, v) }
	mix := func(h *Node) *Node {
		shift := func(n uint32) { h = graph.BitwiseXor(h, graph.BitwiseShiftRightLogicalScalar(h, n)) }
		shift(16)
		h = graph.Mul(h, constant(0x85ebca6b))
		shift(13)
		h = graph.Mul(h, constant(0xc2b2ae35))
		shift(16)
		return h
	}
	// The key goes through the hash too, so that neighbouring seeds have nothing
	// in common.
	key := mix(graph.BitwiseXor(a.Seed, constant(name.Sum32())))
	shape := shapes.Make(dtypes.Uint32, x.Shape().Dimensions...)
	h := mix(graph.BitwiseXor(graph.Mul(graph.IotaFull(g, shape), constant(0x9e3779b9)), key))
	keep := graph.GreaterOrEqual(h, constant(uint32(math.Round(a.Dropout*(1<<32)))))
	return graph.Where(keep, graph.MulScalar(x, 1/(1-a.Dropout)), graph.ScalarZero(g, dtypes.Float32))
}
