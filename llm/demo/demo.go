package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/generate"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/objective"
	"github.com/bilevel-go/bilevel/llm/pretrain"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/bilevel-go/bilevel/vec"
)

// Point is one evaluation of a method on the way.
type Point struct {
	Stage   string  `json:"stage"` // "bilevel" or "head"
	Step    int     `json:"step"`
	Passes  int64   `json:"passes"`  // of the budget, up to here
	Seconds float64 `json:"seconds"` // of training, up to here
	DPO     float64 `json:"dpo_loss"`
	SFT     float64 `json:"sft_loss"`
}

// Outcome is one method's.
type Outcome struct {
	Method string `json:"method"`
	Doc    string `json:"doc"`
	// Bilevel and Head are the figures after the bilevel stage and after the second
	// stage, of the head alone.
	Bilevel *Measured `json:"bilevel"`
	Head    *Measured `json:"head"`
	Curve   []Point   `json:"curve"`
	// Steps, Work and Seconds are what the bilevel stage took, compilations included
	// in the time and evaluations left out; HeadSteps is that of the second stage.
	Steps     int       `json:"steps"`
	HeadSteps int       `json:"head_steps"`
	Work      tune.Work `json:"work"`
	Seconds   float64   `json:"seconds"`
	// Delta and Omitted are the largest of the flatness measured along the run, NaN
	// where the method measures none.
	Delta   float64 `json:"-"`
	Omitted float64 `json:"-"`
	// X and Y are the updates and the head after the bilevel stage.
	X, Y   []float32      `json:"-"`
	Counts bilevel.Counts `json:"-"`
	Notes  []bilevel.Note `json:"-"`
}

// Result is the outcome of the demo.
type Result struct {
	Settings   Settings     `json:"-"`
	Seed       uint64       `json:"seed"`
	Backend    backend.Info `json:"backend"`
	Parameters int          `json:"parameters"` // of the base model
	Updates    int          `json:"updates"`    // length of x
	HeadSize   int          `json:"head"`       // length of y
	// Pretraining is the time that the base model took.
	Pretraining float64   `json:"pretraining_s"`
	Base        *Measured `json:"base"`
	// Outcomes are those of the methods that came to their end, in order.
	Outcomes []*Outcome `json:"outcomes"`
	// Status is converged when all methods did, else why not.
	Status    bilevel.Status `json:"-"`
	Prompts   []string       `json:"-"` // of the answers
	Responses []string       `json:"-"` // the supervised ones
	Compiling time.Duration  `json:"-"`
	Programs  int            `json:"-"`
	Total     time.Duration  `json:"-"`
}

// Observer is told how the demo goes; its methods are called from one goroutine.
type Observer interface {
	// Phase announces the next part.
	Phase(text string)
	// Step is called after every step with the share of the whole demo that is done.
	Step(share float64, text string)
	// Iteration is called after every outer iteration of the first method, whose
	// answer is the demo's.
	Iteration(p *bilevel.Progress) error
}

// Run runs the demo. Cancelling ctx, or its deadline, ends it after the present step
// and loses the method under way; the Result holds what came to its end before, and
// the reason in Status. Errors are bad settings, which match bilevel.ErrInvalid, a
// backend that cannot be opened, and failures of the backend.
func Run(ctx context.Context, s Settings, seed uint64, o Observer, log *slog.Logger) (*Result, error) {
	if err := s.Fill(); err != nil {
		return nil, err
	}
	begin := time.Now()
	b, info, err := backend.Open(ctx, s.Backend)
	if err != nil {
		return nil, err
	}
	defer b.Finalize()
	if info.Note != "" {
		log.Info(info.Note)
	}
	e := &experiment{s: &s, seed: seed, space: device.NewSpace(b), observer: o, log: log,
		out: &Result{Settings: s, Seed: seed, Backend: info, Status: bilevel.Converged}}
	err = device.Try(func() error { return e.run(ctx) })
	switch {
	case errors.Is(err, context.Canceled):
		e.out.Status, err = bilevel.Interrupted, nil
	case errors.Is(err, context.DeadlineExceeded):
		e.out.Status, err = bilevel.TimeLimit, nil
	}
	stats := e.space.Stats()
	e.out.Compiling, e.out.Programs, e.out.Total = stats.Compiling, stats.Programs, time.Since(begin)
	runtime.GC() // what the device holds for unreachable arrays goes before the backend does
	return e.out, err
}

