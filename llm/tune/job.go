package tune

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gomlx/compute"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/hub"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/modelref"
	"github.com/bilevel-go/bilevel/llm/objective"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/bilevel-go/bilevel/vec"
)

// Job is a training that is ready to run: model, data and backend are open, and
// everything that a user can get wrong was checked.
type Job struct {
	Config    Config // with defaults filled in
	Backend   backend.Info
	Model     *weights.Model
	Tokenizer *tokenizer.Tokenizer
	Data      *Data
	Trainer   *Trainer

	engine compute.Backend
	space  *device.Space
	logs   LogProbs
	// teacher is the model that the lower level imitates, nil where that is the base
	// model or nothing.
	teacher *Trainer
	seed    uint64
	pad     int32
}

// Prepare opens everything that c names. say, when not nil, is told what is being
// done, a few words each time. Errors are the user's mistakes (they match
// bilevel.ErrInvalid), or name the file, the tensor or the row that cannot be used.
// Close the job in the end.
func Prepare(ctx context.Context, c Config, say func(string)) (*Job, error) {
	if say == nil {
		say = func(string) {}
	}
	if err := c.Fill(); err != nil {
		return nil, err
	}
	j := &Job{Config: c, seed: uint64(c.Seed)}
	if err := j.open(ctx, say); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

func (j *Job) open(ctx context.Context, say func(string)) (err error) {
	c := &j.Config
	say("opening " + c.Model)
	if j.Model, err = openModel(ctx, c.Model); err != nil {
		return err
	}
	if c.Tokenizer != "" {
		j.Tokenizer, err = tokenizer.Open(c.Tokenizer)
	} else {
		j.Tokenizer, err = tokenizer.OfModel(j.Model)
	}
	if err != nil {
		return err
	}
	if n := j.Tokenizer.VocabSize(); n > j.Model.Config.Vocabulary {
		return &bilevel.SettingError{Field: "tokenizer", Value: fmt.Sprintf("%d tokens", n), Allowed: fmt.Sprintf("at most the %d that the output head of %s has", j.Model.Config.Vocabulary, c.Model)}
	}
	say("reading rows")
	if j.Data, err = prepareData(c, j.Model, j.Tokenizer); err != nil {
		return err
	}
	adapter, err := j.adapter()
	if err != nil {
		return err
	}
	if j.engine, j.Backend, err = backend.Open(ctx, c.Backend); err != nil {
		return err
	}
	lengths := c.Lengths
	if lengths == 0 {
		lengths = 4
		if j.Backend.Name == backend.XLA {
			lengths = 1
		}
	}
	if special := j.Tokenizer.Special(); special.PAD >= 0 {
		j.pad = int32(special.PAD)
	}
	if err := j.Data.batches(c, lengths, j.pad); err != nil {
		return err
	}
	say("loading " + c.Model + " onto " + j.Backend.String())
	j.space = device.NewSpace(j.engine)
	if j.Trainer, err = NewTrainer(j.space, j.Model, adapter, TrainerSettings{Dropout: c.Dropout, Recompute: c.Recompute}); err != nil {
		return err
	}
	if c.Teacher != "" && Kind(c.LowerObjective) == Distill {
		say("loading the teacher " + c.Teacher)
		if j.teacher, err = j.loadTeacher(ctx, c.Teacher); err != nil {
			return err
		}
	}
	say("log-probabilities of the reference model")
	j.logs, err = j.Data.logProbs(ctx, j.Trainer, newReferenceCache(j.Model, j.Backend.Name), c, j.pad)
	return err
}

func openModel(ctx context.Context, reference string) (*weights.Model, error) {
	path, err := modelref.Resolve(ctx, reference, hub.Settings{})
	if err != nil {
		return nil, err
	}
	return weights.Open(path)
}

// adapter is the one to start from.
func (j *Job) adapter() (*weights.Adapter, error) {
	c := &j.Config
	if c.Adapter != "" {
		a, err := weights.ReadAdapter(c.Adapter)
		if err == nil {
			err = a.Bind(c.Adapter, &j.Model.Config)
		}
		return a, err
	}
	s := weights.AdapterConfig{Base: c.Model, TaskType: "CAUSAL_LM", Rank: c.Rank, Alpha: c.Alpha, Dropout: c.Dropout, UseRSLoRA: c.RSLoRA}
	switch names := list(c.Targets); {
	case c.Targets == weights.AllLinear:
		s.Targets.Pattern = weights.AllLinear
	case len(names) == 1 && !slices.ContainsFunc(j.Model.Config.Linears(), func(l weights.Linear) bool { return suffixed(l.Module, names[0]) }):
		s.Targets.Pattern = names[0]
	default:
		s.Targets.Names = names
	}
	return lora.New(&j.Model.Config, s, j.seed)
}

// suffixed reports whether a layer is called name, in full or by the last part.
func suffixed(module, name string) bool {
	return module == name || len(module) > len(name) && module[len(module)-len(name)-1:] == "."+name
}

// Close gives back what the job holds.
func (j *Job) Close() {
	if j.Model != nil {
		j.Model.Close()
	}
	if j.engine != nil {
		j.engine.Finalize()
	}
}

// stages are the trainings of the job, in order.
func (j *Job) stages() ([]Stage, error) {
	c := &j.Config
	a, err := algorithm(c.Algorithm)
	if err != nil {
		return nil, err
	}
	mode, err := bilevel.ParseMode(c.Mode)
	if err != nil {
		return nil, err
	}
	lower := Objective{Kind: Kind(c.LowerObjective), Teacher: j.teacher}
	d := j.Data
	every, _ := duration(c.Checkpoint)
	base := Stage{
		Name: "bilevel", Algorithm: a, Mode: mode, Seed: j.seed,
		Choice: Choice{Gamma: c.Gamma, Inner: c.Inner, FlatnessEvery: c.FlatnessEvery, Probability: c.Probability, Barrier: c.Barrier, First: c.First},
		Upper: Level{Objective: Objective{Kind: DPO, DPO: objective.DPO{Beta: c.DPOBeta, LabelSmoothing: c.Smoothing, IPO: c.IPO}},
			Batch: d.upperStream.Batch, HeldOut: firstBatches(d.upperHeld), Reference: j.logs.Lookup},
		Lower:     Level{Objective: lower, Batch: d.lowerStream.Batch, HeldOut: firstBatches(d.lowerHeld)},
		EvalUpper: d.upperHeld, EvalLower: d.lowerHeld, EvalEvery: c.EvalEvery, CheckpointEvery: every,
	}
	epoch := max(d.upperStream.Batches(), d.lowerStream.Batches())
	base.Tokens = int64(c.Passes)
	if base.TimeLimit, _ = duration(c.Time); base.TimeLimit == 0 && c.Passes == 0 || c.Steps > 0 {
		if base.Steps = c.Steps; base.Steps == 0 {
			base.Steps = max(1, int(c.Epochs*float64(epoch)+0.5))
		}
	}
	if base.EvalEvery == 0 {
		base.EvalEvery = epoch
	}
	inner := max(c.Inner, a.Inner, 1)
	base.OptimizeX, base.OptimizeY = j.optimizer(c.RateX, base.Steps, 1), j.optimizer(c.RateY, base.Steps, inner)
	if c.HeadSteps < 0 {
		return []Stage{base}, nil
	}
	head := base
	head.Name, head.Tokens = "head", 0
	if head.Algorithm, err = algorithm("sft"); err != nil {
		return nil, err
	}
	if c.HeadObject == "gamma" {
		head.Algorithm = penalised
	}
	head.Lower.Batch = d.stage.Batch
	if head.TimeLimit, _ = duration(c.HeadTime); head.TimeLimit == 0 || c.HeadSteps > 0 {
		if head.Steps = c.HeadSteps; head.Steps == 0 {
			head.Steps = d.stage.Batches()
		}
	} else {
		head.Steps = 0
	}
	head.EvalEvery = max(c.EvalEvery, d.stage.Batches())
	head.OptimizeX, head.OptimizeY = j.optimizer(c.RateX, head.Steps, 1), j.optimizer(c.RateY, head.Steps, 1)
	return []Stage{base, head}, nil
}

// firstBatches are the held-out batches that flatness is measured on.
func firstBatches[T any](all []T) []T { return all[:min(len(all), 4)] }

func (j *Job) optimizer(rate float64, steps, inner int) Optimizer {
	c := &j.Config
	o := Optimizer{Rule: vec.Adam, Rate: rate, Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon, Decay: c.Decay, MaxNorm: c.Clip,
		Schedule: Schedule(c.Schedule), Warmup: c.Warmup * inner, Updates: steps * inner}
	if c.Optimizer == "sgd" {
		o.Rule = vec.SGD
	}
	return o
}

// loadTeacher loads another model, whose vocabulary must be the same.
func (j *Job) loadTeacher(ctx context.Context, reference string) (*Trainer, error) {
	m, err := openModel(ctx, reference)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if m.Config.Vocabulary != j.Model.Config.Vocabulary {
		return nil, &bilevel.SettingError{Field: "distill.teacher", Value: fmt.Sprintf("%s with a vocabulary of %d", reference, m.Config.Vocabulary), Allowed: fmt.Sprintf("a model with the same vocabulary, of %d", j.Model.Config.Vocabulary)}
	}
	return NewTrainer(j.space, m, &weights.Adapter{}, TrainerSettings{})
}

// Sizes says how large the parts of the problem are.
type Sizes struct {
	X, Y, Base           int // parameters of the updates, the head and the frozen model
	Upper, Lower, Stage2 int // training rows
	EvalUpper, EvalLower int
	Epoch                int // steps of one
	Steps, HeadSteps     int // 0: until the time limit
	TimeLimit, HeadLimit time.Duration
}

// Sizes reports them.
func (j *Job) Sizes() (Sizes, error) {
	d := j.Data
	s := Sizes{Upper: len(d.upper), Lower: len(d.lower), Stage2: len(d.stage2), EvalUpper: len(d.upperEval), EvalLower: len(d.lowerEval),
		Epoch: max(d.upperStream.Batches(), d.lowerStream.Batches())}
	s.X, s.Y, s.Base = j.Trainer.Sizes()
	stages, err := j.stages()
	if err != nil {
		return s, err
	}
	s.Steps, s.TimeLimit = stages[0].Steps, stages[0].TimeLimit
	if len(stages) > 1 {
		s.HeadSteps, s.HeadLimit = stages[1].Steps, stages[1].TimeLimit
	}
	return s, nil
}
