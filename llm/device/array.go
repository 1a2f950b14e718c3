package device

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// Array is an immutable tensor of a Space: a buffer on the device, the result of
// an operation that is recorded and not yet run, a number of the host, or zero.
type Array struct {
	space  *Space
	shape  shapes.Shape
	kind   kind
	buffer compute.Buffer // kind stored, and number once it was uploaded
	number float32        // kind number
	holds  int            // holders: vectors, caches
	uses   int            // recorded operations that read it
	slot   int            // its place in the trace being made, where it is in that trace
	trace  uint64         // the trace that slot belongs to
}

type kind uint8

const (
	pending kind = iota // to be computed by a recorded operation
	stored              // in buffer
	number              // one float32 of the host, different at every run
	zero                // no storage
	dead                // released
)

// Shape is the array's element type and dimensions.
func (a *Array) Shape() shapes.Shape { return a.shape }

// Pending reports whether the array is the result of an operation that is recorded
// and not yet run.
func (a *Array) Pending() bool { return a.kind == pending }

// Hold says that somebody needs the array until a Release. It returns a.
func (a *Array) Hold() *Array {
	a.holds++
	return a
}

// Release ends a Hold. The storage is given back when nobody holds or uses the
// array any more.
func (a *Array) Release() {
	a.holds--
	a.collect()
}

func (a *Array) collect() {
	if a.holds > 0 || a.uses > 0 || a.buffer == nil {
		return
	}
	b := a.buffer
	a.buffer, a.kind = nil, dead
	guard("giving a buffer back", b.Finalize)
}

// Floats returns a copy of the elements of a float32 array. It runs what is
// recorded.
func (a *Array) Floats() []float32 {
	switch a.kind {
	case zero:
		return make([]float32, a.shape.Size())
	case number:
		return []float32{a.number}
	}
	return read[float32](a)
}

// Ints is Floats of an int32 array.
func (a *Array) Ints() []int32 { return read[int32](a) }

func read[T float32 | int32](a *Array) []T {
	if a.kind == pending {
		a.Hold()
		a.space.Run()
		defer a.Release()
	}
	dst := make([]T, a.shape.Size())
	guard("reading an array", func() error { return a.buffer.ToFlatData(dst) })
	return dst
}

// Float is Floats of a scalar.
func (a *Array) Float() float64 { return float64(a.Floats()[0]) }

// Float32s puts data (row-major) on the device.
func (s *Space) Float32s(data []float32, dims ...int) *Array {
	return s.upload(data, shapes.Make(dtypes.Float32, dims...))
}

// Int32s puts data (row-major) on the device.
func (s *Space) Int32s(data []int32, dims ...int) *Array {
	return s.upload(data, shapes.Make(dtypes.Int32, dims...))
}

func (s *Space) upload(data any, shape shapes.Shape) *Array {
	a := &Array{space: s, shape: shape, kind: stored}
	guard("storing an array", func() (err error) {
		a.buffer, err = s.backend.BufferFromFlatData(0, data, shape)
		return err
	})
	return a
}

// Number is a float32 scalar. Programs take it as an input, so that a number
// that changes from run to run does not cost a compilation.
func (s *Space) Number(v float64) *Array {
	return &Array{space: s, shape: shapes.Make(dtypes.Float32), kind: number, number: float32(v)}
}

// Zeros is a float32 array of zeros, without storage.
func (s *Space) Zeros(dims ...int) *Array {
	return &Array{space: s, shape: shapes.Make(dtypes.Float32, slices.Clone(dims)...), kind: zero}
}
