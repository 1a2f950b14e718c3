package lower

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// MaxMin solves  max over mu >= 0 of min over y in Y of L(mu, y) = F(y) + <mu, c(y)>
// by T dual steps of length Eta2, each with Ty primal steps of length Eta1:
//
//	mu^ = mu_t                                            (plain)
//	mu^ = mu_t + (t-1)/(t+2) (mu_t - mu_{t-1})            (Accelerated)
//	y   <- Proj_Y( y - Eta1 grad_y L(mu^, y) )            Ty times
//	mu_{t+1} = max( Floor, mu^ + Eta2 c(y_{t+1}) )        (equations: not clamped)
//
// Ty = 1 is the single-loop version. Order names the published variants of one
// iteration. With Eta1 = Eta2 = 0, the default, the steps are adaptive and
// nothing needs to be chosen (see maxmin_adaptive.go).
//
// Assumptions: F strongly convex, c convex, Eta1 times the largest eigenvalue of
// the Hessian of L below 2. Failure modes: divergence when it is not; no
// convergence on merely convex F with fixed steps; infeasible or unbounded
// problems are recognised only with adaptive steps.
//
// Source: BLOCC, arXiv 2406.10148, algorithm 2.
type MaxMin struct {
	// Eta1 and Eta2 are the primal and dual steps; both 0: adaptive.
	Eta1, Eta2 float64
	// T limits the dual steps (0: 100000), Ty is the number of primal steps per
	// dual step (0: 1).
	T, Ty       int
	Accelerated bool
	Order       Order
	Stop        StopRule
	// Floor bounds the inequality multipliers from below.
	Floor float64
	// GradientNorm is the norm of grad_y L in the rule StopGradients; nil is the
	// Euclidean one.
	GradientNorm func(g []float64) float64

	meter           Meter
	c, g, jac, hat  []float64
	y0, mu0         []float64 // the iterate before the present one
	yIn, muIn, last []float64
	adaptive        multipliers
}

// Order is the order of the updates in one iteration of MaxMin.
type Order int

// The orders.
const (
	GaussSeidel  Order = iota // primal steps, then the multiplier at the new y
	Simultaneous              // both from the old iterate (Jacobi)
	DualFirst                 // the multiplier at the old y, then primal steps with it
)

// StopRule is when MaxMin with fixed steps stops before T iterations.
type StopRule int

// The stop rules.
const (
	// StopChange: |y_{t+1} - y_t|/Eta1 and |mu_{t+1} - mu_t|/Eta2 are both at most the tolerance.
	StopChange StopRule = iota
	// StopSignedSum is a published rule in which the two changes can cancel:
	// |sum(mu_t - mu_{t+1}) + sum(y_t - y_{t+1})|/Eta2 is at most the tolerance;
	// the iterate t, not t+1, is returned.
	StopSignedSum
	// StopGradients is a published pair of rules: the primal steps stop when the
	// gradient just used is below the tolerance, the iteration when |c| is.
	StopGradients
	// StopNever runs all T iterations.
	StopNever
)

// Solve implements [Solver] for every problem. Info.Iterations counts dual steps
// when the steps are fixed and primal steps when they are adaptive. When fixed
// steps diverge the error's status is Diverged and y and mu are left as they came.
func (m *MaxMin) Solve(p *Problem, y, mu []float64, tolerance float64, stop func() bool) (Info, error) {
	if err := m.check(); err != nil {
		return Info{}, err
	}
	if m.Eta1 == 0 {
		return m.adaptive.solve(p, y, mu, tolerance, stop)
	}
	for _, v := range [...]*[]float64{&m.g, &m.jac, &m.y0, &m.yIn} {
		*v = resize(*v, p.N)
	}
	for _, v := range [...]*[]float64{&m.c, &m.hat, &m.mu0, &m.muIn, &m.last} {
		*v = resize(*v, p.Rows)
	}
	copy(m.yIn, y)
	copy(m.muIn, mu)
	copy(m.last, mu)
	limit := m.T
	if limit == 0 {
		limit = 100000
	}
	var info Info
	for info.Iterations < limit && (stop == nil || !stop()) {
		info.Iterations++
		if m.iterate(p, y, mu, info.Iterations-1, tolerance) {
			break
		}
	}
	if !finite(y) || !finite(mu) {
		copy(y, m.yIn)
		copy(mu, m.muIn)
		return info, &bilevel.LevelError{Status: bilevel.Diverged, Detail: fmt.Sprintf("MaxMin with Eta1 = %g and Eta2 = %g lost finiteness within %d iterations", m.Eta1, m.Eta2, info.Iterations)}
	}
	info.Residuals = m.meter.Measure(p, y, mu)
	info.Converged = info.Max() <= tolerance
	return info, nil
}

