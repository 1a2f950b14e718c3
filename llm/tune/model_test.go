package tune

import (
	"fmt"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/objective"
	"github.com/bilevel-go/bilevel/llm/weights"
	"github.com/bilevel-go/bilevel/vec"
	"github.com/gomlx/compute"
)

type golden struct {
	SFT      lmtest.Batch `json:"sft"`
	Chosen   lmtest.Batch `json:"dpo_chosen"`
	Rejected lmtest.Batch `json:"dpo_rejected"`
	Float64  struct {
		LoRA struct {
			Loss float64 `json:"loss"`
		} `json:"lora"`
		DPO struct {
			Loss     float64 `json:"loss"`
			Accuracy float64 `json:"accuracy"`
			Margin   float64 `json:"margin_mean"`
		} `json:"dpo"`
	} `json:"float64"`
}

// batchOf is a golden batch in the layout of package data, with rows numbered
// from 0; rows 0 to n-1 only.
func batchOf(b lmtest.Batch, pairs bool) *data.Batch {
	at, target, row, weight := b.Positions(8)
	rows := len(b.IDs)
	out := &data.Batch{Rows: rows, Length: len(b.IDs[0]), IDs: b.Flat(), At: at, Target: target, Row: row, Weight: weight}
	for i := range rows {
		if pairs {
			i %= rows / 2
		}
		out.Source = append(out.Source, i)
	}
	return out
}

// rows takes some rows of a batch.
func rows(b lmtest.Batch, from, to int) lmtest.Batch {
	return lmtest.Batch{IDs: b.IDs[from:to], Mask: b.Mask[from:to], Labels: b.Labels[from:to]}
}

// setup is a golden model with its adapter: micro says how its batches are cut.
func setup(t *testing.T, backend compute.Backend, folder string, micro bool) (*Model, *device.Vector, *device.Vector, golden, *weights.Store) {
	t.Helper()
	dir := lmtest.Golden(t, folder)
	var g golden
	lmtest.JSON(t, lmtest.Golden(t, folder, "golden.json"), &g)
	stored, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	adapter, err := weights.ReadAdapter(lmtest.Golden(t, folder, "adapter"))
	if err == nil {
		err = adapter.Bind("adapter", &stored.Config)
	}
	if err != nil {
		t.Fatal(err)
	}
	net, err := network.New(&stored.Config)
	if err != nil {
		t.Fatal(err)
	}
	space := device.NewSpace(backend)
	base, head, err := load(space, stored)
	if err != nil {
		t.Fatal(err)
	}
	b := &backbone{space: space, network: net, adapter: adapter, x: layoutOf(lora.Parameters(adapter)),
		head: []int{stored.Config.Vocabulary, stored.Config.Hidden}, frozen: base, name: folder}
	x := make([]float32, 0, b.x.Size())
	for _, p := range lora.Parameters(adapter) {
		x = append(x, p.Values...)
	}
	y := space.Vector(head)
	sft := []*data.Batch{batchOf(g.SFT, false)}
	dpo := []*data.Batch{batchOf(g.Chosen.Join(g.Rejected), true)}
	if micro {
		n := len(g.SFT.IDs)
		sft = []*data.Batch{batchOf(rows(g.SFT, 0, 1), false), batchOf(rows(g.SFT, 1, n), false)}
		n = len(g.Chosen.IDs)
		first, rest := batchOf(rows(g.Chosen, 0, 2).Join(rows(g.Rejected, 0, 2)), true), batchOf(rows(g.Chosen, 2, n).Join(rows(g.Rejected, 2, n)), true)
		for i := range rest.Source {
			rest.Source[i] += 2
		}
		dpo = []*data.Batch{first, rest}
	}
	logs := LogProbs{}
	for _, pairs := range dpo {
		if err := b.reference(y.Array(), pairs, logs); err != nil {
			t.Fatal(err)
		}
	}
	m := newModel(&Trainer{b: b, headAt: y.Array().Hold()},
		Level{Objective: Objective{Kind: DPO, DPO: objective.DefaultDPO()}, Batch: func(int) []*data.Batch { return dpo }, Reference: logs.Lookup},
		Level{Objective: Objective{Kind: SFT}, Batch: func(int) []*data.Batch { return sft }})
	if err := m.Sample(0); err != nil {
		t.Fatal(err)
	}
	return m, space.Vector(x), y, g, lmtest.Tensors(t, lmtest.Golden(t, folder, "golden.safetensors"))
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Max(1, math.Abs(want))) {
		t.Errorf("%s is %.9g, want %.9g", what, got, want)
	}
}

