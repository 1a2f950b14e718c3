package response

import "math"

// Second solves the lower level by another method than [Solver], for comparison:
// the method of multipliers for the capacities,
//
//	t_e = max(0, lambda_e + rho_e (load_e - x_e)),   lambda <- t,
//
// whose inner problems, traveller equilibria under the link costs d + t(load), are
// solved by gradient projection: pair after pair, flow is shifted from each path to
// the cheapest one by Newton's step for their cost difference, and between the
// network and the alternative by Newton's step for p + ln(y/(1-y)) = u. New paths
// come from Bellman and Ford's method. It shares no code with Solver beyond the
// model, and is slower by orders of magnitude.
//
// Assumption: capacities are 0 (closed) or not tiny. It ends after the given number
// of multiplier steps; [NewAudit] tells how good the answer is.
//
// Closed links get a price at which nobody would use them.
//
// Source: the augmented Lagrangian treatment of link capacities in traffic
// assignment, with path-based gradient projection inside (Jayakrishnan et al., 1994).
type Second struct {
	// Shares per pair, Flows per origin and link, Prices per link, as in Answer;
	// Open tells which links are not closed.
	Shares, Flows, Prices []float64
	Open                  []bool
	// Rounds is how many multiplier steps were done.
	Rounds int

	m      *Model
	load   []float64
	x, rho []float64
	lambda []float64
	routes [][]route // per pair
	alt    []float64 // per pair
}

type route struct {
	links []int32
	flow  float64
}

// NewSecond solves the lower level (gamma = +Inf) or the penalised one at
// capacities x by rounds multiplier steps.
func NewSecond(m *Model, gamma float64, x []float64, rounds int) *Second {
	s := &Second{m: m, x: x, load: make([]float64, m.Links), rho: make([]float64, m.Links), lambda: make([]float64, m.Links),
		routes: make([][]route, m.Pairs), alt: make([]float64, m.Pairs), Open: make([]bool, m.Links),
		Shares: make([]float64, m.Pairs), Flows: make([]float64, len(m.Origins)*m.Links), Prices: make([]float64, m.Links)}
	for e, v := range x {
		if s.Open[e] = v > closed*m.Total; s.Open[e] {
			s.rho[e] = 2 / v
		}
	}
	copy(s.alt, m.Trips)
	for range rounds {
		s.newRoutes()
		for range 30 {
			if s.sweep(gamma) < 1e-13 {
				break
			}
		}
		moved := 0.0
		for e, open := range s.Open {
			if open {
				t := s.price(int32(e))
				moved = max(moved, math.Abs(t-s.lambda[e])/(1+t))
				s.lambda[e] = t
			}
		}
		if s.Rounds++; moved <= 1e-14 {
			break
		}
	}
	for k := range s.routes {
		o := int(m.pairFrom[k])
		for _, r := range s.routes[k] {
			s.Shares[k] += r.flow / m.Trips[k]
			for _, e := range r.links {
				s.Flows[o*m.Links+int(e)] += r.flow
			}
		}
	}
	copy(s.Prices, s.lambda)
	never := 0.0
	for k, u := range m.Utility {
		never = max(never, u+m.Margin[k]/gamma+refusal)
	}
	for e, open := range s.Open {
		if !open {
			s.Prices[e] = never
		}
	}
	return s
}

// Potentials sets dst, one row of Stations entries per origin, to the lengths of
// the shortest paths at the prices.
func (s *Second) Potentials(dst []float64) {
	m := s.m
	length := make([]float64, m.Links)
	for e, p := range s.Prices {
		length[e] = m.Time[e] + p
	}
	for i, o := range m.Origins {
		m.relax(dst[i*m.Stations:(i+1)*m.Stations], length, o.Station)
	}
}

func (s *Second) price(e int32) float64 {
	return max(0, s.lambda[e]+s.rho[e]*(s.load[e]-s.x[e]))
}

// newRoutes adds the cheapest path of every pair.
func (s *Second) newRoutes() {
	m := s.m
	length, dist := make([]float64, m.Links), make([]float64, m.Stations)
	for e, open := range s.Open {
		if length[e] = math.Inf(1); open {
			length[e] = m.Time[e] + s.price(int32(e))
		}
	}
	for _, o := range m.Origins {
		m.relax(dist, length, o.Station)
		for _, k := range o.Pairs {
			if math.IsInf(dist[m.pairTo[k]], 1) || m.Trips[k] == 0 {
				continue
			}
			links, v := []int32(nil), m.pairTo[k]
			for int(v) != o.Station && len(links) < m.Stations {
				for e, l := range length {
					if m.to[e] == v && dist[m.from[e]]+l == dist[v] {
						links, v = append(links, int32(e)), m.from[e]
						break
					}
				}
			}
			if int(v) == o.Station && !s.known(k, links) {
				s.routes[k] = append(s.routes[k], route{links, 0})
			}
		}
	}
}

func (s *Second) known(k int, links []int32) bool {
	for _, r := range s.routes[k] {
		same := len(r.links) == len(links)
		for i := range links {
			same = same && r.links[i] == links[i]
		}
		if same {
			return true
		}
	}
	return false
}

// cost is the cost of a path and its derivative in a flow over all of it.
func (s *Second) cost(links []int32) (cost, slope float64) {
	for _, e := range links {
		t := s.price(e)
		cost += s.m.Time[e] + t
		if t > 0 {
			slope += s.rho[e]
		}
	}
	return cost, slope
}

func (s *Second) shift(r *route, by float64) {
	r.flow += by
	for _, e := range r.links {
		s.load[e] += by
	}
}

// sweep moves every pair once towards its equilibrium and returns the largest
// change of a flow relative to the pair's trips.
func (s *Second) sweep(gamma float64) float64 {
	m, most := s.m, 0.0
	for k, routes := range s.routes {
		if len(routes) == 0 {
			continue
		}
		best, least := 0, math.Inf(1)
		for i := range routes {
			if c, _ := s.cost(routes[i].links); c < least {
				best, least = i, c
			}
		}
		for i := range routes {
			r := &routes[i]
			if i == best || r.flow == 0 {
				continue
			}
			to, slopeTo := s.cost(routes[best].links)
			from, slopeFrom := s.cost(r.links)
			by := r.flow
			if slope := slopeTo + slopeFrom; slope > 0 {
				by = min(by, max(0, from-to)/slope)
			} else if from <= to {
				by = 0
			}
			s.shift(r, -by)
			s.shift(&routes[best], by)
			most = max(most, by/m.Trips[k])
		}
		// The alternative against the cheapest path.
		w, u := m.Trips[k], m.Utility[k]+m.Margin[k]/gamma
		for range 3 {
			q, a := w-s.alt[k], s.alt[k]
			p, slope := s.cost(routes[best].links)
			if q <= 0 { // from nothing, what the present price induces
				q = min(w*sigmoid(u-p), 0.01*w)
				s.shift(&routes[best], q)
				s.alt[k] = w - q
				continue
			}
			by := (u - p - math.Log(q/a)) / (slope + 1/q + 1/a)
			by = max(-0.9*min(q, routes[best].flow), min(0.9*a, by))
			s.shift(&routes[best], by)
			s.alt[k] -= by
			most = max(most, math.Abs(by)/w)
		}
	}
	return most
}
