package training

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/run"
)

// OwnNames are the names in a run directory that a training adds to those of all runs.
var OwnNames = []string{EvaluationsFile, EventsFolder, tune.AdapterFolder, tune.HeadFile, tune.SplitFile, tune.SamplesFile, tune.BestFolder}

// Observer is told how a training goes, from one goroutine.
type Observer interface {
	// Phase announces the next part in a few words.
	Phase(text string)
	Step(p *tune.StepReport)
	Evaluation(e *tune.Evaluation)
}

// Options say how a training is recorded; they have no influence on what it reaches.
type Options struct {
	Observer Observer
	// Log, when not nil, receives what log.jsonl receives.
	Log slog.Handler
	// Command is the command line that repeats the training.
	Command []string
	// Try makes the command line that talks to the result, from its files.
	Try func(adapter, head string) []string
	// Resume goes on from the checkpoint in the directory.
	Resume bool
}

// Outcome is an executed training.
type Outcome struct {
	Document *run.Document
	Details  *Details
	// Early reports that a time limit ended a stage before its planned steps.
	Early bool
}

// Execute trains, has the answer measured and writes everything to d; result.json
// comes last. Errors are those of tune.Job.Run and of files; what was recorded until
// then stays.
func Execute(ctx context.Context, j *tune.Job, d *run.Dir, o Options) (*Outcome, error) {
	logFile, err := os.OpenFile(d.Join(run.LogFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	handler := slog.Handler(slog.NewJSONHandler(logFile, nil))
	if o.Log != nil {
		handler = slog.NewMultiHandler(handler, o.Log)
	}
	r := &recorder{job: j, dir: d, o: o, log: slog.New(handler), begin: time.Now(), cpu: run.CPUSeconds()}
	out, err := r.execute(ctx)
	if err != nil {
		r.log.Error(err.Error())
	}
	return out, err
}

// recorder records one training.
type recorder struct {
	job   *tune.Job
	dir   *run.Dir
	o     Options
	log   *slog.Logger
	begin time.Time
	cpu   float64

	trace, evaluations *table
	events             *events
	last               tune.StepReport
	stats              run.Stats // of an earlier part
}

func (r *recorder) execute(ctx context.Context) (*Outcome, error) {
	details, err := newDetails(r.job, r.o.Command)
	if err != nil {
		return nil, err
	}
	if r.o.Resume {
		var old Details
		if err := readJSON(r.dir.Join(run.DetailsFile), &old); err == nil && !old.Started.IsZero() {
			details.Started, details.Command = old.Started, old.Command
		}
		var doc run.Document
		if err := readJSON(r.dir.Join(run.ResultFile), &doc); err == nil {
			r.stats = doc.Stats
		}
	} else if err := r.open("", 0); err != nil {
		return nil, err
	}
	if err := r.writeJSON(run.DetailsFile, details); err != nil {
		return nil, err
	}
	c := &r.job.Config
	r.log.Info("start", "model", c.Model, "algorithm", c.Algorithm, "mode", c.Mode, "seed", c.Seed, "backend", r.job.Backend.String(), "resume", r.o.Resume, "version", run.Version())
	out, err := r.job.Run(ctx, tune.RunSettings{Dir: r.dir.Path, Watch: r, Resume: r.o.Resume, Log: r.log, Say: r.phase, From: r.open, Flush: r.flush})
	if err = errors.Join(err, r.close()); err != nil {
		return nil, first(err)
	}
	r.log.Info("end", "status", out.Status.String(), "elapsed_s", out.Elapsed.Seconds())
	return r.finish(out, details)
}

// first is the cause of a joined error: what follows from it is not told.
func first(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()[0]
	}
	return err
}

// open begins the records, or goes on with them behind a step of a stage.
func (r *recorder) open(stage string, step int) (err error) {
	if r.trace, err = openTable(r.dir, run.TraceFile, traceColumns, stage, step); err != nil {
		return err
	}
	if r.evaluations, err = openTable(r.dir, EvaluationsFile, evaluationColumns, stage, step); err != nil {
		return err
	}
	if !r.job.Config.TensorBoard {
		return nil
	}
	base := 0
	if stage != "" {
		f, err := os.Open(r.dir.Join(run.TraceFile))
		if err != nil {
			return err
		}
		defer f.Close()
		rows, err := ReadRows(f)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Stage != stage {
				base++
			}
		}
	}
	r.events, err = openEvents(r.dir.Path, stage, base, step)
	return err
}

// flush makes the records whole up to the present step.
func (r *recorder) flush() error {
	if err := r.trace.flush(); err != nil {
		return err
	}
	return r.evaluations.flush()
}

func (r *recorder) close() error {
	var errs []error
	for _, t := range []*table{r.trace, r.evaluations} {
		if t != nil {
			errs = append(errs, t.close())
		}
	}
	if r.events != nil {
		errs = append(errs, r.events.close())
	}
	return errors.Join(errs...)
}

// Step records a step; see tune.Watch.
func (r *recorder) Step(p tune.StepReport) error {
	r.last = p
	if r.o.Observer != nil {
		r.o.Observer.Step(&p)
	}
	if r.events != nil {
		if err := r.events.step(&p); err != nil {
			return err
		}
	}
	return r.trace.write(stepCells(&p))
}

// Evaluation records an evaluation; see tune.Watch.
func (r *recorder) Evaluation(e tune.Evaluation) error {
	if r.o.Observer != nil {
		r.o.Observer.Evaluation(&e)
	}
	if r.events != nil {
		if err := r.events.evaluation(&e); err != nil {
			return err
		}
	}
	return r.evaluations.write(evaluationCells(&e))
}

func (r *recorder) phase(text string) {
	r.log.Info(text)
	if r.o.Observer != nil {
		r.o.Observer.Phase(text)
	}
}

