package lower

import (
	"math"

	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
)

// Meter measures primal-dual points of problems. Every solver of this package
// reports what a Meter finds at the point it returns, so residuals of different
// solvers can be compared. The zero value is ready to use; a Meter keeps only
// scratch.
type Meter struct{ grad, jac, c []float64 }

// Measure returns the residuals of (y, mu).
func (m *Meter) Measure(p *Problem, y, mu []float64) Residuals {
	m.grad = resize(m.grad, p.N)
	p.Grad(m.grad, y)
	return m.rest(p, y, mu)
}

// rest is Measure with the gradient of F at y in m.grad, which is overwritten.
func (m *Meter) rest(p *Problem, y, mu []float64) Residuals {
	var r Residuals
	if p.Rows > 0 {
		m.c, m.jac = resize(m.c, p.Rows), resize(m.jac, p.N)
		p.Constraint(m.c, y)
		p.JacT(m.jac, y, mu)
		floats.Add(m.grad, m.jac)
		for i, c := range m.c {
			if i < p.Equalities {
				r.Primal = worst(r.Primal, math.Abs(c))
				continue
			}
			r.Primal = worst(r.Primal, c)
			r.Complementarity = worst(r.Complementarity, math.Abs(mu[i]*c))
			r.Dual = worst(r.Dual, -mu[i])
		}
	}
	r.Stationarity = projectedNorm(p.Y, m.grad, y)
	return r
}

// projectedNorm is |y - Proj(y - grad)|; grad is overwritten.
func projectedNorm(s set.Set, grad, y []float64) float64 {
	if s == nil {
		return floats.Norm(grad, 2)
	}
	for i, v := range y {
		grad[i] = v - grad[i]
	}
	s.Project(grad, grad)
	return floats.Distance(grad, y, 2)
}

// worst is the maximum that keeps a NaN.
func worst(a, b float64) float64 {
	if math.IsNaN(a) || math.IsNaN(b) {
		return math.NaN()
	}
	return math.Max(a, b)
}

// resize returns a slice of length n, reusing s when it is large enough.
func resize(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	return s[:n]
}

func finite(v []float64) bool {
	for _, a := range v {
		if a-a != 0 {
			return false
		}
	}
	return true
}