// experiment is a run of the demo.
type experiment struct {
	s        *Settings
	seed     uint64
	space    *device.Space
	observer Observer
	log      *slog.Logger
	out      *Result
	lesson   *lesson
	trainer  *tune.Trainer
	writer   *generate.Model
	refer    tune.LogProbs
	done     float64 // share of the demo
}

// The shares of the demo's parts, about as long as they take.
const shareBase = 0.2

func (e *experiment) run(ctx context.Context) (err error) {
	if e.lesson, err = newLesson(e.s, e.seed); err != nil {
		return err
	}
	for i := range e.lesson.asked {
		e.out.Prompts = append(e.out.Prompts, e.lesson.asked[i].Instruction)
		e.out.Responses = append(e.out.Responses, e.lesson.asked[i].Response)
	}
	base, err := e.base(ctx)
	if err != nil {
		return err
	}
	defer base.Close()
	adapter, err := lora.New(&base.Config, weights.AdapterConfig{Rank: rank, Alpha: alpha, Targets: weights.Targets{Names: []string{"q_proj", "v_proj"}}}, e.seed)
	if err != nil {
		return err
	}
	if e.trainer, err = tune.NewTrainer(e.space, base, adapter, tune.TrainerSettings{}); err != nil {
		return err
	}
	e.out.Updates, e.out.HeadSize, _ = e.trainer.Sizes()
	if e.writer, err = generate.Load(e.space, base); err != nil {
		return err
	}
	defer e.writer.Release()
	e.observer.Phase("measuring the base model")
	if e.refer, err = reference(ctx, e.trainer, append(slices.Clone(e.lesson.allUpper), e.lesson.heldUpper...)); err != nil {
		return err
	}
	if e.out.Base, err = e.measure(ctx, nil, nil, adapter); err != nil {
		return err
	}
	e.log.Info("base model", "sft_loss", e.out.Base.SFT.Value, "exact", e.out.Base.Answers.Exact, "courteous", e.out.Base.Answers.Courteous)
	all := algorithms()
	for i, a := range all {
		e.done = shareBase + (1-shareBase)*float64(i)/float64(len(all))
		outcome, err := e.method(ctx, a, (1-shareBase)/float64(len(all)), i == 0)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		e.out.Outcomes = append(e.out.Outcomes, outcome)
	}
	return nil
}

// base trains the base model.
func (e *experiment) base(ctx context.Context) (*weights.Model, error) {
	e.observer.Phase("training a base model from scratch")
	begin := time.Now()
	c := e.lesson.model()
	e.out.Parameters = c.ParameterCount()
	steps := e.s.Pretrain
	m, err := pretrain.Train(ctx, e.space, c, pretrain.Settings{Seed: e.seed, Steps: steps, Optimize: pretrain.Optimizer(pretrainRate, steps),
		Batch: func(k int) *data.Batch { return e.lesson.base.Batch(k)[0] },
		Watch: func(step int, loss float64) error {
			e.observer.Step(shareBase*float64(step)/float64(steps), fmt.Sprintf("base model, step %d of %d, loss %.3f", step, steps, loss))
			return nil
		}})
	e.out.Pretraining = time.Since(begin).Seconds()
	return m, err
}

