package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/llm/demo"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/report"
	"github.com/bilevel-go/bilevel/run"
)

// llmDemo is the demo of language models with nothing to download.
var llmDemo = &experiment{
	Entry:    problems.Entry{Name: demo.Name, Title: demo.Title},
	method:   demoMethod,
	settings: func() any { return &demo.Settings{} },
	parts:    1000,
	run:      runDemo,
	summary:  demoSummary,
}

// demoMethod is the method whose answer is the demo's.
const demoMethod = "pbgd-free"

// demoFile holds every evaluation of every method.
const demoFile = "tradeoff.csv"

// demoShow passes the demo's progress on.
type demoShow struct {
	display
	r     *run.Recording
	begin time.Time
}

func (s demoShow) Step(share float64, text string) {
	elapsed := time.Since(s.begin)
	s.Show(elapsed, int(1000*share), fmt.Sprintf("%5.1f s  %3.0f %%  %s", elapsed.Seconds(), 100*share, text))
}

func (s demoShow) Iteration(p *bilevel.Progress) error { return s.r.Iteration(p) }

func runDemo(ctx context.Context, a *app, settings any, seed uint64, r *run.Recording, show display) (*run.Document, error) {
	out, err := demo.Run(ctx, *settings.(*demo.Settings), seed, demoShow{show, r, time.Now()}, r.Log)
	if err != nil {
		return nil, err
	}
	show.Phase("writing")
	r.Details.NX, r.Details.NY = out.Updates, out.HeadSize
	r.Details.Doc = fmt.Sprintf("A Llama of %d parameters, trained from scratch on a generated language, is post-trained by every method from the same start, with the same rates, the same order of batches and the same budget of %d token places in passes of the backbone. "+
		"Upper level: preferences (DPO) for courteous answers, on the updates x. Lower level: supervised bare answers (SFT), on the head y. The two goals conflict: most pairs reject the supervised answer itself. Backend: %s on the %s.", out.Parameters, out.Settings.Budget, out.Backend.Name, out.Backend.Platform)
	r.Details.Source = "arXiv 2507.20400 (the problem and its two stages); package llm/data/synthetic (the language)"
	d := &run.Document{Problem: demo.Name, Method: demoMethod, Mode: bilevel.Corrected.String(), Seed: seed, Status: out.Status, Message: demoMessage(out), Metrics: map[string]certify.Number{}}
	var point *run.Point
	if answer := out.Answer(); answer != nil {
		r.Details.Notes = answer.Notes
		point = &run.Point{X: narrow(answer.X), Y: narrow(answer.Y)}
		d.Certificate = out.Certificate()
		d.Upper, d.Lower = d.Certificate.Upper, d.Certificate.Lower
		d.Metrics = demoMetrics(answer.Bilevel)
		d.Metrics["tokens_per_s"] = certify.Number(float64(answer.Work.Passes()) / answer.Seconds)
		d.Metrics["peak_memory_bytes"] = certify.Number(run.PeakMemory())
		// The times are those of the answer's method, for the other methods are beside it.
		d.Stats = run.Stats{Wall: certify.Number(answer.Seconds), CPU: certify.Number(math.NaN()), Outer: answer.Steps, Inner: answer.Counts.Inner, F: answer.Counts.F, G: answer.Counts.G, GradF: answer.Counts.GradF, GradG: answer.Counts.GradG,
			HessVec: answer.Counts.HessVec, LowerSolves: answer.Counts.LowerSolves}
		for _, o := range out.Outcomes[1:] {
			r.Details.Baselines = append(r.Details.Baselines, run.Baseline{Name: o.Method, Metrics: demoMetrics(o.Bilevel), Seconds: certify.Number(o.Seconds)})
		}
	}
	sections, err := demoSections(out)
	if err != nil {
		return nil, err
	}
	r.Sections(sections)
	if err := r.File(demoFile, func(w io.Writer) error { return writeTradeoff(w, out) }); err != nil {
		return nil, err
	}
	return d, r.End(d, point)
}