func (m *MaxMin) check() error {
	for _, f := range [...]struct {
		name    string
		bad     bool
		value   float64
		allowed string
	}{
		{"Eta1", !(m.Eta1 >= 0) || math.IsInf(m.Eta1, 1), m.Eta1, "a finite number >= 0"},
		{"Eta2", !(m.Eta2 >= 0) || math.IsInf(m.Eta2, 1), m.Eta2, "a finite number >= 0"},
		{"Eta2", (m.Eta1 == 0) != (m.Eta2 == 0), m.Eta2, "0 exactly when Eta1 is"},
		{"T", m.T < 0, float64(m.T), "an integer >= 0"},
		{"Ty", m.Ty < 0, float64(m.Ty), "an integer >= 0"},
		{"Floor", !(m.Floor >= 0) || math.IsInf(m.Floor, 1), m.Floor, "a finite number >= 0"},
		{"Order", m.Order < GaussSeidel || m.Order > DualFirst, float64(m.Order), "GaussSeidel, Simultaneous or DualFirst"},
		{"Stop", m.Stop < StopChange || m.Stop > StopNever, float64(m.Stop), "StopChange, StopSignedSum, StopGradients or StopNever"},
	} {
		if f.bad {
			return &bilevel.SettingError{Field: "MaxMin." + f.name, Value: f.value, Allowed: f.allowed}
		}
	}
	return nil
}

// iterate does iteration t and reports whether the stop rule holds.
func (m *MaxMin) iterate(p *Problem, y, mu []float64, t int, tolerance float64) bool {
	copy(m.y0, y)
	copy(m.mu0, mu)
	copy(m.hat, mu)
	if m.Accelerated && t > 0 {
		w := float64(t-1) / float64(t+2)
		for i, l := range m.last {
			m.hat[i] += w * (mu[i] - l)
		}
	}
	copy(m.last, mu)
	switch m.Order {
	case GaussSeidel:
		m.primal(p, y, m.hat, tolerance)
		m.dual(p, mu, y)
	case Simultaneous:
		m.dual(p, mu, y)
		m.primal(p, y, m.hat, tolerance)
	case DualFirst:
		m.dual(p, mu, y)
		m.primal(p, y, mu, tolerance)
	}
	switch m.Stop {
	case StopSignedSum:
		if math.Abs((floats.Sum(m.mu0)-floats.Sum(mu))+(floats.Sum(m.y0)-floats.Sum(y)))/m.Eta2 <= tolerance {
			copy(y, m.y0)
			copy(mu, m.mu0)
			return true
		}
	case StopGradients:
		return p.Rows > 0 && floats.Norm(m.c, 2) < tolerance
	case StopChange:
		return floats.Distance(m.y0, y, 2) <= tolerance*m.Eta1 && floats.Distance(m.mu0, mu, 2) <= tolerance*m.Eta2
	}
	return false
}

// primal takes up to Ty projected gradient steps in y with the multiplier fixed.
func (m *MaxMin) primal(p *Problem, y, mu []float64, tolerance float64) {
	for range max(m.Ty, 1) {
		p.Grad(m.g, y)
		if p.Rows > 0 {
			p.JacT(m.jac, y, mu)
			floats.Add(m.g, m.jac)
		}
		floats.AddScaled(y, -m.Eta1, m.g)
		if p.Y != nil {
			p.Y.Project(y, y)
		}
		if m.Stop == StopGradients && m.norm() < tolerance {
			return
		}
	}
}

func (m *MaxMin) norm() float64 {
	if m.GradientNorm != nil {
		return m.GradientNorm(m.g)
	}
	return floats.Norm(m.g, 2)
}

// dual sets mu to the ascent step from m.hat at y.
func (m *MaxMin) dual(p *Problem, mu, y []float64) {
	if p.Rows == 0 {
		return
	}
	p.Constraint(m.c, y)
	for i, c := range m.c {
		mu[i] = m.hat[i] + m.Eta2*c
		if i >= p.Equalities && mu[i] < m.Floor {
			mu[i] = m.Floor
		}
	}
}
