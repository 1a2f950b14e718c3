package transit

import (
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// reviewer is what the certificate of a design rests on beside its own code. It
// implements bilevel.LowerDual, SecondSolver, Prober and Reviewer, and shares
// no code with response.Solver, which made the answer.
type reviewer struct {
	d      *design
	plain  bool             // X is all capacities >= 0
	second *response.Second // the last second answer
	at     []float64        // and its capacities
}

// LowerDual is d(x, mu). The Lagrangian is a sum over shares and flows: with the
// cost p_k of reaching k's destination (a multiplier of conservation) and the prices
// lambda,
//
//	d(x, mu) = sum_k w_k (u_k - ln(1 + exp(u_k - p_k))) + sum_o,ij hi^o_ij min(0, d_ij + lambda_ij + p_i - p_j) - lambda'x,
//
// hi the upper bound of the flow in Y.
func (r *reviewer) LowerDual(x, mu []float64) float64 {
	d, m := r.d, r.d.m
	sum := 0.0
	for i, o := range m.Origins {
		total := 0.0
		for _, k := range o.Pairs {
			p := mu[d.row(i, d.network.Pairs[k].To)]
			sum += m.Trips[k] * leastShare(m.Utility[k], p)
			total += m.Trips[k]
		}
		for e, v := range d.from {
			if v != o.Station && d.network.Stations[v].Terminal {
				continue // its flow is 0 in Y
			}
			reduced := m.Time[e] + mu[d.rows+e]
			if j := d.row(i, d.to[e]); j >= 0 {
				reduced -= mu[j]
			}
			if j := d.row(i, v); j >= 0 {
				reduced += mu[j]
			}
			sum += total * math.Min(0, reduced)
		}
	}
	for e, c := range x {
		sum -= mu[d.rows+e] * c
	}
	return sum
}

// leastShare bounds  min over y in [0,1] of entropy(y) + entropy(1-y) + u(1-y) + p y
// from below. With the entropy of problem.go the minimum is exactly the logit's while
// both shares are above least, and exactly at y = 0 or 1 where the slope has its sign
// there; between, it is lower by no more than least.
func leastShare(u, p float64) float64 {
	t := math.Abs(u - p)
	exact := math.Min(u, p) - math.Log1p(math.Exp(-t))
	switch edge := -math.Log(least); {
	case t < edge-1e-9:
		return exact
	case t > edge+1+1e-9:
		return math.Min(u, p) - least/2
	}
	return exact - least
}

// secondRounds bounds the multiplier steps of the second method, secondLimit the
// pairs up to which it is tried, for it is slow.
const (
	secondRounds = 160
	secondLimit  = 3000
)

// again is the response by the second method, nil where that would take long.
func (r *reviewer) again(x []float64) *response.Second {
	if r.d.m.Pairs > secondLimit {
		return nil
	}
	if r.second == nil || !slices.Equal(x, r.at) {
		r.at = slices.Clone(x)
		for e, v := range r.at {
			r.at[e] = math.Max(0, v)
		}
		r.second = response.NewSecond(r.d.m, math.Inf(1), r.at, secondRounds)
		copy(r.at, x)
	}
	return r.second
}

// SolveAgain solves the lower level by the method of multipliers.
func (r *reviewer) SolveAgain(x, y, mu []float64) error {
	s := r.again(x)
	if s == nil {
		return bilevel.ErrNoClosedForm
	}
	d := r.d
	copy(y, s.Shares)
	copy(y[d.pairs:], s.Flows)
	copy(mu[d.rows:], s.Prices)
	nodes := make([]float64, len(d.m.Origins)*d.m.Stations)
	s.Potentials(nodes)
	d.setPotentials(math.Inf(1), mu, nodes)
	return nil
}

// Directions are the links of a way of each pair together: of its fastest and of
// its cheapest way to build the one that earns more when it is free, in the order
// of what they earn.
func (r *reviewer) Directions([]float64) [][]float64 {
	d, m := r.d, r.d.m
	type way struct {
		links []int
		gain  float64
	}
	ways := make([]way, m.Pairs)
	pred := make([]int, m.Stations)
	for _, length := range [][]float64{m.Time, m.Cost} {
		for _, o := range m.Origins {
			d.ways(pred, length, o.Station)
			for _, k := range o.Pairs {
				var w way
				time, cost := 0.0, 0.0
				v := d.network.Pairs[k].To
				for v != o.Station && pred[v] >= 0 {
					e := pred[v]
					w.links, v = append(w.links, e), d.from[e]
					time += m.Time[e]
					cost += m.Cost[e]
				}
				if w.gain = m.Trips[k] * (m.Margin[k] - cost) * sigmoid(m.Utility[k]-time); v == o.Station && w.gain > ways[k].gain {
					ways[k] = w
				}
			}
		}
	}
	var all [][]float64
	for _, k := range order(m.Pairs, func(k int) float64 { return ways[k].gain }) {
		if len(ways[k].links) < 2 {
			continue
		}
		x := make([]float64, m.Links)
		for _, e := range ways[k].links {
			x[e] = 1
		}
		if !slices.ContainsFunc(all, func(o []float64) bool { return slices.Equal(o, x) }) {
			all = append(all, x)
		}
	}
	return all
}

// ways sets pred to the last link of the shortest way from a station to each other,
// -1 where there is none.
func (d *design) ways(pred []int, length []float64, from int) {
	dist := make([]float64, len(pred))
	for i := range dist {
		dist[i], pred[i] = math.Inf(1), -1
	}
	dist[from] = 0
	for again := true; again; {
		again = false
		for e, l := range length {
			i, j := d.from[e], d.to[e]
			if i != from && d.network.Stations[i].Terminal || j == from {
				continue
			}
			if v := dist[i] + l; v < dist[j] {
				dist[j], pred[j], again = v, e, true
			}
		}
	}
}

// Review measures flow conservation, capacities and the primal and dual value of
// an answer by sums over its flows and Bellman and Ford's method, and its profit
// beside that at the response by the second method.
func (r *reviewer) Review(x, y, mu []float64) ([]bilevel.Check, error) {
	d, m := r.d, r.d.m
	a := response.NewAudit(m, math.Inf(1), x, y[:d.pairs], y[d.pairs:], mu[d.rows:])
	worst := 0
	for e, v := range a.Capacity {
		if v > a.Capacity[worst] {
			worst = e
		}
	}
	small := 1e-6 * math.Max(1, m.Total)
	checks := []bilevel.Check{
		{Name: "flow conservation", Value: a.Conservation, Tolerance: small,
			Sentence: "At no station do the trips of an origin that arrive differ by more than this from those that leave or end there."},
		{Name: "capacity excess", Value: a.Excess, Tolerance: small,
			Sentence: fmt.Sprintf("No link carries more trips than its capacity by over this; the fullest is %s with %s of %s.", linkName(d.network, worst), figure(a.Capacity[worst]+x[worst]), figure(x[worst]))},
		{Name: "response gap", Value: math.Abs(a.Gap), Tolerance: 1e-9,
			Sentence: fmt.Sprintf("The travellers' objective, %.10g by a sum over the flows, is this far (relative) from the bound %.10g that Bellman and Ford's shortest paths at the link prices prove.", a.Primal, a.Dual)},
	}
	s := r.again(x)
	if s == nil {
		return checks, nil
	}
	if r.plain {
		checks = append(checks, d.builtCheck(x, y, mu[d.rows:]))
	}
	b := response.NewAudit(m, math.Inf(1), x, s.Shares, s.Flows, s.Prices)
	profit, second := d.revenue(y)-d.cost(x), d.revenue(s.Shares)-d.cost(x)
	open := r.open(x, b, s.Prices)
	return append(checks, bilevel.Check{Name: "second method", Value: math.Abs(profit - second), Tolerance: open + 1e-6*math.Max(1, math.Abs(profit)),
		Sentence: fmt.Sprintf("The method of multipliers, from nothing, finds a response with primal and dual value %.10g and %.10g after %d steps; the profit is %.9g there, known to %.2g, and differs by this from that of the answer.",
			b.Primal, b.Dual, s.Rounds, second, open)}), nil
}

// open is what the gap of a response leaves open of the profit: the objective is
// 4w-strongly convex in the shares, so that sum 2 w dy² is at most the gap, with what
// exceeds the capacities at its price.
func (r *reviewer) open(x []float64, a *response.Audit, prices []float64) float64 {
	gap := math.Max(math.Abs(a.Primal-a.Dual), 1e-16*math.Abs(a.Primal))
	for e, v := range a.Capacity {
		if v > 0 && x[e] > 0 {
			gap += 2 * v * prices[e]
		}
	}
	sum := 0.0
	for k, w := range r.d.m.Trips {
		sum += w * r.d.m.Margin[k] * r.d.m.Margin[k]
	}
	return math.Sqrt(gap * sum / 2)
}
