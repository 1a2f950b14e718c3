// Package set holds the simple feasible sets X and Y of a bilevel problem:
// closed convex sets whose Euclidean projection is cheap and exact.
package set

// Set is a closed convex subset of R^Dim with an exact projection.
type Set interface {
	// Dim is the dimension of the space the set lives in.
	Dim() int
	// Project sets dst to the point of the set nearest to x in the Euclidean
	// norm. dst and x have length Dim and may be the same slice.
	Project(dst, x []float64)
	// String describes the set in a few words.
	String() string
}

// Differentiable is implemented by sets that know the derivative of their
// projection P: every set of this package.
type Differentiable interface {
	Set
	// ProjectDeriv sets dst to DP(x) v, an element of the generalised Jacobian
	// of P at x (a symmetric matrix with eigenvalues in [0, 1]) times v, and
	// reports whether P is differentiable at x. dst, x and v have length Dim and
	// do not overlap.
	ProjectDeriv(dst, x, v []float64) (differentiable bool)
}
