package repro

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/bilevel-go/bilevel/certify"
)

// Write prints the table for people: the published figures beside ours, and
// every different note once, below.
func (t *Table) Write(w io.Writer) error {
	fmt.Fprintf(w, "%s (%s)\n\n", t.Name, t.Mode)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "data set\tmethod\tmetric\tpublished\tours\t\tunit\tnote")
	number := map[string]int{}
	var notes []string
	for _, r := range t.Rows {
		mark, spread := "", ""
		if r.Note != "" {
			if number[r.Note] == 0 {
				notes = append(notes, r.Note)
				number[r.Note] = len(notes)
			}
			mark = fmt.Sprintf("[%d]", number[r.Note])
		}
		if r.Std.Known() {
			spread = "± " + strconv.FormatFloat(float64(r.Std), 'g', 2, 64)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Dataset, r.Method, r.Metric, figure(r.Published), figure(r.Ours), spread, r.Unit, mark)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(notes) > 0 {
		fmt.Fprintln(w)
	}
	for i, n := range notes {
		fmt.Fprintf(w, "[%d] %s\n", i+1, n)
	}
	_, err := fmt.Fprintf(w, "\n%.1f s, %d outer and %d inner iterations\n", float64(t.Stats.Wall), t.Stats.Outer, t.Stats.Inner)
	return err
}

func figure(n certify.Number) string {
	if !n.Known() {
		return "-"
	}
	return strconv.FormatFloat(float64(n), 'g', 8, 64)
}
