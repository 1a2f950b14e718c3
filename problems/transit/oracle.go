package transit

import (
	"errors"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// oracle solves the lower level and the penalised one exactly. It implements
// bilevel.LowerSolver, Sensitivity and Bounder.
type oracle struct {
	d      *design
	solver *response.Solver
	nodes  []float64 // potentials, Origins x Stations
}

func newOracle(d *design) *oracle {
	return &oracle{d: d, solver: response.NewSolver(d.m), nodes: make([]float64, len(d.m.Origins)*d.m.Stations)}
}

// SolveLower minimises f(x, .)/gamma + g(x, .). The answer depends on x and, up to
// the solver's tolerance, on the link prices in mu, where it starts (from none when
// all are 0).
func (o *oracle) SolveLower(gamma float64, x, y, mu []float64) (float64, error) {
	if err := o.solve(gamma, x, mu); err != nil {
		return math.NaN(), err
	}
	d := o.d
	a := &o.solver.Answer
	copy(y, a.Shares)
	o.solver.Flows(y[d.pairs:])
	copy(mu[d.rows:], a.Prices)
	o.potentials(gamma, mu)
	return o.residual(gamma, x, y, mu), nil
}

func (o *oracle) solve(gamma float64, x, mu []float64) error {
	prices := mu[o.d.rows:]
	started := false
	for _, v := range prices {
		started = started || v != 0
	}
	if !started {
		prices = nil
	}
	if math.IsInf(gamma, 1) {
		if known := o.d.recall(x, started); known != nil {
			prices = known
		}
	}
	err := o.solver.Solve(gamma, x, prices)
	if err == nil && math.IsInf(gamma, 1) {
		o.d.remember(x, o.solver.Answer.Prices)
	}
	if err != nil && !errors.Is(err, response.ErrNumerical) { // short of its tolerance: the residual tells
		return &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: err.Error()}
	}
	return nil
}

// potentials sets the multipliers of the conservation rows: the cost of getting
// from each origin to each station. Stations without any way share a cost at which
// nobody would travel.
func (o *oracle) potentials(gamma float64, mu []float64) {
	o.solver.Potentials(o.nodes)
	o.d.setPotentials(gamma, mu, o.nodes)
}

// setPotentials copies potentials, Origins x Stations, to the conservation rows of mu.
func (d *design) setPotentials(gamma float64, mu, nodes []float64) {
	m := d.m
	never := 0.0
	for k, u := range m.Utility {
		never = math.Max(never, u+m.Margin[k]/gamma+40)
	}
	for _, v := range nodes {
		if !math.IsInf(v, 1) {
			never = math.Max(never, v)
		}
	}
	for i := range m.Origins {
		for v, cost := range nodes[i*m.Stations : (i+1)*m.Stations] {
			if r := d.row(i, v); r >= 0 {
				mu[r] = math.Min(cost, never)
			}
		}
	}
}

// residual is the largest violation of the optimality conditions.
func (o *oracle) residual(gamma float64, x, y, mu []float64) float64 {
	d, m := o.d, o.d.m
	worst := o.solver.Answer.Violation
	for i, from := range m.Origins {
		for _, k := range from.Pairs {
			t := m.Utility[k] + m.Margin[k]/gamma - mu[d.row(i, d.network.Pairs[k].To)]
			worst = math.Max(worst, m.Trips[k]*math.Abs(y[k]-1/(1+math.Exp(-t))))
		}
		at := d.pairs + i*m.Links
		for e, v := range y[at : at+m.Links] {
			if v == 0 {
				continue
			}
			reduced := m.Time[e] + mu[d.rows+e]
			if r := d.row(i, d.to[e]); r >= 0 {
				reduced -= mu[r]
			}
			if r := d.row(i, d.from[e]); r >= 0 {
				reduced += mu[r]
			}
			worst = math.Max(worst, math.Min(v, math.Abs(reduced)))
		}
	}
	for e, v := range o.solver.Answer.Loads {
		worst = math.Max(worst, math.Min(mu[d.rows+e], x[e]-v))
	}
	return worst
}

// Adjoint applies the transposed derivative of the response in the capacities.
func (o *oracle) Adjoint(dst, x, _, mu, v []float64) error {
	if err := o.solve(math.Inf(1), x, mu); err != nil {
		return err
	}
	d := o.d
	if err := o.solver.Adjoint(dst, v[:d.pairs], v[d.pairs:]); err != nil {
		return &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: err.Error()}
	}
	return nil
}

// LowerBound bounds f from below by what no profit exceeds. The first call is
// quick; later ones take the time that a tight bound needs.
func (o *oracle) LowerBound() (float64, string, error) {
	return -o.d.ceiling.next(), o.d.ceiling.by(), nil
}
