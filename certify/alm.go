package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// The certificate's solver: an augmented Lagrangian
//
//	A(z) = F(z) + sum_E (mu c + rho/2 c²) + sum_I ( [mu + rho c]_+² - mu² ) / (2 rho),
//	mu <- mu + rho c (equations),  [mu + rho c]_+ (inequalities),
//
// whose inner problems min over Z of A are solved by semismooth Newton steps
// (newton.go). Assumptions: twice differentiable functions, a projection with
// a derivative. On convex problems it reaches the rounding floor; elsewhere
// it finds a local solution near its start. It fails, and says so, where the
// constraints cannot be met or F falls without bound.
//
// Source: Rockafellar's proximal method of multipliers in the form of Li, Sun
// and Toh, arXiv 1607.05428, section 3.

// solution is a primal-dual point with its KKT residuals.
type solution struct {
	z, mu []float64
	value float64
	// stationarity = |z - P(z - grad L)|, violation = max of |c_E| and [c_I]_+,
	// complementarity = max |mu_i c_i|.
	stationarity, violation, complementarity float64
	status                                   solveStatus
	steps                                    int     // Newton steps
	rho                                      float64 // the last rho
}

type solveStatus int

const (
	solved     solveStatus = iota
	inaccurate             // residuals above the tolerance
	infeasible             // the violation could not be removed
	unbounded              // F fell below every bound, or z grew without one
	stopped
)

func (s *solution) residual() float64 {
	return max(s.stationarity, s.violation, s.complementarity)
}

func (s *solution) copy() *solution {
	c := *s
	c.z, c.mu = append([]float64(nil), s.z...), append([]float64(nil), s.mu...)
	return &c
}

// usable reports whether the point can stand for a solution: residuals small
// beside the size of the data even if not at the tolerance asked for.
func (s *solution) usable() bool {
	return s.status == solved || s.status == inaccurate && s.residual() <= 1e-7*(1+math.Abs(s.value))
}

type solver struct {
	tolerance float64
	stop      func() bool
	maxOuter  int
	maxNewton int
}

// stepLimit bounds the Newton steps of a solve; a convex problem takes some tens.
const stepLimit = 600

func newSolver(stop func() bool) *solver {
	return &solver{tolerance: 1e-12, stop: stop, maxOuter: 50, maxNewton: 60}
}

// solve starts at z0 and mu0 (nil: zero), which it does not change.
func (s *solver) solve(p *program, z0, mu0 []float64) *solution {
	return s.resume(p, &solution{z: z0, mu: mu0})
}

// resume starts at the solution of a neighbouring program, with its rho.
func (s *solver) resume(p *program, from *solution) *solution {
	z0, mu0 := from.z, from.mu
	sol := &solution{z: make([]float64, p.n), mu: make([]float64, p.rows)}
	if z0 != nil {
		copy(sol.z, z0)
	}
	p.project(sol.z, sol.z)
	copy(sol.mu, mu0)
	w := newNewton(p, s)
	w.scaleRho(sol.z)
	w.rho = math.Max(w.rho, from.rho)
	tol := func() float64 { return s.tolerance * (1 + floats.Norm(w.plain, math.Inf(1))) }
	inner, lastViolation, stuck := 1e-3, math.Inf(1), 0
	best, idle := &solution{stationarity: math.Inf(1)}, 0
	if mu0 != nil {
		if w.residuals(sol); sol.residual() <= 1e3*tol() {
			best = sol.copy() // what is found must not be worse than a start that is a solution
		}
	}
	unfinished := false
	retry := math.Inf(1) // the residual below which polishing is worth a try
	for range s.maxOuter {
		st := w.minimise(sol, math.Max(inner, s.tolerance))
		if st == stopped || st == unbounded {
			sol.status = st
			w.residuals(sol)
			return sol
		}
		if p.rows == 0 {
			w.residuals(sol)
			if sol.stationarity <= tol() || inner <= s.tolerance {
				break
			}
			inner *= 1e-5
			continue
		}
		w.updateMultipliers(sol)
		w.residuals(sol)
		if r := sol.residual(); r > tol() && r < retry && r <= 1e-2*(1+floats.Norm(w.plain, math.Inf(1))) {
			w.polish(sol)
			retry = 0.1 * r
		}
		if sol.residual() <= tol() {
			break
		}
		if r := sol.residual(); r < best.residual() {
			best, idle = sol.copy(), 0
		} else if idle++; best.residual() <= 1e3*tol() || idle >= 4 && best.residual() <= 1e-6 {
			break // the rounding floor
		}
		// Beyond the stationarity reached a larger rho would only cost digits.
		if sol.violation > math.Max(0.1*lastViolation, sol.stationarity) && w.rho < 1e12*w.rho0 {
			w.rho *= 10
		}
		// A violation that a hundredfold rho does not reduce is there to stay.
		// (One that is left because A was not minimised says nothing.)
		unfinished = st == inaccurate
		if stuck++; unfinished || sol.violation < 0.9*lastViolation || sol.violation < 1e-6*(1+floats.Norm(sol.z, math.Inf(1))) {
			stuck = 0
		}
		if stuck >= 3 || sol.steps > stepLimit {
			break
		}
		lastViolation = sol.violation
		inner = math.Max(0.1*s.tolerance, math.Min(inner*0.03, 0.1*sol.violation*w.rho0))
	}
	if best.residual() < sol.residual() {
		best.steps = sol.steps
		sol = best
		w.residuals(sol)
	}
	sol.rho = w.rho
	switch {
	case sol.violation > 1e-6*(1+floats.Norm(sol.z, math.Inf(1))):
		if sol.status = infeasible; unfinished {
			sol.status = inaccurate
		}
	case !(sol.residual() <= 1e3*tol()):
		sol.status = inaccurate
	}
	return sol
}

// updateMultipliers is the multiplier step of the augmented Lagrangian.
func (w *newton) updateMultipliers(sol *solution) {
	w.p.cons(w.c, sol.z)
	for i, c := range w.c {
		sol.mu[i] += w.rho * c
		if i >= w.p.eq && !(sol.mu[i] > 0) {
			sol.mu[i] = 0
		}
	}
}

// residuals measures sol against the KKT conditions; w.plain is left with grad F.
func (w *newton) residuals(sol *solution) {
	p := w.p
	sol.value = p.value(sol.z)
	p.grad(w.plain, sol.z)
	copy(w.g, w.plain)
	sol.violation, sol.complementarity = 0, 0
	if p.rows > 0 {
		p.jacT(w.tmp, sol.z, sol.mu)
		floats.Add(w.g, w.tmp)
		p.cons(w.c, sol.z)
		for i, c := range w.c {
			if i < p.eq {
				c = math.Abs(c)
			} else {
				sol.complementarity = math.Max(sol.complementarity, math.Abs(sol.mu[i]*c))
			}
			if !(c <= sol.violation) { // NaN counts as a violation
				sol.violation = c
			}
		}
	}
	floats.SubTo(w.tmp, sol.z, w.g)
	p.project(w.tmp, w.tmp)
	sol.stationarity = floats.Distance(sol.z, w.tmp, 2)
}
