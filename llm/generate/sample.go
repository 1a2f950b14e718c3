package generate

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Sampler chooses tokens from logits, see the package comment. It belongs to one
// text and is used from one goroutine.
type Sampler struct {
	settings Settings
	random   *rand.Rand

	// Reused from token to token.
	scaled []float64
	kept   []candidate
	seen   map[int32]bool
}

type candidate struct {
	id int32
	p  float64
}

// NewSampler makes the sampler of row i of a call.
func NewSampler(s Settings, row int) (*Sampler, error) {
	s, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	return newSampler(s, row), nil
}

func newSampler(s Settings, row int) *Sampler {
	return &Sampler{settings: s, random: rand.New(rand.NewPCG(s.Seed, uint64(row)))}
}

// Next chooses a token by its logits; seen are the tokens so far, prompt and text.
// Of equally probable tokens the first goes before the others. Logits of which one
// is NaN or all are -Inf are an error.
func (s *Sampler) Next(logits []float32, seen []int32) (int32, error) {
	z := s.penalise(logits, seen)
	best := 0
	for i, v := range z {
		if math.IsNaN(v) {
			return 0, fmt.Errorf("generate: the logit of token %d is NaN, after %d tokens", i, len(seen))
		}
		if v > z[best] {
			best = i
		}
	}
	top := z[best]
	if math.IsInf(top, 0) {
		return 0, fmt.Errorf("generate: the largest logit is %g, after %d tokens; it must be finite", top, len(seen))
	}
	if s.settings.Temperature == 0 {
		return int32(best), nil
	}
	s.weigh(z, top)
	return s.draw(), nil
}

// penalise is the logits in float64 with the repetition penalty.
func (s *Sampler) penalise(logits []float32, seen []int32) []float64 {
	s.scaled = s.scaled[:0]
	for _, v := range logits {
		s.scaled = append(s.scaled, float64(v))
	}
	z, r := s.scaled, s.settings.RepetitionPenalty
	if r == 1 {
		return z
	}
	if s.seen == nil {
		s.seen = map[int32]bool{}
	}
	clear(s.seen)
	for _, id := range seen {
		if id < 0 || int(id) >= len(z) || s.seen[id] {
			continue
		}
		s.seen[id] = true
		if z[id] > 0 {
			z[id] /= r
		} else {
			z[id] *= r
		}
	}
	return z
}

// weigh makes s.kept the tokens that the filters leave, with weights relative to
// the most probable one, in the order of falling weight where a filter needs one.
func (s *Sampler) weigh(z []float64, top float64) {
	t := s.settings.Temperature
	s.kept = s.kept[:0]
	total := 0.0
	for i, v := range z {
		if p := math.Exp((v - top) / t); p > 0 {
			s.kept = append(s.kept, candidate{int32(i), p})
			total += p
		}
	}
	falling := func(a, b candidate) int { return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.id, b.id)) }
	sorted := false
	if k := s.settings.TopK; k > 0 && k < len(s.kept) {
		s.selectTop(k, falling)
		total = 0
		for _, c := range s.kept {
			total += c.p
		}
		sorted = true
	}
	if p := s.settings.TopP; p < 1 {
		if !sorted {
			s.selectMass(p * total)
			slices.SortFunc(s.kept, falling)
		}
		mass := 0.0
		for i, c := range s.kept {
			if mass += c.p; mass >= p*total {
				s.kept = s.kept[:i+1]
				break
			}
		}
	}
	if m := s.settings.MinP; m > 0 {
		s.kept = slices.DeleteFunc(s.kept, func(c candidate) bool { return c.p < m })
	}
}

// selectTop keeps the first k in an order, sorted.
func (s *Sampler) selectTop(k int, order func(a, b candidate) int) {
	const few = 256 // above it, insertion into a sorted list loses against sorting
	if k > few {
		slices.SortFunc(s.kept, order)
		s.kept = s.kept[:k]
		return
	}
	top := slices.Clone(s.kept[:k])
	slices.SortFunc(top, order)
	for _, c := range s.kept[k:] {
		if order(c, top[k-1]) >= 0 {
			continue
		}
		i, _ := slices.BinarySearchFunc(top, c, order)
		copy(top[i+1:], top[i:k-1])
		top[i] = c
	}
	s.kept = append(s.kept[:0], top...)
}

// selectMass keeps the tokens above some weight, in any order, that have at least
// this mass together: few are left to be sorted. The largest weight is 1.
func (s *Sampler) selectMass(mass float64) {
	for least := 0.1; least > 1e-12; least /= 10 {
		sum := 0.0
		for _, c := range s.kept {
			if c.p >= least {
				sum += c.p
			}
		}
		if sum >= mass {
			s.kept = slices.DeleteFunc(s.kept, func(c candidate) bool { return c.p < least })
			return
		}
	}
}

// draw takes one of the kept tokens in proportion to its weight.
func (s *Sampler) draw() int32 {
	total := 0.0
	for _, c := range s.kept {
		total += c.p
	}
	u := s.random.Float64() * total
	for _, c := range s.kept {
		if u -= c.p; u < 0 {
			return c.id
		}
	}
	return s.kept[len(s.kept)-1].id // u was total but for rounding
}
