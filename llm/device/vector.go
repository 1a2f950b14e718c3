package device

import (
	"math"

	"github.com/bilevel-go/bilevel/vec"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Vector is a block of float32 variables on a device. It implements vec.Vector
// and vec.Releaser.
type Vector struct {
	space *Space
	n     int
	a     *Array // of shape [n]
}

// NewVector returns a zero vector with n components.
func (s *Space) NewVector(n int) *Vector {
	return &Vector{s, n, s.Zeros(n).Hold()}
}

// Vector returns a vector with the components of data.
func (s *Space) Vector(data []float32) *Vector {
	return &Vector{s, len(data), s.Float32s(data, len(data)).Hold()}
}

// Array is the vector's present value, of shape [Len].
func (v *Vector) Array() *Array { return v.a }

// Set makes a, of shape [Len], the vector's value.
func (v *Vector) Set(a *Array) {
	a.Hold()
	v.a.Release()
	v.a = a
}

// Len is the number of components.
func (v *Vector) Len() int { return v.n }

// New returns a zero vector of the same length.
func (v *Vector) New() vec.Vector { return v.space.NewVector(v.n) }

// Copy sets v to src.
func (v *Vector) Copy(src vec.Vector) { v.Set(src.(*Vector).a) }

// Zero sets every component to 0 and gives the storage back.
func (v *Vector) Zero() { v.Set(v.space.Zeros(v.n)) }

// Release is Zero: the values are no longer needed.
func (v *Vector) Release() { v.Zero() }

func (v *Vector) shape() shapes.Shape { return shapes.Make(dtypes.Float32, v.n) }

// elementwise records v <- f(v, others...).
func (v *Vector) elementwise(name string, others []*Array, f func(in []*graph.Node) *graph.Node) {
	out := v.space.Record(name, append([]*Array{v.a}, others...), []shapes.Shape{v.shape()},
		func(_ *Trace, in []*graph.Node) []*graph.Node { return []*graph.Node{f(in)} })
	v.Set(out[0])
}

// Scale sets v to a·v.
func (v *Vector) Scale(a float64) {
	if v.a.kind == zero {
		return
	}
	v.elementwise("scale", []*Array{v.space.Number(a)}, func(in []*graph.Node) *graph.Node { return graph.Mul(in[0], in[1]) })
}

// Add sets v to v + a·u.
func (v *Vector) Add(a float64, u vec.Vector) {
	w := u.(*Vector)
	if w.a.kind == zero {
		return
	}
	v.elementwise("add", []*Array{w.a, v.space.Number(a)}, func(in []*graph.Node) *graph.Node {
		return graph.Add(in[0], graph.Mul(in[2], in[1]))
	})
}

// Dot is the Euclidean inner product, formed in float32.
func (v *Vector) Dot(u vec.Vector) float64 {
	w := u.(*Vector)
	if v.a.kind == zero || w.a.kind == zero {
		return 0
	}
	return v.scalar("dot", []*Array{v.a, w.a}, func(in []*graph.Node) *graph.Node {
		return graph.ReduceAllSum(graph.Mul(in[0], in[1]))
	})
}

// scalar runs an operation with one number as its result.
func (v *Vector) scalar(name string, in []*Array, f func(in []*graph.Node) *graph.Node) float64 {
	out := v.space.Record(name, in, []shapes.Shape{shapes.Make(dtypes.Float32)},
		func(_ *Trace, in []*graph.Node) []*graph.Node { return []*graph.Node{f(in)} })[0]
	out.Hold()
	defer out.Release()
	return out.Float()
}

// Clamp sets each component to the nearest value in [lo, hi].
func (v *Vector) Clamp(lo, hi float64) {
	v.elementwise("clamp", []*Array{v.space.Number(lo), v.space.Number(hi)}, func(in []*graph.Node) *graph.Node {
		return graph.Clip(in[0], in[1], in[2])
	})
}

// Adam applies one Adam update in place, formed in float32 but for the bias
// corrections, and releases g.
func (v *Vector) Adam(m, s, g vec.Vector, p vec.AdamStep) {
	mv, sv, gv := m.(*Vector), s.(*Vector), g.(*Vector)
	mv.store() // moments that are zero without storage would make the first step a program of its own
	sv.store()
	numbers := []float64{p.Beta1, 1 - p.Beta1, p.Beta2, 1 - p.Beta2,
		p.Rate / (1 - math.Pow(p.Beta1, p.T)), 1 / math.Sqrt(1-math.Pow(p.Beta2, p.T)), p.Epsilon, 1 - p.Rate*p.Decay}
	in := []*Array{v.a, mv.a, sv.a, gv.a}
	for _, c := range numbers {
		in = append(in, v.space.Number(c))
	}
	out := v.space.Record("adam", in, []shapes.Shape{v.shape(), v.shape(), v.shape()},
		func(_ *Trace, in []*graph.Node) []*graph.Node {
			v, m, s, g, c := in[0], in[1], in[2], in[3], in[4:]
			m = graph.Add(graph.Mul(c[0], m), graph.Mul(c[1], g))
			s = graph.Add(graph.Mul(c[2], s), graph.Mul(c[3], graph.Square(g)))
			step := graph.Div(graph.Mul(c[4], m), graph.Add(graph.Mul(c[5], graph.Sqrt(s)), c[6]))
			return []*graph.Node{graph.Sub(graph.Mul(c[7], v), step), m, s}
		})
	v.Set(out[0])
	mv.Set(out[1])
	sv.Set(out[2])
	gv.Zero()
}

// store gives a vector that is zero a storage of its own.
func (v *Vector) store() {
	if v.a.kind == zero {
		v.Set(v.space.Float32s(make([]float32, v.n), v.n))
	}
}

// Finite reports whether no component is NaN or infinite.
func (v *Vector) Finite() bool {
	if v.a.kind == zero {
		return true
	}
	return v.scalar("finite", []*Array{v.a}, func(in []*graph.Node) *graph.Node {
		return graph.ConvertDType(graph.LogicalAll(graph.IsFinite(in[0])), dtypes.Float32)
	}) == 1
}

// Read copies the components into dst.
func (v *Vector) Read(dst []float64) {
	for i, x := range v.a.Floats() {
		dst[i] = float64(x)
	}
}

// Write sets the components from src, rounded to float32.
func (v *Vector) Write(src []float64) {
	data := make([]float32, v.n)
	for i, x := range src {
		data[i] = float32(x)
	}
	v.Set(v.space.Float32s(data, v.n))
}

// ClipNorm scales v down to the Euclidean norm limit where it is longer. As in
// PyTorch, 1e-6 is added to the norm that v is divided by.
func (v *Vector) ClipNorm(limit float64) {
	if v.a.kind == zero {
		return
	}
	v.elementwise("clip norm", []*Array{v.space.Number(limit)}, func(in []*graph.Node) *graph.Node {
		norm := graph.Sqrt(graph.ReduceAllSum(graph.Square(in[0])))
		return graph.Mul(in[0], graph.MinScalar(graph.Div(in[1], graph.AddScalar(norm, 1e-6)), 1))
	})
}
