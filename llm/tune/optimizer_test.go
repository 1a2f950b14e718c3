package tune

import (
	"math"
	"testing"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/vec"
)

// The golden numbers are PyTorch's, in float64; float32 carries 1e-7 of a value and
// the updates are 1e-3.
func TestOptimizers(t *testing.T) {
	var golden struct {
		Start      []float64
		Gradients  [][]float64
		Optimisers map[string]struct {
			Settings struct {
				LR    float64   `json:"lr"`
				Betas []float64 `json:"betas"`
				Eps   float64   `json:"eps"`
				Decay float64   `json:"weight_decay"`
			}
			Float64 struct{ Params [][]float64 }
		}
		Schedules map[string]any
		Clip      struct {
			Cases []struct {
				Max     float64 `json:"max_norm"`
				Clipped [][]float64
			}
		} `json:"clip_grad_norm"`
	}
	lmtest.JSON(t, "testdata/optimiser.json", &golden)
	s := device.NewSpace(backendtest.Open(t, "go"))
	n := len(golden.Start)
	write := func(values []float64) *device.Vector {
		v := s.NewVector(n)
		v.Write(values)
		return v
	}
	for name, o := range golden.Optimisers {
		settings := Optimizer{Rule: vec.Adam, Rate: o.Settings.LR, Epsilon: o.Settings.Eps, Decay: o.Settings.Decay}
		if name == "sgd" {
			settings.Rule = vec.SGD
		} else {
			settings.Beta1, settings.Beta2 = o.Settings.Betas[0], o.Settings.Betas[1]
		}
		v := write(golden.Start)
		opt := settings.New(new(vec.Scratch), "v", v)
		got := make([]float64, n)
		for k, g := range golden.Gradients {
			opt.Step(v, write(g))
			v.Read(got)
			for i, w := range o.Float64.Params[k] {
				if math.Abs(got[i]-w) > 2e-7*math.Max(1, math.Abs(w)) {
					t.Errorf("%s, step %d, entry %d: %.9g, want %.9g", name, k+1, i, got[i], w)
				}
			}
		}
	}
	for name, schedule := range map[string]Schedule{"cosine": Cosine, "linear": Linear} {
		o := Optimizer{Schedule: schedule, Warmup: 10, Updates: 100}
		for k, w := range golden.Schedules[name].([]any) {
			if got := o.Multiplier(k); math.Abs(got-w.(float64)) > 1e-12 {
				t.Errorf("%s at %d: %g, want %g", name, k, got, w)
			}
		}
	}
	var all []float64
	for _, g := range golden.Gradients {
		all = append(all, g...)
	}
	for _, c := range golden.Clip.Cases {
		v := s.NewVector(len(all))
		v.Write(all)
		v.ClipNorm(c.Max)
		got := vec.Slice(v)
		for i := range got {
			if w := c.Clipped[i/n][i%n]; math.Abs(got[i]-w) > 1e-6*math.Max(math.Abs(w), 1e-3) {
				t.Errorf("clipped to %g, entry %d: %g, want %g", c.Max, i, got[i], w)
			}
		}
	}
}
