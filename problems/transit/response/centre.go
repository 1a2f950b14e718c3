package response

const (
	// Products lambda s/x of links below the part centredLinks of the mean of all, and f z/q of
	// paths below the part centredPaths, are raised to it.
	centredLinks = 0.01
	centredPaths = 0.1
	// severalPaths is the number of paths from which on they are.
	severalPaths = 5_000
)

// centreLinks raises the smaller factor of products that have become far smaller than
// others, where there are thousands: a step that ends where one of them is nearly 0 leaves
// it there, and it stops the next step. What a raised slack leaves of its equation is
// found in the residuals.
func (s *Solver) centreLinks(mu float64) {
	if len(s.flow) < severalPaths {
		return
	}
	for _, e := range s.open {
		least := centredLinks * mu * s.x[e]
		switch {
		case s.slack[e]*s.lambda[e] >= least:
		case s.slack[e] > s.lambda[e]*s.x[e]:
			s.lambda[e] = least / s.slack[e]
			s.length[e] = s.time[e] + s.lambda[e]
		default:
			s.slack[e] = least / s.lambda[e]
		}
	}
}

// centrePaths is the same for the paths, whose z, costs less the price of the pair, only
// change together.
func (s *Solver) centrePaths(mu float64) {
	if len(s.flow) < severalPaths {
		return
	}
	s.size = centredPaths * mu
	s.eachPair((*Solver).centrePair)
}

func (s *Solver) centrePair(k int32) {
	if s.paths.number[k] < 2 {
		return
	}
	q, raise := s.demand[k], 0.0
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		if f, z := s.flow[r], s.z[r]; f > z*q {
			raise = max(raise, s.size*q/f-z)
		}
	}
	s.p[k] -= raise
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		s.z[r] += raise
		s.flow[r] = max(s.flow[r], s.size*q/s.z[r])
	}
	s.total(k)
}
