package tune

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/bilevel-go/bilevel/vec"
)

// Trainer holds one base model on the device, with the updates to be trained.
// Several trainings may use it, one after the other.
type Trainer struct {
	b       *backbone
	x0      []float32 // the adapter as given
	head    []float32 // the base model's
	headAt  *device.Array
	adapter *weights.Adapter
}

// TrainerSettings are how a Trainer is made.
type TrainerSettings struct {
	Dropout float64 // of the updates' inputs, while gradients are taken
	// Recompute saves memory: see network.Network.Checkpoint.
	Recompute bool
}

// NewTrainer puts a model on the device of s. The adapter's values are where x
// starts; the head is a copy of the model's own, tied or not.
func NewTrainer(s *device.Space, m *weights.Model, a *weights.Adapter, o TrainerSettings) (*Trainer, error) {
	net, err := network.New(&m.Config)
	if err != nil {
		return nil, err
	}
	net.Checkpoint = o.Recompute
	t := &Trainer{adapter: a}
	parameters := lora.Parameters(a)
	t.b = &backbone{space: s, network: net, adapter: a, dropout: o.Dropout, x: layoutOf(parameters),
		head: []int{m.Config.Vocabulary, m.Config.Hidden}, name: s.Name("model")}
	for _, p := range parameters {
		t.x0 = append(t.x0, p.Values...)
	}
	err = device.Try(func() (err error) {
		t.b.frozen, t.head, err = load(s, m)
		if err == nil {
			t.headAt = s.Float32s(t.head, len(t.head)).Hold()
		}
		return err
	})
	return t, err
}

// Sizes are the numbers of trained and frozen parameters.
func (t *Trainer) Sizes() (x, y, base int) {
	for _, a := range t.b.frozen.arrays {
		base += a.Shape().Size()
	}
	return len(t.x0), len(t.head), base
}

// Head is the base model's output head, which must not be changed.
func (t *Trainer) Head() []float32 { return t.head }

// Reference computes the log-probabilities of preference batches under the base
// model.
func (t *Trainer) Reference(ctx context.Context, batches []*data.Batch) (LogProbs, error) {
	logs := LogProbs{}
	err := device.Try(func() error {
		for _, b := range batches {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.b.reference(t.headAt, b, logs); err != nil {
				return err
			}
		}
		return nil
	})
	return logs, err
}

// Score computes the log-probability of the response of every row of a batch, with
// the updates x and the head y; nil is where a training starts. Rows that only fill
// the batch have 0.
func (t *Trainer) Score(x, y []float32, b *data.Batch) ([]float32, error) {
	var logs []float32
	err := device.Try(func() error {
		at, head := t.b.space.Vector(orElse(x, t.x0)), t.b.space.Vector(orElse(y, t.head))
		defer at.Release()
		defer head.Release()
		logs = t.b.rowLogProbs(at.Array(), head.Array(), b)
		return nil
	})
	return logs, err
}

// Adapter returns the updates with the values of x.
func (t *Trainer) Adapter(x []float32) *weights.Adapter {
	a := &weights.Adapter{Config: t.adapter.Config}
	for _, l := range t.adapter.Layers {
		l.A, l.B = x[:len(l.A):len(l.A)], x[len(l.A):len(l.A)+len(l.B):len(l.A)+len(l.B)]
		x = x[len(l.A)+len(l.B):]
		a.Layers = append(a.Layers, l)
	}
	return a
}

// Stage is one training.
type Stage struct {
	Name      string // in records
	Algorithm Algorithm
	Choice    Choice
	Mode      bilevel.Mode
	Seed      uint64
	Steps     int // outer iterations; 0: as many as TimeLimit allows
	TimeLimit time.Duration
	// Tokens limits Work.Passes: the training ends after the step that reaches it,
	// with the status of a time limit. It stands for the time of the training:
	// TimeLimit and CheckpointEvery are not used beside it.
	Tokens       int64
	Upper, Lower Level
	// OptimizeX and OptimizeY are the optimisers of the blocks.
	OptimizeX, OptimizeY Optimizer
	// X and Y are the start; nil is the adapter as given and the model's own head.
	X, Y []float32
	// Watch, when not nil, is told of every step and evaluation.
	Watch Watch
	// EvalUpper and EvalLower are held-out batches, measured before the first step,
	// every EvalEvery steps (0: never in between) and after the last. That time does
	// not count against the limit.
	EvalUpper, EvalLower []*data.Batch
	EvalEvery            int
	Log                  *slog.Logger
	// Resume goes on from a checkpoint of the same stage; Checkpoint is called every
	// CheckpointEvery and once when the training is interrupted or limited.
	Resume          *bilevel.State
	Checkpoint      func(*bilevel.State) error
	CheckpointEvery time.Duration
	// KeepState: the Result of a training that took all its steps has the State too,
	// which takes several times the head's size.
	KeepState bool
}

