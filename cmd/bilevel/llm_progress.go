package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/vbauerster/cupwriter"

	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/run"
	"github.com/bilevel-go/bilevel/run/training"
)

// trainingDisplay shows how a training goes.
type trainingDisplay interface {
	training.Observer
	Interrupting()
	Above() io.Writer
	Close()
}

// newTrainingDisplay shows a bar over the steps of all stages on a terminal, and
// lines elsewhere.
func (a *app) newTrainingDisplay(plan trainingPlan) trainingDisplay {
	switch {
	case a.quiet:
		return quietTraining{silent{a.err}}
	case cupwriter.New(a.err, false).IsTerminal():
		total := 0
		if plan.steps[0] > 0 && (plan.stages == 1 || plan.steps[1] > 0) {
			total = plan.steps[0] + plan.steps[1]
		}
		return &trainingBar{bar: newBar(a.err, total), plan: plan}
	}
	return &trainingLines{lines: lines{w: a.err}, plan: plan}
}

// trainingPlan is how long the stages are to be: steps, or 0 and a time.
type trainingPlan struct {
	stages int
	steps  [2]int
	limits [2]time.Duration
}

func newTrainingPlan(s tune.Sizes) trainingPlan {
	p := trainingPlan{stages: 1, steps: [2]int{s.Steps, s.HeadSteps}, limits: [2]time.Duration{s.TimeLimit, s.HeadLimit}}
	if s.HeadSteps > 0 || s.HeadLimit > 0 {
		p.stages = 2
	}
	return p
}

// left is the time that the rest of a stage takes, 0 where it cannot be told yet.
func (p trainingPlan) left(r *tune.StepReport) time.Duration {
	i := 0
	if r.Stage != "bilevel" {
		i = 1
	}
	var left time.Duration
	if r.Steps > 0 && r.Step > 0 {
		left = time.Duration(float64(r.Elapsed) / float64(r.Step) * float64(r.Steps-r.Step))
	}
	if limit := p.limits[i]; limit > 0 {
		if rest := max(0, limit-r.Elapsed); left == 0 || rest < left {
			left = rest
		}
	}
	return left
}

// stepText is a step in one line: what is known of it.
func (p trainingPlan) stepText(r *tune.StepReport) string {
	step := fmt.Sprint(r.Step)
	if r.Steps > 0 {
		step = fmt.Sprintf("%d/%d", r.Step, r.Steps)
	}
	parts := []string{fmt.Sprintf("%6.1f s", r.Elapsed.Seconds()), fmt.Sprintf("%s %-9s", r.Stage, step)}
	add := func(name string, v float64, format string) {
		if !math.IsNaN(v) {
			parts = append(parts, name+" "+fmt.Sprintf(format, v))
		}
	}
	add("dpo", r.Upper.Loss, "%.4f")
	add("acc", r.Upper.Accuracy, "%.2f")
	add("sft", r.Lower.Loss, "%.4f")
	add("omitted", r.Omitted, "%.2g")
	if v := r.TokensPerSecond; v-v == 0 {
		parts = append(parts, fmt.Sprintf("%.0f tok/s", v))
	}
	if m := run.PeakMemory(); m > 0 {
		parts = append(parts, byteSize(m))
	}
	if left := p.left(r); left > 0 {
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	return strings.Join(parts, "  ")
}

// evaluationText is an evaluation in one line.
func evaluationText(e *tune.Evaluation) string {
	return fmt.Sprintf("  held out, stage %s step %d: dpo %.4f  acc %.3f  margin %.3g  sft %.4f  perplexity %.4g", e.Stage, e.Step,
		e.Upper.Loss, e.Upper.Accuracy, e.Upper.Margin, e.Lower.Loss, math.Exp(e.Lower.Loss))
}

// byteSize writes a number of bytes for people.
func byteSize(n int64) string {
	const unit = 1 << 10
	v, name := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < unit {
			break
		}
		v, name = v/unit, next
	}
	return fmt.Sprintf("%.3g %s", v, name)
}

type quietTraining struct{ silent }

func (quietTraining) Step(*tune.StepReport)       {}
func (quietTraining) Evaluation(*tune.Evaluation) {}

type trainingLines struct {
	lines
	plan  trainingPlan
	stage string
}

func (l *trainingLines) Step(p *tune.StepReport) {
	if p.Stage != l.stage {
		l.stage, l.next = p.Stage, 0 // the clock of a stage begins anew
	}
	if l.due(p.Elapsed) {
		l.print("  %s", l.plan.stepText(p))
	}
}

func (l *trainingLines) Evaluation(e *tune.Evaluation) { l.print("%s", evaluationText(e)) }

type trainingBar struct {
	*bar
	plan  trainingPlan
	stage string
	done  int // steps of the stages before
	last  int
}

func (b *trainingBar) Step(p *tune.StepReport) {
	if p.Stage != b.stage {
		if b.stage != "" {
			b.done += b.last
		} else if p.Stage != "bilevel" { // a resumed second stage
			b.done = b.plan.steps[0]
		}
		b.stage, b.next = p.Stage, 0
	}
	b.last = p.Step
	if p.Elapsed < b.next {
		return
	}
	b.next = p.Elapsed + refresh
	b.show(int64(b.done+p.Step), b.plan.stepText(p))
}

func (b *trainingBar) Evaluation(e *tune.Evaluation) {
	fmt.Fprintln(b.progress, evaluationText(e)) // stays above the bar
}
