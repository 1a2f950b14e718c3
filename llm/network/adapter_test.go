package network_test

import (
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
)

// Adapters and heads as the peft library wrote them, in float32 with rounding of up
// to 3e-5 in logits of up to about 20.
func TestGoldenAdapters(t *testing.T) {
	var inputs lmtest.Batch
	lmtest.JSON(t, lmtest.Golden(t, "peft", "inputs.json"), &inputs)
	want := lmtest.Tensors(t, lmtest.Golden(t, "peft", "logits.safetensors"))
	saved := lmtest.Tensors(t, lmtest.Golden(t, "peft", "lm_head.safetensors"))
	plain := backendtest.Open(t, backend.Go)
	backendtest.Each(t, func(t *testing.T, b compute.Backend) {
		for _, c := range []struct {
			name, model, adapter string
			head                 bool
		}{
			{"before", "stories260k", "", false},
			{"after", "stories260k", "lora", false},
			{"head_only", "stories260k", "", true},
			{"after_with_head", "stories260k", "lora", true},
			{"after_rslora_head", "stories260k", "lora_rslora_head", false},
			{"neox_after", "tiny_neox", "lora_neox", false},
		} {
			t.Run(c.name, func(t *testing.T) {
				lmtest.Sample(t, b, c.name == "after_with_head")
				model := lmtest.Open(t, lmtest.Golden(t, c.model), "")
				net, err := network.New(model.Config)
				if err != nil {
					t.Fatal(err)
				}
				if c.head {
					model.Values[model.Config.HeadName()], _ = lmtest.Tensor(t, saved, "lm_head.weight")
				}
				merged := &lmtest.Model{Config: model.Config, Values: map[string][]float32{}}
				bind := func(*lmtest.Feed) *network.Adapter { return nil }
				for name, values := range model.Values {
					merged.Values[name] = append([]float32(nil), values...)
				}
				if c.adapter != "" {
					a := model.Adapter(t, lmtest.Golden(t, "peft", c.adapter))
					for name, values := range merged.Values {
						if err := lora.Merge(a, name, values); err != nil {
							t.Fatal(err)
						}
					}
					for _, s := range a.Saved {
						model.Values[s.Name] = s.Values
					}
					bind = func(f *lmtest.Feed) *network.Adapter { return lora.Bind(a, f.Parameters(lora.Parameters(a))) }
				}
				got := lmtest.Run(t, b, func(f *lmtest.Feed) []*graph.Node {
					w := f.Weights(model)
					return []*graph.Node{network.Logits(net.Hidden(w, bind(f), f.IDs("ids", inputs)), w(model.Config.HeadName()))}
				})
				whole := lmtest.Run(t, plain, func(f *lmtest.Feed) []*graph.Node {
					w := f.Weights(merged)
					return []*graph.Node{network.Logits(net.Hidden(w, nil, f.IDs("ids", inputs)), w(model.Config.HeadName()))}
				})
				values, _ := lmtest.Tensor(t, want, c.name)
				lmtest.Near(t, "logits", masked(got[0], inputs.Mask), values, tolerance)
				lmtest.Near(t, "logits with the update merged", masked(whole[0], inputs.Mask), values, tolerance)
			})
		}
	})
}
