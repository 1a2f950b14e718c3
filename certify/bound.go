package certify

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
)

// globalBound looks for a lower bound on f over all bilevel answers: first the
// high-point relaxation
//
//	min f(x, y)  over x in X, y in Y, h(x, y) <= 0,
//
// where it is convex, by weak duality (dual.go); then, where that is not
// attained, the family's own, which is a claim that only answers found here can
// disprove. The larger one is kept.
func (m *measurement) globalBound() {
	if m.known.JointlyConvex {
		m.highPoint()
	}
	b, ok := m.p.Oracle.(bilevel.Bounder)
	if m.s.Bounder != nil {
		b, ok = m.s.Bounder, true
	}
	if !ok || m.c.attained() {
		return
	}
	value, by, err := b.LowerBound()
	if err != nil {
		m.note("the family's own bound could not be computed: %v", err)
		return
	}
	m.offer(value, by+", the family's own bound", false)
}

// offer takes a bound unless an own bilevel answer disproves it.
func (m *measurement) offer(value float64, by string, proven bool) {
	phi := m.p.Upper.Value(m.x, m.base.z)
	slack := m.s.Tolerances.Bound*math.Max(1, math.Abs(phi)) + floats.Norm(m.base.mu, 1)*m.base.violation
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return
	case value > phi+slack && float64(m.c.UpperFeasibility) <= 1e-12*(1+floats.Norm(m.x, 2)):
		m.note("the bound %.10g (%s) is false, because the upper objective is %.10g at the lower solution of this x", value, by, phi)
		return
	case m.c.Bound != nil && float64(m.c.Bound.Value) >= value:
		return
	}
	m.c.Bound = &Bound{Value: Number(value), Gap: m.c.Upper - Number(value), By: by, proven: proven}
}

// highPoint bounds the relaxation from below, starting at the answer, which
// solves it when it attains the bound.
func (m *measurement) highPoint() {
	p := m.p
	pr := jointProgram(p)
	z := append(append([]float64(nil), m.x...), m.base.z...)
	sol := m.solver.solve(pr, z, nil)
	if sol.status == stopped || !sol.usable() {
		m.note("the high-point relaxation could not be solved (residual %.3g)", sol.residual())
		return
	}
	m.relaxed = sol.z[:p.NX]
	radius, by := 100*(1+floats.Norm(sol.z, 2)), "high-point relaxation, which is convex"
	lo, hi, bounded := pr.extent()
	if bounded {
		radius = floats.Distance(lo, hi, 2)
	}
	bound := m.solver.dualBound(pr, sol.mu, sol.z, 0, radius)
	if !bounded {
		m.note("the global bound is proven for answers within %.3g of the relaxation's solution; for those beyond, what it leaves open grows in proportion to their distance", radius)
	}
	if math.IsInf(bound, -1) || sol.value-bound > 1e-4*(1+math.Abs(sol.value)) {
		m.note("the high-point relaxation was solved, with value %.10g, but no useful dual bound was found", sol.value)
		return
	}
	m.offer(bound, by, true)
}

// jointProgram is the high-point relaxation in z = (x, y).
func jointProgram(p *bilevel.Problem) *program {
	nx, n := p.NX, p.NX+p.NY
	tx, ty := make([]float64, nx), make([]float64, p.NY)
	pr := &program{n: n, shape: new(shape), order: new([]int)}
	if p.X != nil || p.Y != nil {
		pr.z = &pair{p.X, p.Y, nx, p.NY}
	}
	pr.value = func(z []float64) float64 { return p.Upper.Value(z[:nx], z[nx:]) }
	pr.grad = func(dst, z []float64) {
		p.Upper.GradX(dst[:nx], z[:nx], z[nx:])
		p.Upper.GradY(dst[nx:], z[:nx], z[nx:])
	}
	pr.hess = func(dst, z, v []float64) {
		x, y := z[:nx], z[nx:]
		p.Upper.HessXX(dst[:nx], x, y, v[:nx])
		p.Upper.HessXY(tx, x, y, v[nx:])
		floats.Add(dst[:nx], tx)
		p.Upper.HessYY(dst[nx:], x, y, v[nx:])
		p.Upper.HessYX(ty, x, y, v[:nx])
		floats.Add(dst[nx:], ty)
	}
	h := p.Coupling
	if h == nil {
		return pr
	}
	rows := make([]float64, h.Rows)
	pr.rows, pr.eq = h.Rows, h.Equalities
	pr.cons = func(dst, z []float64) { h.Value(dst, z[:nx], z[nx:]) }
	pr.jac = func(dst, z, v []float64) {
		h.JacX(dst, z[:nx], z[nx:], v[:nx])
		h.JacY(rows, z[:nx], z[nx:], v[nx:])
		floats.Add(dst, rows)
	}
	pr.jacT = func(dst, z, mu []float64) {
		h.JacXT(dst[:nx], z[:nx], z[nx:], mu)
		h.JacYT(dst[nx:], z[:nx], z[nx:], mu)
	}
	if h.Affine {
		z := make([]float64, n)
		pr.project(z, z)
		pr.jacobian = extractRows(h.Rows, n, func(dst, v []float64) { pr.jac(dst, z, v) }, func(dst, mu []float64) { pr.jacT(dst, z, mu) })
		return pr
	}
	// The contract has no second derivative of h in x alone: the curvature of
	// <mu, h> is the central difference of its gradient.
	up, zs := make([]float64, n), make([]float64, n)
	pr.curve = func(dst, z, mu, v []float64) {
		size := floats.Norm(v, math.Inf(1))
		if size == 0 {
			clear(dst)
			return
		}
		t := 1e-5 * (1 + floats.Norm(z, math.Inf(1))) / size
		floats.AddScaledTo(zs, z, t, v)
		pr.jacT(up, zs, mu)
		floats.AddScaledTo(zs, z, -t, v)
		pr.jacT(dst, zs, mu)
		floats.SubTo(dst, up, dst)
		floats.Scale(1/(2*t), dst)
	}
	return pr
}

// pair is X x Y.
type pair struct {
	x, y   set.Set
	nx, ny int
}

func (s *pair) Dim() int       { return s.nx + s.ny }
func (s *pair) String() string { return fmt.Sprintf("X x Y in R^%d", s.Dim()) }
func (s *pair) Project(dst, z []float64) {
	copy(dst, z)
	if s.x != nil {
		s.x.Project(dst[:s.nx], z[:s.nx])
	}
	if s.y != nil {
		s.y.Project(dst[s.nx:], z[s.nx:])
	}
}
func (s *pair) ProjectDeriv(dst, z, v []float64) bool {
	a := projectDeriv(s.x, dst[:s.nx], z[:s.nx], v[:s.nx])
	b := projectDeriv(s.y, dst[s.nx:], z[s.nx:], v[s.nx:])
	return a && b
}
