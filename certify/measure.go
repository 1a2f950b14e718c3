package certify

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
)

// Measure measures the answer (x, y, multipliers) of p. x has length NX. y (NY)
// may be nil: the lower level is then solved here, and the certificate says so.
// multipliers (Rows, in the scale of g) may be nil: least-squares multipliers
// are then used. The error is non-nil for a user's mistake (errors.Is
// bilevel.ErrInvalid) or when ctx ends first; a wrong answer is not an error
// but a verdict.
func Measure(ctx context.Context, p *bilevel.Problem, x, y, multipliers []float64, s Settings) (*Certificate, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := s.fill(p); err != nil {
		return nil, err
	}
	rows := 0
	if p.Coupling != nil {
		rows = p.Coupling.Rows
	}
	for _, v := range []struct {
		name  string
		v     []float64
		n     int
		field string
	}{{"x", x, p.NX, "NX"}, {"y", y, p.NY, "NY"}, {"multipliers", multipliers, rows, "Coupling.Rows"}} {
		if v.v == nil && v.name != "x" || rows == 0 && v.name == "multipliers" && len(v.v) == 0 {
			continue
		}
		if len(v.v) != v.n {
			return nil, &bilevel.SettingError{Field: "len(" + v.name + ")", Value: len(v.v), Allowed: fmt.Sprintf("%s = %d", v.field, v.n)}
		}
	}
	m := newMeasurement(ctx, p, x, y, multipliers, s)
	m.run()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("certificate not finished: %w", err)
	}
	m.decide()
	return m.c, nil
}

// measurement is the state of one call of Measure.
type measurement struct {
	stop  func() bool
	p     *bilevel.Problem // every derivative present
	s     Settings
	c     *Certificate
	x     []float64
	y     []float64
	mu    []float64
	given []float64 // multipliers given, or nil

	known   known
	lower   *lower
	pr      *program // the lower level at x
	solver  *solver
	own     *solution // the certificate's own lower solution
	source  string    // where it comes from, "": this package's solver
	convex  bool      // g(x, .) and h(x, .) convex
	modulus float64   // strong convexity of g(x, .), 0: none known
	prover  *prover   // nil: no solvers of the problem's whose answers can be proven
	radius  float64   // the dual bound holds for lower answers this near
	bounded bool      // Y has no point farther than radius
	allowed bool      // y meets the lower constraints within tolerance

	searched int         // starts of the search for a better lower solution
	branches []*solution // distinct lower solutions found by the search, best first
	base     *solution   // the lower solution of phi(x): own, or the optimistic one
	geometry *tangent    // at base; nil when too large
	implicit []float64   // dphi/dx = grad_x f - implicit
	scale    float64     // of stationarity: max(1, |grad_x f|, |implicit|)
	phi      *hyper

	allCoordinates bool // x was moved along every component

	relaxed []float64 // x of the convex high-point relaxation's solution, or nil

	findings []finding
}

func (m *measurement) note(format string, args ...any) {
	m.c.Notes = append(m.c.Notes, fmt.Sprintf(format, args...))
}

func newMeasurement(ctx context.Context, p *bilevel.Problem, x, y, multipliers []float64, s Settings) *measurement {
	nan := Number(math.NaN())
	c := &Certificate{UpperFeasibility: nan, LowerFeasibility: nan, LowerGap: Interval{nan, nan}, LowerKKT: nan, Complementarity: nan,
		Hypergradient: Hypergradient{Norm: nan, Error: nan, Probe: nan, Slope: nan, Decrease: nan},
		UpperSpread:   Interval{nan, nan}, UpperError: nan, Upper: nan, Lower: nan, Value: nan,
		Flatness: Flatness{Delta: nan, Alpha: 1.5, C: 0.5, OmittedRatio: nan, Gamma: Number(s.Gamma)}, tol: s.Tolerances}
	stop := func() bool { return ctx.Err() != nil }
	m := &measurement{stop: stop, p: bilevel.NewModel(p).Dense(), s: s, c: c, solver: newSolver(stop)}
	if set.IsWhole(m.p.X) {
		m.p.X = nil
	}
	if set.IsWhole(m.p.Y) {
		m.p.Y = nil
	}
	m.x = append(m.x, x...)
	if y != nil {
		m.y = append(m.y, y...)
	}
	if multipliers != nil && p.Coupling != nil {
		m.given = append(m.given, multipliers...)
	}
	return m
}

