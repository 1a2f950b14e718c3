package response

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// anneal solves without prices to start from. Where utilities are large, nearly all or
// nearly nobody travels at most prices, and demand tells little about the prices
// to come. The problem is then first solved with the entropy weighted by a temperature,
//
//	minimise  T sum_k w_k H(y_k) - sum_k u'_k w_k y_k + sum_ij d_ij phi_ij,
//
// which is the same problem with u'/T, d/T and lambda/T, for T falling to 1.
func (s *Solver) anneal() bool {
	lead := 0.0
	for _, k := range s.served {
		lead = max(lead, math.Abs(s.utility[k]-s.dist[k]))
	}
	var prices []float64
	s.annealed = true
	defer func() { s.annealed = false }()
	for t := min(lead/moderate, hottest); t > 1; t /= cooling {
		s.heat(t)
		if s.run(prices); !floats.HasNaN(s.lambda) {
			prices = s.begin
			floats.ScaleTo(prices, t, s.lambda)
		}
	}
	s.heat(1)
	return s.run(prices)
}

// heat sets times and utilities in units of the temperature.
func (s *Solver) heat(t float64) {
	m := s.m
	for e, d := range m.Time {
		s.time[e] = d / t
	}
	for k, u := range m.Utility {
		s.utility[k] = (u + m.Margin[k]/s.gamma) / t
	}
	s.temperature = t
}

// run solves at the present temperature from prices (nil: none) and reports whether it
// reached its tolerance.
func (s *Solver) run(prices []float64) bool {
	s.polished = false
	s.join()
	s.start(prices)
	return s.iterate()
}
