package response

import "math"

// iterate runs the interior-point method from the present point.
func (s *Solver) iterate() bool {
	best, central, next, idle := math.Inf(1), math.Inf(1), ripe, 0
	for step := 0; ; step++ {
		if step%3 == 2 && step < 15 && best > early && len(s.flow) > 2*len(s.served) && s.prune() {
			best = math.Inf(1) // the paths of what was kept are gone
		}
		mu := s.complementarity()
		s.centreLinks(mu)
		s.price(mu)
		s.centrePaths(mu)
		s.loads()
		mu = s.complementarity()
		over := 0.0
		for _, e := range s.open {
			if s.excess[e] = s.x[e] - s.slack[e] - s.load[e]; math.Abs(s.excess[e]) <= rounding*s.x[e] {
				s.excess[e] = 0
			}
			if v := s.load[e] - s.x[e]; v > 0 {
				over += v * (s.lambda[e] + v/s.x[e])
			}
		}
		primal := s.primal()
		merit := (math.Abs(primal-s.dual()) + over) / max(1, math.Abs(primal))
		if idle++; merit < 0.5*best || mu < 0.5*central {
			idle, central = 0, min(central, mu)
		}
		if best = min(best, merit); merit <= max(best, tolerance) {
			s.keep(step)
		}
		enough := hopeful
		if len(s.flow) >= severalPaths {
			enough = hopefulOfMany
		}
		if best <= tolerance && mu <= 2*smallest || best <= floor && idle > 6 || idle > enough || step >= s.limit || !s.factorise() {
			s.resume()
			return s.recover()
		}
		many := len(s.flow) > manyPaths
		if many && best <= tolerance { // solving the equations would take longer than all steps
			s.resume()
			return s.recover()
		}
		if merit <= next && (!many || idle > patient) {
			if s.polish() {
				return true
			}
			next = merit / 10
			continue
		}
		for r := range s.tau {
			s.tau[r] = -s.flow[r] * s.z[r]
		}
		for _, e := range s.open {
			s.tauLink[e] = -s.slack[e] * s.lambda[e]
		}
		s.direction(0)
		behind, guess := straggling, lost
		if idle > patient {
			behind, guess = together, together
		}
		sigma := s.complementarityAfter(s.stepLength(1, guess)) / mu
		target := max(smallest, sigma*sigma*sigma*mu)
		for r := range s.tau {
			if k := s.paths.pair[r]; s.paths.number[k] > 1 {
				s.tau[r] = target*s.demand[k] - s.flow[r]*s.z[r] - s.change[r]*(s.dCost[r]-s.dp[k])
			}
		}
		for _, e := range s.open {
			s.tauLink[e] = target*s.x[e] - s.slack[e]*s.lambda[e] - s.dSlack[e]*s.dLambda[e]
		}
		s.direction(target)
		s.move(s.stepLength(max(usual, 1-mu), behind))
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

// recover scales path flows down where rounding left a load above its capacity, and
// fills the answer.
func (s *Solver) recover() bool {
	m := s.m
	for _, e := range s.open {
		if s.x[e] > m.Total {
			s.lambda[e] = 0 // nothing can fill it
		}
		s.length[e] = s.time[e] + s.lambda[e]
	}
	s.loads()
	for v, e := range s.paths.link {
		s.perNode[v] = 1
		if e >= 0 {
			s.perNode[v] = min(s.perNode[s.paths.parent[v]], s.x[e]/max(s.x[e], s.load[e]))
		}
	}
	for r, v := range s.paths.node {
		s.flow[r] *= s.perNode[v]
	}
	s.loads()
	for _, k := range s.served {
		s.total(k)
		s.alt[k] = max(0, m.Trips[k]-s.demand[k])
	}
	s.sweep(func(int, *tree) {})
	s.finish(s.primal(), s.dual())
	return s.Answer.Gap <= floor
}

// complementarity is the mean of f z/q over the paths of pairs that have several, and
// of lambda s/x over open links: products in the unit of prices, so that pairs and
// links of every size count alike.
func (s *Solver) complementarity() float64 {
	sum, count := 0.0, len(s.open)
	for r, z := range s.z {
		if z > 0 {
			sum += s.flow[r] * z / s.demand[s.paths.pair[r]]
			count++
		}
	}
	for _, e := range s.open {
		sum += s.slack[e] * s.lambda[e] / s.x[e]
	}
	return sum / float64(count)
}

// complementarityAfter is the same after a step along the present direction.
func (s *Solver) complementarityAfter(t float64) float64 {
	sum, count := 0.0, len(s.open)
	for r, z := range s.z {
		if z > 0 {
			k := s.paths.pair[r]
			f := max(0, s.flow[r]+min(t, s.own[k])*s.change[r])
			sum += f * max(0.1*z, z+t*(s.dCost[r]-s.dp[k])) / s.demand[k]
			count++
		}
	}
	for _, e := range s.open {
		sum += (s.slack[e] + t*s.dSlack[e]) * (s.lambda[e] + t*s.dLambda[e]) / s.x[e]
	}
	return sum / float64(count)
}

// direction solves the Newton system for the right-hand sides tau, which it
// overwrites, and tauLink.
// change is left with the change of the path flows. The flow of a pair's most used
// path changes by what the others leave of the change of demand: from its own
// equation it would be a difference of equal numbers over a tiny one.
func (s *Solver) direction(target float64) {
	for _, k := range s.served {
		// See factorise.
		if s.pull[k] = s.rho[k]; s.rho[k] > 0 {
			s.pull[k] -= target
		} else {
			s.pull[k] += target * s.m.Trips[k] / s.alt[k]
		}
		s.rest[k] = s.m.Trips[k] - s.demand[k] - s.alt[k]
	}
	s.eachPair((*Solver).eliminate)
	clear(s.dLambda)
	s.along(s.dLambda, s.change)
	for i, e := range s.open {
		s.rhs[i] = s.dLambda[e] + s.tauLink[e]/s.lambda[e] - s.excess[e]
	}
	s.solve()
	clear(s.dLambda)
	for i, e := range s.open {
		s.dLambda[e] = s.rhs[i]
		s.dSlack[e] = (s.tauLink[e] - s.slack[e]*s.dLambda[e]) / s.lambda[e]
	}
	s.across(s.dCost, s.dLambda)
	s.eachPair((*Solver).substitute)
}

// eliminate sets the change of the flows of pair k at unchanged link prices.
func (s *Solver) eliminate(k int32) {
	r := s.paths.first[k]
	if s.paths.number[k] == 1 {
		s.gain[k], s.change[r] = 0, s.rest[k]-s.base[k]*s.pull[k]
		return
	}
	sum := s.base[k]*s.pull[k] - s.rest[k]
	for ; r >= 0; r = s.paths.next[r] {
		s.tau[r] /= s.z[r]
		sum += s.tau[r]
	}
	s.gain[k] = -sum / (s.theta[k] + s.base[k])
	for r = s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		s.change[r] = s.tau[r] + s.ratio[r]*s.gain[k]
	}
}

// substitute sets the changes of the price and the flows of pair k for those of link prices.
func (s *Solver) substitute(k int32) {
	r := s.paths.first[k]
	if s.paths.number[k] == 1 {
		s.dp[k] = s.dCost[r]
		s.change[r] = s.rest[k] - s.base[k]*(s.dp[k]+s.pull[k])
		return
	}
	sum, most := 0.0, r
	for ; r >= 0; r = s.paths.next[r] {
		sum += s.ratio[r] * s.dCost[r]
		if s.flow[r] > s.flow[most] {
			most = r
		}
	}
	s.dp[k] = sum/(s.theta[k]+s.base[k]) + s.gain[k]
	rest := s.rest[k] - s.base[k]*(s.dp[k]+s.pull[k])
	for r = s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		if r != most {
			s.change[r] = s.tau[r] - s.ratio[r]*(s.dCost[r]-s.dp[k])
			rest -= s.change[r]
		}
	}
	s.change[most] = rest
}