// run fills the certificate. It returns early where nothing further can be
// measured, with the reason among the findings.
func (m *measurement) run() {
	for _, v := range []struct {
		name string
		v    []float64
	}{{"x", m.x}, {"y", m.y}, {"the multipliers", m.given}} {
		for i, a := range v.v {
			if a-a != 0 {
				m.refute("component %d of %s is %v, not a finite number", i, v.name, a)
				return
			}
		}
	}
	if !m.upperFeasibility() {
		return
	}
	if !m.solveLower() || m.stop() {
		return
	}
	m.lowerFeasibility()
	m.lowerGap()
	m.multipliers()
	if m.stop() {
		return
	}
	if !m.own.usable() {
		return
	}
	m.uniqueness()
	m.hypergradient()
	m.globalBound()
	m.probe()
	m.flatness()
	m.review()
}

// upperFeasibility measures x; false when x is so far from X that the functions
// need not be defined there.
func (m *measurement) upperFeasibility() bool {
	d := distance(m.p.X, m.x)
	m.c.UpperFeasibility = Number(d)
	scale := math.Max(1, floats.Norm(m.x, 2))
	m.judge(d, m.s.Tolerances.Feasibility*scale, "x is at distance %.3g from X", d)
	return d <= m.s.Tolerances.Clear*m.s.Tolerances.Feasibility*scale
}

// distance of v to s, with nil the whole space.
func distance(s set.Set, v []float64) float64 {
	if s == nil {
		return 0
	}
	q := make([]float64, len(v))
	s.Project(q, v)
	return floats.Distance(q, v, 2)
}

// solveLower finds the structure that can be used at x and an own lower
// solution; false when there is none.
func (m *measurement) solveLower() bool {
	p := m.p
	start := m.y
	if start == nil {
		start = p.Y0
	}
	if start == nil {
		start = make([]float64, p.NY)
	}
	m.known = spotCheck(p, m.x, start, m.s.Seed)
	m.c.FalseDeclarations = m.known.false
	m.lower = newLower(p, m.x, start, m.known.LowerQuadratic)
	m.pr = m.lower.at(m.x, 1, 0)
	m.curvature()
	var prices []float64
	if m.convex && m.y != nil {
		prices = m.given // a start: what the solve makes of it is proven by duality
	}
	if m.prover = m.newProver(); m.prover != nil {
		m.prover.own()
		switch {
		case m.own == nil:
			m.prover = nil
		case m.prover.falseAt(m.own):
			m.own, m.prover, m.source = nil, nil, ""
			m.c.FalseDeclarations = append(m.c.FalseDeclarations, "LowerDual: the dual function that the problem offers is larger than the Lagrangian at some y")
		}
	}
	if m.own == nil {
		m.own = m.solver.solve(m.pr, start, prices)
	}
	m.secondStart()
	if !m.convex || !m.own.usable() {
		m.search(start)
	}
	if m.stop() {
		return false
	}
	if m.y == nil {
		switch {
		case m.own.usable():
		case m.own.status == inaccurate:
			m.suspect("%s, and no y was given", lowerFailure(m.own))
			return false
		default:
			m.refute("%s", lowerFailure(m.own))
			return false
		}
		m.c.SolvedY = true
		m.y = append([]float64(nil), m.own.z...)
		if m.source == "" {
			m.note("no y was given: the lower level was solved by the certificate's own solver")
		}
	}
	if m.source != "" {
		m.note("the lower level was solved at x %s", m.source)
	}
	m.c.Y = m.y
	m.c.Upper, m.c.Lower = Number(p.Upper.Value(m.x, m.y)), Number(p.Lower.Value(m.x, m.y))
	if !m.c.Upper.Known() || !m.c.Lower.Known() {
		m.refute("f = %v and g = %v at the answer are not both finite", float64(m.c.Upper), float64(m.c.Lower))
		return false
	}
	return true
}

// secondStart disproves a declared convexity by two local solutions of different
// value, the way a sample of segments may miss.
func (m *measurement) secondStart() {
	if !m.known.LowerConvex || m.modulus > 0 || m.p.NY > 50 {
		return
	}
	start := m.p.Y0
	if m.y == nil || start == nil {
		start = make([]float64, m.p.NY)
	}
	other := m.solver.solve(m.pr, start, nil)
	if !other.usable() || !m.own.usable() {
		return
	}
	if d := math.Abs(other.value - m.own.value); d > 1e-6*(1+math.Abs(m.own.value)) {
		m.convex = false
		m.c.FalseDeclarations = append(m.c.FalseDeclarations,
			fmt.Sprintf("Structure.LowerConvex: the lower level at x has two local solutions whose objectives differ by %.3g", d))
	}
}

func lowerFailure(s *solution) string {
	switch s.status {
	case infeasible:
		return fmt.Sprintf("no y that meets the lower constraints at x was found (smallest violation %.3g)", s.violation)
	case unbounded:
		return "the lower objective has no minimum at x"
	}
	return fmt.Sprintf("the lower level at x could not be solved (residual %.3g)", s.residual())
}

