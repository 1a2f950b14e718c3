package certify

import (
	"math"
	"math/rand/v2"

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
	if m.prover != nil {
		m.seenUniqueness()
		return
	}
	m.geometry = newTangent(m.pr, m.own)
	f := m.p.Upper.Value(m.x, m.own.z)
	lo, hi := f, f
	m.c.Unique = true
	singular := m.geometry != nil && m.geometry.flat()
	switch {
	case m.convex && m.modulus > 0:
	case m.convex && m.geometry != nil && !singular:
	case m.geometry == nil:
		m.localUnlessBest("the lower level's %d variables are too many for its curvature, which leaves open whether the follower has other best answers that the leader would prefer", m.p.NY)
		m.c.Unique = false
	case singular && !m.convex:
		m.c.Unique = false
		m.note("along some direction the lower level has no positive curvature at y, so that the hypergradient is not reliable")
	case singular:
		lo, hi = m.flatUniqueness(f)
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
	m.compareUpper(lo)
}

// seenUniqueness is uniqueness where f is known to be the same at all lower
// solutions, whatever else of y may differ.
func (m *measurement) seenUniqueness() {
	f := m.p.Upper.Value(m.x, m.own.z)
	m.c.Unique, m.c.SeenUnique = m.modulus > 0, true
	m.c.UpperSpread = Interval{Number(f), Number(f)}
	m.phi = &hyper{m: m, starts: []*solution{m.own}}
	m.compareUpper(f)
}

// compareUpper measures f at the y given against the least one, lo, among the lower
// solutions.
func (m *measurement) compareUpper(lo float64) {
	if m.c.SolvedY {
		return
	}
	fy := float64(m.c.Upper)
	scale := m.s.Tolerances.Upper * math.Max(1, math.Abs(lo))
	if m.c.Unique || m.c.SeenUnique {
		m.judge(math.Abs(fy-lo), scale, "the upper objective at y differs by %.3g from that at the follower's best answer", math.Abs(fy-lo))
	} else if fy > lo {
		m.judge(fy-lo, scale, "y is a lower solution but not the optimistic one: the upper objective is %.10g there, and %.10g at another lower solution", fy, lo)
	}
}

// flatUniqueness settles uniqueness where the Lagrangian of a convex lower level
// has no curvature along some direction, and returns the least and largest f found
// among the lower solutions.
func (m *measurement) flatUniqueness(f float64) (lo, hi float64) {
	lo, hi = f, f
	take := func(sel *solution) {
		if sel == nil {
			return
		}
		v := m.p.Upper.Value(m.x, sel.z)
		if v <= lo {
			lo, m.base = v, sel
		}
		hi = math.Max(hi, v)
	}
	rows := m.level(m.pr, m.own)
	least := m.selection(m.x, m.pr, m.own)
	take(least)
	var others []*solution
	m.c.Unique, others = m.others(rows)
	far := m.own
	for _, o := range others {
		if m.p.Upper.Value(m.x, o.z) > m.p.Upper.Value(m.x, far.z) {
			far = o
		}
		take(o)
	}
	switch {
	case least == nil:
		m.localUnlessBest("the follower may have several best answers, and the one that the leader prefers could not be found")
	case m.c.Unique:
		m.note("along some direction the lower level has no curvature, although no second best answer was found: the hypergradient is not reliable")
	case m.p.NY <= denseBelow: // beyond, the search would take most of the time
		take(m.greatest(rows, far))
	}
	if m.base != m.own {
		m.geometry = newTangent(m.pr, m.base)
	}
	return lo, hi
}

// others projects two far points, in opposite random directions from the lower
// solution, onto the set of lower solutions. Both projections are the lower solution, with
// probability one, only where it is the only one.
func (m *measurement) others(rows *csr) (unique bool, found []*solution) {
	n, own := m.p.NY, m.own
	rng := rand.New(rand.NewPCG(m.s.Seed, 0x0e1f))
	size := 1 + floats.Norm(own.z, 2)
	d := make([]float64, n)
	for i := range d {
		d[i] = rng.NormFloat64()
	}
	floats.Scale(reach*size/floats.Norm(d, 2), d)
	unique = true
	for _, sign := range []float64{1, -1} {
		target := floats.AddScaledTo(make([]float64, n), own.z, sign, d)
		to := *m.pr
		to.hessian, to.shape, to.order = identityCSR(n), nil, nil
		to.value = func(z []float64) float64 { v := floats.Distance(z, target, 2); return v * v / 2 }
		to.grad = func(dst, z []float64) { floats.SubTo(dst, z, target) }
		to.hess = func(dst, _, v []float64) { copy(dst, v) }
		sel := m.within(&withRows{base: &to, rows: rows, at: own.z}, m.pr, own, own.z)
		if sel == nil {
			unique = false
			continue
		}
		if floats.Distance(sel.z, own.z, math.Inf(1)) > 1e-6*(1+floats.Norm(own.z, math.Inf(1))) {
			unique = false
			found = append(found, sel)
		}
	}
	return unique, found
}

func identityCSR(n int) *csr {
	m := emptyCSR(n)
	for i := range n {
		m.ind, m.val, m.ptr = append(m.ind, i), append(m.val, 1), append(m.ptr, i+1)
	}
	m.rows = n
	return m
}

// reach is how far from a lower solution, relative to 1 + |y|, others are sought
// where the solution set may be unbounded.
const reach = 1.0

// selection minimises f over the lower solutions at x near sol, nil where
// that fails. For convex g the lower solutions are
//
//	{ y in Y : h <= 0, grad g(y) = grad g(y_g), <grad g(y_g), y - y_g> = 0 }
//
// (Mangasarian's characterisation); the second condition is linearised with the
// Hessian, exact for quadratic g, and the result is accepted only if its g is no
// larger than v.
func (m *measurement) selection(x []float64, pr *program, sol *solution) *solution {
	return m.within(&withRows{base: m.lower.at(x, 0, 1), rows: m.level(pr, sol), at: sol.z}, pr, sol, sol.z)
}

// greatest maximises f over the lower solutions within reach, from one of them.
func (m *measurement) greatest(rows *csr, from *solution) *solution {
	radius := reach * (1 + floats.Norm(m.own.z, 2))
	return m.within(&withRows{base: m.lower.at(m.x, 0, -1), rows: rows, at: m.own.z, ball: true, radius: radius}, m.pr, m.own, from.z)
}

// within solves a program over the lower solutions of pr, of which sol is one.
func (m *measurement) within(w *withRows, pr *program, sol *solution, start []float64) *solution {
	if w.rows == nil {
		return nil
	}
	found := m.solver.solve(w.program(), start, nil)
	if found.violation > 1e-7*(1+floats.Norm(sol.z, math.Inf(1))) || floats.HasNaN(found.z) {
		return nil
	}
	value := pr.value(found.z)
	if value > sol.value+1e-8*(1+math.Abs(sol.value)) {
		return nil
	}
	return &solution{z: found.z, mu: sol.mu, value: value, violation: found.violation}
}

// level is the matrix of the equations that lower solutions have in common: one
// row for <grad g, .> and rows that span the range of the Hessian of g, its eigenvectors
// where it is small, else its own. It is nil where the Hessian is not at hand.
func (m *measurement) level(pr *program, sol *solution) *csr {
	n := pr.n
	rows := emptyCSR(n)
	g := make([]float64, n)
	pr.grad(g, sol.z)
	if size := floats.Norm(g, 2); size > 1e-9 {
		floats.Scale(1/size, g)
		rows.add(g)
	}
	if n > denseBelow {
		if h := pr.hessianAt(sol.z); h != nil && pr.curve == nil {
			size := h.maxAbs()
			for i := range n {
				_, val := h.row(i)
				if s := floats.Norm(val, 2); s > flatBelow*size {
					rows.addRow(h, i, 1/s)
				}
			}
			return rows
		}
	}
	if n > denseLimit {
		return nil
	}
	var e mat.EigenSym
	if !e.Factorize(pr.lagrangianHessian(sol), true) {
		return nil
	}
	values := e.Values(nil)
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	size := math.Max(math.Abs(values[0]), math.Abs(values[n-1]))
	for j, v := range values {
		if math.Abs(v) > flatBelow*size {
			rows.add(mat.Col(nil, j, &vectors))
		}
	}
	return rows
}

// withRows adds the equations <row, z - at> = 0, and with ball the constraint
// |z - at|² <= radius², to a program.
type withRows struct {
	base   *program
	rows   *csr
	at     []float64
	ball   bool
	radius float64
}

// program puts the added equations in front and the ball at the end.
func (w *withRows) program() *program {
	b, k := w.base, w.rows.rows
	p := *b
	p.eq, p.rows, p.jacobian, p.order = b.eq+k, b.rows+k, nil, new([]int)
	if !w.ball && (b.rows == 0 || b.jacobian != nil) {
		p.jacobian = emptyCSR(b.n)
		for i := range k {
			p.jacobian.addRow(w.rows, i, 1)
		}
		for i := range b.rows {
			p.jacobian.addRow(b.jacobian, i, 1)
		}
	}
	if w.ball {
		p.rows++
	}
	if p.rows == 0 {
		return &p
	}
	d := make([]float64, b.n)
	p.cons = func(dst, z []float64) {
		floats.SubTo(d, z, w.at)
		w.rows.mulVec(dst[:k], d)
		if b.rows > 0 {
			b.cons(dst[k:k+b.rows], z)
		}
		if w.ball {
			dst[p.rows-1] = (floats.Dot(d, d)/(w.radius*w.radius) - 1) / 2
		}
	}
	p.jac = func(dst, z, v []float64) {
		w.rows.mulVec(dst[:k], v)
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
		for i := range k {
			ind, val := w.rows.row(i)
			for x, j := range ind {
				dst[j] += mu[i] * val[x]
			}
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
