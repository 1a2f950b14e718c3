package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// flatness measures what PBGD-Free would leave out at x, from an own solve of
// the penalised lower level y_gamma = argmin f/gamma + g (arXiv 2507.20400).
func (m *measurement) flatness() {
	if m.prover.long() {
		m.note("flatness was not measured, for the penalised lower level would take long")
		return
	}
	p, gamma := m.p, m.s.Gamma
	pr := m.lower.at(m.x, 1, 1/gamma)
	var pen *solution
	if m.prover != nil {
		pen = m.prover.penalised(gamma, pr)
	}
	if pen == nil {
		pen = m.solver.resume(pr, m.base)
	}
	if !pen.usable() {
		// Multipliers of a degenerate solution may lead astray: once more without.
		pen = m.solver.solve(pr, m.base.z, nil)
	}
	if !pen.usable() {
		m.note("flatness was not measured, because with the penalty gamma = %g %s", gamma, lowerFailure(pen))
		return
	}
	fl := &m.c.Flatness
	df := math.Abs(p.Upper.Value(m.x, m.base.z) - p.Upper.Value(m.x, pen.z))
	dy := floats.Distance(m.base.z, pen.z, 2)
	fl.Delta = Number(math.Max(df-float64(fl.C)*math.Pow(dy, float64(fl.Alpha)), 0))
	fx, a, b, tmp := make([]float64, p.NX), make([]float64, p.NX), make([]float64, p.NX), make([]float64, p.NX)
	p.Upper.GradX(fx, m.x, pen.z)
	gradient := func(dst []float64, s *solution) {
		p.Lower.GradX(dst, m.x, s.z)
		if p.Coupling != nil {
			p.Coupling.JacXT(tmp, m.x, s.z, s.mu)
			floats.Add(dst, tmp)
		}
	}
	gradient(a, pen)
	gradient(b, m.base)
	omitted := gamma * floats.Distance(a, b, 2)
	switch size := floats.Norm(fx, 2); {
	case size > 0:
		fl.OmittedRatio = Number(omitted / size)
	case omitted == 0:
		fl.OmittedRatio = 0
	default:
		fl.OmittedRatio = Number(math.Inf(1))
	}
}
