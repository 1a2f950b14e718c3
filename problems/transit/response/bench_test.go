package response

import (
	"fmt"
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

func BenchmarkGrid(b *testing.B) {
	for _, n := range []int{5, 10, 20} {
		b.Run(fmt.Sprintf("%dx%d", n, n), func(b *testing.B) {
			net, err := network.Grid(n, n, 1)
			if err != nil {
				b.Fatal(err)
			}
			m := model(b, net)
			s := NewSolver(m)
			x := capacities(m, rand.New(rand.NewPCG(1, 1)), s, 1)
			for b.Loop() {
				if err := s.Solve(math.Inf(1), x, nil); err != nil {
					b.Fatal(err, s.Answer.Gap, s.Answer.Steps)
				}
			}
			b.ReportMetric(float64(s.Answer.Steps), "steps")
			b.ReportMetric(float64(s.Answer.Paths), "paths")
		})
	}
}

func BenchmarkPricing(b *testing.B) {
	m := open(b, "seville")
	p := NewPricing(m)
	prices := make([]float64, m.Links)
	rng := rand.New(rand.NewPCG(1, 1))
	for e := range prices {
		prices[e] = rng.Float64()
	}
	for b.Loop() {
		p.Evaluate(prices)
	}
}
