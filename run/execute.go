package run

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
)

// Observer is told how a run goes. Its methods are called from one goroutine.
type Observer interface {
	// Phase announces the next part of the run in a few words.
	Phase(text string)
	// Iteration is called after every outer iteration; p is reused.
	Iteration(p *bilevel.Progress)
}

// Options say how a job is executed; they have no influence on its answer.
type Options struct {
	// Observer, when not nil, is told how the run goes.
	Observer Observer
	// Log, when not nil, receives what log.jsonl receives.
	Log slog.Handler
	// Baselines asks for the family's comparison with usual practice.
	Baselines bool
	// Command is the command line that repeats the run.
	Command []string
	// CheckpointEvery is the time between checkpoints; 0 is the library's default.
	CheckpointEvery time.Duration
	// Shared says that other runs share the process, so that its processor time
	// is not this run's.
	Shared bool
}

// Outcome is an executed run.
type Outcome struct {
	Document *Document
	Details  *Details
	// Point is the answer, also where the document names a file instead.
	Point *Point
}

// Execute solves the job, has the answer measured and compared, and writes
// everything to d; result.json comes last. An error that matches
// bilevel.ErrInvalid means that the job was refused before any work: the caller
// may discard d. An interrupted run leaves a checkpoint and no certificate.
func Execute(ctx context.Context, job *Job, d *Dir, o Options) (*Outcome, error) {
	logFile, err := d.disk.append(d.Join(LogFile))
	if err != nil {
		return nil, unwritable(d.Path, err)
	}
	defer logFile.Close()
	handler := slog.Handler(slog.NewJSONHandler(logFile, nil))
	if o.Log != nil {
		handler = slog.NewMultiHandler(handler, o.Log)
	}
	r := &runner{job: job, dir: d, o: o, log: slog.New(handler), cpu0: cpuSeconds()}
	if o.Shared {
		r.cpu0 = math.NaN()
	}
	out, err := r.execute(ctx)
	if err != nil {
		r.log.Error(err.Error())
	}
	return out, err
}

type runner struct {
	job   *Job
	dir   *Dir
	o     Options
	log   *slog.Logger
	trace *trace
	cpu0  float64 // process time at the start, less that of earlier parts
}

func (r *runner) execute(ctx context.Context) (*Outcome, error) {
	job := r.job
	details := r.details()
	if err := r.dir.WriteFile(ConfigFile, job.Config.Write); err != nil {
		return nil, err
	}
	s := job.Settings
	if s.Resume != nil {
		r.cpu0 -= job.cpu
		if _, err := r.dir.readDetails(&details.Started); err != nil {
			return nil, err
		}
	}
	if err := r.writeDetails(details); err != nil {
		return nil, err
	}
	after := 0
	if s.Resume != nil {
		after = s.Resume.Iteration
	}
	var err error
	if r.trace, err = newTrace(r.dir, after); err != nil {
		return nil, err
	}
	s.Log, s.Recorder, s.CheckpointEvery = r.log, r, r.o.CheckpointEvery
	s.Checkpoint = r.checkpoint
	r.phase("solving")
	r.log.Info("start", "problem", job.Config.Problem, "method", job.Config.Method, "mode", s.Mode.String(), "seed", s.Seed, "iteration", after, "version", Version())
	result, err := bilevel.Solve(ctx, job.Instance.Problem, job.Method, s)
	if err = errors.Join(err, r.trace.close()); err != nil {
		return nil, first(err)
	}
	r.log.Info("end", "status", result.Status.String(), "iterations", result.Iterations, "wall_s", result.Wall.Seconds())
	return r.finish(ctx, result, details)
}

// first is the cause of a joined error: what follows from it is not told.
func first(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()[0]
	}
	return err
}

// Record passes an iteration to the trace and to the observer.
func (r *runner) Record(p *bilevel.Progress) error {
	if r.o.Observer != nil {
		r.o.Observer.Iteration(p)
	}
	return r.trace.Record(p)
}

// checkpoint saves the state, after the rows that belong before it.
func (r *runner) checkpoint(s *bilevel.State) error {
	if err := r.trace.flush(); err != nil {
		return err
	}
	return r.dir.SaveState(s, cpuSeconds()-r.cpu0)
}

func (r *runner) phase(text string) {
	if r.o.Observer != nil {
		r.o.Observer.Phase(text)
	}
}