// Watch sees a training as it goes. An error ends the training with that error.
type Watch interface {
	Step(StepReport) error
	Evaluation(Evaluation) error
}

// StepReport is one outer iteration.
type StepReport struct {
	Stage   string
	Step    int
	Steps   int           // of the stage, 0 where time limits it
	Elapsed time.Duration // training time of the stage, evaluations left out
	Phase   string        // which of its methods or stages an algorithm is in
	Upper   Figures       // on the batches of the step, where its gradients were taken; NaN where not
	Lower   Figures
	// Delta and Omitted are the flatness measured in this step, NaN in most.
	Delta, Omitted  float64
	GradX           float64 // size of what the step of x goes along
	Work            Work
	Counts          bilevel.Counts
	TokensPerSecond float64 // of backbone passes, over the stage so far
}

// Figures are the values of an objective. Accuracy and Margin belong to
// preferences and are NaN for others.
type Figures struct{ Loss, Accuracy, Margin float64 }

func figures(values []float64) Figures {
	f := Figures{math.NaN(), math.NaN(), math.NaN()}
	for i, to := range []*float64{&f.Loss, &f.Accuracy, &f.Margin}[:len(values)] {
		*to = values[i]
	}
	return f
}

// Evaluation is both objectives on held-out rows.
type Evaluation struct {
	Stage        string
	Step         int
	Elapsed      time.Duration // training time of the stage before it
	Upper, Lower Figures
	Work         Work
	// X and Y are the variables it was measured at, which may be read until the
	// call returns.
	X, Y vec.Vector
}

// Trained is the outcome of a Stage.
type Trained struct {
	// X and Y are the updates and the head: y_gamma where the algorithm has it, the
	// head that f was differentiated at.
	X, Y   []float32
	Result *bilevel.Result
	Work   Work
	// Elapsed is the training time, evaluations left out.
	Elapsed time.Duration
	// First and Last are the evaluations before and after, nil without held-out
	// batches.
	First, Last *Evaluation
}

// ErrLoss is matched by the error of a training whose loss or variables are not
// numbers any more.
var ErrLoss = errors.New("not finite")

// Train runs a stage. Bad settings and failing watches are errors; limits and
// interruptions are statuses of the Result.
func (t *Trainer) Train(ctx context.Context, s Stage) (*Trained, error) {
	r := &recorder{t: t, s: &s}
	err := device.Try(func() error { return r.train(ctx) })
	return r.out, err
}

// recorder runs a stage and sees its iterations.
type recorder struct {
	t      *Trainer
	s      *Stage
	m      *Model
	out    *Trained
	begin  time.Time
	paused time.Duration // spent on evaluations
	work   Work          // of the iterations that were reported
	before time.Duration // of the earlier part of a resumed training
	last   *Evaluation
}

