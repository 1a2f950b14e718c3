package transit

import (
	"fmt"
	"math"
	"strings"

	"github.com/bilevel-go/bilevel/problems"
)

// rows of a table in the report.
const shownRows = 12

// sections show a planner the design: the map, what it costs and earns, its
// busiest links, and the pairs that are lost.
func (d *design) sections(x, _, _ []float64) ([]problems.Section, error) {
	o, err := d.outcome(x)
	if err != nil {
		return nil, err
	}
	s := problems.Section{Title: "The network", Figures: []problems.Figure{{Title: "Map", SVG: o.svg(),
		Caption: "Widths are flows, colours congestion prices (what a traveller would pay for one more place on the link, in units of disutility). Each direction is drawn on its right-hand side. Point at a link or a station for its numbers."}}}
	s.Tables = []problems.Table{o.balance(), o.busiest(), o.losses()}
	return []problems.Section{s}, nil
}

func figure(v float64) string { return fmt.Sprintf("%.5g", v) }

// priceFigure is figure, with the rounding of prices that are 0 left out.
func priceFigure(p float64) string {
	if math.Abs(p) < priceClasses[0] {
		return "0"
	}
	return figure(p)
}

// trips writes a number of trips with its unit, which may itself begin with a
// number.
func trips(v float64, unit string) string {
	if unit != "" && unit[0] >= '0' && unit[0] <= '9' {
		unit = "× " + unit
	}
	return strings.TrimSpace(fmt.Sprintf("%.6g %s", v, unit))
}

func (o *outcome) balance() problems.Table {
	d, n := o.d, o.d.network
	served := 0
	for k := range d.m.Trips {
		if d.m.Trips[k] > 0 && o.share[k] > 1e-6 {
			served++
		}
	}
	t := problems.Table{Title: "Balance", Head: []string{"", "value"}, Rows: [][]string{
		{"margins (revenue)", figure(o.revenue)},
		{"construction cost", figure(o.cost)},
		{"profit", figure(o.revenue - o.cost)},
		{"no design has a larger profit than", figure(d.ceiling.value())},
		{"ridership", fmt.Sprintf("%s of %s (%.3g %%)", figure(o.trips), trips(d.m.Total, n.Trips), 100*o.trips/d.m.Total)},
		{"links built", fmt.Sprintf("%d of %d", d.built(o.x), d.m.Links)},
		{"pairs that travel", fmt.Sprintf("%d of %d", served, d.m.Pairs)},
	}}
	a := o.audit
	t.Note = fmt.Sprintf("Measured at the travellers' exact response, and again by sums over its flows and shortest paths by Bellman and Ford's method, which share no code with the solver: "+
		"the response's objective is within %.2g (relative) of a proven lower bound, no link carries more than its capacity by over %.2g, and flow is conserved at every station to %.2g.",
		math.Max(a.Gap, 0), a.Excess, a.Conservation)
	if o.rough {
		t.Note += " The response is short of its tolerance at this design."
	}
	return t
}

func (o *outcome) busiest() problems.Table {
	n := o.d.network
	t := problems.Table{Title: "Busiest links", Head: []string{"link", "flow", "capacity", "full", "congestion price", "construction cost"},
		Note: "Flows and capacities are in the unit of demand (" + n.Trips + ")."}
	for _, e := range order(o.d.m.Links, func(e int) float64 { return o.load[e] }) {
		if len(t.Rows) == shownRows || !(o.load[e] > 1e-9*o.d.m.Total) {
			break
		}
		t.Rows = append(t.Rows, []string{o.linkLabel(e), figure(o.load[e]), figure(o.x[e]), fmt.Sprintf("%.3g %%", 100*o.load[e]/o.x[e]),
			priceFigure(o.price[e]), figure(o.d.m.Cost[e] * o.x[e])})
	}
	return t
}

func (o *outcome) linkLabel(e int) string {
	n := o.d.network
	l := n.Links[e]
	return n.Stations[l.From].Label() + " → " + n.Stations[l.To].Label()
}

func (o *outcome) losses() problems.Table {
	n := o.d.network
	t := problems.Table{Title: "Pairs lost, and why", Head: []string{"pair", "trips", "trips lost", "why"},
		Note: "Trips lost are those of a network with every candidate link and no congestion that this one does not carry. All pairs are in od.csv."}
	for _, k := range order(o.d.m.Pairs, o.lost) {
		if len(t.Rows) == shownRows || !(o.lost(k) > 1e-6*o.d.m.Total/float64(o.d.m.Pairs)) {
			break
		}
		p := n.Pairs[k]
		t.Rows = append(t.Rows, []string{n.Stations[p.From].Label() + " → " + n.Stations[p.To].Label(), figure(p.Trips * o.share[k]), figure(o.lost(k)), o.why(k)})
	}
	return t
}
