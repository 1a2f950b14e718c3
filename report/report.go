package report

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/run"
)

//go:embed style.css page.tmpl chart.tmpl training.tmpl diagram.tmpl
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.tmpl", "chart.tmpl", "training.tmpl"))

// row is one line of a table: a figure with its value and what it says.
type row struct {
	Label, Value, Text string
	State              string // good, warn, bad or empty
}

// grid is a table with a header.
type grid struct {
	Head []string
	Rows [][]string
}

// document is what the template page is given.
type document struct {
	Title    string
	Style    template.CSS
	Single   *single
	Groups   []*group
	Commands []string
}

// Write writes the report of runs to w: of one run by itself, of several side by
// side. A run without a result is shown as far as it got.
func Write(w io.Writer, runs ...*run.Run) error {
	if len(runs) == 0 {
		return errors.New("a report needs at least one run")
	}
	style, err := files.ReadFile("style.css")
	if err != nil {
		return err
	}
	d := document{Style: template.CSS(style)} // a constant of this package
	if len(runs) == 1 {
		d.Single = newSingle(runs[0])
		d.Title = d.Single.Heading + " – " + d.Single.Verdict
	} else {
		d.Groups = groups(runs)
		d.Title = fmt.Sprintf("Comparison of %d runs", len(runs))
		for _, r := range runs {
			d.Commands = append(d.Commands, command(r))
		}
	}
	return page.ExecuteTemplate(w, "page", d)
}

// single is one run as the template shows it.
type single struct {
	*run.Run
	Heading, Size, Seed              string
	Verdict, VerdictText, StatusText string
	State                            string
	Facts, Vectors, Settings, Cost   []row
	Certificate                      []row
	Metrics, Known                   *grid
	Sections                         []section
	Charts                           []*chart
	Phases, Silent                   string
	Command, Version, Started        string
}

// section is a family's own part, whose pictures the family drew.
type section struct {
	Title   string
	Figures []picture
	Tables  []problems.Table
}

type picture struct {
	Title, Caption string
	SVG            template.HTML
}

func sections(all []problems.Section) []section {
	var out []section
	for _, s := range all {
		o := section{Title: s.Title, Tables: s.Tables}
		for _, f := range s.Figures {
			o.Figures = append(o.Figures, picture{f.Title, f.Caption, template.HTML(f.SVG)}) // drawn by the family; the page runs no script
		}
		out = append(out, o)
	}
	return out
}

func newSingle(r *run.Run) *single {
	s := &single{Run: r, Heading: r.Details.Title, Command: command(r), Version: run.Version()}
	if s.Heading == "" {
		s.Heading = r.Config.Problem
	}
	s.Heading = capital(s.Heading)
	if r.Config.Seed != nil {
		s.Seed = strconv.FormatUint(*r.Config.Seed, 10)
	}
	if d := r.Details; d.NX > 0 {
		s.Size = fmt.Sprintf("%d upper and %d lower variables", d.NX, d.NY)
		if d.Rows > 0 {
			s.Size += fmt.Sprintf(", %d coupling constraints", d.Rows)
		}
		s.Started = d.Started.Format("2006-01-02 15:04 MST")
	}
	s.Verdict, s.VerdictText, s.State = verdict(r.Document)
	s.Settings = settings(r.Config)
	s.Sections = sections(r.Details.Sections)
	s.Charts, s.Phases, s.Silent = charts(r.Trace)
	if d := r.Document; d != nil {
		s.answer(d)
	}
	return s
}

// answer fills in what only a run with a result has.
func (s *single) answer(d *run.Document) {
	s.Version = d.Version
	s.StatusText = d.Message
	s.Facts = []row{{Label: "upper objective f", Value: value(d.Upper)}, {Label: "lower objective g", Value: value(d.Lower)},
		{Label: "status", Value: d.Status.String()}, {Label: "outer iterations", Value: strconv.Itoa(d.Stats.Outer)}, {Label: "wall time", Value: seconds(d.Stats.Wall)}}
	if p := s.Point; p != nil {
		for _, v := range []struct {
			name string
			v    []certify.Number
		}{{"x", p.X}, {"y", p.Y}, {"multipliers", p.Multipliers}} {
			if len(v.v) > 0 {
				s.Vectors = append(s.Vectors, row{Label: v.name, Value: vector(v.v)})
			}
		}
	}
	if d.Certificate != nil {
		for _, c := range d.Certificate.Sentences()[1:] { // the first row is the verdict, which heads the page
			s.Certificate = append(s.Certificate, row{Label: c.Name, Value: c.Value, Text: c.Sentence})
		}
	}
	s.Metrics = metrics(d, s.Details.Baselines)
	if len(s.Details.Known) > 0 {
		s.Known = &grid{Head: []string{"known optimum", "f there", "f here − f there", "largest difference in x"}}
		for _, k := range s.Details.Known {
			kind := "local"
			if k.Global {
				kind = "global"
			}
			s.Known.Rows = append(s.Known.Rows, []string{kind + " (" + k.Source + ")", value(k.Upper), value(d.Upper - k.Upper), value(k.Distance)})
		}
	}
	c := d.Stats
	s.Cost = []row{{Label: "wall time", Value: seconds(c.Wall)}, {Label: "processor time", Value: seconds(c.CPU)},
		{Label: "outer iterations", Value: strconv.Itoa(c.Outer)}, {Label: "inner iterations", Value: count(c.Inner)}, {Label: "lower-level solves", Value: count(c.LowerSolves)},
		{Label: "evaluations of f", Value: count(c.F)}, {Label: "evaluations of g", Value: count(c.G)}, {Label: "partial gradients of f", Value: count(c.GradF)},
		{Label: "partial gradients of g", Value: count(c.GradG)}, {Label: "Hessian products", Value: count(c.HessVec)}}
}