func narrow(v []float32) []certify.Number {
	w := make([]certify.Number, len(v))
	for i, x := range v {
		w[i] = certify.Number(x)
	}
	return w
}

func demoMetrics(m *demo.Measured) map[string]certify.Number {
	return map[string]certify.Number{"dpo_loss": certify.Number(m.DPO.Value), "dpo_accuracy": certify.Number(m.Accuracy.Value),
		"sft_loss": certify.Number(m.SFT.Value), "perplexity": certify.Number(m.Perplexity.Value),
		"exact_match": certify.Number(float64(m.Answers.Exact) / float64(m.Answers.Asked))}
}

func demoMessage(out *demo.Result) string {
	switch n := len(out.Outcomes); {
	case out.Status == bilevel.Converged:
		return "Every method spent its budget. " + out.Place()
	case n == 0:
		return out.Status.String() + " before the first method came to its end: there is no answer."
	default:
		return fmt.Sprintf("%s after %d methods; the one under way is lost, those before it are kept. %s", out.Status, n, out.Place())
	}
}

// writeTradeoff writes one row per evaluation.
func writeTradeoff(w io.Writer, out *demo.Result) error {
	c := csv.NewWriter(w)
	c.Write([]string{"method", "stage", "step", "passes", "seconds", "dpo_loss", "sft_loss"}) // errors stay until Error
	for _, o := range out.Outcomes {
		for _, p := range o.Curve {
			c.Write([]string{o.Method, p.Stage, strconv.Itoa(p.Step), strconv.FormatInt(p.Passes, 10), fmt.Sprintf("%.3f", p.Seconds), fmt.Sprintf("%.6g", p.DPO), fmt.Sprintf("%.6g", p.SFT)})
		}
	}
	c.Flush()
	return c.Error()
}

// demoSections are the demo's parts of the report.
func demoSections(out *demo.Result) ([]problems.Section, error) {
	if len(out.Outcomes) == 0 {
		return nil, nil
	}
	place := problems.Section{Title: "The trade-off"}
	ends := report.Diagram{ID: "ends", Title: "Held-out losses at the end of both stages", XLabel: "DPO loss", YLabel: "SFT loss (logarithmic)", LogY: true,
		Caption: "Held-out losses, lower is better at both: full points after the bilevel stage, hollow ones after the second stage, of the head alone. " + out.Pareto(false) + " " + out.Pareto(true)}
	ends.Curves = append(ends.Curves, report.Curve{Name: "base model", X: []float64{out.Base.DPO.Value}, Y: []float64{out.Base.SFT.Value}, Points: true, Labels: []string{"base model"}, Colour: 7})
	dpo := report.Diagram{ID: "dpo", Title: "DPO loss over the budget", XLabel: "token places in passes of the backbone", YLabel: "held-out DPO loss", Caption: "Held-out DPO loss, first the bilevel stage, then the second stage, in which no method sees preferences any more."}
	sft := report.Diagram{ID: "sft", Title: "SFT loss over the budget", XLabel: dpo.XLabel, YLabel: "held-out SFT loss (logarithmic)", LogY: true, Caption: "Held-out SFT loss over the same budget."}
	table := problems.Table{Title: "Every method", Head: []string{"method", "DPO loss", "DPO accuracy", "SFT loss", "perplexity", "exact", "courteous", "then DPO", "then SFT", "then exact", "passes", "steps", "seconds"},
		Note: "Held-out figures with half the width of their 95 % interval; “then” is after the second stage. Exact: prompts answered with the supervised response, word for word, of those asked; courteous: with the right answer in the preferred style. Passes: token places through the backbone, forward and backward alike. Seconds of training, compilation included, on this machine."}
	table.Rows = append(table.Rows, append(figures("base model", out.Base), "–", "–", "–", "–", "–", "–"))
	for i, o := range out.Outcomes {
		ends.Curves = append(ends.Curves,
			report.Curve{Name: o.Method, X: []float64{o.Bilevel.DPO.Value}, Y: []float64{o.Bilevel.SFT.Value}, Points: true, Labels: []string{o.Method}, Colour: i},
			report.Curve{Name: o.Method + ", second stage", X: []float64{o.Head.DPO.Value}, Y: []float64{o.Head.SFT.Value}, Points: true, Hollow: true, Colour: i,
				FromX: []float64{o.Bilevel.DPO.Value}, FromY: []float64{o.Bilevel.SFT.Value}})
		a, b := report.Curve{Name: o.Method, Colour: i}, report.Curve{Name: o.Method, Colour: i}
		for _, p := range o.Curve {
			a.X, a.Y = append(a.X, float64(p.Passes)), append(a.Y, p.DPO)
			b.X, b.Y = append(b.X, float64(p.Passes)), append(b.Y, p.SFT)
		}
		dpo.Curves, sft.Curves = append(dpo.Curves, a), append(sft.Curves, b)
		table.Rows = append(table.Rows, append(figures(o.Method, o.Bilevel), plusMinus(o.Head.DPO), plusMinus(o.Head.SFT), fraction(o.Head.Answers),
			strconv.FormatInt(o.Work.Passes(), 10), strconv.Itoa(o.Steps), fmt.Sprintf("%.1f", o.Seconds)))
	}
	for _, p := range []report.Diagram{ends, dpo, sft} {
		f, ok, err := p.Figure()
		if err != nil {
			return nil, err
		}
		if ok {
			place.Figures = append(place.Figures, f)
		}
	}
	place.Tables = []problems.Table{table}
	return []problems.Section{place, {Title: "What the models answer", Tables: []problems.Table{answers(out)}}}, nil
}

