package response

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

func capacities(m *Model, rng *rand.Rand, s *Solver, part float64) []float64 {
	x := make([]float64, m.Links)
	for e := range x {
		x[e] = 1e9
	}
	if err := s.Solve(math.Inf(1), x, nil); err != nil {
		panic(err)
	}
	for e := range x {
		x[e] = s.Answer.Loads[e] * part * (0.5 + rng.Float64())
	}
	return x
}

func BenchmarkCold(b *testing.B) {
	for _, name := range network.BuiltIn() {
		b.Run(name, func(b *testing.B) {
			m := open(b, name)
			s := NewSolver(m)
			x := capacities(m, rand.New(rand.NewPCG(1, 1)), s, 0.6)
			for b.Loop() {
				if err := s.Solve(math.Inf(1), x, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.Answer.Steps), "steps")
		})
	}
}

func BenchmarkWarm(b *testing.B) {
	for _, name := range network.BuiltIn() {
		b.Run(name, func(b *testing.B) {
			m := open(b, name)
			s := NewSolver(m)
			rng := rand.New(rand.NewPCG(1, 1))
			x := capacities(m, rng, s, 0.6)
			if err := s.Solve(math.Inf(1), x, nil); err != nil {
				b.Fatal(err)
			}
			prices := slices.Clone(s.Answer.Prices)
			for e := range x {
				x[e] *= 1 + 0.02*rng.Float64()
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Solve(math.Inf(1), x, prices); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.Answer.Steps), "steps")
		})
	}
}
