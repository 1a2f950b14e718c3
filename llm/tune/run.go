package tune

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/internal/wholefile"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// The names in a run directory that a training writes itself.
const (
	AdapterFolder = "adapter"             // adapter_config.json and adapter_model.safetensors, as PEFT has them
	HeadFile      = "lm_head.safetensors" // the output head
	SplitFile     = "split.json"          // the ids of the rows of every part
	SamplesFile   = "samples.json"        // answers before and after
	BestFolder    = "best"                // adapter and head with the least held-out loss
)

// RunSettings say how a job is run; they have no influence on what it reaches.
type RunSettings struct {
	// Dir is the run directory, which exists.
	Dir string
	// Watch, when not nil, is told of every step and evaluation.
	Watch Watch
	// Resume goes on from the checkpoint in Dir.
	Resume bool
	Log    *slog.Logger
	// Say, when not nil, is told what is being done between the stages.
	Say func(string)
	// From, when not nil, is told where a resumed training goes on: behind this step
	// of this stage. Everything that Watch was told of later steps is void.
	From func(stage string, step int) error
	// Flush, when not nil, is called before a checkpoint is written: what Watch was
	// told so far belongs before it.
	Flush func() error
}

// Outcome is what a job reached.
type Outcome struct {
	Status  bilevel.Status // of the last stage that ran
	Message string
	Stages  []StageSummary
	// Flatness holds the measurements along the bilevel stage.
	Flatness []Flatness
	Estimate *Estimate // nil after an interruption
	Samples  []Sample
	Texts    *Texts // nil where not asked for
	X, Y     []float32
	Upper    float64 // held-out losses of the answer
	Lower    float64
	Accuracy float64
	Work     Work
	Elapsed  time.Duration
}

// Flatness is one measurement of delta and of the omitted terms relative to the
// gradient of f in x, on held-out rows.
type Flatness struct {
	Step    int     `json:"step"`
	Delta   float64 `json:"delta"`
	Omitted float64 `json:"omitted"`
}

// Run trains, evaluates and writes the adapter and the head. An interruption leaves a
// checkpoint in the directory, from which Resume goes on to the same bits. Errors:
// those of files, a loss that is not finite (ErrLoss), failures of the backend
// (*device.Error), a checkpoint that does not fit (ErrCheckpoint). The newest
// checkpoint outlives all of them.
func (j *Job) Run(ctx context.Context, s RunSettings) (*Outcome, error) {
	r := &running{Job: j, s: s, out: &Outcome{Upper: math.NaN(), Lower: math.NaN(), Accuracy: math.NaN()}}
	if r.s.Say == nil {
		r.s.Say = func(string) {}
	}
	err := r.run(ctx)
	return r.out, err
}

// running is one run of a job.
type running struct {
	*Job
	s    RunSettings
	out  *Outcome
	from *saved // the checkpoint to go on from
	best float64
	// first is the evaluation before the stage, before its work in earlier parts of a
	// resumed training, and work all of its work so far.
	first        EvalSummary
	before, work Work
}

// fingerprint tells settings apart that reach different answers.
func (j *Job) fingerprint() string {
	c := j.Config
	c.Checkpoint, c.Keep, c.TensorBoard, c.Time, c.HeadTime, c.Backend = "", 0, false, "", "", j.Backend.Name
	h := sha256.New()
	for _, f := range option.Fields(&c) {
		fmt.Fprintf(h, "%s=%s\n", f.Name, f.Value)
	}
	fmt.Fprintln(h, j.Data.upperStream.Batches(), j.Data.lowerStream.Batches())
	return hex.EncodeToString(h.Sum(nil))
}

func (r *running) run(ctx context.Context) error {
	if err := r.writeJSON(SplitFile, r.Data.Split); err != nil {
		return err
	}
	stages, err := r.stages()
	if err != nil {
		return err
	}
	first := 0
	r.best = math.Inf(1)
	if r.s.Resume {
		if first, err = r.resume(stages); err != nil {
			return err
		}
	} else if err := r.sample(ctx, "before", nil, nil); err != nil {
		return err
	}
	x, y := r.out.X, r.out.Y
	for i := first; i < len(stages) && ctx.Err() == nil; i++ {
		stages[i].X, stages[i].Y = x, y
		trained, err := r.stage(ctx, stages[i])
		if err != nil {
			return err
		}
		x, y = trained.X, trained.Y
		r.out.X, r.out.Y = x, y
		if trained.Result.Status == bilevel.Interrupted {
			return nil
		}
	}
	if ctx.Err() != nil {
		r.out.Status = bilevel.Interrupted
		return nil
	}
	return r.finish(ctx)
}

