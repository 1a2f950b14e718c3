package response

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

func open(tb testing.TB, name string) *Model {
	tb.Helper()
	n, err := network.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := NewModel(n)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestTrace(t *testing.T) {
	for _, name := range network.BuiltIn() {
		m := open(t, name)
		s := NewSolver(m)
		x := make([]float64, m.Links)
		rng := rand.New(rand.NewPCG(1, 1))
		for c := range 3 {
			for e := range x {
				x[e] = []float64{0.3, 1, 30}[c] * rng.Float64()
			}
			err := s.Solve(math.Inf(1), x, nil)
			fmt.Println("cold", err, s.Answer.Steps, s.Answer.Gap, s.Answer.Primal, s.Answer.Violation)
			pr := append([]float64(nil), s.Answer.Prices...)
			for e := range x {
				x[e] *= 1 + 0.01*rng.Float64()
			}
			err = s.Solve(math.Inf(1), x, pr)
			fmt.Println("warm", err, s.Answer.Steps, s.Answer.Gap)
		}
	}
}
