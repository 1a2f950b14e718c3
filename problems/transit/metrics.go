package transit

import (
	"math"

	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// metrics are the figures of a design at the travellers' exact response, which is
// computed anew, and, with the suffix _gamma, what the penalised solution claims.
//
//	profit             margins minus construction cost
//	profit_bound       no design has a larger profit
//	ridership          trips on the network
//	construction_cost  of all capacity
//	links_built        links with capacity
//	response_gap       relative gap between the response's primal and dual value
func (d *design) metrics(x, _, penalised []float64) map[string]float64 {
	m := map[string]float64{"profit_bound": d.ceiling.value(), "construction_cost": d.cost(x), "links_built": float64(d.built(x))}
	s := response.NewSolver(d.m)
	capacity := make([]float64, len(x))
	for e, v := range x {
		capacity[e] = math.Max(0, v)
	}
	shares, gap := s.Answer.Shares, 0.0
	err := s.Solve(math.Inf(1), capacity, d.recall(x, false))
	if err == nil {
		d.remember(x, s.Answer.Prices)
	}
	if gap = s.Answer.Gap; err != nil && d.pairs <= secondLimit { // the other method may do
		again := response.NewSecond(d.m, math.Inf(1), capacity, secondRounds)
		a := response.NewAudit(d.m, math.Inf(1), capacity, again.Shares, again.Flows, again.Prices)
		if math.Abs(a.Gap) <= 1e-9 && a.Excess <= 1e-9*math.Max(1, d.m.Total) {
			shares, gap, err = again.Shares, a.Gap, nil
		}
	}
	if err == nil {
		m["profit"], m["ridership"] = d.revenue(shares)-d.cost(x), d.ridership(shares)
		m["response_gap"] = gap
	}
	if penalised != nil {
		m["profit_gamma"], m["ridership_gamma"] = d.revenue(penalised)-d.cost(x), d.ridership(penalised)
	}
	return m
}

func (d *design) ridership(shares []float64) float64 {
	sum := 0.0
	for k, w := range d.m.Trips {
		sum += w * shares[k]
	}
	return sum
}

// built counts the links whose capacity is more than rounding.
func (d *design) built(x []float64) int {
	count := 0
	for _, v := range x {
		if v > 1e-9*d.m.Total {
			count++
		}
	}
	return count
}
