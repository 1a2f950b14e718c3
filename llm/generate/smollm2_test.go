package generate_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/generate"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// smolVariable names the environment variable with the path of the GGUF file of
// smollm2.json, which is too large to test with every time.
const smolVariable = "BILEVEL_SMOLLM2"

// loadSmol opens SmolLM2 on XLA, or skips.
func loadSmol(t testing.TB) *generate.Model {
	t.Helper()
	path := os.Getenv(smolVariable)
	if path == "" {
		t.Skip(smolVariable + " is not set to the path of SmolLM2-135M-Instruct.Q4_1.gguf")
	}
	b := backendtest.Open(t, "xla:cpu")
	stored, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	m, err := generate.Load(device.NewSpace(b), stored)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	return m
}

// Ids of greedy decoding, and log-probabilities as in float64: logits in float32 are
// up to 7e-5 off, and the errors of the tokens of a text cancel in part.
func TestSmolLM2(t *testing.T) {
	m := loadSmol(t)
	var golden struct {
		Greedy struct {
			Prompt []int32 `json:"prompt_ids"`
			New    []int32 `json:"new_ids"`
		}
		Cases []struct {
			IDs  []int32   `json:"ids"`
			NLL  []float64 `json:"token_nll"`
			Mean float64   `json:"mean_nll_float64"`
		}
	}
	lmtest.JSON(t, lmtest.Golden(t, "smollm2.json"), &golden)
	g := generator(t, m, nil, generate.Settings{MaxTokens: len(golden.Greedy.New)})
	results, stats, err := g.Generate(context.Background(), [][]int32{golden.Greedy.Prompt}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := results[0].IDs; !slices.Equal(got, golden.Greedy.New) {
		t.Errorf("new ids %v, want %v", got, golden.Greedy.New)
	}
	t.Logf("%+v, %.1f tokens/s, %d programs", stats, stats.TokensPerSecond(), m.Space.Stats().Programs)

	var sequences [][]int32
	for _, c := range golden.Cases {
		sequences = append(sequences, c.IDs)
	}
	scores, err := m.LogProbs(context.Background(), sequences)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range golden.Cases {
		mean, worst := 0.0, 0.0
		for j, v := range scores[i] {
			mean -= float64(v) / float64(len(scores[i]))
			worst = max(worst, math.Abs(float64(v)+c.NLL[j]))
		}
		t.Logf("text %d: mean %g, %.1g off; tokens at most %.1g off", i, mean, math.Abs(mean-c.Mean), worst)
		if len(scores[i]) != len(c.NLL) || worst > 1e-4 || math.Abs(mean-c.Mean) > 2e-5 {
			t.Errorf("text %d: mean negative log-likelihood %g, want %g; tokens differ by up to %g", i, mean, c.Mean, worst)
		}
	}
}

func BenchmarkSmolLM2(b *testing.B) {
	m := loadSmol(b)
	for _, rows := range []int{1, 16} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			g := generator(b, m, nil, generate.Settings{MaxTokens: 64, EOS: []int{}, Rows: rows})
			benchmark(b, g, slices.Repeat([][]int32{{504, 8872, 21837, 260}}, rows))
		})
	}
}