const (
	// captive is the lead of a pair's utility over its price from which on demand
	// seems not to depend on the price; beyond is how far a step may raise such
	// a price above that of the alternative.
	captive = 2
	beyond  = 4
	// negligible is the part of the smallest capacity on its path, or of the pair's
	// trips, below which a flow or an alternative does not bar the way. It then
	// shrinks by no more than a factor 1 - most: what that adds to a load is found
	// in the residuals of the next step.
	negligible = 1e-6
	most       = 0.99
	// usual is the part of the way to the boundary of a step while the products are
	// far from their target, and straggling the part of the travellers that need not
	// keep up; lost is the part that is left out of the guess how far a step will lead.
	usual      = 0.9
	straggling = 0.02
	lost       = 0.03
	// patient is the number of steps without progress after which all but the part
	// together keep together (the slowest of a hundred thousand pairs would stop the
	// others), and hopeful the one after which narrow promises more; of many paths it does
	// not, as it follows polished answers only.
	patient       = 2
	together      = 0.002
	hopeful       = 12
	hopefulOfMany = 36
)

// stepLength is the longest step, 1 at most, that leaves every positive quantity
// with the part that is asked for, 1 - part, of itself. Of many thousand path flows a
// few always stand in the way: the pairs of the given part of all travellers may fall
// behind, with steps of their own in s.own, and what that leaves of the load on
// their links is found in the residuals of the next step.
func (s *Solver) stepLength(part, behind float64) float64 {
	t := 1 / part
	for _, e := range s.open {
		if d := s.dSlack[e]; s.slack[e]+t*d < 0 {
			t = -s.slack[e] / d
		}
		if d := s.dLambda[e]; s.lambda[e]+t*d < 0 {
			t = -s.lambda[e] / d
		}
	}
	t = min(1, part*t)
	s.part = part
	s.eachPair((*Solver).ownStep)
	const bins = 1024
	var weight [bins + 1]float64
	total, least := 0.0, 1.0
	for _, k := range s.served {
		weight[int(s.own[k]*bins)] += s.demand[k]
		total += s.demand[k]
		least = min(least, s.own[k])
	}
	rest := behind * total
	for i, w := range weight {
		if rest -= w; rest < 0 {
			return min(t, max(least, float64(i)/bins))
		}
	}
	return t
}

