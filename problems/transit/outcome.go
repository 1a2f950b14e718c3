package transit

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// outcome is what follows from capacities: the travellers' exact response with
// everything that tables, files and the map show of it.
type outcome struct {
	d                    *design
	x, load, price       []float64 // per link
	share                []float64 // per pair
	length               []float64 // per pair: cost of its cheapest way, +Inf without one
	free, build          []float64 // per pair: the same, and its construction cost, if everything were built
	paths                [][]response.Path
	audit                *response.Audit
	revenue, cost, trips float64
	rough                bool // the response is short of its tolerance
}

func (d *design) outcome(x []float64) (*outcome, error) {
	o := &outcome{d: d, x: make([]float64, len(x))}
	for e, v := range x {
		o.x[e] = math.Max(0, v)
	}
	s := response.NewSolver(d.m)
	if err := s.Solve(math.Inf(1), o.x, d.recall(x, false)); errors.Is(err, response.ErrNumerical) {
		o.rough = true
	} else if err != nil {
		return nil, err
	}
	a := &s.Answer
	o.load, o.price, o.share, o.length = a.Loads, a.Prices, a.Shares, a.Costs
	all := response.NewPricing(d.m)
	all.Evaluate(make([]float64, d.m.Links))
	o.free, o.build = all.Costs, all.Builds
	for k, w := range d.m.Trips {
		o.paths = append(o.paths, s.PathsOf(k, 1e-9*d.m.Total))
		o.trips += w * o.share[k]
	}
	flows := make([]float64, d.flows)
	s.Flows(flows)
	o.audit = response.NewAudit(d.m, math.Inf(1), o.x, o.share, flows, o.price)
	o.revenue, o.cost = d.revenue(o.share), d.cost(o.x)
	return o, nil
}

// congestion is the part of a path's cost that is not travel time.
func (o *outcome) congestion(links []int) float64 {
	sum := 0.0
	for _, e := range links {
		sum += o.price[e]
	}
	return sum
}

// time is the travel time of a path in the network's own unit, construction what
// the capacity for one trip on it costs.
func (o *outcome) time(links []int) (time, construction float64) {
	for _, e := range links {
		time += o.d.network.Links[e].Time
		construction += o.d.m.Cost[e]
	}
	return time, construction
}

// way writes the stations of a path.
func (o *outcome) way(links []int) string {
	if len(links) == 0 {
		return ""
	}
	n := o.d.network
	ids := []string{n.Stations[n.Links[links[0]].From].ID}
	for _, e := range links {
		ids = append(ids, n.Stations[n.Links[e].To].ID)
	}
	return strings.Join(ids, "-")
}

// lost is the number of trips that pair k would make if everything were built and
// nothing crowded, and does not make now.
func (o *outcome) lost(k int) float64 {
	if math.IsInf(o.free[k], 1) {
		return 0
	}
	return math.Max(0, o.d.m.Trips[k]*(sigmoid(o.d.m.Utility[k]-o.free[k])-o.share[k]))
}

func sigmoid(t float64) float64 { return 1 / (1 + math.Exp(-t)) }

// why says in words why pair k makes fewer trips than it would, and whether that
// is a loss for the operator.
func (o *outcome) why(k int) string {
	d := o.d
	w := d.m.Trips[k]
	var text string
	detour, crowded := 0.0, 0.0
	if len(o.paths[k]) > 0 {
		p := o.paths[k][0].Links
		crowded = o.congestion(p)
		detour = o.paths[k][0].Cost - crowded - o.free[k]
	}
	switch {
	case math.IsInf(o.free[k], 1):
		return "no candidate links join the two"
	case len(o.paths[k]) == 0:
		text = "no way left on what is built"
	case o.lost(k) < 1e-6*w:
		return "as many as would travel on a complete network"
	case crowded > detour:
		text = fmt.Sprintf("its way is full: congestion is worth %.3g of disutility", crowded)
	default:
		text = fmt.Sprintf("its way is a detour worth %.3g of disutility", detour)
	}
	if gain := d.m.Margin[k] - o.build[k]; gain < 0 {
		return text + fmt.Sprintf("; a trip by the direct way would lose %.3g", -gain)
	}
	return text + fmt.Sprintf("; a trip by the direct way would earn %.3g, less than its links cost for the others", d.m.Margin[k]-o.build[k])
}

// order lists 0..n-1 by falling key.
func order(n int, key func(i int) float64) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	sort.SliceStable(all, func(a, b int) bool { return key(all[a]) > key(all[b]) })
	return all
}
