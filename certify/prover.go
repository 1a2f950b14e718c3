package certify

import (
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// prover turns answers of the problem's own solvers into lower solutions that are
// proven here. A candidate (y, mu) at x, whoever made it, is a lower solution up to
//
//	g(x, y) - d(x, mu),   d(x, mu) = min over y' in Y of g(x, y') + <mu, h(x, y')>,
//
// when y meets the lower constraints, by weak duality. d comes from the problem
// (bilevel.LowerDual), without its solvers; at the point measured it is compared
// with Lagrangians minimised here (falseAt), and the certificate's own dual bound
// is computed beside it.
//
// Assumptions: a convex lower level in which f sees the same of all lower
// solutions, so that phi(x') is the f of any of them.
type prover struct {
	m      *measurement
	dual   bilevel.LowerDual
	fast   bilevel.LowerSolver  // nil: none
	second bilevel.SecondSolver // nil: none
	again  int                  // solves by it
}

// smallEnough is the number of lower variables up to which Lagrangians are
// minimised to test the problem's dual function.
const smallEnough = extentLimit

// longSolves is the number of lower variables above which a lower solve may take
// many seconds: then an answer that is proven as it was given is not solved for again, and
// phi is looked at in one direction.
const longSolves = 100_000

// againLimit is the number of solves by the second solver, which is slow.
const againLimit = 60

func (q *prover) long() bool { return q != nil && q.m.p.NY > longSolves }

// newProver returns nil where the problem offers too little.
func (m *measurement) newProver() *prover {
	q := &prover{m: m}
	var ok bool
	if q.dual, ok = m.p.Oracle.(bilevel.LowerDual); !ok || !m.convex || !m.seen() {
		return nil
	}
	q.fast, _ = m.p.Oracle.(bilevel.LowerSolver)
	q.second, _ = m.p.Oracle.(bilevel.SecondSolver)
	if q.fast == nil && q.second == nil {
		return nil
	}
	return q
}

// seen reports that f sees the same of all lower solutions at an x.
func (m *measurement) seen() bool { return m.modulus > 0 || m.known.LowerModuli != nil }

// bound is d(x, mu), with negative inequality multipliers taken as 0.
func (q *prover) bound(x, mu []float64) float64 {
	clipped := append([]float64(nil), mu...)
	for i := equalities(q.m.p.Coupling); i < len(clipped); i++ {
		clipped[i] = math.Max(0, clipped[i])
	}
	if d := q.dual.LowerDual(x, clipped); !math.IsNaN(d) {
		return d
	}
	return math.Inf(-1)
}

// own sets the certificate's lower solution at the point measured where one is
// proven: that of the problem's second solver, which did not make the answer, or
// of its first one. Without a y given an answer that is not proven takes its place,
// for what can be measured of it.
func (q *prover) own() {
	m := q.m
	if q.long() && m.y != nil && m.given != nil {
		if sol, ok := q.prove(m.x, m.pr, append([]float64(nil), m.y...), append([]float64(nil), m.given...)); ok {
			m.own = sol
			m.note("the lower level was not solved again, for that would take long: the answer given is proven by duality")
			return
		}
	}
	if sol, ok := q.solveAgain(m.x, m.pr); ok {
		m.own, m.source = sol, "by the problem's second solver, which starts from nothing, and proven here by duality"
		return
	}
	sol, ok := q.solve(m.x, m.pr)
	if ok {
		m.own, m.source = sol, "by the problem's own solver, and proven here by duality"
	} else if sol != nil && m.y == nil {
		m.y, m.given = sol.z, sol.mu
		m.note("no y was given: y and the multipliers are of the problem's own solver, and not proven")
	}
}

// at is a proven lower solution at x by the problem's first solver, or by its second
// one where that fails; nil where none is.
func (q *prover) at(x []float64, pr *program) *solution {
	if sol, ok := q.solve(x, pr); ok {
		return sol
	}
	if sol, ok := q.solveAgain(x, pr); ok {
		return sol
	}
	return nil
}

// solveAgain is the second solver's answer at x.
func (q *prover) solveAgain(x []float64, pr *program) (*solution, bool) {
	if q.second == nil || q.again >= againLimit {
		return nil, false
	}
	q.again++
	y, mu := make([]float64, q.m.p.NY), make([]float64, pr.rows)
	if q.second.SolveAgain(append([]float64(nil), x...), y, mu) != nil {
		return nil, false
	}
	return q.prove(x, pr, y, mu)
}

// solve is the first solver's answer at x, nil where it has none, and whether it is
// proven.
func (q *prover) solve(x []float64, pr *program) (*solution, bool) {
	if q.fast == nil {
		return nil, false
	}
	y, mu := make([]float64, q.m.p.NY), make([]float64, pr.rows)
	if m := q.m; m.base != nil { // next to the point measured: a start
		near := m.base.mu
		if m.given != nil {
			near = m.given
		}
		copy(y, m.base.z)
		copy(mu, near)
	}
	if _, err := q.fast.SolveLower(math.Inf(1), append([]float64(nil), x...), y, mu); err != nil || !finite(y) || !finite(mu) {
		return nil, false
	}
	return q.prove(x, pr, y, mu)
}

// penalised is the solution of pr, the lower level with f/gamma, by the problem's
// first solver, judged by its residuals.
func (q *prover) penalised(gamma float64, pr *program) *solution {
	if q.fast == nil {
		return nil
	}
	y, mu := make([]float64, q.m.p.NY), make([]float64, pr.rows)
	if _, err := q.fast.SolveLower(gamma, append([]float64(nil), q.m.x...), y, mu); err != nil {
		return nil
	}
	if sol := pr.measured(y, mu); sol.residual() <= 1e-7*(1+math.Abs(sol.value)) {
		return sol
	}
	return nil
}

// prove measures a candidate by code of this package and the dual function.
func (q *prover) prove(x []float64, pr *program, y, mu []float64) (*solution, bool) {
	if !finite(y) || !finite(mu) {
		return nil, false
	}
	sol := pr.measured(y, mu)
	scale := math.Max(1, math.Abs(sol.value))
	gap := sol.value - q.bound(x, mu)
	size := math.Max(1, math.Max(floats.Norm(x, math.Inf(1)), floats.Norm(sol.z, math.Inf(1))))
	return sol, sol.violation <= 1e-9*size && math.Abs(gap) <= q.m.s.Tolerances.Gap*scale
}

// measured is the point with its residuals, projected on Y.
func (p *program) measured(y, mu []float64) *solution {
	sol := &solution{z: y, mu: mu}
	p.project(y, y)
	sol.value = p.value(y)
	stationarity, negative, complementarity := p.kktResidual(y, mu)
	sol.stationarity, sol.complementarity = math.Max(stationarity, negative), complementarity
	if p.rows > 0 {
		c := make([]float64, p.rows)
		p.cons(c, y)
		for i, v := range c {
			if i < p.eq {
				v = math.Abs(v)
			}
			sol.violation = math.Max(sol.violation, v)
		}
	}
	return sol
}

func finite(v []float64) bool {
	for _, a := range v {
		if a-a != 0 {
			return false
		}
	}
	return true
}

// falseAt reports that the dual function is larger than the Lagrangian at some y,
// and so no dual function: at the lower solution, after a step down the Lagrangian
// and at its minimiser, for the solution's multipliers and for others.
func (q *prover) falseAt(sol *solution) bool {
	m, pr := q.m, q.m.pr
	rng := rand.New(rand.NewPCG(m.s.Seed, 0xd0a1))
	mu := append([]float64(nil), sol.mu...)
	z, g := make([]float64, pr.n), make([]float64, pr.n)
	for trial := range 3 {
		for i := range mu {
			if trial > 0 {
				mu[i] = sol.mu[i] * (1 + 0.3*rng.NormFloat64())
			}
			if i >= pr.eq {
				mu[i] = math.Max(0, mu[i])
			}
		}
		d, l := q.bound(m.x, mu), pr.lagrangian(mu)
		above := func(y []float64) bool {
			v := l.value(y)
			return d > v+1e-10*math.Max(1, math.Max(math.Abs(v), math.Abs(sol.value)))
		}
		l.grad(g, sol.z)
		for _, t := range []float64{0, 1e-3, 1, 1e3} {
			floats.AddScaledTo(z, sol.z, -t, g)
			pr.project(z, z)
			if above(z) {
				return true
			}
		}
		if pr.n <= smallEnough && above(m.solver.solve(l, sol.z, nil).z) {
			return true
		}
		if m.stop() {
			return false
		}
	}
	return false
}

// spread bounds |f(x, y) - f(x, y_g)| to first order for a y that meets the lower
// constraints and whose gap is known, by the moduli s of g in what f sees: with
// delta = y - y_g,
//
//	sum_j s_j delta_j²/2 <= gap,   so   |<grad_y f, delta>| <= (2 gap sum_j f_j²/s_j)^(1/2).
func (m *measurement) spread(y []float64, gap float64) float64 {
	s := m.known.LowerModuli
	if s == nil || math.IsInf(gap, 1) {
		return math.NaN()
	}
	f, sum := make([]float64, m.p.NY), 0.0
	m.p.Upper.GradY(f, m.x, y)
	for j, v := range f {
		if s[j] > 0 {
			sum += v * v / s[j]
		}
	}
	return math.Sqrt(2 * math.Max(gap, 1e-16*math.Abs(float64(m.c.Lower))) * sum)
}
