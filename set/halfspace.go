package set

import (
	"fmt"
	"math"
	"sync/atomic"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// halfspace is { y : <a, y> <= b } with |a| = 1.
type halfspace struct {
	a     []float64
	b     float64
	below []Row
}

// Halfspace is { y : <a, y> <= b }. It is an *Error if a is zero or a number is
// not finite. The slice is copied.
func Halfspace(a []float64, b float64) (Set, error) {
	if err := allFinite("Halfspace", "a", a); err != nil {
		return nil, err
	}
	if b-b != 0 {
		return nil, &Error{"Halfspace", "b", b, "a finite number"}
	}
	size := floats.Norm(a, 2)
	if size == 0 {
		return nil, &Error{"Halfspace", "a", a, "a vector that is not zero"}
	}
	s := &halfspace{make([]float64, len(a)), b / size, sparse(mat.NewDense(1, len(a), append([]float64(nil), a...)), []float64{b})}
	floats.ScaleTo(s.a, 1/size, a)
	return s, nil
}

func (s *halfspace) Dim() int       { return len(s.a) }
func (s *halfspace) String() string { return fmt.Sprintf("halfspace of R^%d", len(s.a)) }

func (s *halfspace) Describe() *Description {
	d := unbounded(len(s.a))
	d.Below = s.below
	return d
}

func (s *halfspace) Project(dst, x []float64) {
	excess := floats.Dot(s.a, x) - s.b
	copy(dst, x)
	if excess > 0 {
		floats.AddScaled(dst, -excess, s.a)
	}
}

func (s *halfspace) ProjectDeriv(dst, x, v []float64) bool {
	at := floats.Dot(s.a, x)
	copy(dst, v)
	if at > s.b {
		floats.AddScaled(dst, -floats.Dot(s.a, v), s.a)
	}
	return !near(at, s.b)
}

// halfspaces is { y : A y <= b } with rows of length 1.
type halfspaces struct {
	n     int
	a     [][]float64
	b     []float64
	below []Row
	spare atomic.Pointer[activeSet]
}

// Halfspaces is { y : A y <= b }, A with one row per halfspace. It is an *Error
// if the shapes disagree, a coefficient is not finite, a row is zero, or the
// intersection is empty. Projections are exact (a dual active-set method) and
// cost a few products with A per active row; use [Box] or [Simplex] where the
// set is one.
func Halfspaces(a mat.Matrix, b []float64) (Set, error) {
	rows, n, err := matrix("Halfspaces", a, b)
	if err != nil {
		return nil, err
	}
	s := &halfspaces{n: n, a: make([][]float64, rows), b: make([]float64, rows)}
	for i := range s.a {
		s.a[i] = mat.Row(nil, i, a)
		size := floats.Norm(s.a[i], 2)
		if size == 0 {
			return nil, &Error{"Halfspaces", fmt.Sprintf("row %d of a", i), s.a[i], "a vector that is not zero"}
		}
		floats.Scale(1/size, s.a[i])
		s.b[i] = b[i] / size
	}
	s.below = sparse(a, b)
	w := newActiveSet(rows, n)
	if row := w.project(s, make([]float64, n)); row >= 0 {
		return nil, &Error{"Halfspaces", fmt.Sprintf("b[%d]", row), b[row], "a value that leaves the intersection of the halfspaces non-empty"}
	}
	s.spare.Store(w)
	return s, nil
}

func (s *halfspaces) Dim() int { return s.n }
func (s *halfspaces) String() string {
	return fmt.Sprintf("intersection of %d halfspaces of R^%d", len(s.a), s.n)
}

func (s *halfspaces) Describe() *Description {
	d := unbounded(s.n)
	d.Below = s.below
	return d
}

// take and give keep one workspace for the next caller; a concurrent one makes
// its own.
func (s *halfspaces) take() *activeSet {
	if w := s.spare.Swap(nil); w != nil {
		return w
	}
	return newActiveSet(len(s.a), s.n)
}

func (s *halfspaces) Project(dst, x []float64) {
	w := s.take()
	defer s.spare.Store(w)
	w.project(s, x)
	copy(dst, w.y)
}

// ProjectDeriv removes from v its components along the active normals.
func (s *halfspaces) ProjectDeriv(dst, x, v []float64) bool {
	w := s.take()
	defer s.spare.Store(w)
	w.project(s, x)
	copy(dst, v)
	for k := range w.rows {
		floats.AddScaled(dst, -floats.Dot(w.q[k], dst), w.q[k])
	}
	smooth := true
	for k, u := range w.u[:len(w.rows)] {
		smooth = smooth && u > 1e-12*math.Max(1, math.Abs(s.b[w.rows[k]]))
	}
	for i, a := range s.a {
		// A tight row in the span of the active ones stays tight as x moves.
		if !w.active[i] && near(floats.Dot(a, w.y), s.b[i]) && w.split(a) > dependent {
			smooth = false
		}
	}
	return smooth
}
