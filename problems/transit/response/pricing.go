package response

import "math"

// Pricing evaluates designs that are given by link prices. Every price vector
// lambda >= 0 (+Inf: the link is not built) is the multiplier of a design: build
// exactly the flow that it induces,
//
//	y_k = sigma(u_k - p_k),  p_k the shortest length under d + lambda,  x = flow,
//
// and the travellers' response to x is that flow, since it meets all optimality
// conditions of the lower level. Every optimal design is of this form, for
// capacity that is not used costs and can be left out. Its profit is
//
//	P(lambda) = sum_k w_k y_k (m_k - C_k),  C_k the construction cost along k's path.
//
// Ties between shortest paths are the operator's to resolve, for each resolution
// is a response to its own design: of paths whose lengths differ by less than
// about tie times the difference of their costs, the one that is cheaper to build
// is taken.
type Pricing struct {
	m      *Model
	tree   *tree
	length []float64
	p, c   []float64 // along the present tree, per station
	amount []float64 // per station
	slope  []float64 // per station
	tied   []float64
	// Profit, Shares, Costs, Builds (C) and Loads describe the last design: per
	// pair, and per link. Gradient is dP/dlambda where no path has a tie.
	Profit                                 float64
	Shares, Costs, Builds, Loads, Gradient []float64
}

// tie is the weight of construction costs in the choice of paths.
const tie = 1e-9

// NewPricing returns an evaluator for m. It is the workspace of one goroutine.
func NewPricing(m *Model) *Pricing {
	per := func(n int) []float64 { return make([]float64, n) }
	n := m.Stations
	return &Pricing{m: m, tree: newTree(m), length: per(m.Links), p: per(n), c: per(n), amount: per(n), slope: per(n),
		tied: per(m.Links), Shares: per(m.Pairs), Costs: per(m.Pairs), Builds: per(m.Pairs), Loads: per(m.Links), Gradient: per(m.Links)}
}

// Evaluate sets the figures of the design that prices (Links, >= 0, +Inf for a
// link that is not built) imply, and returns its profit.
func (e *Pricing) Evaluate(prices []float64) float64 {
	m, t := e.m, e.tree
	for l, v := range prices {
		e.length[l] = m.Time[l] + v
		e.tied[l] = e.length[l] + tie*m.Cost[l]
	}
	clear(e.Loads)
	clear(e.Gradient)
	e.Profit = 0
	for i := range m.Origins {
		o := &m.Origins[i]
		t.grow(e.tied, int32(o.Station))
		for _, v := range t.order {
			e.amount[v], e.slope[v] = 0, 0
			if l := t.pred[v]; l >= 0 {
				from := m.from[l]
				e.p[v], e.c[v] = e.p[from]+e.length[l], e.c[from]+m.Cost[l]
			} else {
				e.p[v], e.c[v] = 0, 0
			}
		}
		for _, k := range o.Pairs {
			v := m.pairTo[k]
			if math.IsInf(t.dist[v], 1) {
				e.Shares[k], e.Costs[k], e.Builds[k] = 0, math.Inf(1), math.Inf(1)
				continue
			}
			y := sigmoid(m.Utility[k] - e.p[v])
			q, margin := m.Trips[k]*y, m.Margin[k]-e.c[v]
			e.Shares[k], e.Costs[k], e.Builds[k] = y, e.p[v], e.c[v]
			e.Profit += q * margin
			e.amount[v] += q
			e.slope[v] -= q * (1 - y) * margin
		}
		for j := len(t.order) - 1; j > 0; j-- {
			v := t.order[j]
			l := t.pred[v]
			e.Loads[l] += e.amount[v]
			e.Gradient[l] += e.slope[v]
			from := m.from[l]
			e.amount[from] += e.amount[v]
			e.slope[from] += e.slope[v]
		}
	}
	return e.Profit
}