// resume reads the checkpoint and returns the stage that it belongs to.
func (r *running) resume(stages []Stage) (int, error) {
	var err error
	if r.from, err = readCheckpoint(r.s.Dir); err != nil {
		return 0, err
	}
	if r.from.Config != r.fingerprint() {
		return 0, fmt.Errorf("%w: that of %s is of a training with other settings or rows", ErrCheckpoint, r.s.Dir)
	}
	for i, s := range stages {
		if s.Name == r.from.Stage {
			r.out.Stages = append(r.out.Stages, r.from.Before...)
			r.out.Flatness, r.first, r.before, r.work = r.from.Flatness, r.from.First, r.from.Work, r.from.Work
			if r.from.Best != nil {
				r.best = *r.from.Best
			}
			if r.s.From != nil {
				if err := r.s.From(s.Name, r.from.State.Iteration); err != nil {
					return 0, err
				}
			}
			var old struct{ Samples []Sample }
			if raw, err := os.ReadFile(filepath.Join(r.s.Dir, SamplesFile)); err == nil && json.Unmarshal(raw, &old) == nil {
				r.out.Samples = old.Samples
			}
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: it belongs to a stage %q, which the training has not", ErrCheckpoint, r.from.Stage)
}

// stage runs one stage and adds it to the outcome.
func (r *running) stage(ctx context.Context, s Stage) (*Trained, error) {
	if r.from != nil {
		s.Resume, r.from = r.from.State, nil
	} else {
		r.first, r.before, r.work = EvalSummary{}, Work{}, Work{}
	}
	s.Log, s.Watch = r.s.Log, r
	s.Checkpoint = func(st *bilevel.State) error {
		if r.s.Flush != nil {
			if err := r.s.Flush(); err != nil {
				return err
			}
		}
		c := &saved{Stage: s.Name, Config: r.fingerprint(), State: st, Work: r.work, Before: r.out.Stages, First: r.first, Flatness: r.out.Flatness}
		if r.best < math.Inf(1) {
			c.Best = &r.best
		}
		return c.write(r.s.Dir, r.Config.Keep)
	}
	r.s.Say("stage " + s.Name)
	t, err := r.Trainer.Train(ctx, s)
	debug.FreeOSMemory() // copies of heads, which the next stage has no use for
	if err != nil {
		return t, err
	}
	t.Work = t.Work.plus(r.before)
	r.out.Status, r.out.Message = t.Result.Status, t.Result.Message
	if t.Result.Status != bilevel.Interrupted {
		if t.Last != nil {
			r.out.Upper, r.out.Lower, r.out.Accuracy = t.Last.Upper.Loss, t.Last.Lower.Loss, t.Last.Upper.Accuracy
		}
		r.out.Stages = append(r.out.Stages, StageSummary{Name: s.Name, Algorithm: s.Algorithm.Name, Status: t.Result.Status, Steps: t.Result.Iterations,
			Elapsed: t.Elapsed, Work: t.Work, Counts: t.Result.Counts, Before: r.first, After: summarize(t.Last), Notes: t.Result.Notes})
	}
	r.out.Elapsed += t.Elapsed
	r.out.Work = r.out.Work.plus(t.Work)
	return t, nil
}

// Step passes a report on, and keeps what was measured of flatness.
func (r *running) Step(p StepReport) error {
	p.Work = p.Work.plus(r.before)
	r.work = p.Work
	if !math.IsNaN(p.Omitted) {
		r.out.Flatness = append(r.out.Flatness, Flatness{p.Step, p.Delta, p.Omitted})
	}
	if r.s.Watch != nil {
		return r.s.Watch.Step(p)
	}
	return nil
}

// Evaluation passes an evaluation on, and keeps the best adapter and head.
func (r *running) Evaluation(e Evaluation) error {
	e.Work = e.Work.plus(r.before)
	if e.Step == 0 {
		r.first = summarize(&e)
	}
	if score := r.score(e); score < r.best && e.Step > 0 {
		r.best = score
		x, y := make([]float64, e.X.Len()), make([]float64, e.Y.Len())
		e.X.Read(x)
		e.Y.Read(y)
		if err := r.export(filepath.Join(r.s.Dir, BestFolder), narrow(x), narrow(y)); err != nil {
			return err
		}
	}
	if r.s.Watch != nil {
		return r.s.Watch.Evaluation(e)
	}
	return nil
}

// score is what the best adapter has least of; NaN where none is kept.
func (r *running) score(e Evaluation) float64 {
	switch r.Config.Best {
	case "upper":
		return e.Upper.Loss
	case "lower":
		return e.Lower.Loss
	case "sum":
		return e.Upper.Loss + e.Lower.Loss
	}
	return math.NaN()
}

// finish writes the answer and measures it.
func (r *running) finish(ctx context.Context) error {
	r.s.Say("writing the adapter and the head")
	if err := r.export(r.s.Dir, r.out.X, r.out.Y); err != nil {
		return err
	}
	if err := r.sample(ctx, "after", r.out.X, r.out.Y); err != nil {
		return err
	}
	r.texts()
	r.s.Say("measuring the answer")
	estimate, err := r.estimate(ctx)
	if err != nil && ctx.Err() == nil {
		return err
	}
	r.out.Estimate = estimate
	return dropCheckpoints(r.s.Dir)
}

// export writes adapter and head into a folder.
func (r *running) export(dir string, x, y []float32) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := r.Trainer.Adapter(x).Write(filepath.Join(dir, AdapterFolder), weights.F32); err != nil {
		return err
	}
	c := &r.Model.Config
	head := weights.Output{Name: c.HeadName(), Shape: []int{c.Vocabulary, c.Hidden}, Values: y}
	return weights.WriteSafetensors(filepath.Join(dir, HeadFile), []weights.Output{head}, nil)
}

func (r *running) writeJSON(name string, v any) error {
	return wholefile.Write(filepath.Join(r.s.Dir, name), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(v)
	})
}