// Losses and gradients of both levels equal the golden ones, in one batch and
// accumulated over two unequal micro-batches. float32 rounding alone reaches 2e-5
// of the largest entry.
func TestGoldenGradients(t *testing.T) {
	const tolerance = 1e-4
	for _, c := range []struct {
		spec, folder string
		micro        bool
	}{{"go", "stories260k", false}, {"go", "stories260k", true}, {"xla:cpu", "tiny_llama_gqa", false}} {
		t.Run(fmt.Sprintf("%s %s %v", c.spec, c.folder, c.micro), func(t *testing.T) {
			m, x, y, g, want := setup(t, backendtest.Open(t, c.spec), c.folder, c.micro)
			dx, dy := m.space.NewVector(x.Len()), m.space.NewVector(y.Len())
			check := func(prefix string) {
				t.Helper()
				values := dx.Array().Floats()
				for i, name := range m.x.Names {
					start, end := m.x.Part(i)
					w, _ := lmtest.Tensor(t, want, prefix+goldenName(name))
					lmtest.Near(t, prefix+name, values[start:end], w, tolerance)
				}
				w, _ := lmtest.Tensor(t, want, prefix+"lm_head.weight")
				lmtest.Near(t, prefix+"head", dy.Array().Floats(), w, tolerance)
			}
			m.LowerGradY(dy, x, y)
			m.LowerGradX(dx, x, y)
			near(t, "sft loss", m.lower.figures()[0], g.Float64.LoRA.Loss, 1e-6)
			check("lora/grad/")
			m.UpperGradY(dy, x, y)
			m.UpperGradX(dx, x, y)
			for i, w := range []float64{g.Float64.DPO.Loss, g.Float64.DPO.Accuracy, g.Float64.DPO.Margin} {
				near(t, "dpo figure", m.upper.figures()[i], w, 1e-5)
			}
			check("dpo/grad/")
			near(t, "f", m.Upper(x, y), g.Float64.DPO.Loss, 1e-5)
			near(t, "g", m.Lower(x, y), g.Float64.LoRA.Loss, 1e-6)
			if c.spec == "go" {
				near(t, "measured f", m.measure(m.upper, m.upper.Batch(0), x.Array(), y.Array())[0], g.Float64.DPO.Loss, 1e-5)
				near(t, "measured g", m.measure(m.lower, m.lower.Batch(0), x.Array(), y.Array())[0], g.Float64.LoRA.Loss, 1e-6)
			}
		})
	}
}

// goldenName is a parameter's name in the golden files.
func goldenName(name string) string {
	return "base_model.model." + name
}

// An x gradient after a step of y continues from the forward pass of that step:
// the network is built once in the program.
func TestForwardPassIsShared(t *testing.T) {
	m, x, y, _, _ := setup(t, backendtest.Open(t, "go"), "stories260k", false)
	dx, dy := m.space.NewVector(x.Len()), m.space.NewVector(y.Len())
	step := func() {
		m.UpperGradY(dy, x, y)
		y.Add(-0.01, dy)
		m.UpperGradX(dx, x, y)
		if vec.Norm(dx) == 0 {
			t.Error("no gradient")
		}
	}
	before := m.space.Stats().Executions
	step()
	if n := m.space.Stats().Executions - before; n != 1 {
		t.Errorf("%d programs for one step", n)
	}
}

// Hessian products by differences agree with a central difference of the
// gradient over another step.
func TestHessianProducts(t *testing.T) {
	m, x, y, _, _ := setup(t, backendtest.Open(t, "go"), "stories260k", false)
	v, dst := m.space.NewVector(y.Len()), m.space.NewVector(y.Len())
	m.LowerGradY(v, x, y) // a direction that matters
	m.LowerHessYY(dst, x, y, v)
	curvature := dst.Dot(v) / v.Dot(v)
	h := 0.1 / vec.Norm(v)
	g := func(s float64) float64 {
		at := vec.Clone(y)
		at.Add(s*h, v)
		return m.Lower(x, at)
	}
	second := (g(1) - 2*g(0) + g(-1)) / (0.1 * 0.1)
	if !(curvature > 0) || math.Abs(curvature-second) > 0.05*second {
		t.Errorf("curvature of g along its gradient is %g, by its values %g", curvature, second)
	}
}