func (r *recorder) train(ctx context.Context) error {
	t, s := r.t, r.s
	r.m = newModel(t, s.Upper, s.Lower)
	defer r.m.release()
	x, y := t.b.space.Vector(orElse(s.X, t.x0)), t.b.space.Vector(orElse(s.Y, t.head))
	defer x.Release()
	defer y.Release()
	r.out = &Trained{}
	if s.Resume == nil {
		first, err := r.evaluate(0, x, y)
		if err != nil {
			return err
		}
		r.out.First = first
	} else {
		r.m.done, r.before = s.Resume.Iteration, s.Resume.Elapsed
	}
	settings := bilevel.Settings{Mode: s.Mode, Seed: s.Seed, MaxIterations: s.Steps, TimeLimit: s.TimeLimit, Clock: r.clock,
		Tolerance: 1e-30, Recorder: r, Log: s.Log, Resume: s.Resume, Checkpoint: s.Checkpoint, CheckpointEvery: s.CheckpointEvery, DropState: !s.KeepState,
		Optimizer: func(st vec.Store, block string, like vec.Vector) vec.Optimizer {
			if block == "x" || strings.HasSuffix(block, "/x") {
				return s.OptimizeX.New(st, block, like)
			}
			return s.OptimizeY.New(st, block, like)
		}}
	if s.Steps == 0 {
		settings.MaxIterations = math.MaxInt
	}
	if s.Tokens > 0 {
		settings.TimeLimit, settings.CheckpointEvery = time.Duration(s.Tokens), math.MaxInt64
		settings.Clock = func() time.Duration { return time.Duration(r.m.work.Passes()) }
		r.before = 0
	}
	r.begin, r.paused = time.Now(), 0
	result, err := bilevel.SolveModel(ctx, s.Name, r.m, x, y, s.Algorithm.Method(s.Choice), settings)
	r.out.Result, r.out.Work, r.out.Elapsed = result, r.work, r.before+r.clock()
	if err != nil {
		return err
	}
	if result.Status == bilevel.Diverged {
		return fmt.Errorf("step %d: %w: a block of variables is no longer finite; take smaller steps, or clip gradients", result.Iterations, ErrLoss)
	}
	r.out.X = narrow(result.X)
	r.out.Y = narrow(result.Y)
	if result.PenalisedY != nil {
		r.out.Y = narrow(result.PenalisedY)
	}
	result.X, result.Y, result.PenalisedY = nil, nil, nil // the same in twice the space
	if result.Status == bilevel.Interrupted {
		return nil
	}
	if r.last == nil || r.last.Step != result.Iterations {
		end, at := t.b.space.Vector(r.out.X), t.b.space.Vector(r.out.Y)
		defer end.Release()
		defer at.Release()
		if _, err := r.evaluate(result.Iterations, end, at); err != nil {
			return err
		}
	}
	r.out.Last = r.last
	return nil
}

// clock is the training time of this part, evaluations left out.
func (r *recorder) clock() time.Duration { return time.Since(r.begin) - r.paused }

func orElse(v, other []float32) []float32 {
	if v == nil {
		return other
	}
	return v
}

func narrow(v []float64) []float32 {
	w := make([]float32, len(v))
	for i, x := range v {
		w[i] = float32(x)
	}
	return w
}

// Record reports an outer iteration, and evaluates where it is time to.
func (r *recorder) Record(p *bilevel.Progress) error {
	s := r.s
	r.m.done, r.work = p.Iteration, r.m.work
	elapsed := r.before + r.clock()
	report := StepReport{Stage: s.Name, Step: p.Iteration, Steps: s.Steps, Elapsed: elapsed, Phase: p.Phase,
		Delta: p.Delta, Omitted: p.Omitted, GradX: p.Stationarity, Work: r.work, Counts: p.Counts}
	for _, level := range []struct {
		side *side
		to   *Figures
	}{{r.m.upper, &report.Upper}, {r.m.lower, &report.Lower}} {
		values := level.side.figures()
		if len(values) > 0 && (math.IsNaN(values[0]) || math.IsInf(values[0], 0)) {
			return fmt.Errorf("step %d: %w: the loss %s is %g; take smaller steps, or clip gradients", p.Iteration, ErrLoss, level.side.name, values[0])
		}
		*level.to = figures(values)
		level.side.forget()
	}
	report.TokensPerSecond = float64(report.Work.Tokens) / r.clock().Seconds()
	if s.Watch != nil {
		if err := s.Watch.Step(report); err != nil {
			return err
		}
	}
	if s.EvalEvery > 0 && p.Iteration%s.EvalEvery == 0 {
		y := p.Y
		if p.PenalisedY != nil {
			y = p.PenalisedY
		}
		_, err := r.evaluate(p.Iteration, p.X.(*device.Vector), y.(*device.Vector))
		return err
	}
	return nil
}

// evaluate measures both objectives on held-out rows; nil where there are none.
func (r *recorder) evaluate(step int, x, y *device.Vector) (*Evaluation, error) {
	s := r.s
	if len(s.EvalUpper) == 0 && len(s.EvalLower) == 0 {
		return nil, nil
	}
	begin := time.Now()
	defer func() { r.paused += time.Since(begin) }()
	e := &Evaluation{Stage: s.Name, Step: step, Upper: figures(nil), Lower: figures(nil), Work: r.work, X: x, Y: y}
	if step > 0 {
		e.Elapsed = r.before + r.clock()
	}
	if len(s.EvalUpper) > 0 {
		e.Upper = figures(r.m.measure(r.m.upper, s.EvalUpper, x.Array(), y.Array()))
	}
	if len(s.EvalLower) > 0 {
		e.Lower = figures(r.m.measure(r.m.lower, s.EvalLower, x.Array(), y.Array()))
	}
	r.last = e
	if s.Watch != nil {
		return e, s.Watch.Evaluation(*e)
	}
	return e, nil
}
