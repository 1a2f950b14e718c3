package response

import "math"

// narrow solves where the interior-point method fails, which is beside capacities that
// are tiny against others. Their links are first given a floor, and the response is
// then followed to lower and lower ones. A pair that is left with a tiny capacity pays
// a price that grows by the logarithm of what is taken from it, so that with every
// link at the floor dearer by
//
//	dlambda_ij = ln(floor before/floor after)
//
// the paths in use and the binding links are nearly those of before, and are corrected by
// settle. Where that fails the floor falls by less, and where little is too much the
// interior-point method is tried from the prices at hand.
func (s *Solver) narrow() bool {
	s.goal = append(s.goal[:0], s.x...)
	defer func() { copy(s.x, s.goal) }()
	least := math.Inf(1)
	for _, e := range s.open {
		least = min(least, s.goal[e])
	}
	for _, part := range widest {
		if floor := part * s.m.Total / float64(s.m.Links); floor > least && s.follow(floor, least) {
			return true
		}
	}
	return false
}

var widest = [...]float64{0.01, 1} // first floors, as parts of the mean of trips per link

const (
	narrowing = 5    // largest factor between two floors
	stuck     = 1.02 // the factor at which the interior point is tried again
)

// follow solves at a floor and follows the response until no link is at it.
func (s *Solver) follow(floor, least float64) bool {
	s.floor(floor)
	if !s.run(nil) || !s.polished {
		return false
	}
	s.place.note(s)
	for factor := float64(narrowing); floor > least; {
		next := floor / factor
		s.floor(next)
		for i, e := range s.open {
			if before := s.place.x[i]; s.lambda[e] > 0 && s.x[e] < before {
				s.lambda[e] += math.Log(before / s.x[e])
				s.length[e] = s.time[e] + s.lambda[e]
			}
		}
		s.adjust()
		if s.settle() {
			floor, factor = next, min(narrowing, factor*factor)
			s.place.note(s)
			continue
		}
		s.place.restore(s)
		if factor = math.Sqrt(factor); factor > stuck {
			continue
		}
		factor = narrowing
		floor /= factor
		s.floor(floor)
		copy(s.begin, s.lambda)
		if !s.run(s.begin) || !s.polished {
			return false
		}
		s.place.note(s)
	}
	return true
}

// floor sets the capacities, with a floor for open links.
func (s *Solver) floor(floor float64) {
	for _, e := range s.open {
		s.x[e] = max(s.goal[e], floor)
	}
}

// adjust sets the prices and flows of pairs with several paths to link prices that have
// been changed.
func (s *Solver) adjust() {
	s.across(s.cost, s.length)
	for _, k := range s.served {
		if s.paths.number[k] == 1 {
			continue
		}
		p, sum := math.Inf(1), 0.0
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			if s.used[r] {
				p = min(p, s.cost[r])
			}
			sum += s.flow[r]
		}
		s.p[k] = p
		by := s.m.Trips[k] * sigmoid(s.utility[k]-p) / sum
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			s.flow[r] *= by
		}
	}
}

// place is a state of the active-set method, to go back to.
type place struct {
	x, lambda, flow, p []float64 // x and lambda per open link
	used               []bool
	binding            []int32
}

func (b *place) note(s *Solver) {
	b.x, b.lambda = b.x[:0], b.lambda[:0]
	for _, e := range s.open {
		b.x, b.lambda = append(b.x, s.x[e]), append(b.lambda, s.lambda[e])
	}
	b.flow, b.p = append(b.flow[:0], s.flow...), append(b.p[:0], s.p...)
	b.used, b.binding = append(b.used[:0], s.used[:len(s.flow)]...), append(b.binding[:0], s.binding...)
}

// restore goes back; paths that have been found since are kept, not in use.
func (b *place) restore(s *Solver) {
	for i, e := range s.open {
		s.x[e], s.lambda[e], s.length[e] = b.x[i], b.lambda[i], s.time[e]+b.lambda[i]
	}
	clear(s.flow)
	clear(s.used)
	copy(s.flow, b.flow)
	copy(s.used, b.used)
	copy(s.p, b.p)
	s.binding = append(s.binding[:0], b.binding...)
}
