package tune

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/objective"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/bilevel-go/bilevel/vec"
)

// lab is a small random model with one batch for each level.
type lab struct {
	t        *Trainer
	sft, dpo []*data.Batch
	logs     LogProbs
}

func newLab(t testing.TB, spec string) *lab { return newLabOf(t, spec, "tiny_llama_gqa") }

func newLabOf(t testing.TB, spec, folder string) *lab {
	t.Helper()
	var g golden
	lmtest.JSON(t, lmtest.Golden(t, folder, "golden.json"), &g)
	m, err := weights.Open(lmtest.Golden(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	adapter, err := weights.ReadAdapter(lmtest.Golden(t, folder, "adapter"))
	if err == nil {
		err = adapter.Bind("adapter", &m.Config)
	}
	if err != nil {
		t.Fatal(err)
	}
	trainer, err := NewTrainer(device.NewSpace(backendtest.Open(t, spec)), m, adapter, TrainerSettings{})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: trainer, sft: []*data.Batch{batchOf(g.SFT, false)}, dpo: []*data.Batch{batchOf(g.Chosen.Join(g.Rejected), true)}}
	if l.logs, err = trainer.Reference(t.Context(), l.dpo); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) stage(t testing.TB, name string, steps int) Stage {
	t.Helper()
	a, err := algorithm(name)
	if err != nil {
		t.Fatal(err)
	}
	adam := Optimizer{Rule: vec.Adam, Rate: 1e-2, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, MaxNorm: 1}
	return Stage{Name: "bilevel", Algorithm: a, Choice: Choice{Gamma: 10, FlatnessEvery: 4, Probability: 0.5, Barrier: 0.5, First: 2}, Seed: 7, Steps: steps,
		Upper:     Level{Objective: Objective{Kind: DPO, DPO: objective.DefaultDPO()}, Batch: func(int) []*data.Batch { return l.dpo }, Reference: l.logs.Lookup, HeldOut: l.dpo},
		Lower:     Level{Objective: Objective{Kind: SFT}, Batch: func(int) []*data.Batch { return l.sft }, HeldOut: l.sft},
		OptimizeX: adam, OptimizeY: adam, EvalUpper: l.dpo, EvalLower: l.sft}
}

func train(t *testing.T, l *lab, s Stage) *Trained {
	t.Helper()
	out, err := l.t.Train(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every algorithm lowers what it is there to lower, on the batch that it sees, and
// goes on from a checkpoint to the same bits.
func TestAlgorithms(t *testing.T) {
	l := newLab(t, "go")
	for _, a := range Algorithms() {
		t.Run(a.Name, func(t *testing.T) {
			whole := train(t, l, l.stage(t, a.Name, 8))
			upper, lower := whole.Last.Upper.Loss-whole.First.Upper.Loss, whole.Last.Lower.Loss-whole.First.Lower.Loss
			if a.Name != "sft" && a.Name != "f-then-g" && !(upper < 0) {
				t.Errorf("the upper loss went from %g to %g", whole.First.Upper.Loss, whole.Last.Upper.Loss)
			}
			if a.Name == "sft" && !(lower < 0) {
				t.Errorf("the lower loss went from %g to %g", whole.First.Lower.Loss, whole.Last.Lower.Loss)
			}
			part := l.stage(t, a.Name, 5)
			part.KeepState = true
			half := train(t, l, part)
			rest := l.stage(t, a.Name, 8)
			rest.Resume = half.Result.State
			resumed := train(t, l, rest)
			if !slices.Equal(resumed.X, whole.X) || !slices.Equal(resumed.Y, whole.Y) {
				t.Error("a resumed training ends elsewhere")
			}
		})
	}
}

// steps keeps reports.
type steps struct {
	reports []StepReport
	at      func(StepReport) error
}

func (s *steps) Step(r StepReport) error {
	s.reports = append(s.reports, r)
	if s.at != nil {
		return s.at(r)
	}
	return nil
}
func (s *steps) Evaluation(Evaluation) error { return nil }

// PBGD-Free measures flatness as often as it is told, and counts its work: one
// forward pass of each batch per step, one backward pass of the preferences.
func TestReports(t *testing.T) {
	l := newLab(t, "go")
	s := l.stage(t, "pbgd-free", 4)
	s.Choice.FlatnessEvery = 3
	w := &steps{}
	s.Watch = w
	train(t, l, s)
	for i, r := range w.reports {
		if measured := i%3 == 0; math.IsNaN(r.Omitted) == measured {
			t.Errorf("step %d: omitted %g", r.Step, r.Omitted)
		}
		if math.IsNaN(r.Upper.Loss) || math.IsNaN(r.Upper.Accuracy) || math.IsNaN(r.Lower.Loss) {
			t.Errorf("step %d: upper %+v, lower %+v", r.Step, r.Upper, r.Lower)
		}
	}
	a, b := w.reports[1].Work, w.reports[2].Work
	places := func(list []*data.Batch) int64 { return int64(len(list[0].IDs)) }
	// The gradient in x continues from the states of the step of y.
	if got, want := b.Tokens-a.Tokens, places(l.dpo)+places(l.sft); got != want {
		t.Errorf("%d token places in forward passes, want %d", got, want)
	}
	if got, want := b.Backward-a.Backward, places(l.dpo); got != want {
		t.Errorf("%d token places in backward passes, want %d", got, want)
	}
}

// A loss that is not finite ends the training, and the error says at which step.
func TestLossNotFinite(t *testing.T) {
	l := newLab(t, "go")
	s := l.stage(t, "pbgd-free", 50)
	s.Choice.FlatnessEvery = -1
	s.OptimizeX = Optimizer{Rule: vec.SGD, Rate: 1e30}
	s.OptimizeY = s.OptimizeX
	_, err := l.t.Train(t.Context(), s)
	if !errors.Is(err, ErrLoss) {
		t.Errorf("error %v", err)
	}
}

func TestInterruption(t *testing.T) {
	l := newLab(t, "go")
	ctx, cancel := context.WithCancel(t.Context())
	s := l.stage(t, "pbgd-free", 100)
	s.Watch = &steps{at: func(r StepReport) error {
		if r.Step == 3 {
			cancel()
		}
		return nil
	}}
	out, err := l.t.Train(ctx, s)
	if err != nil || out.Result.Status != bilevel.Interrupted || out.Result.Iterations != 3 || out.Result.State == nil {
		t.Errorf("%+v, %v", out.Result, err)
	}
}

// A training that is interrupted before its first step is where it started.
func TestInterruptedAtOnce(t *testing.T) {
	l := newLab(t, "go")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := l.t.Train(ctx, l.stage(t, "pbgd-free", 3))
	if err != nil || out.Result.Status != bilevel.Interrupted || out.Result.Iterations != 0 || !slices.Equal(out.X, l.t.x0) {
		t.Errorf("%+v, %v", out.Result, err)
	}
}

// Frozen is skipped: a training of y alone leaves every bit of x.
func TestFrozenIsSkipped(t *testing.T) {
	l := newLab(t, "go")
	s := l.stage(t, "sft", 3)
	s.OptimizeX.Decay = 0.1
	if out := train(t, l, s); !slices.Equal(out.X, l.t.x0) {
		t.Error("x moved")
	}
}

// A budget of passes ends the training with the step that reaches it, whatever
// flatness costs; both stages of a sequence count a shared forward pass once.
func TestTokens(t *testing.T) {
	l := newLab(t, "go")
	places := func(list []*data.Batch) int64 { return int64(len(list[0].IDs)) }
	dpo, sft := places(l.dpo), places(l.sft)
	for name, cost := range map[string]int64{"pbgd-free": 2*dpo + sft, "v-pbgd": 2*dpo + 3*sft, "dpo": 2 * dpo, "sft": sft} {
		s := l.stage(t, name, 0)
		s.Choice.FlatnessEvery = 2
		s.Tokens = 2*cost + 1
		w := &steps{}
		s.Watch = w
		out := train(t, l, s)
		if out.Result.Status != bilevel.TimeLimit || out.Result.Iterations != 3 || out.Work.Passes() != 3*cost || out.Last == nil {
			t.Errorf("%s: %v after %d steps with %d passes, want the third step to end it with %d", name, out.Result.Status, out.Result.Iterations, out.Work.Passes(), 3*cost)
		}
		if last := w.reports[2]; last.Elapsed <= 0 || last.Elapsed > time.Hour {
			t.Errorf("%s: elapsed %v", name, last.Elapsed)
		}
	}
}
