package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/run"
)

// textWidth is the width that sentences are wrapped to.
const textWidth = 100

// noteLines is how many of the method's notes the summary shows: the last ones.
const noteLines = 6

// certificateIndent is the column in which the sentences of a certificate start.
const certificateIndent = 46

// wrap prints text in lines of at most textWidth, each after indent spaces; the
// first line begins with head instead of them.
func wrap(w io.Writer, indent int, text, head string) {
	line := head
	if n := utf8.RuneCountInString(head); n < indent {
		line += strings.Repeat(" ", indent-n)
	} else if n > 0 {
		line += " "
	}
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			fmt.Fprintln(w, line)
			line, empty = strings.Repeat(" ", indent), true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// number prints a figure, or a dash for one that is not known.
func number(n certify.Number) string {
	if !n.Known() {
		return "-"
	}
	return fmt.Sprintf("%.6g", float64(n))
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// summary prints the outcome of a run, the verdict first.
func (a *app) summary(out *run.Outcome, dir *run.Dir) error {
	d := out.Document
	title := d.Problem
	if out.Details.Title != "" {
		title += ": " + out.Details.Title
	}
	fmt.Fprintln(a.out, title)
	a.writeNotices(out.Details.Notices)
	fmt.Fprintln(a.out)
	a.writeVerdict(d.Certificate)
	wrap(a.out, 0, fmt.Sprintf("Run: %s.", d.Status)+" "+d.Message, "")
	fmt.Fprintf(a.out, "f = %s, g = %s after %d iterations and %.3g s by %s (%s, seed %d)\n", number(d.Upper), number(d.Lower), d.Stats.Outer,
		float64(d.Stats.Wall), d.Method, d.Mode, d.Seed)
	if len(d.X) > 0 && len(d.X) <= 10 {
		fmt.Fprintf(a.out, "x = %s\n", vector(d.X))
	}
	if len(d.Y) > 0 && len(d.Y) <= 10 {
		fmt.Fprintf(a.out, "y = %s\n", vector(d.Y))
	}
	a.writeCertificate(d.Certificate)
	a.writeMetrics(d.Metrics, out.Details.Baselines, d.Stats.Wall)
	if notes := out.Details.Notes; len(notes) > 0 {
		fmt.Fprintln(a.out, "\nWhat the method chose")
		for _, n := range notes[max(0, len(notes)-noteLines):] {
			wrap(a.out, 2, fmt.Sprintf("%d: %s", n.Iteration, n.Text), "")
		}
		if more := len(notes) - noteLines; more > 0 {
			fmt.Fprintf(a.out, "  (%d earlier ones are in the report)\n", more)
		}
	}
	fmt.Fprintf(a.out, "\nReport: %s\n", filepath.ToSlash(dir.Join(run.ReportFile)))
	for _, name := range out.Details.Files {
		fmt.Fprintf(a.out, "        %s\n", filepath.ToSlash(dir.Join(name)))
	}
	return nil
}

// writeNotices prints what the problem says of its input.
func (a *app) writeNotices(notices []string) {
	for _, n := range notices {
		wrap(a.out, 2, n, "")
	}
}

func vector(v []certify.Number) string {
	parts := make([]string, len(v))
	for i, x := range v {
		parts[i] = number(x)
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func (a *app) writeVerdict(c *certify.Certificate) {
	if c == nil {
		fmt.Fprintln(a.out, "NOT MEASURED: the run was interrupted.")
		return
	}
	wrap(a.out, 0, strings.ToUpper(c.Verdict.String())+": "+c.Message, "")
}

// writeCertificate prints every figure with its sentence.
func (a *app) writeCertificate(c *certify.Certificate) {
	if c == nil {
		return
	}
	fmt.Fprintln(a.out, "\nCertificate")
	for _, r := range c.Sentences()[1:] { // the first row is the verdict, said above
		wrap(a.out, certificateIndent, r.Sentence, fmt.Sprintf("  %-22s %s", r.Name, r.Value))
	}
}

// writeMetrics prints the family's figures, the answer's beside those of usual
// practice.
func (a *app) writeMetrics(metrics map[string]certify.Number, base []run.Baseline, wall certify.Number) {
	if len(metrics) == 0 {
		return
	}
	fmt.Fprintln(a.out, "\nMetrics")
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(label, first string, cell func(b run.Baseline) string) {
		fmt.Fprintf(t, "  %s\t%s", label, first)
		for _, b := range base {
			fmt.Fprint(t, "\t"+cell(b))
		}
		fmt.Fprintln(t)
	}
	if len(base) > 0 {
		line("", "this answer", func(b run.Baseline) string { return b.Name })
	}
	for _, key := range sorted(metrics) {
		line(key, number(metrics[key]), func(b run.Baseline) string {
			if v, ok := b.Metrics[key]; ok {
				return number(v)
			}
			return "-"
		})
	}
	if len(base) > 0 {
		line("seconds", fmt.Sprintf("%.3g", float64(wall)), func(b run.Baseline) string { return fmt.Sprintf("%.3g", float64(b.Seconds)) })
	}
	t.Flush()
	for _, b := range base {
		if b.Note != "" {
			wrap(a.out, 2, b.Name+": "+b.Note, "")
		}
	}
}
