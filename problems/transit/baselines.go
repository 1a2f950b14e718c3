package transit

import (
	"time"

	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/transit/published"
)

// compare measures what a planner could do without bilevel optimization, each at
// the travellers' exact response.
func (d *design) compare(_, _ []float64, _ int) ([]problems.Baseline, error) {
	end, err := published.End(d.network)
	if err != nil {
		return nil, err
	}
	var all []problems.Baseline
	for _, b := range []struct {
		name, note string
		x          func() []float64
	}{
		{"build nothing", "", func() []float64 { return make([]float64, d.m.Links) }},
		{"build everything", "capacity on every candidate link for everybody who wants to travel when nothing is crowded", d.everything},
		{"published method", "where the published run of BLOCC (arXiv 2406.10148) ends; its capacities are kept, for the run takes long, and measured here; `bilevel repro blocc-table3-full --mode faithful` repeats it", func() []float64 { return end }},
	} {
		begin := time.Now()
		x := b.x()
		if x == nil {
			continue
		}
		m := d.metrics(x, nil, nil)
		all = append(all, problems.Baseline{Name: b.name, Metrics: m, Seconds: time.Since(begin).Seconds(), Note: b.note})
	}
	return all, nil
}
