package response

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// start sets the first interior point. A number of price rounds, which move the
// price of a link by the logarithm of its load over its capacity while every pair
// takes its shortest path, find prices of the right size and the paths that matter;
// then the price of each pair is put a little below its cheapest path, and slacks
// so that all complementarity products are of one size.
func (s *Solver) start(prices []float64) {
	m := s.m
	rounds, keep, step, size := 30, 5, 0.5, 0.1
	if prices != nil {
		rounds, keep, step, size = 5, 5, 0.1, 0.01
		for _, e := range s.open {
			s.lambda[e] = math.Min(math.Max(0, prices[e]), 20)
			s.length[e] = m.Time[e] + s.lambda[e]
		}
		s.sweep(s.route)
	}
	mean := size * m.Total / float64(len(s.served))
	s.distribute(mean)
	for round := range rounds {
		by := step / math.Sqrt(float64(round+1))
		for _, e := range s.open {
			change := -1.0
			if s.load[e] > 0 {
				change = math.Max(-1, math.Log(s.load[e]/s.x[e]))
			}
			s.lambda[e] = math.Max(0, s.lambda[e]+by*change)
			s.length[e] = m.Time[e] + s.lambda[e]
		}
		if round < rounds-keep {
			s.paths.reset()
		}
		s.sweep(s.route)
		s.distribute(mean)
	}
	for _, e := range s.open {
		s.slack[e] = math.Max(s.x[e]-s.load[e], 0.01*s.x[e])
		s.lambda[e] = math.Max(s.lambda[e], math.Min(1, mean/s.slack[e]))
		if s.lambda[e]*s.slack[e] > mean {
			s.slack[e] = math.Max(mean/s.lambda[e], 0.001*s.x[e])
		}
		s.length[e] = m.Time[e] + s.lambda[e]
	}
}

// route adds the path of pair k in the present tree.
func (s *Solver) route(k int) {
	if s.m.Trips[k] > 0 && s.utility[k]-s.free[k] > -hopeless {
		s.paths.add(k, s.tree)
	}
}

// distribute sets the demands that the present prices induce and spreads them over
// the known paths, with f z about mean for the best one of each pair.
func (s *Solver) distribute(mean float64) {
	s.fit()
	s.across(s.cost, s.length)
	for _, k := range s.served {
		w, least, sum := s.m.Trips[k], s.cheapest(k), 0.0
		q := w * math.Max(1e-12, sigmoid(s.utility[k]-least))
		s.demand[k], s.alt[k] = q, w*math.Max(1e-12, sigmoid(least-s.utility[k]))
		s.p[k] = least - mean/q
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			s.z[r] = s.cost[r] - s.p[k]
			s.flow[r] = 1 / s.z[r]
			sum += s.flow[r]
		}
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			s.flow[r] *= q / sum
		}
	}
	s.loads()
}

// cheapest is the least cost of the known paths of pair k.
func (s *Solver) cheapest(k int32) float64 {
	least := math.Inf(1)
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		least = math.Min(least, s.cost[r])
	}
	return least
}

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
	s.sweep(func(k int) {
		if s.paths.number[k] == 0 {
			return
		}
		least, d := s.cheapest(int32(k)), s.dist[k]
		if !(d < least-1e-13*(1+math.Abs(least))) || !s.paths.add(k, s.tree) {
			return
		}
		s.fit()
		q := s.demand[k]
		z := math.Max(d-s.p[k], 10*mu/q)
		s.p[k] = d - z
		r := len(s.flow) - 1
		s.cost[r], s.flow[r] = d, mu/z
		keep := 1 - s.flow[r]/q
		for o := s.paths.next[r]; o >= 0; o = s.paths.next[o] {
			s.flow[o] *= keep
		}
	})
	for _, k := range s.served {
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			s.z[r] = s.cost[r] - s.p[k]
		}
	}
}

// iterate runs the interior-point method from the present point.
func (s *Solver) iterate() error {
	m := s.m
	least := 1e-13 * m.Total / float64(len(s.served))
	best, idle := math.Inf(1), 0
	for step := 0; ; step++ {
		s.price(s.complementarity())
		s.loads()
		mu := s.complementarity()
		over := 0.0
		for _, e := range s.open {
			s.excess[e] = s.x[e] - s.slack[e] - s.load[e]
			if v := s.load[e] - s.x[e]; v > 0 {
				over += v * (s.lambda[e] + v/s.x[e])
			}
		}
		primal := s.primal()
		merit := (math.Abs(primal-s.dual()) + over) / math.Max(1, math.Abs(primal))
		if idle++; merit < 0.5*best {
			idle = 0
		}
		if merit < best {
			best = merit
			s.keep(step)
		}
		if best <= tolerance || best <= floor && idle > 4 || step >= s.limit || !s.factorise() {
			return s.recover()
		}
		for r := range s.tau {
			s.tau[r] = -s.flow[r] * s.z[r]
		}
		for _, e := range s.open {
			s.tauLink[e] = -s.slack[e] * s.lambda[e]
		}
		s.direction()
		sigma := s.complementarityAfter(s.stepLength(1)) / mu
		target := math.Max(least, sigma*sigma*sigma*mu)
		for r := range s.tau {
			dz := s.dCost[r] - s.dp[s.paths.pair[r]]
			s.tau[r] = target - s.flow[r]*s.z[r] - s.change[r]*dz
		}
		for _, e := range s.open {
			s.tauLink[e] = target - s.slack[e]*s.lambda[e] - s.dSlack[e]*s.dLambda[e]
		}
		s.direction()
		s.move(s.stepLength(math.Max(0.99, 1-mu)))
	}
}

