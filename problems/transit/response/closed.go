package response

import "math"

// refusal is how much dearer than the alternative a closed link makes every path
// over it: no more than a share exp(-refusal) of a pair would pay that.
const refusal = 40

// closedPrices sets the prices of the closed links. A closed link's multiplier is
// any price at which nobody wants to use it; the least one that is sure to suffice is
//
//	lambda_ij = max over pairs k of  min(p_k, u'_k + refusal) - l(o_k, i) - d_ij - l(j, d_k),
//
// where l are shortest lengths with closed links at no price: every path of k over
// (i, j) then costs at least its present cost, or too much.
func (s *Solver) closedPrices() {
	m := s.m
	if len(s.open) == m.Links {
		return
	}
	n := m.Stations
	if s.between == nil {
		s.between, s.worth, s.everywhere = make([]float64, n*n), make([]float64, n), make([]float64, m.Links)
	}
	for e, v := range s.lambda {
		s.everywhere[e] = m.Time[e] + v
	}
	for i := range n {
		s.tree.grow(s.everywhere, int32(i))
		copy(s.between[i*n:(i+1)*n], s.tree.dist)
	}
	for _, o := range m.Origins {
		for j := range s.worth {
			worth := math.Inf(-1)
			for _, k := range o.Pairs {
				if m.Trips[k] > 0 {
					cost := min(s.dist[k], s.utility[k]+refusal)
					worth = max(worth, cost-s.between[j*n+int(m.pairTo[k])])
				}
			}
			s.worth[j] = worth
		}
		for e := range s.lambda {
			if s.closed[e] {
				s.excess[e] = s.worth[m.to[e]] - s.between[o.Station*n+int(m.from[e])] - m.Time[e]
				s.Answer.Prices[e] = max(s.Answer.Prices[e], s.excess[e])
			}
		}
	}
}