// finish measures the answer and writes it.
func (r *runner) finish(ctx context.Context, result *bilevel.Result, details *Details) (*Outcome, error) {
	inst := r.job.Instance
	doc := newDocument(result, cpuSeconds()-r.cpu0)
	point := &Point{Floats(result.X), Floats(result.Y), Floats(result.Multipliers)}
	details.Notes, details.Differences = result.Notes, result.Differences
	if inst.Metrics != nil {
		doc.Metrics = metrics(inst.Metrics(result.X, result.Y, result.PenalisedY))
	}
	for _, k := range inst.Known {
		if len(k.X) == len(result.X) {
			details.Known = append(details.Known, Known{certify.Number(k.Upper), certify.Number(floats.Distance(k.X, result.X, math.Inf(1))), k.Global, k.Source})
		}
	}
	if result.Status != bilevel.Interrupted {
		if err := r.measure(ctx, result, doc, details); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
	r.phase("writing")
	if err := r.write(result, doc, details, point); err != nil {
		return nil, err
	}
	return &Outcome{doc, details, point}, nil
}

// measure adds the certificate and the comparison with usual practice. It ends
// early, without them, when ctx does.
func (r *runner) measure(ctx context.Context, result *bilevel.Result, doc *Document, details *Details) error {
	r.phase("measuring the answer")
	c, err := certify.Measure(ctx, r.job.Instance.Problem, result.X, result.Y, result.Multipliers, certify.Settings{Seed: result.Seed})
	if err != nil {
		return err
	}
	doc.Certificate = c
	r.log.Info("measured", "verdict", c.Verdict.String())
	if r.job.Instance.Compare == nil || !r.o.Baselines || ctx.Err() != nil {
		return ctx.Err()
	}
	r.phase("comparing with usual practice")
	all, err := r.job.Instance.Compare(result.X, result.Y, r.job.Settings.Workers)
	if err != nil {
		r.log.Warn("no comparison: " + err.Error())
		details.Notes = append(slices.Clone(details.Notes), bilevel.Note{Iteration: result.Iterations, Text: "The comparison with usual practice failed: " + err.Error()})
	}
	details.Baselines = baselines(all)
	return nil
}

// write writes the answer's files, result.json last.
func (r *runner) write(result *bilevel.Result, doc *Document, details *Details, point *Point) error {
	if err := r.familyFiles(result, details); err != nil {
		return err
	}
	if f := r.job.Instance.Sections; f != nil {
		var err error
		if details.Sections, err = f(result.X, result.Y, result.PenalisedY); err != nil {
			return err
		}
	}
	if doc.PointFile != "" {
		if err := r.dir.WriteFile(PointFile, func(w io.Writer) error { return WriteJSON(w, point) }); err != nil {
			return err
		}
	}
	if err := r.writeDetails(details); err != nil {
		return err
	}
	if err := r.dir.WriteFile(ResultFile, func(w io.Writer) error { return WriteJSON(w, doc) }); err != nil {
		return err
	}
	if !result.Status.Limit() {
		return r.dir.dropState()
	}
	return nil
}

// familyFiles writes the family's own output. Of a file that failed, its own
// error is told, once, and not what the family made of it.
func (r *runner) familyFiles(result *bilevel.Result, details *Details) error {
	if r.job.Instance.Files == nil {
		return nil
	}
	var opened []*familyFile
	err := r.job.Instance.Files(result.X, result.Y, result.PenalisedY, func(name string) (problems.File, error) {
		f, err := r.dir.create(name)
		if err != nil {
			return nil, err
		}
		opened = append(opened, f)
		details.Files = append(details.Files, filepath.Clean(name))
		return f, nil
	})
	for _, f := range opened {
		if f.err != nil {
			return f.err
		}
	}
	return err
}

func (r *runner) writeDetails(d *Details) error {
	return r.dir.WriteFile(DetailsFile, func(w io.Writer) error { return WriteJSON(w, d) })
}

func (r *runner) details() *Details {
	inst := r.job.Instance
	d := &Details{Title: inst.Title, Doc: inst.Doc, Notices: inst.Notices, Source: inst.Source, Command: r.o.Command, Started: time.Now().UTC().Truncate(time.Second),
		NX: inst.Problem.NX, NY: inst.Problem.NY}
	if h := inst.Problem.Coupling; h != nil {
		d.Rows = h.Rows
	}
	return d
}

// readDetails finds when the first part of a resumed run started.
func (d *Dir) readDetails(started *time.Time) (*Details, error) {
	var old Details
	err := readJSON(d.Join(DetailsFile), &old)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !old.Started.IsZero() {
		*started = old.Started
	}
	return &old, err
}
