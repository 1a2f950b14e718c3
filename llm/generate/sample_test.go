package generate_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/generate"
)

// distribution is the law of the next token, formed plainly from the package's
// definition.
func distribution(logits []float32, s generate.Settings, seen []int32) []float64 {
	z := make([]float64, len(logits))
	for i, v := range logits {
		z[i] = float64(v)
	}
	if r := s.RepetitionPenalty; r != 0 {
		for i := range z {
			switch {
			case !slices.Contains(seen, int32(i)):
			case z[i] > 0:
				z[i] /= r
			default:
				z[i] *= r
			}
		}
	}
	p := make([]float64, len(z))
	for i := range z {
		p[i] = math.Exp(z[i] / s.Temperature)
	}
	normalise := func() {
		total := 0.0
		for _, v := range p {
			total += v
		}
		for i := range p {
			p[i] /= total
		}
	}
	normalise()
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] > p[b]:
			return -1
		case p[a] < p[b]:
			return 1
		}
		return 0
	})
	if s.TopK > 0 && s.TopK < len(p) {
		for _, i := range order[s.TopK:] {
			p[i] = 0
		}
		normalise()
	}
	if s.TopP > 0 {
		mass := 0.0
		for _, i := range order {
			if mass >= s.TopP {
				p[i] = 0
			}
			mass += p[i]
		}
		normalise()
	}
	for _, i := range order {
		if p[i] < s.MinP*p[order[0]] {
			p[i] = 0
		}
	}
	normalise()
	return p
}

// Frequencies of draws agree with the definition, and tokens that a filter drops
// never occur.
func TestSamplerFollowsItsLaw(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	logits := make([]float32, 40)
	for i := range logits {
		logits[i] = float32(2 * rng.NormFloat64())
	}
	logits[7], logits[8] = logits[9], logits[9] // ties
	seen := []int32{0, 3, 3, 9, 17}
	const draws = 40000
	for _, s := range []generate.Settings{
		{Temperature: 1},
		{Temperature: 0.5},
		{Temperature: 2, TopK: 5},
		{Temperature: 1, TopK: 39},
		{Temperature: 1, TopP: 0.7},
		{Temperature: 1.5, MinP: 0.1},
		{Temperature: 1, RepetitionPenalty: 1.8},
		{Temperature: 1.3, TopK: 12, TopP: 0.8, MinP: 0.05, RepetitionPenalty: 1.2},
		{Temperature: 1, TopP: 1e-9},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			sampler, err := generate.NewSampler(s, 0)
			if err != nil {
				t.Fatal(err)
			}
			count := make([]int, len(logits))
			for range draws {
				id, err := sampler.Next(logits, seen)
				if err != nil {
					t.Fatal(err)
				}
				count[id]++
			}
			for i, p := range distribution(logits, s, seen) {
				if p == 0 && count[i] > 0 {
					t.Errorf("token %d was dropped and occurred %d times", i, count[i])
				}
				// Five standard deviations; the draws are the same in every run.
				if d := math.Abs(float64(count[i])/draws - p); d > 5*math.Sqrt(p*(1-p)/draws) {
					t.Errorf("token %d: frequency %g, want %g", i, float64(count[i])/draws, p)
				}
			}
		})
	}
}

func TestSamplerSeeds(t *testing.T) {
	draw := func(seed uint64, row int) []int32 {
		s, err := generate.NewSampler(generate.Settings{Temperature: 1, Seed: seed}, row)
		if err != nil {
			t.Fatal(err)
		}
		var ids []int32
		for range 20 {
			id, err := s.Next(make([]float32, 1000), nil)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	a := draw(1, 0)
	if !slices.Equal(a, draw(1, 0)) || slices.Equal(a, draw(2, 0)) || slices.Equal(a, draw(1, 1)) {
		t.Error("draws must be those of the seed and the row")
	}
}

func TestSamplerRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, logits := range [][]float32{{1, nan}, {nan, nan}, {1, inf}, {-inf, -inf}} {
		for _, temperature := range []float64{0, 1} {
			s, err := generate.NewSampler(generate.Settings{Temperature: temperature}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if id, err := s.Next(logits, nil); err == nil {
				t.Errorf("%v at temperature %g gives token %d", logits, temperature, id)
			}
		}
	}
	s, _ := generate.NewSampler(generate.Settings{Temperature: 1}, 0)
	if id, err := s.Next([]float32{-inf, 2, -inf}, nil); err != nil || id != 1 {
		t.Errorf("the only possible token: %d, %v", id, err)
	}
	for _, bad := range []generate.Settings{
		{Temperature: -1}, {Temperature: math.NaN()}, {Temperature: math.Inf(1)}, {TopK: -1}, {TopP: -0.1}, {TopP: 1.1}, {TopP: math.NaN()},
		{MinP: -1}, {MinP: 1}, {RepetitionPenalty: -1}, {RepetitionPenalty: math.Inf(1)}, {MaxTokens: -1}, {Rows: -1}, {Rows: 1 << 20}, {Stop: []string{""}},
	} {
		if _, err := generate.NewSampler(bad, 0); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// A large vocabulary takes the other ways through the filters.
func TestSamplerLargeVocabulary(t *testing.T) {
	logits := make([]float32, 50000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range logits {
		logits[i] = float32(rng.NormFloat64())
	}
	for _, s := range []generate.Settings{{Temperature: 1, TopK: 300}, {Temperature: 1, TopK: 30}, {Temperature: 0.3, TopP: 0.3}} {
		p := distribution(logits, s, nil)
		sampler, _ := generate.NewSampler(s, 0)
		for range 40 {
			id, err := sampler.Next(logits, nil)
			if err != nil || p[id] == 0 {
				t.Fatalf("%+v: token %d, which was dropped, %v", s, id, err)
			}
		}
	}
}

func BenchmarkSampler(b *testing.B) {
	logits := make([]float32, 49152)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range logits {
		logits[i] = float32(3 * rng.NormFloat64())
	}
	for _, s := range []generate.Settings{{}, {Temperature: 0.8}, {Temperature: 0.8, TopK: 50}, {Temperature: 0.8, TopP: 0.95}} {
		b.Run(fmt.Sprintf("T=%g,k=%d,p=%g", s.Temperature, s.TopK, s.TopP), func(b *testing.B) {
			sampler, err := generate.NewSampler(s, 0)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := sampler.Next(logits, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
