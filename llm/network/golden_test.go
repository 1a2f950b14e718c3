package network_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
)

// models are the golden models: folder, config (or ""), golden files, and the
// spelling of transformers 5 where there is one.
var models = []struct{ dir, config, golden string }{
	{"stories260k", "", "golden"},
	{"tiny_llama_gqa", "", "golden"},
	{"tiny_llama_gqa", "config_rope_llama3.json", "golden_rope_llama3"},
	{"tiny_llama_gqa", "config_rope_llama3_transformers5.json", "golden_rope_llama3"},
	{"tiny_neox", "", "golden"},
	{"tiny_neox", "config_transformers5.json", "golden"},
	{"tiny_neox", "config_sequential.json", "golden_sequential"},
}

// tolerance is relative to a tensor's largest entry. transformers in float32 differs
// from the float64 goldens by up to 2e-6 of it.
const tolerance = 1e-5

// masked sets padding positions to 0, as the goldens have them.
func masked(values []float32, mask [][]int) []float32 {
	width := len(values) / (len(mask) * len(mask[0]))
	i := 0
	for _, row := range mask {
		for _, m := range row {
			if m == 0 {
				clear(values[i : i+width])
			}
			i += width
		}
	}
	return values
}

func TestGoldenForward(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, backend compute.Backend) {
		for _, m := range models {
			t.Run(fmt.Sprintf("%s/%s%s", m.dir, m.golden, m.config), func(t *testing.T) {
				lmtest.Sample(t, backend, strings.HasPrefix(m.config, "config_sequential"))
				model := lmtest.Open(t, lmtest.Golden(t, m.dir), m.config)
				net, err := network.New(model.Config)
				if err != nil {
					t.Fatal(err)
				}
				adapter := model.Adapter(t, lmtest.Golden(t, m.dir, "adapter"))
				var golden struct{ SFT lmtest.Batch }
				lmtest.JSON(t, lmtest.Golden(t, m.dir, m.golden+".json"), &golden)
				want := lmtest.Tensors(t, lmtest.Golden(t, m.dir, m.golden+".safetensors"))
				got := lmtest.Run(t, backend, func(f *lmtest.Feed) []*graph.Node {
					w := f.Weights(model)
					a := lora.Bind(adapter, f.Parameters(lora.Parameters(adapter)))
					ids := f.IDs("ids", golden.SFT)
					base, tuned := net.Hidden(w, nil, ids), net.Hidden(w, a, ids)
					head := w(model.Config.HeadName())
					return []*graph.Node{base, network.Logits(base, head), tuned, network.Logits(tuned, head)}
				})
				for i, name := range []string{"base/hidden", "base/logits", "lora/hidden", "lora/logits"} {
					values, _ := lmtest.Tensor(t, want, name)
					lmtest.Near(t, name, masked(got[i], golden.SFT.Mask), values, tolerance)
				}
			})
		}
	})
}
