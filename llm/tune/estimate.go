package tune

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/vec"
)

// Interval is an estimate from samples with its 95 % confidence interval, from the
// spread of the means of batches.
type Interval struct {
	Mean float64 `json:"mean"`
	Lo   float64 `json:"lo"`
	Hi   float64 `json:"hi"`
}

// interval is the weighted mean of values with the interval that their spread
// gives: with w the weights divided by their sum, the variance of the mean is
// n/(n-1) sum w^2 (v - mean)^2. One value alone gives an interval without bounds.
func interval(values, weights []float64) Interval {
	total, mean := 0.0, 0.0
	for _, w := range weights {
		total += w
	}
	for i, v := range values {
		mean += weights[i] / total * v
	}
	n := float64(len(values))
	if n < 2 {
		return Interval{mean, math.Inf(-1), math.Inf(1)}
	}
	square := 0.0
	for i, v := range values {
		w := weights[i] / total
		square += w * w * (v - mean) * (v - mean)
	}
	half := 1.96 * math.Sqrt(n/(n-1)*square)
	return Interval{mean, mean - half, mean + half}
}

// Estimate is what held-out rows say of an answer.
type Estimate struct {
	Upper    Interval // f
	Accuracy Interval // share of pairs whose chosen response has the larger reward
	Lower    Interval // g
	// Gap is how much g still falls, on held-out rows, when y alone is trained on for
	// GapSteps steps at the x reached: an estimate from below of how far y is from
	// being the follower's best answer.
	Gap      Interval
	GapSteps int
	// Delta and Omitted are the last flatness measured, NaN where there is none, and
	// Safe says whether dropping the value-function term was; Sentence puts it in
	// words.
	Delta, Omitted float64
	Safe           bool
	Sentence       string
}

// gapSteps is how many steps y is continued to estimate the gap.
const gapSteps = 20

// SafeOmitted is the size of the omitted terms, relative to the gradient of f in x,
// up to which dropping them is called safe.
const SafeOmitted = method.OmittedSmall

func (r *running) estimate(ctx context.Context) (e *Estimate, err error) {
	err = device.Try(func() (err error) {
		e, err = r.measureAll(ctx)
		return err
	})
	return e, err
}

func (r *running) measureAll(ctx context.Context) (*Estimate, error) {
	stages, err := r.stages()
	if err != nil {
		return nil, err
	}
	s := stages[len(stages)-1]
	m := newModel(r.Trainer, s.Upper, s.Lower)
	defer m.release()
	x, y := r.space.Vector(r.out.X), r.space.Vector(r.out.Y)
	defer x.Release()
	defer y.Release()
	upper, pairs := m.byBatch(m.upper, r.Data.upperHeld, x, y)
	lower, tokens := m.byBatch(m.lower, r.Data.lowerHeld, x, y)
	e := &Estimate{GapSteps: gapSteps, Delta: math.NaN(), Omitted: math.NaN()}
	e.Upper, e.Accuracy, e.Lower = interval(upper[0], pairs), interval(upper[1], pairs), interval(lower[0], tokens)

	o := s.OptimizeY
	o.Schedule, o.Warmup = Constant, 0
	var state vec.Scratch
	defer state.Release()
	opt := o.New(&state, "y", y)
	grad := y.New()
	for k := range gapSteps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := m.Sample(k); err != nil {
			return nil, err
		}
		m.LowerGradY(grad, x, y)
		opt.Step(y, grad)
	}
	after, _ := m.byBatch(m.lower, r.Data.lowerHeld, x, y)
	fall := make([]float64, len(tokens))
	for i := range fall {
		fall[i] = lower[0][i] - after[0][i]
	}
	e.Gap = interval(fall, tokens)
	if n := len(r.out.Flatness); n > 0 {
		e.Delta, e.Omitted = r.out.Flatness[n-1].Delta, r.out.Flatness[n-1].Omitted
	}
	e.Safe, e.Sentence = verdict(r.Config.Algorithm, r.out.Flatness)
	return e, nil
}

// verdict says whether dropping the value-function term was safe.
func verdict(algorithm string, all []Flatness) (safe bool, sentence string) {
	if len(all) == 0 {
		return false, "Flatness was not measured: " + algorithm + " does not need it, or the training was shorter than flatness_every."
	}
	worst := 0.0
	for _, f := range all {
		worst = math.Max(worst, f.Omitted)
	}
	last := all[len(all)-1]
	if worst <= SafeOmitted {
		return true, fmt.Sprintf("Dropping the value-function term was safe on these rows: what it leaves out is at most %.2g times the gradient of f in x (delta %.2g at the end, c = %g, alpha = %g).", worst, last.Delta, method.FlatC, method.FlatAlpha)
	}
	return false, fmt.Sprintf("Dropping the value-function term was not safe on these rows: what it leaves out reaches %.2g times the gradient of f in x, more than %g (delta %.2g at the end, c = %g, alpha = %g); v-pbgd and auto compute it.", worst, SafeOmitted, last.Delta, method.FlatC, method.FlatAlpha)
}

// byBatch is a level's values on each of a list of batches, one slice per figure,
// with the batches' weights in the mean.
func (m *Model) byBatch(s *side, list []*data.Batch, x, y *device.Vector) (values [][]float64, weights []float64) {
	values = make([][]float64, s.Objective.figures())
	for _, b := range list {
		v := m.measure(s, []*data.Batch{b}, x.Array(), y.Array())
		for i := range values {
			values[i] = append(values[i], v[i])
		}
		weights = append(weights, size(s.Objective, b))
	}
	return values, weights
}

// size is the weight of a batch in a mean: its pairs, or its scored tokens.
func size(o Objective, b *data.Batch) float64 {
	if o.Kind == DPO {
		return float64(b.Examples()) / 2
	}
	return float64(b.Scored())
}
