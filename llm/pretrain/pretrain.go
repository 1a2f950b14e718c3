// Package pretrain trains every parameter of a small language model from scratch,
// so that there is something to post-train where nothing was downloaded.
//
// The loss is the mean cross-entropy of the scored tokens, the responses of
// supervised rows; each step is one of AdamW on one batch, the gradient clipped by
// its norm. Parameters lie in one device vector.
//
// Initial values: matrices [out, in] normal with standard deviation 1/sqrt(in), so
// that small models start with states of unit size too; those that write to the
// residual stream divided by sqrt(2 layers), as in GPT-2; norms one, biases zero.
// Source of the model and its training: the Llama family, arXiv 2302.13971.
package pretrain

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/objective"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/bilevel-go/bilevel/vec"
)

// Settings say how a model is trained.
type Settings struct {
	Seed  uint64 // of the initial values
	Steps int    // at least 1
	// Optimize is the optimiser of all parameters, see [Optimizer].
	Optimize tune.Optimizer
	// Batch gives the batch of step k >= 0. Every new shape of a batch is compiled.
	Batch func(k int) *data.Batch
	// Watch, when not nil, is called every Every steps (default 20) and after the
	// last with the number of steps done and the mean loss since the last call. An
	// error ends the training with that error.
	Watch func(step int, loss float64) error
	Every int
}

// Optimizer is AdamW with beta (0.9, 0.95), gradients clipped at norm 1, the rate
// growing linearly over a twentieth of the steps and falling along half a cosine.
func Optimizer(rate float64, steps int) tune.Optimizer {
	return tune.Optimizer{Rule: vec.Adam, Rate: rate, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, MaxNorm: 1,
		Schedule: tune.Cosine, Warmup: steps / 20, Updates: steps}
}

// Initial makes the initial values of a model's parameters. Those of a parameter
// depend on the seed and its place in the list only.
func Initial(c *weights.Config, seed uint64) map[string][]float32 {
	all := map[string][]float32{}
	for i, p := range c.Parameters() {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		v := make([]float32, n)
		all[p.Name] = v
		if strings.HasSuffix(p.Name, ".bias") {
			continue
		}
		if len(p.Shape) == 1 {
			for j := range v {
				v[j] = 1
			}
			continue
		}
		deviation := 1 / math.Sqrt(float64(p.Shape[1]))
		if strings.Contains(p.Name, "o_proj") || strings.Contains(p.Name, "down_proj") || strings.Contains(p.Name, "dense") && !strings.Contains(p.Name, "dense_h_to_4h") {
			deviation /= math.Sqrt(2 * float64(c.Layers))
		}
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		for j := range v {
			v[j] = float32(deviation * random.NormFloat64())
		}
	}
	return all
}

// Train makes a model with the configuration c. Settings that are no training, and
// configurations that are no model, are errors that match bilevel.ErrInvalid;
// cancelling ctx ends with its error, between two steps. A loss that is not finite
// matches tune.ErrLoss.
func Train(ctx context.Context, s *device.Space, c weights.Config, o Settings) (*weights.Model, error) {
	switch {
	case o.Steps < 1:
		return nil, &bilevel.SettingError{Field: "Steps", Value: o.Steps, Allowed: "an integer >= 1"}
	case !(o.Optimize.Rate > 0) || math.IsInf(o.Optimize.Rate, 1):
		return nil, &bilevel.SettingError{Field: "Optimize.Rate", Value: o.Optimize.Rate, Allowed: "a finite number > 0"}
	case o.Every < 0:
		return nil, &bilevel.SettingError{Field: "Every", Value: o.Every, Allowed: "an integer >= 0"}
	}
	if o.Every == 0 {
		o.Every = 20
	}
	net, err := network.New(&c)
	if err != nil {
		return nil, err
	}
	t := &trainer{space: s, name: s.Name("gradient of pre-training"), net: net, config: &c, settings: &o}
	values := Initial(&c, o.Seed)
	for _, p := range c.Parameters() {
		t.layout.Add(p.Name, p.Shape...)
	}
	var trained []float32
	err = device.Try(func() (err error) {
		trained, err = t.run(ctx, values)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, name := range t.layout.Names {
		start, end := t.layout.Part(i)
		values[name] = trained[start:end:end]
	}
	return weights.NewModel(c, values)
}

type trainer struct {
	space    *device.Space
	name     string // of the gradient's operation
	net      *network.Network
	config   *weights.Config
	settings *Settings
	layout   device.Layout
}

// run returns the trained parameters.
func (t *trainer) run(ctx context.Context, values map[string][]float32) ([]float32, error) {
	var flat []float32
	for _, name := range t.layout.Names {
		flat = append(flat, values[name]...)
	}
	v := t.space.Vector(flat)
	defer v.Release()
	var store vec.Scratch
	defer store.Release()
	optimizer := t.settings.Optimize.New(&store, "parameters", v)
	g := t.space.NewVector(v.Len())
	var losses []*device.Array
	for k := range t.settings.Steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		losses = append(losses, t.gradient(g, v, t.settings.Batch(k)))
		optimizer.Step(v, g)
		t.space.Run()
		if done := k + 1; done%t.settings.Every == 0 || done == t.settings.Steps {
			mean := 0.0
			for _, a := range losses {
				mean += a.Float() / float64(len(losses))
				a.Release()
			}
			losses = losses[:0]
			if math.IsNaN(mean) || math.IsInf(mean, 0) {
				return nil, fmt.Errorf("step %d: the loss is %g: %w", done, mean, tune.ErrLoss)
			}
			if t.settings.Watch != nil {
				if err := t.settings.Watch(done, mean); err != nil {
					return nil, err
				}
			}
		}
	}
	return v.Array().Floats(), nil
}

// gradient sets g to the gradient of the loss of b and returns the loss, held.
func (t *trainer) gradient(g, v *device.Vector, b *data.Batch) *device.Array {
	s, n := t.space, len(b.At)
	in := []*device.Array{v.Array(), s.Int32s(b.IDs, b.Rows, b.Length), s.Int32s(b.At, n), s.Int32s(b.Target, n), s.Float32s(b.Weight, n)}
	out := s.Record(t.name, in, []shapes.Shape{v.Array().Shape(), shapes.Make(dtypes.Float32)},
		func(trace *device.Trace, in []*graph.Node) []*graph.Node {
			byName := t.layout.ByName(trace, in[0])
			find := func(name string) *graph.Node { return byName[name] }
			scored := objective.Scored{At: in[2], Target: in[3], Weight: in[4]}
			head := find(t.config.HeadName())
			if t.config.TiedHead {
				head = find(t.config.EmbeddingName())
			}
			loss := objective.SFT(scored.Gather(t.net.Hidden(find, nil, in[1])), head, scored)
			return []*graph.Node{device.Join(graph.Gradient(loss, t.layout.Pieces(trace, in[0])...)), loss}
		})
	g.Set(out[0])
	return out[1].Hold()
}