// measure measures a model by scores and by what it writes.
func (e *experiment) measure(ctx context.Context, x, y []float32, adapter *weights.Adapter) (*Measured, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := scores(e.trainer, e.lesson, e.refer, x, y)
	if err != nil {
		return nil, err
	}
	if x != nil {
		adapter = e.trainer.Adapter(x)
	}
	if y == nil {
		y = e.trainer.Head()
	}
	model, err := e.writer.With(adapter, y)
	if err != nil {
		return nil, err
	}
	defer model.Release()
	g, err := generate.New(model, e.lesson.tokenizer, generate.Settings{MaxTokens: longestAnswer, Rows: len(e.lesson.prompts)})
	if err != nil {
		return nil, err
	}
	written, _, err := g.Generate(ctx, e.lesson.prompts, nil)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(written))
	for i := range written {
		texts[i] = written[i].Text
	}
	m.Answers = count(e.lesson.asked, texts)
	return m, ctx.Err()
}

// method trains by one algorithm, in both stages.
func (e *experiment) method(ctx context.Context, a tune.Algorithm, part float64, answer bool) (*Outcome, error) {
	e.observer.Phase(a.Name + ", bilevel stage")
	out := &Outcome{Method: a.Name, Doc: a.Doc, Delta: math.NaN(), Omitted: math.NaN()}
	budget := int64(e.s.Budget)
	costs := e.costs()
	steps := max(1, int(budget/costs[a.Name]))
	s := e.stage("bilevel", a, budget)
	s.Choice = tune.Choice{Gamma: e.s.Gamma, FlatnessEvery: max(1, steps/flatnessMeasurements), Probability: 0.5}
	if a.Name == "v-pbgd" {
		s.Choice.Inner = e.s.Inner
	}
	switch a.Name { // each of two stages gets half of the budget
	case "dpo-then-sft":
		s.Choice.First = max(1, int(budget/2/costs["dpo"]))
	case "sft-then-dpo":
		s.Choice.First = max(1, int(budget/2/costs["sft"]))
	}
	s.EvalEvery = max(1, steps/e.s.Points)
	s.Watch = &watch{e: e, out: out, budget: budget, part: 0.85 * part, answer: answer}
	first, err := e.train(ctx, s)
	if err != nil {
		return nil, err
	}
	out.X, out.Y, out.Work, out.Seconds, out.Steps = first.X, first.Y, first.Work, first.Elapsed.Seconds(), first.Result.Iterations
	out.Counts, out.Notes = first.Result.Counts, first.Result.Notes
	if out.Bilevel, err = e.measure(ctx, out.X, out.Y, nil); err != nil {
		return nil, err
	}
	e.done += 0.85 * part
	e.observer.Phase(a.Name + ", second stage")
	sft := algorithmNamed("sft")
	s = e.stage("head", sft, int64(e.s.Stage2))
	s.X, s.Y, s.Lower.Batch = out.X, out.Y, e.lesson.stage2.Batch
	s.Watch = &watch{e: e, out: out, budget: int64(e.s.Stage2), part: 0.15 * part, before: out.Work.Passes(), seconds: out.Seconds}
	second, err := e.train(ctx, s)
	if err != nil {
		return nil, err
	}
	out.HeadSteps = second.Result.Iterations
	if out.Head, err = e.measure(ctx, second.X, second.Y, nil); err != nil {
		return nil, err
	}
	e.log.Info("method", "name", a.Name, "steps", out.Steps, "passes", out.Work.Passes(), "seconds", out.Seconds,
		"dpo_loss", out.Bilevel.DPO.Value, "sft_loss", out.Bilevel.SFT.Value, "head_dpo_loss", out.Head.DPO.Value, "head_sft_loss", out.Head.SFT.Value)
	return out, nil
}

// train runs a stage and makes an interruption the context's error.
func (e *experiment) train(ctx context.Context, s tune.Stage) (*tune.Trained, error) {
	out, err := e.trainer.Train(ctx, s)
	if err == nil {
		err = ctx.Err()
	}
	return out, err
}

func algorithmNamed(name string) tune.Algorithm {
	for _, a := range algorithms() {
		if a.Name == name {
			return a
		}
	}
	return tune.Algorithm{}
}

