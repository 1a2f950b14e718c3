package report

import (
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/run"
	"github.com/bilevel-go/bilevel/run/training"
)

// tuned is one training as the template shows it.
type tuned struct {
	*training.Run
	Title                            string
	Style                            template.CSS
	Heading, Size, Verdict, Text     string
	State, StatusText                string
	Facts, Settings, Cost            []row
	Certificate                      []row
	Held, Stages, Parts, Texts       *grid
	Losses, Tokens, Flat             []*chart
	Phases                           string
	Command, Version, Started, Tries string
}

// WriteTraining writes the report of a training to w. One without a result is shown
// as far as it got.
func WriteTraining(w io.Writer, r *training.Run) error {
	style, err := files.ReadFile("style.css")
	if err != nil {
		return err
	}
	t := newTuned(r)
	t.Style = template.CSS(style) // a constant of this package
	return page.ExecuteTemplate(w, "training", t)
}

func newTuned(r *training.Run) *tuned {
	d := r.Details
	t := &tuned{Run: r, Heading: "Post-training of " + filepath.Base(d.Model), Command: strings.Join(d.Command, " "), Tries: strings.Join(d.Try, " "), Version: run.Version(),
		Started: d.Started.Format("2006-01-02 15:04 MST"),
		Size:    fmt.Sprintf("x: %s parameters of low-rank updates · y: %s of the output head · %s frozen", count(int64(d.X)), count(int64(d.Y)), count(int64(d.Base)))}
	t.Verdict, t.Text, t.State = verdict(r.Document)
	if t.State == "warn" && r.Document != nil && r.Document.Certificate != nil && r.Document.Certificate.Verdict.OK() {
		t.State = "good" // the length of a training is what was asked for
	}
	if d.Safe != nil && !*d.Safe && len(d.Flatness) > 0 {
		t.State = "warn"
	}
	if r.Document == nil {
		t.Text = "The training has no result yet: it is still going on, or it was killed. `bilevel llm train --resume` goes on from its checkpoint."
	}
	t.Title = t.Heading + " – " + t.Verdict
	t.answer()
	t.charts()
	t.rows()
	for _, f := range training.Given(&r.Config.Config) {
		t.Settings = append(t.Settings, row{Label: f.Name, Value: f.Value})
	}
	return t
}

// answer fills in the figures of the result.
func (t *tuned) answer() {
	if head, rows := t.Details.Table(); head != nil {
		t.Held = &grid{head, rows}
	}
	d := t.Document
	if d == nil {
		return
	}
	t.Version, t.StatusText = d.Version, d.Message
	for _, f := range []struct{ label, key string }{{"DPO loss f", "dpo_loss"}, {"DPO accuracy", "dpo_accuracy"}, {"SFT loss g", "sft_loss"}, {"perplexity", "perplexity"}, {"tokens/s", "tokens_per_s"}} {
		if v, ok := d.Metrics[f.key]; ok && v.Known() {
			t.Facts = append(t.Facts, row{Label: f.label, Value: fmt.Sprintf("%.4g", float64(v))})
		}
	}
	if m := d.Metrics["peak_memory_bytes"]; m.Known() {
		t.Facts = append(t.Facts, row{Label: "peak memory", Value: fmt.Sprintf("%.3g GiB", float64(m)/(1<<30))})
	}
	if d.Certificate != nil {
		for _, c := range d.Certificate.Sentences()[1:] {
			t.Certificate = append(t.Certificate, row{Label: c.Name, Value: c.Value, Text: c.Sentence})
		}
	}
	if x := t.Details.Texts; x != nil && x.After != nil {
		t.Texts = &grid{Head: []string{fmt.Sprintf("%d answers", x.After.Cases), "before", "after"}}
		add := func(name string, before, after float64) {
			t.Texts.Rows = append(t.Texts.Rows, []string{name, number(before), number(after)})
		}
		add("BLEU of the corpus", x.Before.BLEU, x.After.BLEU)
		add("mean BLEU of an answer", x.Before.SentenceBLEU, x.After.SentenceBLEU)
		add("exact match", x.Before.ExactMatch, x.After.ExactMatch)
		if x.After.Answers > 0 {
			add("right final number", x.Before.AnswerAccuracy, x.After.AnswerAccuracy)
		}
	}
	c := d.Stats
	t.Cost = []row{{Label: "wall time", Value: seconds(c.Wall)}, {Label: "processor time", Value: seconds(c.CPU)}, {Label: "steps", Value: strconv.Itoa(c.Outer)},
		{Label: "inner iterations", Value: count(c.Inner)}, {Label: "evaluations of f", Value: count(c.F)}, {Label: "evaluations of g", Value: count(c.G)},
		{Label: "partial gradients of f", Value: count(c.GradF)}, {Label: "partial gradients of g", Value: count(c.GradG)}}
	if len(t.Details.Stages) > 0 {
		t.Stages = &grid{Head: []string{"stage", "algorithm", "steps", "ended by", "training time", "tokens forward", "tokens backward"}}
		for _, s := range t.Details.Stages {
			t.Stages.Rows = append(t.Stages.Rows, []string{s.Name, s.Algorithm, strconv.Itoa(s.Steps), s.Status.String(), fmt.Sprintf("%.3g s", s.Elapsed.Seconds()), count(s.Work.Tokens), count(s.Work.Backward)})
		}
	}
}

