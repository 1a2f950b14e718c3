package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/run"
)

// quantity is a column of the trace that is drawn.
type quantity struct {
	id, title string
	of        func(r *run.Row) float64
	log       bool
}

// quantities are the charts of a run, in order.
var quantities = []quantity{
	{"upper", "Upper objective f", func(r *run.Row) float64 { return r.Upper }, false},
	{"lower", "Lower objective g", func(r *run.Row) float64 { return r.Lower }, false},
	{"gap", "Lower-level gap the method sees", func(r *run.Row) float64 { return r.Gap }, true},
	{"stationarity", "Stationarity", func(r *run.Row) float64 { return r.Stationarity }, true},
	{"violation", "Violation of h ≤ 0", func(r *run.Row) float64 { return r.Violation }, true},
	{"step", "Length of the step in x", func(r *run.Row) float64 { return r.StepLength }, true},
	{"gamma", "Penalty gamma", func(r *run.Row) float64 { return r.Gamma }, true},
}

// column is a quantity along a run, without the iterations that do not know it.
func column(rows []run.Row, q func(r *run.Row) float64) series {
	var s series
	for i := range rows {
		if v := q(&rows[i]); v-v == 0 {
			s.X, s.Y = append(s.X, float64(rows[i].Iteration)), append(s.Y, v)
		}
	}
	return s
}

// wide reports that the values are positive and span more than three decades,
// so that a linear axis would show one of them.
func wide(all []series) bool {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, s := range all {
		for _, v := range s.Y {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo > 0 && hi > 1e3*lo
}

// charts draws the convergence of both levels and the flatness along the run.
// phases names the marked iterations, silent what the method does not report.
func charts(rows []run.Row) (all []*chart, phases, silent string) {
	marks, names := phaseMarks(rows)
	var missing []string
	var span []float64 // one for all charts, so that they can be compared
	if len(rows) > 0 {
		span = []float64{float64(rows[0].Iteration), float64(rows[len(rows)-1].Iteration)}
	}
	add := func(f figure, title string) {
		f.xLabel, f.marks, f.span = "iteration", marks, span
		if c := f.draw(); c != nil {
			all = append(all, c)
			return
		}
		if len(rows) > 0 {
			missing = append(missing, strings.ToLower(title[:1])+title[1:])
		}
	}
	for _, q := range quantities {
		s := column(rows, q.of)
		if q.id == "gamma" && constant(s.Y) {
			continue // a setting, not a development
		}
		f := figure{id: q.id, title: q.title, log: q.log || wide([]series{s}), series: []series{s}}
		if f.log && len(s.Y) > 0 && slices.Max(s.Y) <= 0 {
			missing = append(missing, fmt.Sprintf("%s (zero throughout)", strings.ToLower(q.title[:1])+q.title[1:]))
			continue
		}
		add(f, q.title)
	}
	delta, omitted := column(rows, func(r *run.Row) float64 { return r.Delta }), column(rows, func(r *run.Row) float64 { return r.OmittedTerm })
	delta.Name, omitted.Name = "delta", "omitted term, relative"
	add(figure{id: "flatness", title: "Flatness along the run", log: true, series: []series{delta, omitted}}, "Flatness along the run")
	if len(missing) > 0 {
		silent = "Not drawn, for the method has no figure for it: " + strings.Join(missing, "; ") + "."
	}
	return all, strings.Join(names, "; "), silent
}

func constant(v []float64) bool {
	for _, x := range v {
		if x != v[0] {
			return false
		}
	}
	return true
}

// phaseMarks marks where a composite method changes what it does; a run of many
// changes is not marked.
func phaseMarks(rows []run.Row) (marks []mark, names []string) {
	last := ""
	for i, r := range rows {
		if r.Phase == last || r.Phase == "" {
			continue
		}
		if i > 0 {
			marks = append(marks, mark{float64(r.Iteration), r.Phase})
			names = append(names, fmt.Sprintf("iteration %d, %s", r.Iteration, r.Phase))
		}
		last = r.Phase
	}
	if len(marks) > 12 {
		return nil, nil
	}
	return marks, names
}
