package generate_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/generate"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
)

func run(t *testing.T, g *generate.Generator, prompts ...[]int32) []generate.Result {
	t.Helper()
	results, _, err := g.Generate(context.Background(), prompts, nil)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// Log-probabilities by the adapters and heads of the golden files, as float32
// logits of the peft library give them: rounding of up to 3e-5 there, twice here.
func TestGoldenLogProbs(t *testing.T) {
	var inputs lmtest.Batch
	lmtest.JSON(t, lmtest.Golden(t, "peft", "inputs.json"), &inputs)
	golden := lmtest.Tensors(t, lmtest.Golden(t, "peft", "logits.safetensors"))
	head, _ := lmtest.Tensor(t, lmtest.Tensors(t, lmtest.Golden(t, "peft", "lm_head.safetensors")), "lm_head.weight")
	backendtest.Each(t, func(t *testing.T, b compute.Backend) {
		for _, c := range []struct {
			name, model, adapter string
			head                 []float32
		}{
			{"before", "stories260k", "", nil},
			{"after", "stories260k", "lora", nil},
			{"head_only", "stories260k", "", head},
			{"after_with_head", "stories260k", "lora", head},
			{"after_rslora_head", "stories260k", "lora_rslora_head", nil},
			{"neox_after", "tiny_neox", "lora_neox", nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				lmtest.Sample(t, b, c.name == "after_with_head")
				var adapter *weights.Adapter
				base := open(t, b, c.model)
				if c.adapter != "" {
					adapter = readAdapter(t, lmtest.Golden(t, "peft", c.adapter), base)
				}
				m, err := base.With(adapter, c.head)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(m.Release)
				var sequences [][]int32
				for r, ids := range inputs.IDs {
					n := 0
					for _, on := range inputs.Mask[r] {
						n += on
					}
					sequences = append(sequences, ids[:n])
				}
				got, err := m.LogProbs(context.Background(), sequences)
				if err != nil {
					t.Fatal(err)
				}
				logits, shape := lmtest.Tensor(t, golden, c.name)
				length, vocabulary := shape[1], shape[2]
				for r, s := range sequences {
					for i, v := range got[r] {
						want := logSoftmax(logits[(r*length+i)*vocabulary:][:vocabulary], s[i+1])
						if math.Abs(float64(v)-want) > 1e-4 {
							t.Fatalf("sequence %d, token %d: %g, want %g", r, i+1, v, want)
						}
					}
				}
			})
		}
	})
}

func logSoftmax(z []float32, id int32) float64 {
	top, sum := float64(slices.Max(z)), 0.0
	for _, v := range z {
		sum += math.Exp(float64(v) - top)
	}
	return float64(z[id]) - top - math.Log(sum)
}

