package set

import "math"

// Description writes a set as equations and smooth convex inequalities, for
// solvers that need more than a projection:
//
//	Lo <= y <= Hi,  Equal: <a, y> = b,  Below: <a, y> <= b,  Balls: |y_k - c| <= r.
type Description struct {
	// Lo and Hi (length Dim) are bounds on the components; -Inf and +Inf where
	// there is none.
	Lo, Hi []float64
	Equal  []Row
	Below  []Row
	Balls  []Sphere
}

// Row is one linear equation or inequality sum_k Coef[k] y[Index[k]] (= or <=) Bound.
type Row struct {
	Index []int
	Coef  []float64
	Bound float64
}

// Sphere is the constraint |y[First : First+len(Center)] - Center| <= Radius.
type Sphere struct {
	First  int
	Center []float64
	Radius float64
}

// Described is implemented by sets that can be written as a [Description]:
// every set of this package but [Func] and products with one.
type Described interface {
	Set
	// Describe returns the description, or nil when the set has none. The
	// caller must not change it.
	Describe() *Description
}

// Describe returns the description of s, or nil when it has none. A nil s is
// the whole space of dimension n.
func Describe(s Set, n int) *Description {
	if s == nil {
		return unbounded(n)
	}
	d, ok := s.(Described)
	if !ok {
		return nil
	}
	return d.Describe()
}

// IsWhole reports whether s, where nil stands for the whole space, is known to
// have no boundary.
func IsWhole(s Set) bool {
	if s == nil {
		return true
	}
	switch s := s.(type) {
	case whole:
		return true
	case *product:
		for _, f := range s.factors {
			if !IsWhole(f) {
				return false
			}
		}
		return true
	}
	return false
}

// unbounded describes R^n.
func unbounded(n int) *Description {
	d := &Description{Lo: make([]float64, n), Hi: make([]float64, n)}
	for i := range n {
		d.Lo[i], d.Hi[i] = math.Inf(-1), math.Inf(1)
	}
	return d
}