// answers sets the answers to a few held-out prompts side by side.
func answers(out *demo.Result) problems.Table {
	const shown = 4
	n := min(shown, len(out.Prompts))
	t := problems.Table{Title: "Held-out prompts, greedy decoding, after the bilevel stage", Head: append([]string{"model"}, out.Prompts[:n]...)}
	t.Rows = append(t.Rows, append([]string{"supervised response"}, out.Responses[:n]...), append([]string{"base model"}, out.Base.Answers.Texts[:n]...))
	for _, o := range out.Outcomes {
		t.Rows = append(t.Rows, append([]string{o.Method}, o.Bilevel.Answers.Texts[:n]...))
	}
	return t
}

func plusMinus(e demo.Estimate) string {
	return fmt.Sprintf("%.3f ± %.3f", e.Value, (e.High-e.Low)/2)
}

func fraction(a demo.Answers) string { return fmt.Sprintf("%d/%d", a.Exact, a.Asked) }

func figures(name string, m *demo.Measured) []string {
	return []string{name, plusMinus(m.DPO), fmt.Sprintf("%.2f", m.Accuracy.Value), plusMinus(m.SFT), fmt.Sprintf("%.3g", m.Perplexity.Value), fraction(m.Answers), fmt.Sprintf("%d/%d", m.Answers.Courteous, m.Answers.Asked)}
}

// demoSummary prints the outcome.
func demoSummary(a *app, d *run.Document, r *run.Recording) error {
	fmt.Fprintf(a.out, "%s: %s\n\n", d.Problem, r.Details.Title)
	if d.Certificate == nil {
		wrap(a.out, 0, d.Message, "")
		return nil
	}
	a.writeVerdict(d.Certificate)
	wrap(a.out, 0, d.Message, "")
	table := r.Details.Sections[0].Tables[0]
	fmt.Fprintln(a.out)
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{table.Head}, table.Rows...) {
		for i, cell := range row {
			if i == 4 || i == 9 { // these are in the report
				continue
			}
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	fmt.Fprintln(a.out)
	wrap(a.out, 0, r.Details.Sections[0].Figures[0].Caption, "")
	fmt.Fprintf(a.out, "\nReport: %s\n        %s\n", filepath.ToSlash(r.Dir.Join(run.ReportFile)), filepath.ToSlash(r.Dir.Join(demoFile)))
	return nil
}