func open(t testing.TB, b compute.Backend, name string) *generate.Model {
	t.Helper()
	stored, err := weights.Open(lmtest.Golden(t, name))
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

func readAdapter(t testing.TB, dir string, m *generate.Model) *weights.Adapter {
	t.Helper()
	a, err := weights.ReadAdapter(dir)
	if err == nil {
		err = a.Bind(dir, m.Network.Config())
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func goBackend(t testing.TB) compute.Backend { return backendtest.Open(t, backend.Go) }

// The same seed gives the same text whatever else is in the batch; another seed
// gives another text.
func TestSampledTextBelongsToItsSeed(t *testing.T) {
	cases := goldenCases(t)
	m, tok := load(t, goBackend(t), "stories260k")
	prompts := [][]int32{cases[0].IDs, cases[1].IDs, cases[0].IDs[:5], cases[1].IDs[:3], cases[0].IDs}
	s := generate.Settings{MaxTokens: 24, Temperature: 0.9, TopP: 0.9, Seed: 7, Rows: 5}
	together := run(t, generator(t, m, tok, s), prompts...)
	s.Rows = 2
	if apart := run(t, generator(t, m, tok, s), prompts...); !reflect.DeepEqual(apart, together) {
		t.Errorf("in batches of 2:\n%v\nof 5:\n%v", apart, together)
	}
	if together[0].Text == together[4].Text {
		t.Error("equal prompts of one call draw the same numbers")
	}
	s.Seed = 8
	if other := run(t, generator(t, m, tok, s), prompts...); other[0].Text == together[0].Text {
		t.Error("another seed gives the same text")
	}
}

// Prompts longer than a piece, and a repetition penalty: greedy on the host agrees
// with greedy on the device.
func TestPromptsInPieces(t *testing.T) {
	cases := goldenCases(t)
	m, tok := load(t, goBackend(t), "stories260k")
	long := slices.Concat(cases[0].IDs, cases[0].New, cases[1].IDs[1:], cases[1].New)
	prompts := [][]int32{long, cases[0].IDs, long[:65], long[:100]}
	device := run(t, generator(t, m, tok, generate.Settings{MaxTokens: 10}), prompts...)
	// A penalty so weak that it changes nothing but takes the host's way.
	host := run(t, generator(t, m, tok, generate.Settings{MaxTokens: 10, RepetitionPenalty: 1 + 1e-9}), prompts...)
	if !reflect.DeepEqual(device, host) {
		t.Errorf("device %v\nhost %v", device, host)
	}
	if !slices.Equal(device[1].IDs, cases[0].New[:10]) {
		t.Errorf("%v, want %v", device[1].IDs, cases[0].New[:10])
	}
}

// A conversation continued on its cache is the one that is fed anew each time,
// also where it takes back what it said and where the cache must grow.
func TestSession(t *testing.T) {
	cases := goldenCases(t)
	m, tok := load(t, goBackend(t), "stories260k")
	g := generator(t, m, tok, generate.Settings{MaxTokens: 8})
	s := g.Session()
	t.Cleanup(s.Close)
	prompt := cases[0].IDs
	fed := 0
	for i := range 6 {
		r, stats, err := s.Generate(context.Background(), prompt, nil)
		if err != nil {
			t.Fatal(err)
		}
		fed += stats.PromptTokens
		if want := run(t, g, prompt)[0]; !reflect.DeepEqual(r, want) {
			t.Fatalf("turn %d: %v, want %v", i, r, want)
		}
		prompt = slices.Concat(prompt, r.IDs, cases[1].IDs[1:])
		if i == 3 {
			prompt = slices.Concat(prompt[:20], cases[1].New, cases[0].New)
		}
	}
	// A turn feeds what is new since the last: the text's last token, which was
	// chosen and not fed, and what was added. The change of mind feeds more.
	if added := len(cases[1].IDs) - 1; fed != len(cases[0].IDs)+4*(1+added)+len(cases[0].New)+len(cases[1].New) {
		t.Errorf("%d tokens of prompts were fed", fed)
	}
	if _, _, err := s.Generate(context.Background(), nil, nil); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("an empty prompt: %v", err)
	}
}

func TestReasons(t *testing.T) {
	cases := goldenCases(t)
	m, tok := load(t, goBackend(t), "stories260k")
	prompt, ids := cases[0].IDs, cases[0].New
	full := cases[0].Full[len(cases[0].Prompt):]
	before := func(stop string) string { return full[:strings.Index(full, stop)] }
	for _, c := range []struct {
		name     string
		settings generate.Settings
		text     string
		reason   generate.Reason
	}{
		{"limit", generate.Settings{MaxTokens: 1}, " named", generate.TokenLimit},
		{"end of text", generate.Settings{MaxTokens: 64, EOS: []int{int(ids[20])}}, "", generate.EndOfText},
		{"stop", generate.Settings{MaxTokens: 64, Stop: []string{"never", ". One"}}, before(". One"), generate.StopString},
		{"stop inside a token", generate.Settings{MaxTokens: 64, Stop: []string{"ome"}}, " named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.\nLily's m", generate.TokenLimit},
		{"first of two", generate.Settings{MaxTokens: 64, Stop: []string{"park", "play out"}}, before("play out"), generate.StopString},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shown strings.Builder
			results, _, err := generator(t, m, tok, c.settings).Generate(context.Background(), [][]int32{prompt}, func(_ int, piece string) { shown.WriteString(piece) })
			if err != nil {
				t.Fatal(err)
			}
			r := results[0]
			switch c.name {
			case "end of text":
				at := slices.Index(ids, ids[20])
				if !slices.Equal(r.IDs, ids[:at]) {
					t.Errorf("%v, want %v", r.IDs, ids[:at])
				}
			case "stop inside a token":
				if strings.Contains(r.Text, "ome") || !strings.HasPrefix(full, r.Text) {
					t.Errorf("%q", r.Text)
				}
				c.reason = r.Reason
			default:
				if r.Text != c.text {
					t.Errorf("%q, want %q", r.Text, c.text)
				}
			}
			if r.Reason != c.reason || shown.String() != r.Text {
				t.Errorf("%s, shown %q of %q; want %s", r.Reason, shown.String(), r.Text, c.reason)
			}
		})
	}
}

