package transit

import (
	"fmt"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/problems/transit/published"
	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// Family opens transit network design problems.
type Family struct{}

// Names lists transit (a network of the user's own), the three built-in networks
// and transit/grid.
func (Family) Names() []problems.Entry {
	return []problems.Entry{
		{Name: "transit/3node", Title: "transit network design: 3 stations, 6 candidate links, 6 pairs"},
		{Name: "transit/9node", Title: "transit network design: 9 stations, 30 candidate links, 72 pairs"},
		{Name: "transit/seville", Title: "transit network design: Seville, 24 stations, 88 candidate links, 552 pairs"},
		{Name: "transit/grid", Title: "transit network design: a generated grid city (rows=10 columns=10)"},
		{Name: "transit", Title: "transit network design: a network of yours (network=DIR, or net=FILE trips=FILE in TNTP)"},
	}
}

// Settings is a zero Options.
func (Family) Settings() any { return new(Options) }

// Open builds an instance. Errors are *bilevel.SettingError, or *network.DataError
// with file and line.
func (f Family) Open(r problems.Request) (*problems.Instance, error) {
	o := new(Options)
	for name, value := range r.Set {
		if err := option.Set(o, name, value); err != nil {
			return nil, err
		}
	}
	if err := option.Fill(o); err != nil {
		return nil, err
	}
	var names []string
	known := false
	for _, e := range f.Names() {
		names = append(names, e.Name)
		known = known || e.Name == r.Name
	}
	if !known {
		return nil, option.Unknown("problem", r.Name, names)
	}
	n, err := o.load(r)
	if err != nil {
		return nil, err
	}
	d, err := newDesign(n)
	if err != nil {
		return nil, err
	}
	limits, err := newLimits(n, o)
	if err != nil {
		return nil, err
	}
	d.ceiling = newCeiling(n, limits, o.BoundEffort)
	var p *bilevel.Problem
	if faithful := r.Mode == bilevel.Faithful && (r.Method == "" || r.Method == "blocc"); faithful {
		p, err = d.published(o, limits)
	} else {
		p, err = d.exact(o, limits)
	}
	if err != nil {
		return nil, err
	}
	p.Name = r.Name
	return &problems.Instance{
		Name:      r.Name,
		Title:     title(n) + ", " + trips(d.m.Total, n.Trips),
		Doc:       doc(n),
		Notices:   notices(n),
		Source:    n.Source + "; model: arXiv 2406.10148",
		Problem:   p,
		Metrics:   d.metrics,
		Compare:   d.compare,
		Files:     d.files,
		Sections:  d.sections,
		Options:   resolved(o),
		Published: map[string]map[string]string{"blocc": published.Settings(d.m.Stations)},
	}, nil
}

// exact is the problem with exact oracles, within the planner's limits.
func (d *design) exact(o *Options, l *limits) (*bilevel.Problem, error) {
	p, err := d.problem()
	if err != nil {
		return nil, err
	}
	if p.X, err = l.set(); err != nil {
		return nil, err
	}
	x0, err := d.start(o.Start)
	if err != nil {
		return nil, err
	}
	p.X0 = make([]float64, len(x0))
	p.X.Project(p.X0, x0)
	p.Oracle = &searching{newOracle(d), reviewer{d: d, plain: !l.any}, searcher{newSearch(d, l), d}}
	return p, nil
}

// searching is the oracle of the problem: exact solutions, bounds, what proves
// them, and a search.
type searching struct {
	*oracle
	reviewer
	searcher
}

// published is the published formulation, which knows no limits.
func (d *design) published(o *Options, l *limits) (*bilevel.Problem, error) {
	if l.any {
		return nil, &bilevel.SettingError{Field: "mode", Value: bilevel.Faithful, Allowed: "corrected with budget, symmetric, force or forbid: the published method has no such limits"}
	}
	x, err := published.Start(d.network, o.Run)
	if err != nil {
		return nil, err
	}
	return published.Problem(d.network, x)
}

func title(n *network.Network) string {
	for _, t := range []string{n.Title, n.Name} {
		if t != "" {
			return t
		}
	}
	return "a network"
}

// doc says who decides what, and which entries have no effect.
func doc(n *network.Network) string {
	text := "The leader buys capacity on candidate links; travellers take the network or an alternative (logit) and their cheapest paths under the capacities. " +
		"The leader wants margins minus construction cost."
	if some := notices(n); len(some) > 0 {
		text += " " + strings.Join(some, " ")
	}
	return text
}

// fewNames is how many pairs, links or stations a notice names.
const fewNames = 5

// notices name what has no effect in n: pairs without a path, links that nobody could
// use, stations without links.
func notices(n *network.Network) []string {
	found := network.Survey(n)
	var all []string
	add := func(which []int, one, many string, name func(i int) string) {
		if len(which) == 0 {
			return
		}
		var names []string
		for _, i := range which[:min(len(which), fewNames)] {
			names = append(names, name(i))
		}
		if len(which) > fewNames {
			names = append(names, "...")
		}
		what := many
		if len(which) == 1 {
			what = one
		}
		all = append(all, fmt.Sprintf("%d %s: %s.", len(which), what, strings.Join(names, ", ")))
	}
	id := func(i int) string { return n.Stations[i].ID }
	add(found.Unserved, "pair cannot be served, for no path of candidate links joins it", "pairs cannot be served, for no path of candidate links joins them",
		func(k int) string { return id(n.Pairs[k].From) + " to " + id(n.Pairs[k].To) })
	add(found.Useless, "candidate link lies on no way of any pair", "candidate links lie on no way of any pair", func(e int) string { return linkName(n, e) })
	add(found.Isolated, "station has no candidate link", "stations have no candidate link", id)
	return all
}

// everything is the capacity that lets everybody take the shortest path.
func (d *design) everything() []float64 {
	p := response.NewPricing(d.m)
	p.Evaluate(make([]float64, d.m.Links))
	return p.Loads
}