// ownStep sets s.own for pair k: the step to s.part of the way to where a flow, or
// what is left of the travellers, is 0.
func (s *Solver) ownStep(k int32) {
	t := 1 / s.part
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		f := s.flow[r]
		if d := s.change[r]; f+t*d < 0 && f > s.dust[r] {
			t = -f / d
		}
	}
	if d := s.base[k] * (s.dp[k] + s.pull[k]); s.alt[k]+t*d < 0 && s.alt[k] > negligible*s.m.Trips[k] {
		t = -s.alt[k] / d
	}
	if lead := s.utility[k] - s.p[k]; lead > captive && t*s.dp[k] > lead+beyond {
		t = (lead + beyond) / s.dp[k]
	}
	s.own[k] = min(1, s.part*t)
}

// move takes a step along the present direction. The price of a pair stays below the
// cost of each of its paths by a tenth at least of what it was.
func (s *Solver) move(t float64) {
	s.step = t
	s.eachPair((*Solver).movePair)
	for _, e := range s.open {
		s.slack[e] += t * s.dSlack[e]
		s.lambda[e] += t * s.dLambda[e]
		s.length[e] = s.time[e] + s.lambda[e]
	}
}

// movePair is move for pair k.
func (s *Solver) movePair(k int32) {
	t := s.step
	own, p := min(t, s.own[k]), s.p[k]+t*s.dp[k]
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		f := s.flow[r]
		s.flow[r] = max(f+own*s.change[r], (1-most)*f)
		if s.z[r] > 0 {
			s.cost[r] += t * s.dCost[r]
			p = min(p, s.cost[r]-0.1*s.z[r])
		}
	}
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		if s.z[r] > 0 {
			s.z[r] = s.cost[r] - p
		}
	}
	s.total(k)
	w, a := s.m.Trips[k], s.alt[k]
	s.alt[k] = max(a+own*s.base[k]*(s.dp[k]+s.pull[k]), (1-most)*a)
	if rest := w - s.demand[k]; s.alt[k] > negligible*w && rest > 0.5*s.alt[k] {
		s.alt[k] = rest
	}
	s.p[k] = p
}
