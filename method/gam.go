package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/vec"
)

// GAM is the gradient approximation method for coupling constraints: the lower
// level is solved exactly for y and its multipliers, the constraints with
//
//	J = { i : mu_i > 1e-5 }
//
// are taken as equations, the optimality conditions are differentiated
// (hypergradient.go), and x moves along the hypergradient. On a lower level
// without constraints that is implicit differentiation with the (generalised)
// Hessian. The problem's own Sensitivity is used where there is one.
//
// With epsilon > 0 constraints whose activity may change within a step of length
// epsilon count as ambiguous:
//
//	i in J      if  epsilon |dmu_i/dx| > mu_i,
//	i not in J  if  h_i < -1e-5 and epsilon |dh_i/dx| > -h_i,
//
// and with 1 to 6 of them the hypergradient is the mean over the 2^k active sets
// that add a subset of them to the others of J (the published code's substitute
// for the least-norm element of the convex hull).
//
// Faithful mode takes the fixed step x <- Proj_X(x - alpha dphi/dx). Corrected
// mode takes spectral steps with an Armijo test on phi (spg.go); the published
// line search compares losses of different scales.
//
// Assumptions: strongly convex lower level, linearly independent active
// constraints, strict complementarity nearly everywhere.
//
// Failure modes: a lower level solved more loosely than the threshold 1e-5 gets
// the active set wrong; where active rows are dependent or a constraint is
// weakly active phi has a kink and the Armijo search may stall; the mean over
// active sets need not be a descent direction.
//
// Stationarity is |x - Proj_X(x - dphi/dx)|, with the fixed step
// |x+ - x| / alpha.
//
// Source: arXiv 2302.01970.
type GAM struct {
	Alpha   float64 `opt:"alpha" default:"0.05" range:"(0,inf)" doc:"outer step in faithful mode"`
	Epsilon float64 `opt:"epsilon" range:"[0,inf)" doc:"radius within which a change of activity makes a constraint ambiguous; 0: none is"`
}

const (
	gamActive = 1e-5 // multipliers above it are active
	gamMost   = 6    // ambiguous constraints that are averaged over
)

// Name is "gam".
func (m *GAM) Name() string { return "gam" }

// Defaults are 10,000 iterations and tolerance 1e-8.
func (m *GAM) Defaults(bilevel.Mode) (int, float64) { return 10000, 1e-8 }

type gam struct {
	*phi
	o         GAM
	x, dx     vec.Vector
	spg       *spg
	outer     *mover
	solver    *direct
	slope     vec.Vector
	sum       vec.Vector
	ambiguous []int
	answer
}

// Start checks the parameters and prepares the iteration at the start.
func (m *GAM) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	it := &gam{o: *m, x: e.BlockFrom("x", e.StartX()), answer: answer{e: e}, ambiguous: make([]int, 0, gamMost+1)}
	if err := option.Fill(&it.o); err != nil {
		return nil, err
	}
	p := e.Dense()
	if p == nil {
		return nil, &bilevel.SettingError{Field: "method", Value: m.Name(), Allowed: "a problem on []float64 for gam, which needs exact lower solutions"}
	}
	hyper, err := newHypergradient(e)
	if err != nil {
		return nil, err
	}
	if it.o.Epsilon > 0 && p.Coupling != nil {
		if p.NY > denseLimit {
			return nil, &bilevel.SettingError{Field: "epsilon", Value: it.o.Epsilon, Allowed: "0 beyond 1000 lower variables"}
		}
		it.solver = new(direct)
		if hyper, err = newHypergradientBy(e, it.solver); err != nil {
			return nil, err
		}
	}
	it.phi = newPhi(e, hyper)
	it.dx, it.slope, it.sum = it.x.New(), it.x.New(), it.x.New()
	if e.Settings.Mode == bilevel.Corrected {
		it.spg = newSPG(e, it.x, it)
	} else {
		it.outer = newMover(e, "x", e.ProjectX, vec.SGD, it.o.Alpha, it.x)
	}
	return it, nil
}

// Step does one outer iteration.
func (it *gam) Step(p *bilevel.Progress) (bilevel.Status, error) {
	e := it.answer.e
	p.X, p.Y, p.Mu = it.x, it.y, it.mu
	if it.spg != nil {
		return it.spg.report(p)
	}
	if _, err := it.value(it.x); err != nil || e.Stopped() {
		return bilevel.Running, err
	}
	if err := it.grad(it.dx, it.x); err != nil {
		return bilevel.Running, err
	}
	observe(e, p, false)
	p.Step, p.Stationarity = it.outer.move(it.x, it.dx, 1)
	if p.Stationarity <= e.Settings.Tolerance {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}

// grad is the hypergradient with the active set J, or its mean over the active
// sets that ambiguous constraints allow.
func (it *gam) grad(dst, x vec.Vector) error {
	h := it.hyper
	if h.oracle != nil || h.kkt == nil || it.mu == nil {
		return it.phi.grad(dst, x)
	}
	k, mu := h.kkt, it.mu.(vec.Dense)
	equalities := k.p.Coupling.Equalities
	for i, m := range mu {
		k.active[i] = i < equalities || m > gamActive
	}
	residual, err := h.atActive(dst, x, it.y, it.mu)
	if err != nil {
		return err
	}
	it.inexact.linear(residual, h.v)
	if it.solver == nil {
		return nil
	}
	it.solver.keep = true
	it.findAmbiguous(x)
	it.solver.keep = false
	n := len(it.ambiguous)
	if n == 0 || n > gamMost {
		return nil
	}
	it.sum.Zero()
	for subset := range 1 << n {
		for j, i := range it.ambiguous {
			k.active[i] = subset>>j&1 == 1
		}
		if _, err := h.atActive(dst, x, it.y, it.mu); err != nil {
			return err
		}
		it.sum.Add(math.Pow(0.5, float64(n)), dst)
	}
	dst.Copy(it.sum)
	return nil
}

// findAmbiguous lists the ambiguous constraints, at most one more than are
// averaged over, at the point of the last atActive.
func (it *gam) findAmbiguous(x vec.Vector) {
	it.ambiguous = it.ambiguous[:0]
	k, mu := it.hyper.kkt, it.mu.(vec.Dense)
	h, eps := k.p.Coupling, it.o.Epsilon
	h.Value(k.rows, x.(vec.Dense), it.y.(vec.Dense))
	for i := h.Equalities; i < h.Rows && len(it.ambiguous) <= gamMost; i++ {
		margin := mu[i]
		switch {
		case k.active[i]:
			k.multiplierSlope(it.slope, i, it.solver)
		case k.rows[i] < -gamActive:
			margin = -k.rows[i]
			k.rowSlope(it.slope, i, it.solver)
		default:
			continue
		}
		if eps*vec.Norm(it.slope) > margin {
			it.ambiguous = append(it.ambiguous, i)
		}
	}
}
