package prices

import (
	"math"
	"slices"
)

// entry is a pair that would travel over the link of a line search: while the
// link's price is below theta it gives w (m - c) / (1 + e exp(price)) and costs
// w c / (...), otherwise what its best path without the link gives.
type entry struct {
	theta           float64
	e               float64 // exp(length over the link at price 0 - u)
	profit, spent   float64 // w (m - c) and w c over the link
	altProfit, altS float64 // captured, on the best path without it
	cheaper         bool    // over the link is the cheaper way at a tie
}

const (
	maxStops = 64
	closed   = -1.0
)

// line finds the best price of link l with the others fixed, and the merit there;
// when it is not fine, the better of open, closed and the present price.
func (s *state) line(l int32, fine bool) (price, merit float64) {
	baseProfit, baseSpent := s.survey(l)
	eval := func(price float64) float64 { return s.at(price, baseProfit, baseSpent) }
	price, merit = closed, s.merit(baseProfit, baseSpent)
	try := func(at float64) float64 {
		m := eval(at)
		if m > merit {
			price, merit = at, m
		}
		return m
	}
	if now := s.price[l]; now >= 0 {
		// The present price stays unless another one is better.
		if m := eval(now); m >= merit {
			price, merit = now, m
		}
	}
	if len(s.entries) == 0 {
		return price, merit
	}
	if !fine {
		try(0)
		return price, merit
	}
	s.collectStops()
	// Within a piece the merit is smooth. A peak shows at the middle, or by
	// rising from one of the ends.
	const near = 1e-3
	left := try(s.stops[0])
	for i := range len(s.stops) - 1 {
		a, b := s.stops[i], s.stops[i+1]
		middle, right := try((a+b)/2), try(b)
		if middle >= max(left, right) || eval(a+near*(b-a)) > max(left, middle) || eval(b-near*(b-a)) > max(right, middle) {
			golden(try, a, b)
		}
		left = right
	}
	return price, merit
}

// at is the merit at a price of the link surveyed last.
func (s *state) at(price, profit, spent float64) float64 {
	x, tie := math.Exp(price), s.g.tie
	for i := range s.entries {
		e := &s.entries[i]
		if price < e.theta-tie || e.cheaper && price <= e.theta+tie {
			y := 1 / (1 + e.e*x)
			profit += y*e.profit - e.altProfit
			spent += y*e.spent - e.altS
		}
	}
	return s.merit(profit, spent)
}

// golden narrows the maximum of a function on [a, b].
func golden(f func(float64) float64, a, b float64) {
	const r = 0.6180339887498949
	x, y := b-r*(b-a), a+r*(b-a)
	fx, fy := f(x), f(y)
	for range 18 {
		if fx >= fy {
			b, y, fy = y, x, fx
			x = b - r*(b-a)
			fx = f(x)
		} else {
			a, x, fx = x, y, fy
			y = a + r*(b-a)
			fy = f(y)
		}
	}
}

// survey lists the pairs that link l could carry and returns the totals without
// the link.
func (s *state) survey(l int32) (profit, spent float64) {
	g := s.g
	a, b := g.from[l], g.to[l]
	profit, spent = s.totals()
	s.entries = s.entries[:0]
	after := s.trees[b]
	for v := range s.trees {
		t := s.trees[v]
		if len(g.pairs[v]) == 0 || int(b) == v || g.terminal[a] && int(a) != v || !(t.dist[a] < math.Inf(1)) {
			continue
		}
		uses := t.last[b] == l
		alt := t
		if uses {
			s.paths.grow(s.alt, int32(v), s.price, l)
			alt = s.alt
		}
		base, cost := t.dist[a]+g.time[l], t.cost[a]+g.cost[l]
		if base > alt.dist[b]+g.tie {
			continue
		}
		if uses {
			profit -= s.profit[v]
			spent -= s.spent[v]
		}
		for i := range g.pairs[v] {
			k := &g.pairs[v][i]
			var y, yp, ys float64
			d := alt.dist[k.to]
			if d < math.Inf(1) {
				{
					y = k.w / (1 + math.Exp(d-k.u))
					yp, ys = y*(k.m-alt.cost[k.to]), y*alt.cost[k.to]
				}
			}
			if uses {
				profit += yp
				spent += ys
			}
			if g.terminal[b] && k.to != b || !(after.dist[k.to] < math.Inf(1)) {
				continue
			}
			via, c := base+after.dist[k.to], cost+after.cost[k.to]
			theta, cheaper := d-via, c < alt.cost[k.to]-g.tieCost
			if theta < -g.tie || theta <= g.tie && !cheaper {
				continue
			}
			s.entries = append(s.entries, entry{theta, math.Exp(via - k.u), k.w * (k.m - c), k.w * c, yp, ys, cheaper})
		}
	}
	return profit, spent
}

// collectStops lists the prices between which the line is smooth, at most
// maxStops of them, from 0 to beyond which nobody travels over the link.
func (s *state) collectStops() {
	s.stops = append(s.stops[:0], 0)
	far, captive := 0.0, false
	for i := range s.entries {
		e := &s.entries[i]
		if e.theta > s.g.tie && e.theta < math.Inf(1) {
			s.stops = append(s.stops, e.theta)
			far = math.Max(far, e.theta)
		}
		captive = captive || math.IsInf(e.theta, 1)
	}
	slices.Sort(s.stops)
	s.stops = slices.CompactFunc(s.stops, func(a, b float64) bool { return math.Abs(b-a) <= s.g.tie })
	if n := len(s.stops); n > maxStops {
		for i := range maxStops {
			s.stops[i] = s.stops[i*(n-1)/(maxStops-1)]
		}
		s.stops = s.stops[:maxStops]
	}
	if captive {
		// Shares fall like exp(-price) where e exp(price) is large.
		s.stops = append(s.stops, far+0.5, far+1, far+2, far+4, far+8, far+16)
	}
}