// verdict is the headline of a run: what was found, in words, and how it looks.
func verdict(d *run.Document) (name, text, state string) {
	switch {
	case d == nil:
		return "unfinished", "The run has no result yet: it is still going on, or it was killed. `bilevel solve --resume` goes on from its checkpoint.", "warn"
	case d.Certificate == nil:
		return "not measured", "The run was interrupted before its answer was measured.", "warn"
	}
	c := d.Certificate
	switch {
	case c.Verdict == certify.Refuted:
		state = "bad"
	case !c.Verdict.OK() || d.Status != bilevel.Converged:
		state = "warn"
	default:
		state = "good"
	}
	return c.Verdict.String(), c.Message, state
}

// capital makes a heading of a phrase.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func settings(c run.Config) []row {
	rows := []row{{Label: "problem", Value: c.Problem}, {Label: "method", Value: c.Method}, {Label: "mode", Value: c.Mode}}
	if c.Seed != nil {
		rows = append(rows, row{Label: "seed", Value: strconv.FormatUint(*c.Seed, 10)})
	}
	if c.MaxIterations > 0 {
		rows = append(rows, row{Label: "max_iterations", Value: strconv.Itoa(c.MaxIterations)})
	}
	if c.Tolerance > 0 {
		rows = append(rows, row{Label: "tolerance", Value: number(c.Tolerance)})
	}
	if c.TimeLimit > 0 {
		rows = append(rows, row{Label: "time_limit", Value: c.TimeLimit.String()})
	}
	for _, s := range []struct {
		owner string
		set   run.Settings
	}{{"problem.", c.ProblemSettings}, {"method.", c.MethodSettings}} {
		for _, key := range slices.Sorted(maps.Keys(s.set)) {
			rows = append(rows, row{Label: s.owner + key, Value: s.set[key]})
		}
	}
	return rows
}

// metrics sets the answer's figures beside those of usual practice.
func metrics(d *run.Document, base []run.Baseline) *grid {
	if len(d.Metrics) == 0 {
		return nil
	}
	g := &grid{Head: []string{"metric", "this answer"}}
	for _, b := range base {
		g.Head = append(g.Head, b.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Metrics)) {
		cells := []string{key, value(d.Metrics[key])}
		for _, b := range base {
			v, ok := b.Metrics[key]
			if !ok {
				cells = append(cells, "–")
				continue
			}
			cells = append(cells, value(v))
		}
		g.Rows = append(g.Rows, cells)
	}
	if len(base) > 0 {
		cells := []string{"time", seconds(d.Stats.Wall)}
		for _, b := range base {
			cells = append(cells, seconds(b.Seconds))
		}
		g.Rows = append(g.Rows, cells)
	}
	return g
}

func command(r *run.Run) string {
	if len(r.Details.Command) == 0 {
		return "bilevel solve " + run.ConfigFile
	}
	return strings.Join(r.Details.Command, " ")
}

// shown is how many components of a vector a report prints.
const shown = 24

func vector(v []certify.Number) string {
	var parts []string
	for _, x := range v[:min(len(v), shown)] {
		parts = append(parts, value(x))
	}
	if len(v) > shown {
		parts = append(parts, fmt.Sprintf("… %d more", len(v)-shown))
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func value(n certify.Number) string { return number(float64(n)) }

func seconds(n certify.Number) string {
	if !n.Known() {
		return "–"
	}
	return fmt.Sprintf("%.3g s", float64(n))
}

// count writes an integer with its thousands apart.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}
