package lower

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// multipliers is MaxMin with adaptive steps: the dual step is taken implicitly,
// at the multiplier it leads to, so that no step length makes it unstable,
//
//	mu+ = [ mu + rho c(y+) ]_+ ,   y+ = argmin over y in Y of L(mu+, y),
//
// which is the method of multipliers: y+ minimises over Y
//
//	A(y) = F(y) + sum_i ( [ mu_i + rho c_i(y) ]_+^2 - mu_i^2 ) / (2 rho)
//
// (without the bracket for equations), here by APG, whose primal steps adapt by
// backtracking, to a tolerance that follows the residual. grad A(y+) =
// grad_y L(mu+, y+), so the stationarity of the pair is the residual of APG. rho
// starts where both terms of A are equally curved and grows fivefold whenever
// primal feasibility and complementarity together fall by less than a factor 4.
//
// Assumptions: F and c convex; strong convexity is not needed. Failure modes:
// many APG steps when rho must grow large.
//
// Source: Rockafellar, Math. Oper. Res. 1 (1976), section 4; as an inner solver
// of BLOCC it replaces the two steps of arXiv 2406.10148, algorithm 2.
type multipliers struct {
	p         *Problem
	inner     Problem // min A over Y
	apg       APG
	meter     Meter
	cert      certificate
	rho       float64
	mu, c, w  []float64 // mu of the present subproblem, c(y), [mu + rho c]_+
	jac, u, v []float64
}

// maxSteps limits the primal steps of one adaptive solve.
const maxSteps = 1000000

func (s *multipliers) solve(p *Problem, y, mu []float64, tolerance float64, stop func() bool) (Info, error) {
	if p.Rows == 0 {
		return s.apg.Solve(p, y, mu, tolerance, stop)
	}
	s.prepare(p)
	for i := p.Equalities; i < p.Rows; i++ {
		mu[i] = math.Max(mu[i], 0)
	}
	if p.Y != nil {
		p.Y.Project(y, y)
	}
	s.rho = s.balance(y)
	start, limit := s.rho, 1e3*s.rho
	var info Info
	info.Residuals = s.meter.Measure(p, y, mu)
	defect := math.Inf(1)
	for info.Iterations < maxSteps && (stop == nil || !stop()) {
		if info.Max() <= tolerance {
			info.Converged = true
			return info, nil
		}
		copy(s.mu, mu)
		goal := math.Max(tolerance/2, math.Min(0.1*info.Stationarity, 0.1*info.Max()))
		s.apg.MaxIterations = maxSteps - info.Iterations
		in, err := s.apg.Solve(&s.inner, y, nil, goal, stop)
		info.Iterations += in.Iterations
		if err != nil {
			return info, err
		}
		copy(mu, s.weights(y))
		info.Residuals = s.meter.Measure(p, y, mu)
		if d := math.Max(info.Primal, info.Complementarity); d > defect/4 {
			defect = d
			s.rho *= 5
			if s.cert.infeasible(p, y, mu) {
				return info, infeasible(info.Primal)
			}
			if s.rho > limit {
				if v, yes := s.cert.search(p, y, info.Primal, stop); yes {
					return info, infeasible(v)
				}
				if limit *= 1e3; limit > 1e15*start {
					return info, nil
				}
			}
		} else {
			defect = d
		}
	}
	return info, nil
}

// prepare sizes the scratch for p and makes the augmented Lagrangian.
func (s *multipliers) prepare(p *Problem) {
	s.p = p
	for _, v := range [...]*[]float64{&s.mu, &s.c, &s.w} {
		*v = resize(*v, p.Rows)
	}
	for _, v := range [...]*[]float64{&s.jac, &s.u, &s.v} {
		*v = resize(*v, p.N)
	}
	s.inner.N, s.inner.Y = p.N, p.Y
	if s.inner.Value == nil {
		s.inner.Value = s.value
		s.inner.Grad = s.grad
	}
}

// weights returns [mu + rho c(y)]_+.
func (s *multipliers) weights(y []float64) []float64 {
	s.p.Constraint(s.c, y)
	for i, c := range s.c {
		s.w[i] = s.mu[i] + s.rho*c
		if i >= s.p.Equalities && s.w[i] < 0 {
			s.w[i] = 0
		}
	}
	return s.w
}

func (s *multipliers) value(y []float64) float64 {
	v := 0.0
	for i, w := range s.weights(y) {
		v += (w - s.mu[i]) * (w + s.mu[i])
	}
	return s.p.Value(y) + v/(2*s.rho)
}

func (s *multipliers) grad(dst, y []float64) {
	s.p.Grad(dst, y)
	s.p.JacT(s.jac, y, s.weights(y))
	floats.Add(dst, s.jac)
}

// balance is the ratio of the largest curvature of F at y to that of |c|^2/2,
// both by a few power iterations, times 10.
func (s *multipliers) balance(y []float64) float64 {
	p := s.p
	objective := s.power(y, func(dst, v []float64) { p.HessVec(dst, y, v) })
	rows := s.power(y, func(dst, v []float64) {
		p.Jac(s.c, y, v)
		p.JacT(dst, y, s.c)
	})
	if !(rows > 0) || math.IsInf(rows, 1) {
		return 1
	}
	if !(objective > 1e-6*rows) || math.IsInf(objective, 1) {
		objective = 1e-6 * rows
	}
	return 10 * objective / rows
}

func (s *multipliers) power(y []float64, apply func(dst, v []float64)) float64 {
	size := 0.0
	for i := range s.u {
		s.u[i] = 1 / (1 + float64(i%7))
	}
	for range 8 {
		n := floats.Norm(s.u, 2)
		if !(n > 0) {
			return size
		}
		floats.Scale(1/n, s.u)
		apply(s.v, s.u)
		size = floats.Norm(s.v, 2)
		s.u, s.v = s.v, s.u
	}
	return size
}
