package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// uniqueness decides whether y_g(x) is unique and measures f over the lower
// solutions found. It sets base: the lower solution (the optimistic one) at which
// phi and its derivative are taken.
//
// A convex lower level has one solution when g is strongly convex or the
// Lagrangian curves along every tangent direction of the strictly active rows.
// Where it does not, f is minimised and maximised over the solution set.
func (m *measurement) uniqueness() {
	m.base = m.own
	m.geometry = newTangent(m.pr, m.own)
	f := m.p.Upper.Value(m.x, m.own.z)
	lo, hi := f, f
	m.c.Unique = true
	singular := m.geometry != nil && m.geometry.flat()
	switch {
	case m.convex && m.modulus > 0:
	case m.convex && m.geometry != nil && !singular:
	case m.geometry == nil:
		m.local("with %d lower variables curvature was not factorised, so it is not established that the lower solution is unique or that y is the optimistic one", m.p.NY)
		m.c.Unique = false
	case singular && !m.convex:
		m.c.Unique = false
		m.note("the lower Lagrangian has no positive curvature along some direction at the lower solution")
	case singular:
		best, worst := m.selection(m.x, m.pr, m.own, 1), m.selection(m.x, m.pr, m.own, -1)
		if best == nil {
			m.local("the lower level has directions without curvature, and the least f over its solutions could not be found")
		}
		apart := 0.0
		for _, sel := range []*solution{best, worst} {
			if sel == nil {
				continue
			}
			v := m.p.Upper.Value(m.x, sel.z)
			apart = math.Max(apart, floats.Distance(sel.z, m.own.z, math.Inf(1)))
			if v <= lo {
				lo, m.base = v, sel
			}
			hi = math.Max(hi, v)
		}
		m.c.Unique = apart <= 1e-6*(1+floats.Norm(m.own.z, math.Inf(1)))
		if m.c.Unique {
			m.note("the lower Lagrangian has no curvature along some direction, although no second lower solution was found: the implicit hypergradient is not reliable")
		}
		if m.base != m.own {
			m.geometry = newTangent(m.pr, m.base)
		}
	}
	for _, alt := range m.branches {
		if floats.Distance(alt.z, m.own.z, math.Inf(1)) > 1e-5*(1+floats.Norm(m.own.z, math.Inf(1))) && alt.value <= m.own.value+1e-9*(1+math.Abs(m.own.value)) {
			v := m.p.Upper.Value(m.x, alt.z)
			if v < lo {
				lo, m.base = v, alt
				m.geometry = newTangent(m.pr, alt)
			}
			hi = math.Max(hi, v)
			m.c.Unique = false
		}
	}
	m.c.UpperSpread = Interval{Number(lo), Number(hi)}
	m.phi = &hyper{m: m, starts: []*solution{m.base}, optimistic: m.convex && singular && !m.c.Unique}
	for _, alt := range m.branches {
		if alt != m.base {
			m.phi.starts = append(m.phi.starts, alt)
		}
	}
	if m.c.SolvedY {
		return
	}
	fy := float64(m.c.Upper)
	scale := m.s.Tolerances.Upper * math.Max(1, math.Abs(lo))
	if m.c.Unique {
		m.judge(math.Abs(fy-lo), scale, "f at y differs by %.3g from f at the lower solution", math.Abs(fy-lo))
	} else if fy > lo {
		m.judge(fy-lo, scale, "y is a lower solution but not the optimistic one: f(x, y) = %.10g, and %.10g at another lower solution", fy, lo)
	}
}

// reach is how far from a lower solution, relative to 1 + |y|, others are sought
// where the solution set may be unbounded.
const reach = 1.0