// curvature decides what the dual bound may rest on at this x.
func (m *measurement) curvature() {
	k := m.known
	h := m.p.Coupling
	affine := h == nil || m.lower.affine || k.LowerQuadratic
	m.modulus = k.LowerModulus
	m.convex = k.LowerConvex || k.LowerModulus > 0 && affine
	if m.pr.hessian != nil {
		// The Hessian of a quadratic g proves or disproves convexity at this x.
		e, size := leastEigenvalue(m.pr.hessian), m.pr.hessian.maxAbs()
		switch {
		case e >= -1e-12*size:
			m.convex = true
			if low := e - 1e-12*size; low > m.modulus {
				m.modulus = low
			}
		case e < -1e-8*size:
			m.convex, m.modulus = false, 0
		}
	}
	lo, hi, bounded := m.pr.extent()
	m.bounded = bounded
	if bounded {
		m.radius = floats.Distance(lo, hi, 2) * (1 + 1e-9)
	}
}

// lowerFeasibility measures y against Y and h.
func (m *measurement) lowerFeasibility() {
	d := distance(m.p.Y, m.y)
	worst, at := 0.0, -1
	for i, c := range couplingAt(m.p.Coupling, m.x, m.y) {
		if i < m.p.Coupling.Equalities {
			c = math.Abs(c)
		}
		if !(c <= worst) {
			worst, at = c, i
		}
	}
	m.c.LowerFeasibility = Number(math.Max(d, worst))
	scale := math.Max(1, math.Max(floats.Norm(m.x, math.Inf(1)), floats.Norm(m.y, 2)))
	tol := m.s.Tolerances.Feasibility * scale
	m.allowed = math.Max(d, worst) <= tol
	m.judge(d, tol, "y is at distance %.3g from Y", d)
	m.judge(worst, tol, "row %d of the coupling constraint is violated by %.3g", at, worst)
}

// lowerGap encloses g(x, y) - v(x).
func (m *measurement) lowerGap() {
	g := float64(m.c.Lower)
	found := math.Inf(1)
	if m.own.usable() {
		// The multipliers price what is left of the violation.
		found = m.own.value + floats.Norm(m.own.mu, 1)*m.own.violation
		m.c.Value = Number(m.own.value)
	} else {
		m.note("the lower level could not be solved here: %s", lowerFailure(m.own))
	}
	// An allowed y is never below v(x) but by rounding; one that is not may be.
	lo, hi := g-found, math.Inf(1)
	if m.allowed {
		lo = math.Max(0, lo)
	}
	radius := m.radius
	if !m.bounded {
		radius = 100 * (1 + floats.Norm(m.y, 2))
	}
	if m.convex {
		bound := math.Inf(-1)
		if m.own.usable() && (m.prover == nil || m.p.NY <= smallEnough) {
			bound = m.solver.dualBound(m.pr, m.own.mu, m.own.z, m.modulus, radius)
		}
		if m.prover != nil {
			claimed := m.prover.bound(m.x, m.own.mu)
			if m.given != nil {
				claimed = math.Max(claimed, m.prover.bound(m.x, m.given))
			}
			if claimed > bound {
				m.note("the upper end of the lower-level gap is by the problem's dual function, with which Lagrangians minimised here agree; by this package's own dual bound alone it is %.3g", g-bound)
				bound = claimed
			}
		}
		if m.given != nil && !(g-bound <= m.s.Tolerances.Gap*math.Max(1, math.Abs(g))) {
			bound = math.Max(bound, m.solver.dualBound(m.pr, m.given, m.y, m.modulus, radius))
		}
		hi = math.Max(lo, g-bound)
		m.c.UpperError = Number(m.spread(m.y, hi))
		if m.modulus == 0 && !m.bounded && m.prover == nil {
			m.note("the lower-level gap is proven for answers of the follower within %.3g of y; for those beyond, its upper end grows in proportion to their distance", radius)
		}
	}
	m.c.LowerGap = Interval{Number(lo), Number(hi)}
	scale := math.Max(1, math.Abs(g))
	tol := m.s.Tolerances.Gap * scale
	m.judge(lo, tol, "y is not a lower solution: another y has a lower objective smaller by %.3g (%.10g instead of %.10g)", lo, found, g)
	switch {
	case !m.own.usable():
		m.suspect("the lower level could not be solved here, so that y could not be compared with the follower's best answer")
	case !m.convex && lo <= tol:
		m.local("the lower level is not known to be convex at x, and y is the best answer of the follower among those found by a search from %d starts", m.searched)
	case m.convex && math.IsInf(hi, 1) && lo <= tol:
		m.suspect("no dual bound was found, so that nothing proves y to be the follower's best answer")
	case m.convex && hi > tol && lo <= tol:
		m.suspect("the follower's objective at y is only proven to be within %.3g of its least value (tolerance %.3g)", hi, tol)
	}
}
