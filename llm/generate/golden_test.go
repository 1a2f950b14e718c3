package generate_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/generate"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// load opens a model of the golden files with its tokenizer.
func load(t testing.TB, b compute.Backend, name string) (*generate.Model, *tokenizer.Tokenizer) {
	t.Helper()
	dir := lmtest.Golden(t, name)
	stored, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	m, err := generate.Load(device.NewSpace(b), stored)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	tok, err := tokenizer.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m, tok
}

func generator(t testing.TB, m *generate.Model, tok *tokenizer.Tokenizer, s generate.Settings) *generate.Generator {
	t.Helper()
	g, err := generate.New(m, tok, s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

type goldenCase struct {
	Prompt string
	IDs    []int32 `json:"prompt_ids"`
	New    []int32 `json:"new_ids"`
	Text   string
	Full   string `json:"full_text"`
}

func goldenCases(t testing.TB) []goldenCase {
	var golden struct{ Cases []goldenCase }
	lmtest.JSON(t, lmtest.Golden(t, "generation.json"), &golden)
	return golden.Cases
}

// The ids and the text of the golden file, of both prompts at once, of one after
// the other in a batch of one, and with prompts that make rows change places.
func TestGoldenGeneration(t *testing.T) {
	cases := goldenCases(t)
	backendtest.Each(t, func(t *testing.T, b compute.Backend) {
		m, tok := load(t, b, "stories260k")
		for _, c := range []struct {
			name         string
			rows, copies int
		}{{"together", 2, 1}, {"apart", 1, 1}, {"refilled", 3, 4}} {
			t.Run(c.name, func(t *testing.T) {
				lmtest.Sample(t, b, c.name == "refilled")
				var prompts [][]int32
				for range c.copies {
					for _, g := range cases {
						prompts = append(prompts, g.IDs)
					}
				}
				shown := make([]strings.Builder, len(prompts))
				g := generator(t, m, tok, generate.Settings{MaxTokens: 64, Rows: c.rows})
				results, stats, err := g.Generate(context.Background(), prompts, func(i int, piece string) { shown[i].WriteString(piece) })
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range results {
					want := cases[i%len(cases)]
					if !slices.Equal(r.IDs, want.New) {
						t.Errorf("prompt %d: %v, want %v", i, r.IDs, want.New)
					}
					if want.Prompt+r.Text != want.Full || shown[i].String() != r.Text || r.Reason != generate.TokenLimit {
						t.Errorf("prompt %d: %q shown as %q (%s), want %q after %q", i, r.Text, shown[i].String(), r.Reason, want.Full, want.Prompt)
					}
				}
				if want := 64 * len(prompts); stats.NewTokens != want {
					t.Errorf("%d new tokens, want %d", stats.NewTokens, want)
				}
				t.Logf("%+v, %.0f tokens/s", stats, stats.TokensPerSecond())
			})
		}
	})
}