// keep remembers the present point.
func (s *Solver) keep(step int) {
	s.Answer.Steps = step
	s.kept.flow = append(s.kept.flow[:0], s.flow...)
	s.kept.lambda = append(s.kept.lambda[:0], s.lambda...)
	s.kept.slack = append(s.kept.slack[:0], s.slack...)
	s.kept.p = append(s.kept.p[:0], s.p...)
	s.kept.alt = append(s.kept.alt[:0], s.alt...)
}

// recover goes back to the best point, scales path flows down where rounding left a
// load above its capacity, and fills the answer.
func (s *Solver) recover() error {
	m := s.m
	n := copy(s.flow, s.kept.flow)
	clear(s.flow[n:])
	copy(s.lambda, s.kept.lambda)
	for _, e := range s.open {
		s.length[e] = m.Time[e] + s.lambda[e]
	}
	s.loads()
	for v, e := range s.paths.link {
		s.perNode[v] = 1
		if e >= 0 {
			s.perNode[v] = math.Min(s.perNode[s.paths.parent[v]], s.x[e]/math.Max(s.x[e], s.load[e]))
		}
	}
	for r, v := range s.paths.node {
		s.flow[r] *= s.perNode[v]
	}
	s.loads()
	for _, k := range s.served {
		s.total(k)
		s.alt[k] = math.Max(0, m.Trips[k]-s.demand[k])
	}
	s.sweep(func(int) {})
	s.finish(s.primal(), s.dual())
	if !(s.Answer.Gap <= floor) {
		return ErrNumerical
	}
	return nil
}

// complementarity is the mean of f z over paths and lambda s over open links.
func (s *Solver) complementarity() float64 {
	sum := 0.0
	for r, f := range s.flow {
		sum += f * s.z[r]
	}
	for _, e := range s.open {
		sum += s.slack[e] * s.lambda[e]
	}
	return sum / float64(len(s.flow)+len(s.open))
}

// complementarityAfter is the same after a step along the present direction.
func (s *Solver) complementarityAfter(t float64) float64 {
	sum := 0.0
	for r, f := range s.flow {
		sum += (f + t*s.change[r]) * (s.z[r] + t*(s.dCost[r]-s.dp[s.paths.pair[r]]))
	}
	for _, e := range s.open {
		sum += (s.slack[e] + t*s.dSlack[e]) * (s.lambda[e] + t*s.dLambda[e])
	}
	return sum / float64(len(s.flow)+len(s.open))
}

// direction solves the Newton system for the right-hand sides tau and tauLink.
// change is left with the change of the path flows.
func (s *Solver) direction() {
	for _, k := range s.served {
		sum := s.base[k] * s.rho[k]
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			sum += s.tau[r] / s.z[r]
		}
		s.gain[k] = -sum / (s.theta[k] + s.base[k])
	}
	for r, z := range s.z {
		s.change[r] = s.tau[r]/z + s.flow[r]/z*s.gain[s.paths.pair[r]]
	}
	clear(s.dLambda)
	s.along(s.dLambda, s.change)
	for i, e := range s.open {
		s.rhs[i] = s.dLambda[e] + s.tauLink[e]/s.lambda[e] - s.excess[e]
	}
	b := blas64.General{Rows: len(s.open), Cols: 1, Stride: 1, Data: s.rhs}
	lapack64.Potrs(blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: s.sym.N, Stride: s.sym.Stride, Data: s.sym.Data}, b)
	clear(s.dLambda)
	for i, e := range s.open {
		s.dLambda[e] = s.rhs[i]
		s.dSlack[e] = (s.tauLink[e] - s.slack[e]*s.dLambda[e]) / s.lambda[e]
	}
	s.across(s.dCost, s.dLambda)
	for _, k := range s.served {
		sum := 0.0
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			sum += s.flow[r] / s.z[r] * s.dCost[r]
		}
		s.dp[k] = sum/(s.theta[k]+s.base[k]) + s.gain[k]
	}
	for r, z := range s.z {
		s.change[r] = (s.tau[r] - s.flow[r]*(s.dCost[r]-s.dp[s.paths.pair[r]])) / z
	}
}

// stepLength is the longest step, 1 at most, that leaves every positive quantity
// with the part that is asked for, 1 - part, of itself.
func (s *Solver) stepLength(part float64) float64 {
	most := 1 / part
	for r, f := range s.flow {
		if d := s.change[r]; f+most*d < 0 {
			most = -f / d
		}
		if d := s.dCost[r] - s.dp[s.paths.pair[r]]; s.z[r]+most*d < 0 {
			most = -s.z[r] / d
		}
	}
	for _, e := range s.open {
		if d := s.dSlack[e]; s.slack[e]+most*d < 0 {
			most = -s.slack[e] / d
		}
		if d := s.dLambda[e]; s.lambda[e]+most*d < 0 {
			most = -s.lambda[e] / d
		}
	}
	for _, k := range s.served {
		if d := s.base[k] * (s.dp[k] + s.rho[k]); s.alt[k]+most*d < 0 {
			most = -s.alt[k] / d
		}
	}
	return math.Min(1, part*most)
}

// move takes a step along the present direction.
func (s *Solver) move(t float64) {
	for r := range s.flow {
		s.flow[r] += t * s.change[r]
	}
	for _, k := range s.served {
		s.alt[k] += t * s.base[k] * (s.dp[k] + s.rho[k])
		s.p[k] += t * s.dp[k]
		s.total(k)
	}
	for _, e := range s.open {
		s.slack[e] += t * s.dSlack[e]
		s.lambda[e] += t * s.dLambda[e]
		s.length[e] = s.m.Time[e] + s.lambda[e]
	}
}
