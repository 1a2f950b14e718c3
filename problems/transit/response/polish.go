package response

import "math"

const (
	// stiff is theta_r/h_k of the paths in use: the equality of their costs holds in
	// the limit of the iteration, whose error shrinks by a factor of this order.
	stiff = 1e7
	// exact is the residual, relative to capacities, trips and costs, at which the
	// equations count as solved.
	exact      = 2e-14
	polishings = 12
)

// polish solves the equations that hold at the solution when the interior point is
// near enough to tell which paths and prices are positive:
//
//	load_e = x_e on the binding links, lambda_e = 0 on the others,
//	p_k = cost of every path in use,  q_k = w_k sigma(u'_k - p_k),
//
// by Newton's method, with the equality of costs treated as in the method of
// multipliers, df_r = -theta_r (cost_r + dcost_r - p_k - dp_k) with a large fixed
// theta_r, so that flows and prices need not be unique. Where the guess shows to be
// wrong it is corrected (active.go), for near a response at which many prices and flows
// are about to become 0 the interior point tells late which of them are. It fails, and
// leaves the interior point in place, where no guess comes out right or the gap is too
// large.
func (s *Solver) polish() bool {
	known := len(s.flow)
	s.guess()
	if s.settle() {
		return true
	}
	s.paths.cut(known)
	s.dust = s.dust[:known]
	s.fit()
	s.resume()
	return false
}

// guess takes the links and paths whose price and flow are the larger one of their
// complementary pair for binding and used.
func (s *Solver) guess() {
	s.binding = s.binding[:0]
	for _, e := range s.open {
		if s.lambda[e] > s.slack[e]/s.x[e] {
			s.binding = append(s.binding, e)
		} else {
			s.lambda[e] = 0
		}
		s.length[e], s.diagonal[e] = s.time[e]+s.lambda[e], 0
	}
	for r, f := range s.flow {
		k := s.paths.pair[r]
		if s.used[r] = f >= s.demand[k]*s.z[r]; !s.used[r] {
			s.flow[r] = 0
		}
	}
}

// carry puts a path in use over every binding link that has none: the one that carries
// most of what the interior point sends there.
func (s *Solver) carry() {
	for _, e := range s.binding {
		s.excess[e] = -1 // of the best path over e, none yet
		s.row[e] = -1
	}
	for r, n := range s.paths.node {
		k := s.paths.pair[r]
		f := 0.0
		if r < len(s.kept.flow) {
			f = s.kept.flow[r]
		}
		if s.paths.number[k] == 1 || s.used[r] {
			f = math.Inf(1)
		}
		for v := n; s.paths.link[v] >= 0; v = s.paths.parent[v] {
			if e := s.paths.link[v]; f > s.excess[e] {
				s.excess[e], s.row[e] = f, int32(r)
			}
		}
	}
	for _, e := range s.binding {
		if r := s.row[e]; r >= 0 {
			s.used[r] = true
		}
	}
}

// equations solves for the present guess and reports whether it could.
func (s *Solver) equations() bool {
	s.carry()
	last, factored := math.Inf(1), false
	for range polishings {
		worst := s.residuals()
		if worst <= exact && factored { // Adjoint needs the factor
			return true
		}
		if worst > 0.5*last && last < 1e-10 || math.IsNaN(worst) {
			break
		}
		last = worst
		if factored = s.decompose(s.binding); !factored {
			break
		}
		s.correct()
	}
	return last <= 1e-10 && factored
}

// residuals sets demands by the present prices, p, base, ratio, the costs in tau and
// what is left of demand in rest, and returns the largest residual.
func (s *Solver) residuals() float64 {
	s.across(s.cost, s.length)
	worst := 0.0
	for _, k := range s.served {
		first := s.paths.first[k]
		if s.paths.number[k] == 1 {
			s.p[k] = s.cost[first]
		}
		w, lead := s.m.Trips[k], s.utility[k]-s.p[k]
		q := w * sigmoid(lead)
		s.base[k] = q * sigmoid(-lead)
		s.rest[k], s.gain[k] = 0, 0
		if s.paths.number[k] == 1 {
			s.flow[first], s.demand[k], s.change[first] = q, q, 0
			continue
		}
		sum, theta := 0.0, 0.0
		for r := first; r >= 0; r = s.paths.next[r] {
			s.ratio[r], s.tau[r] = 0, 0
			if s.used[r] {
				s.ratio[r] = stiff * s.base[k]
				away := s.cost[r] - s.p[k]
				s.tau[r] = -s.ratio[r] * away
				worst = max(worst, math.Abs(away)/(1+math.Abs(s.cost[r])))
			}
			sum += s.flow[r]
			theta += s.ratio[r]
			s.gain[k] -= s.tau[r]
		}
		s.demand[k], s.rest[k] = sum, q-sum
		worst = max(worst, math.Abs(q-sum)/w)
		s.gain[k] = (s.gain[k] + s.rest[k]) / (theta + s.base[k])
		for r := first; r >= 0; r = s.paths.next[r] {
			s.change[r] = s.tau[r] + s.ratio[r]*s.gain[k]
		}
	}
	s.loads()
	for _, e := range s.binding {
		worst = max(worst, math.Abs(s.load[e]-s.x[e])/s.x[e])
	}
	return worst
}

// correct takes a full Newton step.
func (s *Solver) correct() {
	clear(s.dLambda)
	s.along(s.dLambda, s.change)
	for i, e := range s.binding {
		s.rhs[i] = s.dLambda[e] + s.load[e] - s.x[e]
	}
	s.solve()
	clear(s.dLambda)
	for i, e := range s.binding {
		s.dLambda[e] = s.rhs[i]
		s.lambda[e] += s.rhs[i]
		s.length[e] = s.time[e] + s.lambda[e]
	}
	s.across(s.dCost, s.dLambda)
	for _, k := range s.served {
		if s.paths.number[k] == 1 {
			continue
		}
		sum := 0.0
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			sum += s.ratio[r] * s.dCost[r]
		}
		dp := sum/(s.theta[k]+s.base[k]) + s.gain[k]
		rest, most := s.rest[k]-s.base[k]*dp, s.paths.first[k]
		for r := most; r >= 0; r = s.paths.next[r] {
			if s.flow[r] > s.flow[most] {
				most = r
			}
		}
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			if r != most && s.used[r] {
				df := s.tau[r] - s.ratio[r]*(s.dCost[r]-dp)
				s.flow[r] += df
				rest -= df
			}
		}
		s.flow[most] += rest
		s.p[k] += dp
	}
}

// plausible makes signs right that are wrong by rounding.
func (s *Solver) plausible() {
	for r, f := range s.flow {
		s.flow[r] = max(0, f)
	}
	for _, e := range s.binding {
		s.lambda[e] = max(0, s.lambda[e])
	}
}
