package vec

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// Dense is a Vector on a []float64. Keep it in a Vector variable when it is
// used as one: every conversion from Dense to Vector allocates a header.
type Dense []float64

// NewDense returns a zero vector with n components.
func NewDense(n int) Vector { return Dense(make([]float64, n)) }

// Len is the number of components.
func (v Dense) Len() int { return len(v) }

// New returns a zero vector of the same length.
func (v Dense) New() Vector { return make(Dense, len(v)) }

// Copy sets v to src.
func (v Dense) Copy(src Vector) { copy(v, src.(Dense)) }

// Zero sets every component to 0.
func (v Dense) Zero() { clear(v) }

// Scale sets v to a·v.
func (v Dense) Scale(a float64) { floats.Scale(a, v) }

// Add sets v to v + a·u.
func (v Dense) Add(a float64, u Vector) { floats.AddScaled(v, a, u.(Dense)) }

// Dot is the Euclidean inner product.
func (v Dense) Dot(u Vector) float64 { return floats.Dot(v, u.(Dense)) }

// Clamp sets each component to the nearest value in [lo, hi].
func (v Dense) Clamp(lo, hi float64) {
	for i, a := range v {
		if a < lo {
			v[i] = lo
		} else if a > hi {
			v[i] = hi
		}
	}
}

// Adam applies one Adam update in place.
func (v Dense) Adam(m, s, g Vector, p AdamStep) {
	md, sd, gd := m.(Dense), s.(Dense), g.(Dense)
	c1 := 1 / (1 - math.Pow(p.Beta1, p.T))
	c2 := 1 / (1 - math.Pow(p.Beta2, p.T))
	for i := range v {
		md[i] = p.Beta1*md[i] + (1-p.Beta1)*gd[i]
		sd[i] = p.Beta2*sd[i] + (1-p.Beta2)*gd[i]*gd[i]
		v[i] -= p.Rate * (p.Decay*v[i] + c1*md[i]/(math.Sqrt(c2*sd[i])+p.Epsilon))
	}
}

// Finite reports whether no component is NaN or infinite.
func (v Dense) Finite() bool {
	for _, a := range v {
		if a-a != 0 {
			return false
		}
	}
	return true
}

// Read copies the components into dst.
func (v Dense) Read(dst []float64) { copy(dst, v) }

// Write sets the components from src.
func (v Dense) Write(src []float64) { copy(v, src) }
