package certify

import (
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// hyper evaluates the hyper-objective phi(x) = f(x, y_g(x)) by re-solving the
// lower level from the lower solutions known at the point measured. Where the
// lower solution is not unique phi is optimistic: the least f over the lower
// solutions.
type hyper struct {
	m          *measurement
	starts     []*solution // lower solutions (branches) at the point measured
	optimistic bool
}

// at is phi(x), +Inf where the lower level has no solution, NaN where it could
// not be solved, and what the residual of the lower solve leaves uncertain of it.
func (h *hyper) at(x []float64) (phi, noise float64) {
	m := h.m
	pr := m.lower.at(x, 1, 0)
	if m.prover != nil {
		if m.prover.long() && floats.Equal(x, m.x) {
			return h.value(x, m.base.z, m.base.residual())
		}
		sol := m.prover.at(x, pr)
		if sol == nil {
			return math.NaN(), 0
		}
		return h.value(x, sol.z, sol.residual())
	}
	var best *solution
	for _, s := range h.starts {
		sol := m.solver.resume(pr, s)
		if sol.usable() && (best == nil || sol.value < best.value-1e-11*(1+math.Abs(best.value))) {
			best = sol
		} else if best == nil && sol.status == infeasible {
			return math.Inf(1), 0
		}
	}
	if best == nil {
		return math.NaN(), 0
	}
	y := best.z
	if h.optimistic {
		if sel := m.selection(x, pr, best); sel != nil {
			y = sel.z
		}
	}
	return h.value(x, y, best.residual())
}

// quick is at by the problem's first solver alone, NaN where that fails.
func (h *hyper) quick(x []float64) (phi, noise float64) {
	sol, ok := h.m.prover.solve(x, h.m.lower.at(x, 1, 0))
	if !ok {
		return math.NaN(), 0
	}
	return h.value(x, sol.z, sol.residual())
}

// value is f at a lower solution with some residual.
func (h *hyper) value(x, y []float64, residual float64) (phi, noise float64) {
	p := h.m.p
	phi = p.Upper.Value(x, y)
	fy := make([]float64, p.NY)
	p.Upper.GradY(fy, x, y)
	return phi, 1e-11*(1+math.Abs(phi)) + 10*residual*floats.Norm(fy, 2)
}

// hypergradient measures dphi/dx by implicit differentiation,
//
//	dphi/dx = f_x - L_xy a - h_x' q,   (a, q) = adjoint of f_y (tangent.go),
//
// which at a degenerate point is the derivative on one smooth piece; where the
// lower solution is not unique it is the derivative of the optimistic phi, as
// the consistent part of the adjoint.
func (m *measurement) hypergradient() {
	p, sol := m.p, m.base
	nx, ny := p.NX, p.NY
	fx, fy := make([]float64, nx), make([]float64, ny)
	p.Upper.GradX(fx, m.x, sol.z)
	p.Upper.GradY(fy, m.x, sol.z)
	a, q := make([]float64, ny), make([]float64, m.pr.rows)
	var residual float64
	t := m.geometry
	hg := &m.c.Hypergradient
	if s, ok := p.Oracle.(bilevel.Sensitivity); ok && m.prover != nil && m.claimedGradient(s, fx, fy) {
		return
	}
	if t != nil {
		var left float64
		left, residual = t.adjoint(a, q, fy)
		// Without curvature y_g may move at any speed, unless f decides among
		// several lower solutions.
		hg.Differentiable = t.smooth && len(t.weak) == 0 && !(t.flat() && m.c.Unique)
		if size := 1 + floats.Norm(fy, 2); left > 1e-5*size && !m.c.Unique {
			hg.Differentiable = false
			m.note("the hypergradient is not reliable: the upper objective still changes, with slope %.3g, along the follower's best answers", left)
		}
	} else {
		residual = m.adjointCG(a, q, fy)
		_, weak := m.pr.activity(sol)
		hg.Differentiable = len(weak) == 0
	}
	m.implicit = make([]float64, nx)
	m.sensitivity(m.implicit, sol, a, q)
	m.takeGradient(fx)
	// The residual's effect on dphi/dx is that of a right-hand side of its size:
	// measured on a random one.
	hg.Error = Number(residual*floats.Norm(fy, 2)*m.amplification() + 1e-16*m.scale)
}

// takeGradient sets the figures that follow from fx and the implicit part.
func (m *measurement) takeGradient(fx []float64) {
	hg := &m.c.Hypergradient
	hg.Gradient = make([]float64, m.p.NX)
	floats.SubTo(hg.Gradient, fx, m.implicit)
	m.scale = math.Max(1, math.Max(floats.Norm(fx, 2), floats.Norm(m.implicit, 2)))
	step := make([]float64, m.p.NX)
	floats.SubTo(step, m.x, hg.Gradient)
	if m.p.X != nil {
		m.p.X.Project(step, step)
	}
	hg.Norm = Number(floats.Distance(m.x, step, 2))
}

// claimedGradient takes the derivative of the lower solution from the problem,
// false where that fails. It is a claim until the probe has seen the same slopes, so
// that it has no error bar.
func (m *measurement) claimedGradient(s bilevel.Sensitivity, fx, fy []float64) bool {
	m.implicit = make([]float64, m.p.NX)
	if s.Adjoint(m.implicit, m.x, m.base.z, m.base.mu, fy) != nil || !finite(m.implicit) {
		return false
	}
	floats.Scale(-1, m.implicit)
	m.takeGradient(fx)
	_, weak := m.pr.activity(m.base)
	m.c.Hypergradient.Differentiable = len(weak) == 0
	return true
}

// sensitivity sets dst to L_xy a + h_x' q at (x, sol).
func (m *measurement) sensitivity(dst []float64, sol *solution, a, q []float64) {
	p := m.p
	p.Lower.HessXY(dst, m.x, sol.z, a)
	if m.pr.rows == 0 {
		return
	}
	tmp := make([]float64, p.NX)
	if !p.Coupling.Affine {
		p.Coupling.HessXY(tmp, m.x, sol.z, sol.mu, a)
		floats.Add(dst, tmp)
	}
	p.Coupling.JacXT(tmp, m.x, sol.z, q)
	floats.Add(dst, tmp)
}

// amplification is the size of the hypergradient's implicit part for a random
// right-hand side of unit length.
func (m *measurement) amplification() float64 {
	rng := rand.New(rand.NewPCG(m.s.Seed, 0xa3b1))
	v := make([]float64, m.p.NY)
	for i := range v {
		v[i] = rng.NormFloat64()
	}
	floats.Scale(1/floats.Norm(v, 2), v)
	a, q := make([]float64, m.p.NY), make([]float64, m.pr.rows)
	if m.geometry == nil {
		m.adjointCG(a, q, v)
	} else {
		m.geometry.adjoint(a, q, v)
	}
	dst := make([]float64, m.p.NX)
	m.sensitivity(dst, m.base, a, q)
	return floats.Norm(dst, 2) * math.Sqrt(float64(m.p.NY))
}

// adjointCG solves the saddle system of tangent.go without assembling it:
//
//	[ D - D² + D H D   D J' ] [ p ]   [ D v ]
//	[ J D              0    ] [ q ] = [ 0   ],   a = D p,
//
// by conjugate gradients on its square. It returns the residual relative to |v|.
func (m *measurement) adjointCG(a, q, v []float64) float64 {
	pr, sol := m.pr, m.base
	n := pr.n
	strict, _ := pr.activity(sol)
	k := len(strict)
	u, g, full, rows := make([]float64, n), make([]float64, n), make([]float64, pr.rows), make([]float64, pr.rows)
	if pr.rows > 0 {
		pr.lagrangianGrad(g, sol.z, sol.mu, u)
	} else {
		pr.grad(g, sol.z)
	}
	floats.SubTo(u, sol.z, g)
	dp, ddp, hv := make([]float64, n), make([]float64, n), make([]float64, n)
	system := func(dst, w []float64) {
		pr.projectDeriv(dp, u, w[:n])
		pr.projectDeriv(ddp, u, dp)
		pr.hess(hv, sol.z, dp)
		if pr.curve != nil {
			tmp := make([]float64, n)
			pr.curve(tmp, sol.z, sol.mu, dp)
			floats.Add(hv, tmp)
		}
		if k > 0 {
			clear(full)
			for i, row := range strict {
				full[row] = w[n+i]
			}
			tmp := make([]float64, n)
			pr.jacT(tmp, sol.z, full)
			floats.Add(hv, tmp)
			pr.jac(rows, sol.z, dp)
			for i, row := range strict {
				dst[n+i] = rows[row]
			}
		}
		pr.projectDeriv(dst[:n], u, hv)
		for i := range n {
			dst[i] += dp[i] - ddp[i]
		}
	}
	rhs, normal, w, tmp := make([]float64, n+k), make([]float64, n+k), make([]float64, n+k), make([]float64, n+k)
	pr.projectDeriv(rhs[:n], u, v)
	system(normal, rhs)
	square := func(dst, w []float64) {
		system(tmp, w)
		system(dst, tmp)
	}
	conjugateGradients(w, normal, square, nil, 1e-12, 4*(n+k), m.stop)
	system(tmp, w)
	residual := floats.Distance(tmp, rhs, 2)
	pr.projectDeriv(a, u, w[:n])
	clear(q)
	for i, row := range strict {
		q[row] = w[n+i]
	}
	if size := floats.Norm(v, 2); size > 0 {
		residual /= size
	}
	return residual
}