// costs are passes per step. ALRIGHT's is that of its mean step, a sequence's that of
// its mean stage.
func (e *experiment) costs() map[string]int64 {
	f, g := places(e.lesson.upper.Batch(0)[0]), places(e.lesson.lower.Batch(0)[0])
	mixed := (2*f + g) / 2
	return map[string]int64{"pbgd-free": 2*f + g, "v-pbgd": 2*f + 3*g, "alright": mixed, "dpo": 2 * f, "sft": g,
		// Half of the budget for each stage: as many steps as both give.
		"dpo-then-sft": 4 * f * g / (2*f + g), "sft-then-dpo": 4 * f * g / (2*f + g)}
}

// stage is what the trainings have in common.
func (e *experiment) stage(name string, a tune.Algorithm, budget int64) tune.Stage {
	l := e.lesson
	optimizer := func(rate float64) tune.Optimizer {
		return tune.Optimizer{Rule: vec.Adam, Rate: rate, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, MaxNorm: 1}
	}
	dpo := objective.DPO{Beta: beta}
	return tune.Stage{Name: name, Algorithm: a, Seed: e.seed, Tokens: budget,
		Upper:     tune.Level{Objective: tune.Objective{Kind: tune.DPO, DPO: dpo}, Batch: l.upper.Batch, HeldOut: l.heldUpper[:flatnessBatches], Reference: e.refer.Lookup},
		Lower:     tune.Level{Objective: tune.Objective{Kind: tune.SFT}, Batch: l.lower.Batch, HeldOut: l.heldLower[:flatnessBatches]},
		OptimizeX: optimizer(e.s.RateX), OptimizeY: optimizer(e.s.RateY),
		EvalUpper: l.heldUpper, EvalLower: l.heldLower, Log: e.log}
}

// watch follows a stage.
type watch struct {
	e       *experiment
	out     *Outcome
	budget  int64
	part    float64 // of the demo
	answer  bool
	before  int64 // passes and seconds of the stage before
	seconds float64
}

func (w *watch) Step(r tune.StepReport) error {
	if !math.IsNaN(r.Omitted) {
		w.out.Delta, w.out.Omitted = larger(w.out.Delta, r.Delta), larger(w.out.Omitted, r.Omitted)
	}
	share := min(1, float64(r.Work.Passes())/float64(w.budget))
	text := fmt.Sprintf("%s, step %d", w.out.Method, r.Step)
	if !math.IsNaN(r.Upper.Loss) {
		text += fmt.Sprintf(", DPO %.3f", r.Upper.Loss)
	}
	if !math.IsNaN(r.Lower.Loss) {
		text += fmt.Sprintf(", SFT %.3f", r.Lower.Loss)
	}
	w.e.observer.Step(w.e.done+w.part*share, text)
	if !w.answer {
		return nil
	}
	nan := math.NaN()
	return w.e.observer.Iteration(&bilevel.Progress{Iteration: r.Step, Elapsed: r.Elapsed, Phase: r.Phase, Gamma: w.e.s.Gamma, Upper: r.Upper.Loss, Lower: r.Lower.Loss,
		Stationarity: r.GradX, Gap: nan, Violation: nan, Step: nan, Delta: r.Delta, Omitted: r.Omitted, Counts: r.Counts})
}

// larger is the larger of two numbers, of which the first may be NaN.
func larger(a, b float64) float64 {
	if a > b {
		return a
	}
	return b
}

func (w *watch) Evaluation(e tune.Evaluation) error {
	if w.before > 0 && e.Step == 0 {
		return nil // the end of the stage before
	}
	w.out.Curve = append(w.out.Curve, Point{Stage: e.Stage, Step: e.Step, Passes: w.before + e.Work.Passes(), Seconds: w.seconds + e.Elapsed.Seconds(),
		DPO: e.Upper.Loss, SFT: e.Lower.Loss})
	return nil
}
