package prices

import "math"

// state is a set of prices with the shortest paths and the sums that follow from
// them. A negative price closes a link.
type state struct {
	g      *graph
	paths  *paths
	price  []float64
	fixed  []bool // links whose price the search must not change
	trees  []tree
	profit []float64 // by origin
	spent  []float64 // construction cost by origin
	// merit is profit - penalty*max(0, spent - budget).
	penalty, budget float64
	alt             tree
	entries         []entry
	stops           []float64
}

func newState(g *graph) *state {
	s := &state{g: g, paths: newPaths(g), price: make([]float64, g.links), fixed: make([]bool, g.links),
		trees: make([]tree, g.n), profit: make([]float64, g.n), spent: make([]float64, g.n), budget: math.Inf(1), alt: newTree(g.n)}
	for v := range s.trees {
		s.trees[v] = newTree(g.n)
	}
	return s
}

// set takes over prices.
func (s *state) set(price []float64) {
	copy(s.price, price)
	for v := range s.trees {
		s.regrow(int32(v))
	}
}

// regrow finds the paths from v anew and sums over its pairs.
func (s *state) regrow(v int32) {
	t := s.trees[v]
	s.paths.grow(t, v, s.price, -1)
	profit, spent := 0.0, 0.0
	for i := range s.g.pairs[v] {
		k := &s.g.pairs[v][i]
		if d := t.dist[k.to]; d < math.Inf(1) {
			y := k.w / (1 + math.Exp(d-k.u))
			profit += y * (k.m - t.cost[k.to])
			spent += y * t.cost[k.to]
		}
	}
	s.profit[v], s.spent[v] = profit, spent
}

// totals are profit and construction cost.
func (s *state) totals() (profit, spent float64) {
	for v, p := range s.profit {
		profit += p
		spent += s.spent[v]
	}
	return profit, spent
}

// merit is what the search maximises, for given totals.
func (s *state) merit(profit, spent float64) float64 {
	m := profit
	if over := spent - s.budget; over > 0 {
		m -= s.penalty * over
	}
	return m
}

// value is the merit of the present prices.
func (s *state) value() float64 {
	return s.merit(s.totals())
}

// move changes the price of link l and the paths that this changes.
func (s *state) move(l int32, price float64) {
	s.price[l] = price
	g := s.g
	a, b := g.from[l], g.to[l]
	for v := range s.trees {
		t := &s.trees[v]
		uses := t.last[b] == l
		wants := price >= 0 && (!g.terminal[a] || int(a) == v) && t.dist[a]+g.time[l]+price <= t.dist[b]+g.tie && t.dist[a] < math.Inf(1)
		if uses || wants {
			s.regrow(int32(v))
		}
	}
}

// flows sets flow (links) to the passengers on each link and share (pairs) to
// the captured shares.
func (s *state) flows(flow, share []float64) {
	clear(flow)
	clear(share)
	for v := range s.trees {
		t := s.trees[v]
		for i := range s.g.pairs[v] {
			k := &s.g.pairs[v][i]
			d := t.dist[k.to]
			if !(d < math.Inf(1)) {
				continue
			}
			y := 1 / (1 + math.Exp(d-k.u))
			share[k.id] = y
			for at := k.to; at != int32(v); at = s.g.from[t.last[at]] {
				flow[t.last[at]] += k.w * y
			}
		}
	}
}
