package response

import "math"

// widen is tried where the iteration fails, which is beside capacities that are tiny
// against others. The open links with less than a floor are first given that, and the
// prices of each answer are where the next one, with a lower floor, starts. Beside a
// tiny capacity the price grows by the logarithm of what is taken from it, so that
// steps of the floor are steps of the price. A price at most doubles in a step, or
// grows by beyond where that is more.
func (s *Solver) widen() bool {
	for _, narrowing := range narrowings {
		if s.narrowed(narrowing) {
			return true
		}
	}
	return false
}

// narrowed is widen with floors that fall by the factor narrowing.
func (s *Solver) narrowed(narrowing float64) bool {
	if s.narrow == nil {
		s.narrow = make([]float64, s.m.Links)
	}
	copy(s.narrow, s.x)
	mean := s.m.Total / float64(max(1, s.m.Links))
	least := math.Inf(1)
	for _, e := range s.open {
		least = math.Min(least, s.x[e])
	}
	if least >= widest*mean {
		return false
	}
	s.careful = true
	defer func() { s.careful = false }()
	var prices []float64
	for floor := widest * mean; floor > least; floor /= narrowing {
		for _, e := range s.open {
			s.x[e] = math.Max(s.narrow[e], floor)
		}
		if s.run(prices) {
			prices = append(s.begin[:0], s.lambda...)
			for _, e := range s.open {
				if s.x[e] == floor {
					prices[e] += math.Log(narrowing)
				}
			}
		}
	}
	copy(s.x, s.narrow)
	return s.run(prices)
}

// widest is the first floor, as a part of the mean of trips per link; narrowings are the
// factors that are tried between floors.
const widest = 0.01

var narrowings = [...]float64{30, 5}
