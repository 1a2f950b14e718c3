package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bilevel-go/bilevel/run"
	"github.com/bilevel-go/bilevel/run/training"
)

// shownSamples is how many answers the summary shows; the report has all.
const shownSamples = 2

// trainingSummary prints the outcome of a training, the verdict first.
func (a *app) trainingSummary(out *training.Outcome, dir *run.Dir) error {
	d, t := out.Document, out.Details
	fmt.Fprintf(a.out, "%s by %s (%s, seed %d) on %s\n\n", t.Model, d.Method, d.Mode, d.Seed, t.Backend)
	a.writeVerdict(d.Certificate)
	wrap(a.out, 0, d.Message, "")
	fmt.Fprintf(a.out, "%d steps, %s of training, %s tokens/s", d.Stats.Outer, trainingTime(d), number(d.Metrics["tokens_per_s"]))
	if m := d.Metrics["peak_memory_bytes"]; m.Known() {
		fmt.Fprintf(a.out, ", at most %s of memory", byteSize(int64(m)))
	}
	fmt.Fprintln(a.out)
	if head, rows := t.Table(); len(head) > 0 {
		fmt.Fprintln(a.out)
		w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{head}, rows...) {
			fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
		}
		w.Flush()
	}
	if t.Texts != nil && t.Texts.After != nil {
		b, e := t.Texts.Before, t.Texts.After
		fmt.Fprintf(a.out, "  %d answers: BLEU %.3g before, %.3g after; exact match %.3g, %.3g", e.Cases, b.BLEU, e.BLEU, b.ExactMatch, e.ExactMatch)
		if e.Answers > 0 {
			fmt.Fprintf(a.out, "; right final number %.3g, %.3g", b.AnswerAccuracy, e.AnswerAccuracy)
		}
		fmt.Fprintln(a.out)
	}
	if d.Certificate != nil {
		fmt.Fprintln(a.out, "\nCertificate")
		for _, r := range d.Certificate.Sentences()[1:] {
			wrap(a.out, certificateIndent, r.Sentence, fmt.Sprintf("  %-22s %s", r.Name, r.Value))
		}
	}
	for i, s := range t.Samples {
		if i == shownSamples {
			break
		}
		if i == 0 {
			fmt.Fprintln(a.out, "\nAnswers to held-out prompts")
		}
		for _, part := range []struct{ name, text string }{{"prompt", s.Prompt}, {"wanted", s.Wanted}, {"before", s.Before}, {"after", s.After}} {
			wrap(a.out, 10, clip(part.text), "  "+part.name)
		}
		fmt.Fprintln(a.out)
	}
	fmt.Fprintf(a.out, "\nReport: %s\n", filepath.ToSlash(dir.Join(run.ReportFile)))
	for _, name := range t.Files {
		fmt.Fprintf(a.out, "        %s\n", filepath.ToSlash(dir.Join(name)))
	}
	if len(t.Try) > 0 {
		fmt.Fprintf(a.out, "\nTalk to it: %s\n", strings.Join(t.Try, " "))
	}
	return nil
}

// clip shortens a long text.
func clip(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + " ..."
	}
	return text
}

// trainingTime is the time without evaluations.
func trainingTime(d *run.Document) time.Duration {
	return time.Duration(float64(d.Metrics["training_s"]) * float64(time.Second)).Round(100 * time.Millisecond)
}