// pointFiles is point.json: the files that hold x and y.
type pointFiles struct {
	X string `json:"x_file"`
	Y string `json:"y_file"`
}

// finish writes the outcome.
func (r *recorder) finish(out *tune.Outcome, details *Details) (*Outcome, error) {
	doc, early := r.document(out)
	details.Stages, details.Flatness, details.Texts, details.Samples = out.Stages, out.Flatness, out.Texts, out.Samples
	if e := out.Estimate; e != nil {
		doc.Certificate = certificate(e, &r.job.Config)
		details.Safe, details.Sentence = &e.Safe, e.Sentence
		addInterval(doc.Metrics, "dpo_loss", e.Upper)
		addInterval(doc.Metrics, "dpo_accuracy", e.Accuracy)
		addInterval(doc.Metrics, "sft_loss", e.Lower)
		doc.Metrics["perplexity"] = certify.Number(math.Exp(e.Lower.Mean))
	}
	if t := out.Texts; t != nil && t.After != nil {
		doc.Metrics["bleu"], doc.Metrics["exact_match"] = certify.Number(t.After.BLEU), certify.Number(t.After.ExactMatch)
		if t.After.Answers > 0 {
			doc.Metrics["answer_accuracy"] = certify.Number(t.After.AnswerAccuracy)
		}
	}
	for _, name := range []string{tune.AdapterFolder, tune.HeadFile, tune.BestFolder, tune.SamplesFile, tune.SplitFile, run.TraceFile, EvaluationsFile, EventsFolder} {
		if r.dir.Has(name) {
			details.Files = append(details.Files, name)
		}
	}
	if r.dir.Has(tune.HeadFile) {
		doc.PointFile = run.PointFile
		if err := r.writeJSON(run.PointFile, pointFiles{tune.AdapterFolder + "/adapter_model.safetensors", tune.HeadFile}); err != nil {
			return nil, err
		}
		if r.o.Try != nil {
			details.Try = r.o.Try(r.dir.Join(tune.AdapterFolder), r.dir.Join(tune.HeadFile))
		}
	}
	if err := r.writeJSON(run.DetailsFile, details); err != nil {
		return nil, err
	}
	return &Outcome{doc, details, early}, r.writeJSON(run.ResultFile, doc)
}

func addInterval(metrics map[string]certify.Number, name string, i tune.Interval) {
	metrics[name], metrics[name+"_low"], metrics[name+"_high"] = certify.Number(i.Mean), certify.Number(i.Lo), certify.Number(i.Hi)
}

// document is the result without what only a measured answer has.
func (r *recorder) document(out *tune.Outcome) (d *run.Document, early bool) {
	c := &r.job.Config
	d = &run.Document{Problem: "llm/train", Method: c.Algorithm, Mode: c.Mode, Seed: uint64(c.Seed), Status: out.Status, Message: out.Message,
		Upper: certify.Number(out.Upper), Lower: certify.Number(out.Lower), Metrics: map[string]certify.Number{}, Version: run.Version()}
	d.Stats.Wall = r.stats.Wall + certify.Number(time.Since(r.begin).Seconds())
	d.Stats.CPU = r.stats.CPU + certify.Number(run.CPUSeconds()-r.cpu)
	count := func(b *bilevel.Counts) {
		s := &d.Stats
		s.Inner, s.F, s.G, s.GradF, s.GradG = s.Inner+b.Inner, s.F+b.F, s.G+b.G, s.GradF+b.GradF, s.GradG+b.GradG
		s.HessVec, s.LowerSolves = s.HessVec+b.HessVec, s.LowerSolves+b.LowerSolves
	}
	sizes, _ := r.job.Sizes() // it succeeded before
	tokens, elapsed, ended := int64(0), 0.0, ""
	for i, s := range out.Stages {
		count(&s.Counts)
		d.Stats.Outer += s.Steps
		tokens, elapsed = tokens+s.Work.Tokens, elapsed+s.Elapsed.Seconds()
		planned := []int{sizes.Steps, sizes.HeadSteps}[min(i, 1)]
		if s.Status == bilevel.TimeLimit && planned > 0 {
			early = true
		}
		ended += fmt.Sprintf(" Stage %s: %d steps, %s.", s.Name, s.Steps, s.Status)
	}
	if out.Status == bilevel.Interrupted {
		count(&r.last.Counts)
		d.Stats.Outer += r.last.Step
		tokens, elapsed = tokens+r.last.Work.Tokens, elapsed+r.last.Elapsed.Seconds()
		d.Message = fmt.Sprintf("The training was interrupted at step %d of stage %s; its checkpoint goes on from there.", r.last.Step, r.last.Stage)
	} else {
		d.Message = "The training ran as long as was asked for." + ended
		if early {
			d.Message = "A time limit ended the training before its planned steps." + ended
		}
	}
	d.Metrics["tokens_per_s"] = certify.Number(math.NaN())
	if elapsed > 0 {
		d.Metrics["tokens_per_s"] = certify.Number(float64(tokens) / elapsed)
	}
	d.Metrics["peak_memory_bytes"] = certify.Number(math.NaN())
	if m := run.PeakMemory(); m > 0 {
		d.Metrics["peak_memory_bytes"] = certify.Number(m)
	}
	d.Metrics["training_s"] = certify.Number(elapsed)
	return d, early
}

func (r *recorder) writeJSON(name string, v any) error {
	return r.dir.WriteFile(name, func(w io.Writer) error { return run.WriteJSON(w, v) })
}

// Checkpointed reports whether the directory holds a checkpoint to go on from.
func Checkpointed(d *run.Dir) bool {
	entries, err := os.ReadDir(filepath.Join(d.Path, run.CheckpointDir))
	return err == nil && len(entries) > 0
}