// The context ends a text: as many tokens as there is room for.
func TestContextLimit(t *testing.T) {
	m, tok := load(t, goBackend(t), "stories260k")
	g := generator(t, m, tok, generate.Settings{MaxTokens: 100000, EOS: []int{}})
	prompt := goldenCases(t)[0].IDs
	for _, n := range []int{40, 511} {
		long := slices.Repeat(prompt, 50)[:n]
		r := run(t, g, long)[0]
		if r.Reason != generate.ContextLimit || len(r.IDs) != 512-n {
			t.Errorf("after %d tokens: %d new, %s", n, len(r.IDs), r.Reason)
		}
	}
}

func TestInterrupted(t *testing.T) {
	cases := goldenCases(t)
	m, tok := load(t, goBackend(t), "stories260k")
	g := generator(t, m, tok, generate.Settings{MaxTokens: 64, Rows: 1})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pieces := 0
	results, stats, err := g.Generate(ctx, [][]int32{cases[0].IDs, cases[1].IDs}, func(int, string) {
		if pieces++; pieces == 5 {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	first, second := results[0], results[1]
	if len(cases[1].IDs) < len(cases[0].IDs) {
		first, second = second, first
	}
	if first.Reason != generate.Interrupted || second.Reason != generate.Interrupted || len(first.IDs) == 0 || len(first.IDs) > 10 || len(second.IDs) != 0 || stats.NewTokens != len(first.IDs) {
		t.Errorf("%+v, %+v", results, stats)
	}
}

func TestGenerateRefuses(t *testing.T) {
	m, tok := load(t, goBackend(t), "stories260k")
	g := generator(t, m, tok, generate.Settings{})
	for name, prompts := range map[string][][]int32{
		"empty": {{1}, {}}, "long": {make([]int32, 512)}, "negative": {{-1}}, "beyond": {{1, 512}},
	} {
		if _, _, err := g.Generate(context.Background(), prompts, nil); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if results, _, err := g.Generate(context.Background(), nil, nil); err != nil || len(results) != 0 {
		t.Errorf("no prompts: %v, %v", results, err)
	}
	for _, sequences := range [][][]int32{{{1}}, {make([]int32, 513)}, {{1, 600}}} {
		if _, err := m.LogProbs(context.Background(), sequences); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%d tokens: %v", len(sequences[0]), err)
		}
	}
	if _, err := generate.New(m, nil, generate.Settings{Stop: []string{"x"}}); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("stop strings without a tokenizer: %v", err)
	}
	if _, err := m.With(nil, make([]float32, 3)); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("a short head: %v", err)
	}
	neox := open(t, goBackend(t), "tiny_neox")
	big, err := tokenizer.Open(lmtest.Golden(t, "tokenizers", "llama3style", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := generate.New(neox, big, generate.Settings{}); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("a tokenizer beyond the vocabulary: %v", err)
	}
}

// Weights that are not finite end a text with an error, not with a token.
func TestNotFinite(t *testing.T) {
	base := open(t, goBackend(t), "stories260k")
	c := base.Network.Config()
	head := make([]float32, c.Vocabulary*c.Hidden)
	head[5*c.Hidden] = float32(math.NaN())
	m, err := base.With(nil, head)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	for _, temperature := range []float64{0, 1} {
		g := generator(t, m, nil, generate.Settings{Temperature: temperature})
		if _, _, err := g.Generate(context.Background(), [][]int32{{1, 2}}, nil); err == nil || !strings.Contains(err.Error(), "finite") && !strings.Contains(err.Error(), "NaN") {
			t.Errorf("temperature %g: %v", temperature, err)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, c := range []struct {
		name string
		rows int
	}{{"rows=1", 1}, {"rows=16", 16}} {
		for _, spec := range []string{backend.Go, "xla:cpu"} {
			b.Run(spec+"/"+c.name, func(b *testing.B) {
				m, tok := load(b, backendtest.Open(b, spec), "stories260k")
				g := generator(b, m, tok, generate.Settings{MaxTokens: 100, EOS: []int{}, Rows: c.rows})
				benchmark(b, g, slices.Repeat([][]int32{{1, 403, 407, 261, 378}}, c.rows))
			})
		}
	}
}

// benchmark reports the rate of new tokens without compiling and feeding prompts.
func benchmark(b *testing.B, g *generate.Generator, prompts [][]int32) {
	var all generate.Stats
	for b.Loop() {
		_, s, err := g.Generate(context.Background(), prompts, nil)
		if err != nil {
			b.Fatal(err)
		}
		all.NewTokens += s.NewTokens
		all.Total += s.Total
		all.Compiling += s.Compiling
		all.Prompt += s.Prompt
	}
	b.ReportMetric(all.TokensPerSecond(), "tokens/s")
}
