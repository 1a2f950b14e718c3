// Package vec is the vector space a bilevel method works in.
//
// A method is written once, against [Vector], and the same text drives a
// problem on []float64 ([Dense]) and one whose variables live on a device.
// A Vector is one block of variables (x, y_g, y_gamma or a multiplier); its
// operations are the ones the published update rules are made of. Operations
// on Dense allocate nothing.
package vec

import "math"

// Vector is one block of variables. Binary operations require operands made by
// the same space with the same length; mixing spaces is a programming error.
type Vector interface {
	// Len is the number of real components.
	Len() int
	// New returns a zero vector of the same space and shape.
	New() Vector
	// Copy sets v to src.
	Copy(src Vector)
	// Zero sets every component to 0.
	Zero()
	// Scale sets v to a·v.
	Scale(a float64)
	// Add sets v to v + a·u.
	Add(a float64, u Vector)
	// Dot is the Euclidean inner product of v and u.
	Dot(u Vector) float64
	// Clamp sets each component to the nearest value in [lo, hi]; infinite
	// bounds are allowed.
	Clamp(lo, hi float64)
	// Adam applies one Adam update in place (see [Adam]): moments m and s are
	// updated with gradient g, which is released, and v moves against the
	// corrected first moment.
	Adam(m, s, g Vector, p AdamStep)
	// Finite reports whether no component is NaN or infinite.
	Finite() bool
	// Read copies the components into dst, which has length Len.
	Read(dst []float64)
	// Write sets the components from src, which has length Len.
	Write(src []float64)
}

// Releaser is a Vector of a space where storage is scarce.
type Releaser interface {
	// Release gives the storage back. The vector stays usable; its components
	// are zero.
	Release()
}

// Release says that the components of v are not needed any more: they may become
// zero, and do where the space is short of storage.
func Release(v Vector) {
	if r, ok := v.(Releaser); ok {
		r.Release()
	}
}

// Norm is the Euclidean norm of v.
func Norm(v Vector) float64 { return math.Sqrt(v.Dot(v)) }

// Clone returns a copy of v with storage of its own.
func Clone(v Vector) Vector {
	w := v.New()
	w.Copy(v)
	return w
}

// Slice returns the components of v: the vector's own storage for a [Dense],
// a copy otherwise.
func Slice(v Vector) []float64 {
	if d, ok := v.(Dense); ok {
		return d
	}
	s := make([]float64, v.Len())
	v.Read(s)
	return s
}