// rows is the report on the data.
func (t *tuned) rows() {
	t.Parts = &grid{Head: []string{"part", "rows", "kept", "cut", "left out", "mean tokens", "longest", "padding"}}
	for _, p := range t.Details.Parts {
		padding := "–"
		if p.Padding >= 0 {
			padding = fmt.Sprintf("%.1f %%", 100*p.Padding)
		}
		t.Parts.Rows = append(t.Parts.Rows, []string{p.Name, strconv.Itoa(p.Rows), strconv.Itoa(p.Kept), strconv.Itoa(p.Cut), strconv.Itoa(p.Dropped), fmt.Sprintf("%.1f", p.Mean), strconv.Itoa(p.Longest), padding})
	}
}

// course is one file's rows on axes that run over all stages.
type course struct {
	rows         []training.Row
	step, tokens []float64 // since the training began, tokens in a unit
}

func newCourse(rows []training.Row, offsets map[string][2]float64, unit float64) course {
	c := course{rows: rows}
	for _, r := range rows {
		o := offsets[r.Stage]
		c.step, c.tokens = append(c.step, o[0]+float64(r.Step)), append(c.tokens, (o[1]+r.Tokens)/unit)
	}
	return c
}

func (c *course) series(name string, x []float64, of func(r *training.Row) float64) series {
	s := series{Name: name}
	for i := range c.rows {
		if v := of(&c.rows[i]); v-v == 0 && x[i]-x[i] == 0 {
			s.X, s.Y = append(s.X, x[i]), append(s.Y, v)
		}
	}
	return s
}

// charts draws both levels over steps and over tokens, with the held-out points, and
// the flatness with its threshold.
func (t *tuned) charts() {
	offsets := map[string][2]float64{}
	var at [2]float64
	var stepMarks, tokenMarks []mark
	var names []string
	last := ""
	for _, r := range t.Trace {
		if r.Stage != last {
			offsets[r.Stage] = at
			if last != "" {
				stepMarks, tokenMarks = append(stepMarks, mark{at[0], "stage " + r.Stage}), append(tokenMarks, mark{at[1], "stage " + r.Stage})
				names = append(names, fmt.Sprintf("stage %s begins after step %.0f", r.Stage, at[0]))
			}
			last = r.Stage
		}
		o := offsets[r.Stage]
		at = [2]float64{o[0] + float64(r.Step), o[1] + r.Tokens}
	}
	if len(t.Trace) == 0 {
		return
	}
	t.Phases = strings.Join(names, "; ")
	unit, unitName := 1e3, "thousand tokens"
	if at[1] > 1e7 {
		unit, unitName = 1e6, "million tokens"
	}
	for i := range tokenMarks {
		tokenMarks[i].At /= unit
	}
	train, held := newCourse(t.Trace, offsets, unit), newCourse(t.Evaluations, offsets, unit)
	add := func(to *[]*chart, f figure) {
		if c := f.draw(); c != nil {
			*to = append(*to, c)
		}
	}
	upper, lower := func(r *training.Row) float64 { return r.Upper }, func(r *training.Row) float64 { return r.Lower }
	for _, q := range []struct {
		id, title string
		of        func(r *training.Row) float64
	}{{"upper", "Upper objective f: DPO loss", upper}, {"lower", "Lower objective g: SFT loss", lower}, {"accuracy", "DPO accuracy", func(r *training.Row) float64 { return r.Accuracy }}} {
		add(&t.Losses, figure{id: q.id, title: q.title, xLabel: "step", marks: stepMarks, span: []float64{0, at[0]},
			series: []series{train.series("batches", train.step, q.of), held.series("held out", held.step, q.of)}})
		if q.id != "accuracy" {
			add(&t.Tokens, figure{id: q.id + "-tokens", title: q.title, xLabel: unitName, marks: tokenMarks, span: []float64{0, at[1] / unit},
				series: []series{train.series("batches", train.tokens, q.of), held.series("held out", held.tokens, q.of)}})
		}
	}
	omitted := train.series("omitted terms, relative to the gradient of f in x", train.step, func(r *training.Row) float64 { return r.Omitted })
	delta := train.series("delta", train.step, func(r *training.Row) float64 { return r.Delta })
	if len(omitted.X) > 0 {
		line := series{Name: fmt.Sprintf("called safe up to %g", tune.SafeOmitted), X: []float64{0, at[0]}, Y: []float64{tune.SafeOmitted, tune.SafeOmitted}}
		add(&t.Flat, figure{id: "omitted", title: "What dropping the value-function term leaves out", xLabel: "step", log: wide([]series{omitted, line}), marks: stepMarks, span: []float64{0, at[0]}, series: []series{omitted, line}})
		add(&t.Flat, figure{id: "delta", title: "Flatness delta", xLabel: "step", marks: stepMarks, span: []float64{0, at[0]}, series: []series{delta}})
	}
	add(&t.Flat, figure{id: "speed", title: "Tokens per second", xLabel: "step", marks: stepMarks, span: []float64{0, at[0]}, series: []series{train.series("", train.step, func(r *training.Row) float64 { return r.TokensPerSecond })}})
}
