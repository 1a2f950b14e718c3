package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// multipliers measures the KKT conditions of y.
func (m *measurement) multipliers() {
	m.mu = m.given
	if m.given == nil {
		m.mu = append([]float64(nil), m.own.mu...)
		m.c.SolvedMultipliers = m.pr.rows > 0
	}
	st, neg, comp := m.pr.kktResidual(m.y, m.mu)
	if m.c.SolvedMultipliers && m.prover == nil {
		mu := m.pr.fitMultipliers(m.solver, m.y, m.mu)
		if s, n, c := m.pr.kktResidual(m.y, mu); max(s, n, c) < max(st, neg, comp) {
			m.mu, st, neg, comp = mu, s, n, c
		}
		m.note("no multipliers were given: those that fit y best were used")
	} else if m.c.SolvedMultipliers {
		m.note("no multipliers were given: those of that lower solution were used")
	}
	m.c.Multipliers = m.mu
	m.c.LowerKKT, m.c.Complementarity = Number(math.Max(st, neg)), Number(comp)
	tmp := make([]float64, m.p.NY)
	m.p.Lower.GradY(tmp, m.x, m.y)
	tol := m.s.Tolerances.KKT * math.Max(1, floats.Norm(tmp, 2))
	who := "y violates the lower optimality conditions"
	if m.given != nil {
		who = "the multipliers do not belong to y: the lower optimality conditions are violated"
	}
	m.judge(st, tol, who+" by %.3g", st)
	m.judge(neg, tol, "an inequality multiplier is negative (%.3g)", -neg)
	m.judge(comp, tol, "complementarity fails: a multiplier times its constraint is %.3g", comp)
}

// kktResidual returns |y - P(y - grad L)|, the size of the most negative
// inequality multiplier and max |mu_i c_i|.
func (p *program) kktResidual(y, mu []float64) (stationarity, negative, complementarity float64) {
	g, tmp := make([]float64, p.n), make([]float64, p.n)
	if p.rows == 0 {
		p.grad(g, y)
	} else {
		p.lagrangianGrad(g, y, mu, tmp)
		c := make([]float64, p.rows)
		p.cons(c, y)
		for i := p.eq; i < p.rows; i++ {
			negative = math.Max(negative, -mu[i])
			complementarity = math.Max(complementarity, math.Abs(mu[i]*c[i]))
		}
	}
	floats.SubTo(tmp, y, g)
	p.project(tmp, tmp)
	return floats.Distance(y, tmp, 2), negative, complementarity
}