// selection minimises sign·f over the lower solutions at x near sol, nil where
// that fails. For convex g the lower solutions are
//
//	{ y in Y : h <= 0, grad g(y) = grad g(y_g), <grad g(y_g), y - y_g> = 0 }
//
// (Mangasarian's characterisation); the second condition is linearised with the
// Hessian, exact for quadratic g, and the result is accepted only if its g is no
// larger than v.
func (m *measurement) selection(x []float64, pr *program, sol *solution, sign float64) *solution {
	n := pr.n
	if n > denseLimit {
		return nil
	}
	var rows []([]float64)
	g := make([]float64, n)
	pr.grad(g, sol.z)
	if size := floats.Norm(g, 2); size > 1e-9 {
		rows = append(rows, floats.ScaleTo(make([]float64, n), 1/size, g))
	}
	var e mat.EigenSym
	h := pr.lagrangianHessian(sol)
	if !e.Factorize(h, true) {
		return nil
	}
	values := e.Values(nil)
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	size := math.Max(math.Abs(values[0]), math.Abs(values[n-1]))
	for j, v := range values {
		if math.Abs(v) > flatBelow*size {
			rows = append(rows, mat.Col(nil, j, &vectors))
		}
	}
	sel := m.lower.at(x, 0, sign)
	sel.hessian = nil
	radius := reach * (1 + floats.Norm(sol.z, 2))
	within := &withRows{base: sel, rows: rows, at: sol.z, ball: sign < 0, radius: radius}
	found := newSolver(m.stop).solve(within.program(), sol.z, nil)
	if found.violation > 1e-7*(1+floats.Norm(sol.z, math.Inf(1))) || floats.HasNaN(found.z) {
		return nil
	}
	// Back to a KKT point of the lower level with its own multipliers.
	value := pr.value(found.z)
	if value > sol.value+1e-8*(1+math.Abs(sol.value)) {
		return nil
	}
	out := &solution{z: found.z, mu: sol.mu, value: value, violation: found.violation}
	return out
}

// withRows adds the equations <row, z - at> = 0, and with ball the constraint
// |z - at|² <= radius², to a program.
type withRows struct {
	base   *program
	rows   [][]float64
	at     []float64
	ball   bool
	radius float64
}

// program puts the added equations in front and the ball at the end.
func (w *withRows) program() *program {
	b, k := w.base, len(w.rows)
	p := *b
	p.eq, p.rows, p.jacobian = b.eq+k, b.rows+k, nil
	if w.ball {
		p.rows++
	}
	if p.rows == 0 {
		return &p
	}
	d := make([]float64, b.n)
	p.cons = func(dst, z []float64) {
		floats.SubTo(d, z, w.at)
		for i, r := range w.rows {
			dst[i] = floats.Dot(r, d)
		}
		if b.rows > 0 {
			b.cons(dst[k:k+b.rows], z)
		}
		if w.ball {
			dst[p.rows-1] = (floats.Dot(d, d)/(w.radius*w.radius) - 1) / 2
		}
	}
	p.jac = func(dst, z, v []float64) {
		for i, r := range w.rows {
			dst[i] = floats.Dot(r, v)
		}
		if b.rows > 0 {
			b.jac(dst[k:k+b.rows], z, v)
		}
		if w.ball {
			floats.SubTo(d, z, w.at)
			dst[p.rows-1] = floats.Dot(d, v) / (w.radius * w.radius)
		}
	}
	p.jacT = func(dst, z, mu []float64) {
		clear(dst)
		if b.rows > 0 {
			b.jacT(dst, z, mu[k:k+b.rows])
		}
		for i, r := range w.rows {
			floats.AddScaled(dst, mu[i], r)
		}
		if w.ball {
			c := mu[p.rows-1] / (w.radius * w.radius)
			for i := range dst {
				dst[i] += c * (z[i] - w.at[i])
			}
		}
	}
	if b.curve != nil || w.ball {
		p.curve = func(dst, z, mu, v []float64) {
			clear(dst)
			if b.curve != nil {
				b.curve(dst, z, mu[k:k+b.rows], v)
			}
			if w.ball {
				floats.AddScaled(dst, mu[p.rows-1]/(w.radius*w.radius), v)
			}
		}
	}
	return &p
}
