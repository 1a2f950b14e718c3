package response

import "math"

// start sets the first interior point. A number of price rounds, which move the
// price of a link by the logarithm of its load over its capacity while every pair
// takes its shortest path, find prices of the right size and the paths that matter.
// Prices and slacks are then such that the complementarity products are about size,
// and the price of each pair is put a little below its cheapest path.
func (s *Solver) start(prices []float64) {
	rounds, keep, step, size := 30, 5, 0.5, 0.1
	if len(s.served) > severalPaths {
		keep = 3 // more paths than that cost more than they help
	}
	if prices != nil {
		if !s.annealed {
			rounds, step, size = 5, 0.1, 0.01
		}
		most := 0.0
		for _, k := range s.served {
			most = max(most, s.utility[k])
		}
		for _, e := range s.open {
			s.lambda[e] = min(max(0, prices[e]/s.temperature), most+20)
			s.length[e] = s.time[e] + s.lambda[e]
		}
		s.sweep(s.route)
	}
	s.distribute(size)
	for round := range rounds {
		by := step / math.Sqrt(float64(round+1))
		for _, e := range s.open {
			change := -1.0
			if s.load[e] > 0 {
				change = max(-1, math.Log(s.load[e]/s.x[e]))
			}
			s.lambda[e] = max(0, s.lambda[e]+by*change)
			s.length[e] = s.time[e] + s.lambda[e]
		}
		if round < rounds-keep {
			s.forget()
		}
		s.sweep(s.route)
		s.distribute(size)
	}
	for _, e := range s.open {
		x := s.x[e]
		if free := x - s.load[e]; free > 0 {
			s.slack[e] = max(free, 0.01*x)
			s.lambda[e] = min(max(s.lambda[e], size*x/s.slack[e]), 30*size*x/s.slack[e])
		} else {
			s.lambda[e] = max(s.lambda[e], size)
			s.slack[e] = max(0.001, size/s.lambda[e]) * x
		}
		s.length[e] = s.time[e] + s.lambda[e]
	}
	s.across(s.cost, s.length)
	for _, k := range s.served {
		s.below(k, size)
	}
}

// route adds the path of pair k in the present tree.
func (s *Solver) route(k int, t *tree) {
	if s.joined[k] {
		s.paths.add(k, t)
	}
}

// distribute sets the demands that the present prices induce and spreads them over
// the known paths, more on the cheaper ones.
func (s *Solver) distribute(size float64) {
	s.fit()
	s.across(s.cost, s.length)
	s.size = size
	s.eachPair((*Solver).distributePair)
	s.loads()
}

// distributePair is distribute for pair k.
func (s *Solver) distributePair(k int32) {
	size := s.size
	w, lead := s.m.Trips[k], s.utility[k]-s.cheapest(k)
	q := w * max(1e-12, sigmoid(lead))
	a := w - q
	if lead > 0 { // the small one exactly, and not so small that demand seems fixed
		a = w * max(size/(1+lead), sigmoid(-lead))
		q = w - a
	}
	s.demand[k], s.alt[k] = q, a
	if s.below(k, size); s.paths.number[k] == 1 {
		s.flow[s.paths.first[k]] = q
		return
	}
	sum := 0.0
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		s.flow[r] = 1 / s.z[r]
		sum += s.flow[r]
	}
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		s.flow[r] *= q / sum
	}
}

// below puts the price of pair k below that of its cheapest path by size, or at
// it where it is the only one.
func (s *Solver) below(k int32, size float64) {
	s.p[k] = s.cheapest(k)
	if s.paths.number[k] == 1 {
		s.z[s.paths.first[k]] = 0
		return
	}
	s.p[k] -= size
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		s.z[r] = s.cost[r] - s.p[k]
	}
}

// cheapest is the least cost of the known paths of pair k.
func (s *Solver) cheapest(k int32) float64 {
	least := math.Inf(1)
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		least = min(least, s.cost[r])
	}
	return least
}
