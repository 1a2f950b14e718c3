package pretrain_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/data/synthetic"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/generate"
	"github.com/bilevel-go/bilevel/llm/pretrain"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/llm/weights"
)

const rows = 8

// lesson is a few instructions with their answers.
type lesson struct {
	config  weights.Config
	batch   func(k int) *data.Batch
	prompts [][]int32
	answers []data.Supervised
}

func newLesson(t *testing.T) lesson {
	t.Helper()
	set, err := synthetic.Generate(synthetic.Settings{Seed: 1, Train: 4 * rows, Evaluation: 1})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := synthetic.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	template, err := data.NamedTemplate("plain")
	if err != nil {
		t.Fatal(err)
	}
	e, err := data.NewEncoder(tok, template, data.EncodeSettings{MaxLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	l := lesson{config: weights.Config{Architecture: weights.Llama, Vocabulary: tok.VocabSize(), Hidden: 16, Intermediate: 32, Layers: 1, Heads: 2, KVHeads: 1, HeadSize: 8,
		Context: 32, Epsilon: 1e-5, Activation: weights.SiLU, Rope: weights.Rope{Base: 10000, Dims: 8}, BOS: 1, PAD: 3, EOS: []int{2}}}
	if l.answers, _, err = e.Supervised(set.Supervised); err != nil {
		t.Fatal(err)
	}
	for _, a := range l.answers {
		l.prompts = append(l.prompts, a.Prompt)
	}
	stream, err := data.NewStream(l.answers, data.StreamSettings{Seed: 1, Examples: rows, Shapes: data.Shapes{Count: 1}})
	if err != nil {
		t.Fatal(err)
	}
	l.batch = func(k int) *data.Batch { return stream.Batch(k)[0] }
	return l
}

func train(t *testing.T, spec string, c weights.Config, o pretrain.Settings) (*weights.Model, error) {
	t.Helper()
	return pretrain.Train(t.Context(), device.NewSpace(backendtest.Open(t, spec)), c, o)
}

// A model that has seen its rows often enough answers them by heart, with the head
// tied to the embedding or not, and the same seed gives the same bits.
func TestTrain(t *testing.T) {
	l := newLesson(t)
	const steps = 150
	for _, tied := range []bool{false, true} {
		c := l.config
		c.TiedHead = tied
		var losses []float64
		o := pretrain.Settings{Seed: 3, Steps: steps, Optimize: pretrain.Optimizer(2e-2, steps), Batch: l.batch,
			Watch: func(_ int, loss float64) error { losses = append(losses, loss); return nil }, Every: 40}
		space := device.NewSpace(backendtest.Open(t, "go"))
		m, err := pretrain.Train(t.Context(), space, c, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(losses) != 4 || losses[0] < losses[3] {
			t.Errorf("losses %v", losses)
		}
		g, err := generate.Load(space, m)
		if err != nil {
			t.Fatal(err)
		}
		generator, err := generate.New(g, nil, generate.Settings{MaxTokens: 8, Rows: len(l.prompts)})
		if err != nil {
			t.Fatal(err)
		}
		texts, _, err := generator.Generate(t.Context(), l.prompts, nil)
		if err != nil {
			t.Fatal(err)
		}
		right := 0
		for i, text := range texts {
			want := l.answers[i].Response
			if slices.Equal(text.IDs, want[:len(want)-1]) {
				right++
			}
		}
		if right < len(texts)*9/10 {
			t.Errorf("tied %v: %d of %d rows answered right, losses %v", tied, right, len(texts), losses)
		}
		again, err := train(t, "go", c, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range m.Names() {
			a, _, _ := m.Tensor(name)
			b, _, _ := again.Tensor(name)
			if !slices.Equal(a, b) {
				t.Errorf("%s differs between two trainings", name)
			}
		}
	}
}

// The first losses are those of a model that knows nothing yet: near ln V, within
// what states of unit size and a head of unit rows make of it.
func TestInitialLoss(t *testing.T) {
	l := newLesson(t)
	o := pretrain.Settings{Seed: 1, Steps: 1, Optimize: tune.Optimizer{Rate: 1e-9}, Batch: l.batch}
	o.Watch = func(_ int, loss float64) error {
		if guess := math.Log(float64(l.config.Vocabulary)); math.Abs(loss-guess) > 1 {
			t.Errorf("loss %g, want about %g", loss, guess)
		}
		return nil
	}
	if _, err := train(t, "go", l.config, o); err != nil {
		t.Fatal(err)
	}
}

func TestErrors(t *testing.T) {
	l := newLesson(t)
	good := pretrain.Settings{Steps: 5, Optimize: pretrain.Optimizer(1e-2, 5), Batch: l.batch}
	for name, change := range map[string]func(c *weights.Config, o *pretrain.Settings){
		"steps":         func(_ *weights.Config, o *pretrain.Settings) { o.Steps = 0 },
		"rate":          func(_ *weights.Config, o *pretrain.Settings) { o.Optimize.Rate = 0 },
		"every":         func(_ *weights.Config, o *pretrain.Settings) { o.Every = -1 },
		"configuration": func(c *weights.Config, _ *pretrain.Settings) { c.KVHeads = 3 },
	} {
		c, o := l.config, good
		change(&c, &o)
		if _, err := train(t, "go", c, o); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	o := good
	o.Optimize = tune.Optimizer{Rate: 1e30}
	if _, err := train(t, "go", l.config, o); !errors.Is(err, tune.ErrLoss) {
		t.Errorf("a training that diverges: error %v", err)
	}
	own := errors.New("enough")
	o = good
	o.Every, o.Watch = 1, func(int, float64) error { return own }
	if _, err := train(t, "go", l.config, o); !errors.Is(err, own) {
		t.Errorf("a watch that ends the training: error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pretrain.Train(ctx, device.NewSpace(backendtest.Open(t, "go")), l.config, good); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// Two models with parameters of the same sizes that compute different things (other
// norms' epsilon) do not share programs in one space.
func TestModelsOfOneSpace(t *testing.T) {
	l := newLesson(t)
	other := l.config
	other.Epsilon = 0.5
	b := backendtest.Open(t, "go")
	last := func(s *device.Space, c weights.Config) float64 {
		var loss float64
		_, err := pretrain.Train(t.Context(), s, c, pretrain.Settings{Seed: 3, Steps: 2, Optimize: pretrain.Optimizer(2e-2, 2), Batch: l.batch,
			Watch: func(_ int, v float64) error { loss = v; return nil }})
		if err != nil {
			t.Fatal(err)
		}
		return loss
	}
	shared := device.NewSpace(b)
	last(shared, l.config)
	if got, want := last(shared, other), last(device.NewSpace(b), other); got != want {
		t.Errorf("a loss of %g after another model in the same space, %g alone", got, want)
	}
}
