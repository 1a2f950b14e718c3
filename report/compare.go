package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/run"
)

// group is the runs of one problem in one mode.
type group struct {
	Heading  string
	Runs     *grid
	Methods  *grid
	Charts   []*chart
	Messages []row
}

// groups sorts runs by problem and mode, in the order of their first run.
func groups(runs []*run.Run) []*group {
	var keys []string
	by := map[string][]*run.Run{}
	for _, r := range runs {
		key := r.Config.Problem + " (" + r.Config.Mode + ")"
		if by[key] == nil {
			keys = append(keys, key)
		}
		by[key] = append(by[key], r)
	}
	var all []*group
	for i, key := range keys {
		heading := key
		if t := by[key][0].Details.Title; t != "" {
			heading = capital(t) + " – " + key
		}
		all = append(all, newGroup(heading, i, by[key]))
	}
	return all
}

// labels tell the runs of a group apart: by method, and by seed or directory
// where that is not enough.
func labels(runs []*run.Run) []string {
	name := func(r *run.Run) string { return r.Config.Method }
	seeded := func(r *run.Run) string {
		if r.Config.Seed == nil {
			return r.Config.Method
		}
		return r.Config.Method + ", seed " + strconv.FormatUint(*r.Config.Seed, 10)
	}
	placed := func(r *run.Run) string { return seeded(r) + ", " + filepath.Base(r.Dir.Path) }
	for _, of := range []func(*run.Run) string{name, seeded, placed} {
		seen := map[string]bool{}
		var all []string
		for _, r := range runs {
			all = append(all, of(r))
			seen[of(r)] = true
		}
		if len(seen) == len(runs) {
			return all
		}
	}
	var all []string
	for _, r := range runs {
		all = append(all, r.Dir.Path)
	}
	return all
}

func newGroup(heading string, index int, runs []*run.Run) *group {
	g := &group{Heading: heading}
	names := labels(runs)
	keys := map[string]bool{}
	for _, r := range runs {
		if r.Document != nil {
			for k := range r.Document.Metrics {
				keys[k] = true
			}
		}
	}
	metricNames := slices.Sorted(maps.Keys(keys))
	g.Runs = &grid{Head: append([]string{"run", "verdict", "status", "f", "g", "iterations", "time"}, metricNames...)}
	for i, r := range runs {
		name, text, state := verdict(r.Document)
		g.Messages = append(g.Messages, row{Label: names[i], Value: name, Text: text, State: state})
		d := r.Document
		if d == nil {
			g.Runs.Rows = append(g.Runs.Rows, append([]string{names[i], name}, slices.Repeat([]string{"–"}, 5+len(metricNames))...))
			continue
		}
		cells := []string{names[i], name, d.Status.String(), value(d.Upper), value(d.Lower), strconv.Itoa(d.Stats.Outer), seconds(d.Stats.Wall)}
		for _, k := range metricNames {
			if v, ok := d.Metrics[k]; ok {
				cells = append(cells, value(v))
			} else {
				cells = append(cells, "–")
			}
		}
		g.Runs.Rows = append(g.Runs.Rows, cells)
	}
	g.Methods = byMethod(runs, metricNames)
	g.Charts = overlays(index, runs, names)
	return g
}

// byMethod summarises runs that repeat a method with several seeds.
func byMethod(runs []*run.Run, metricNames []string) *grid {
	var docs []*run.Document
	for _, r := range runs {
		if r.Document != nil {
			docs = append(docs, r.Document)
		}
	}
	methods := run.Summarise(docs)
	if len(methods) == len(docs) {
		return nil
	}
	g := &grid{Head: append([]string{"method", "runs", "converged", "certificate passed", "f", "best f", "time"}, metricNames...)}
	for _, m := range methods {
		cells := []string{m.Method, strconv.Itoa(m.Runs), strconv.Itoa(m.Converged), strconv.Itoa(m.Passed), spread(m.Upper), value(m.Upper.Min), spread(m.Wall) + " s"}
		for _, k := range metricNames {
			cells = append(cells, spread(m.Metrics[k]))
		}
		g.Rows = append(g.Rows, cells)
	}
	return g
}

func spread(s run.Spread) string {
	if !s.Std.Known() || s.Std == 0 {
		return value(s.Mean)
	}
	return fmt.Sprintf("%s ± %.2g", value(s.Mean), float64(s.Std))
}

// overlaid are the quantities drawn for several runs together.
var overlaid = []string{"upper", "lower", "gap", "stationarity"}

// overlays draws each quantity of all runs in one chart; the first runs only,
// where there are more than colours.
func overlays(index int, runs []*run.Run, names []string) []*chart {
	var all []*chart
	n := min(len(runs), palette)
	for _, q := range quantities {
		if !slices.Contains(overlaid, q.id) {
			continue
		}
		var lines []series
		for i, r := range runs[:n] {
			s := column(r.Trace, q.of)
			s.Name = names[i]
			lines = append(lines, s)
		}
		title := q.title
		if n < len(runs) {
			title += fmt.Sprintf(" (the first %d runs)", n)
		}
		f := figure{id: strings.Join([]string{"g", strconv.Itoa(index), q.id}, "-"), title: title, xLabel: "iteration", log: q.log || wide(lines), series: lines}
		if c := f.draw(); c != nil {
			all = append(all, c)
		}
	}
	return all
}
