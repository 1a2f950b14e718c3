package set

import (
	"fmt"
	"math"
	"sync/atomic"

	"gonum.org/v1/gonum/floats"
)

// function is a set known by its projection alone.
type function struct {
	dim     int
	project func(dst, x []float64)
	name    string
	spare   atomic.Pointer[[3][]float64] // scratch of ProjectDeriv
}

// Func is a closed convex set given by its projection on R^dim: project sets dst
// to the point of the set nearest to x, where dst and x may be the same slice,
// and is safe for concurrent use if the set is used so. The derivative of the
// projection is computed by differences, good to about 1e-5; the set has no
// [Description]. It is an *Error if dim < 0, project is nil, or project(project(0))
// is not project(0).
func Func(dim int, project func(dst, x []float64), name string) (Set, error) {
	if dim < 0 {
		return nil, &Error{"Func", "dim", dim, "an integer >= 0"}
	}
	if project == nil {
		return nil, &Error{"Func", "project", nil, "a function"}
	}
	once, twice := make([]float64, dim), make([]float64, dim)
	project(once, once)
	if err := allFinite("Func", "project(0)", once); err != nil {
		return nil, err
	}
	project(twice, once)
	if d := floats.Distance(once, twice, 2); d > 1e-6*(1+floats.Norm(once, 2)) {
		return nil, &Error{"Func", "|project(project(0)) - project(0)|", d, "0, as a projection moves no point of the set"}
	}
	if name == "" {
		name = fmt.Sprintf("user-supplied set in R^%d", dim)
	}
	return &function{dim: dim, project: project, name: name}, nil
}

func (s *function) Dim() int                 { return s.dim }
func (s *function) String() string           { return s.name }
func (s *function) Project(dst, x []float64) { s.project(dst, x) }

// ProjectDeriv is the mean of the forward and the backward difference along v;
// where they disagree the projection is reported as not differentiable.
func (s *function) ProjectDeriv(dst, x, v []float64) bool {
	size := floats.Norm(v, 2)
	if size == 0 {
		clear(dst)
		return true
	}
	w := s.spare.Swap(nil)
	if w == nil {
		w = &[3][]float64{make([]float64, s.dim), make([]float64, s.dim), make([]float64, s.dim)}
	}
	defer s.spare.Store(w)
	up, mid, down := w[0], w[1], w[2]
	t := 1e-6 * math.Max(1, floats.Norm(x, 2)) / size
	floats.AddScaledTo(up, x, t, v)
	s.project(up, up)
	floats.AddScaledTo(down, x, -t, v)
	s.project(down, down)
	s.project(mid, x)
	kink := 0.0
	for i, m := range mid {
		kink += math.Pow(up[i]-2*m+down[i], 2)
		dst[i] = (up[i] - down[i]) / (2 * t)
	}
	return math.Sqrt(kink) <= 1e-3*t*size
}
