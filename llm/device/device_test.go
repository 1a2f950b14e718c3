package device_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/vec"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

func space(t *testing.T) *device.Space { return device.NewSpace(backendtest.Open(t, "go")) }

// Random sequences of vector operations give what they give on []float64, up to
// the rounding of float32.
func TestVectorsAgreeWithDense(t *testing.T) {
	const n, vectors, steps = 7, 4, 300
	s := space(t)
	rng := rand.New(rand.NewPCG(1, 2))
	dense, dev := make([]vec.Vector, vectors), make([]vec.Vector, vectors)
	for i := range dense {
		dense[i], dev[i] = vec.NewDense(n), s.NewVector(n)
		start := make([]float64, n)
		for j := range start {
			start[j] = rng.NormFloat64()
		}
		dense[i].Write(start)
		dev[i].Write(start)
	}
	near := func(what string, a, b float64) {
		t.Helper()
		if math.Abs(a-b) > 1e-4*math.Max(1, math.Abs(b)) {
			t.Fatalf("%s: %g on the device, %g in float64", what, a, b)
		}
	}
	adam := vec.AdamStep{Rate: 0.01, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Decay: 0.1}
	for k := range steps {
		i, j, a := rng.IntN(vectors), rng.IntN(vectors), rng.Float64()-0.5
		var what string
		switch op := rng.IntN(8); op {
		case 0:
			what = "scale"
			dense[i].Scale(2 * a)
			dev[i].Scale(2 * a)
		case 1:
			what = "add"
			dense[i].Add(a, dense[j])
			dev[i].Add(a, dev[j])
		case 2:
			what = "clamp"
			dense[i].Clamp(-1, math.Inf(1))
			dev[i].Clamp(-1, math.Inf(1))
		case 3:
			what = "copy"
			dense[i].Copy(dense[j])
			dev[i].Copy(dev[j])
		case 4:
			what = "zero"
			if k%5 == 0 {
				dense[i].Zero()
				dev[i].Zero()
			}
		case 5:
			what = "adam"
			adam.T++
			g, h := vec.Clone(dense[j]), vec.Clone(dev[j])
			m, v, dm, dv := g.New(), g.New(), h.New(), h.New()
			dense[i].Adam(m, v, g, adam)
			dev[i].Adam(dm, dv, h, adam)
		case 6:
			what = "dot"
			near(what, dev[i].Dot(dev[j]), dense[i].Dot(dense[j]))
		case 7:
			what = "clone"
			dense[i], dev[i] = vec.Clone(dense[j]), vec.Clone(dev[j])
		}
		if k%17 == 0 {
			for i := range dense {
				x, y := vec.Slice(dev[i]), vec.Slice(dense[i])
				for j := range x {
					near(what, x[j], y[j])
				}
			}
		}
	}
}

func TestFinite(t *testing.T) {
	s := space(t)
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		if s.Vector([]float32{1, bad, 2}).Finite() {
			t.Errorf("Finite with %g", bad)
		}
	}
	if !s.Vector([]float32{1, 2, math.MaxFloat32}).Finite() || !s.NewVector(3).Finite() {
		t.Error("finite vectors are not")
	}
}

// A repeated sequence of operations is compiled once, whatever its numbers are.
func TestProgramsAreReused(t *testing.T) {
	s := space(t)
	v, w := s.Vector([]float32{1, 2, 3}), s.Vector([]float32{4, 5, 6})
	for k := range 10 {
		v.Add(float64(k), w)
		v.Scale(0.5)
		if v.Dot(w) == 0 {
			t.Fatal("dot")
		}
	}
	if st := s.Stats(); st.Programs != 1 || st.Executions != 10 {
		t.Errorf("%+v", st)
	}
}

// What nobody reads is not computed.
func TestUnneededOperationsAreDropped(t *testing.T) {
	s := space(t)
	v := s.Vector([]float32{1, 2})
	s.Record("never", []*device.Array{v.Array()}, []shapes.Shape{v.Array().Shape()},
		func(*device.Trace, []*graph.Node) []*graph.Node { panic("emitted") })
	if got := v.Dot(v); got != 5 {
		t.Errorf("dot %g", got)
	}
}

// Operations of one run share the nodes that they memoise under one key.
func TestMemo(t *testing.T) {
	s := space(t)
	v := s.Vector([]float32{1, 2})
	built := 0
	op := func() *device.Array {
		return s.Record("shared", []*device.Array{v.Array()}, []shapes.Shape{shapes.Make(dtypes.Float32)},
			func(t *device.Trace, in []*graph.Node) []*graph.Node {
				square := device.Memo(t, "square of "+t.Key(in[0]), func() *graph.Node { built++; return graph.Square(in[0]) })
				return []*graph.Node{graph.ReduceAllSum(square)}
			})[0].Hold()
	}
	a, b := op(), op()
	if a.Float() != 5 || b.Float() != 5 || built != 1 {
		t.Errorf("%g and %g from %d squares", a.Float(), b.Float(), built)
	}
}

// A failure of the backend comes back as an error that names what was done.
func TestTry(t *testing.T) {
	s := space(t)
	v := s.Vector([]float32{1, 2})
	err := device.Try(func() error {
		out := s.Record("wrong", []*device.Array{v.Array()}, []shapes.Shape{shapes.Make(dtypes.Float32, 3)},
			func(_ *device.Trace, in []*graph.Node) []*graph.Node { return []*graph.Node{graph.Neg(in[0])} })
		out[0].Floats()
		return nil
	})
	var failure *device.Error
	if !errors.As(err, &failure) {
		t.Errorf("error %v", err)
	}
}
