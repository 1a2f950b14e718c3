package response

import "math"

// far is the number of times that the price of a pair may lie farther below its
// cheapest path than on the central path.
const far = 3

// total sets the demand of pair k to the sum of its path flows.
func (s *Solver) total(k int32) {
	sum := 0.0
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		sum += s.flow[r]
	}
	s.demand[k] = sum
}

// price finds the shortest paths at the present prices and adds those that are
// shorter than all known ones of their pair, with a small flow taken from the
// pair's others.
func (s *Solver) price(mu float64) {
	s.across(s.cost, s.length)
	s.sweep(func(k int, t *tree) {
		if s.paths.number[k] == 0 {
			return
		}
		known, d := s.cheapest(int32(k)), s.dist[k]
		if !(d < known-1e-13*(1+math.Abs(known))) || !s.paths.add(k, t) {
			return
		}
		s.fit()
		q := s.demand[k]
		z := max(d-s.p[k], min(1, 10*mu))
		s.p[k] = d - z
		r := len(s.flow) - 1
		s.cost[r], s.flow[r] = d, q*min(0.1, mu/z)
		keep := 1 - s.flow[r]/q
		for o := s.paths.next[r]; o >= 0; o = s.paths.next[o] {
			s.flow[o] *= keep
		}
	})
	s.size = mu
	s.eachPair((*Solver).pricePair)
}

// pricePair sets z of pair k.
func (s *Solver) pricePair(k int32) {
	first := s.paths.first[k]
	if s.paths.number[k] == 1 {
		s.p[k] = s.cost[first]
		return
	}
	s.recentre(k, s.size)
	for r := first; r >= 0; r = s.paths.next[r] {
		c := s.cost[r]
		if z := c - s.p[k]; math.Abs(z-s.z[r]) > rounding*(1+math.Abs(c)) {
			s.z[r] = max(z, 0.5*s.z[r])
		}
	}
}

// recentre raises the price of pair k that has fallen far below the costs of all its
// paths. On the central path, f_r z_r = mu q, the z of the cheapest of n paths is at
// most n mu; a step in a tiny demand may leave it at many times that, and all the
// flows of the pair then run to 0.
func (s *Solver) recentre(k int32, mu float64) {
	n := float64(s.paths.number[k])
	if least := s.cheapest(k); least-s.p[k] > far*n*mu {
		s.p[k] = least - n*mu
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			s.z[r] = s.cost[r] - s.p[k]
		}
	}
}

// prune drops the paths that are dear and hardly used; their flow goes to the pair's
// most used path. It reports whether there were any.
func (s *Solver) prune() bool {
	p := s.paths
	kept, dropped := int32(0), false
	for _, k := range s.served {
		if p.number[k] > 1 {
			most := p.first[k]
			for r := most; r >= 0; r = p.next[r] {
				if s.flow[r] > s.flow[most] {
					most = r
				}
			}
			for r := p.first[k]; r >= 0; r = p.next[r] {
				if r != most && s.z[r] > dear && s.flow[r] < seldom*s.demand[k] {
					s.flow[most] += s.flow[r]
					s.flow[r], dropped = 0, true
				}
			}
		}
	}
	if !dropped {
		return false
	}
	for k := range p.first {
		p.first[k], p.number[k] = -1, 0
	}
	for r, v := range p.node {
		k := p.pair[r]
		if s.flow[r] == 0 {
			p.path[v] = -1
			continue
		}
		p.node[kept], p.pair[kept], p.code[kept], p.path[v] = v, k, p.code[r], kept
		s.flow[kept], s.z[kept], s.dust[kept] = s.flow[r], s.z[r], s.dust[r]
		p.next[kept], p.first[k] = p.first[k], kept
		p.number[k]++
		kept++
	}
	p.node, p.pair, p.code, p.next = p.node[:kept], p.pair[:kept], p.code[:kept], p.next[:kept]
	s.dust = s.dust[:kept]
	s.fit()
	for _, k := range s.served {
		if p.number[k] == 1 {
			s.z[p.first[k]] = 0
		}
	}
	return true
}
