package response

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/problems/transit/prices"
)

// searched are capacities where the search ends on a network.
func searched(t testing.TB, n *network.Network, seed uint64, rounds int) []float64 {
	t.Helper()
	s := prices.New(n, prices.Options{})
	memory, x := make([]float64, s.Memory()), make([]float64, len(n.Links))
	for range rounds {
		s.Round(memory, seed, 0, func() bool { return false })
	}
	s.Best(x, memory)
	return x
}

// Every closed link of a good design, opened a little, and every link far too wide: the
// response is found, proven by its gap, and keeps the capacities.
func TestTinyAndHugeCapacities(t *testing.T) {
	for _, name := range []string{"9node", "seville"} {
		m := open(t, name)
		x, s := searched(t, m.Network, 1, 2), NewSolver(m)
		for _, by := range []float64{1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e6, 1e12, 1e15, 1e300} {
			for e, before := range x {
				if by < 1 && before != 0 || name == "seville" && e%8 != 0 {
					continue
				}
				x[e] = before + by
				if err := s.Solve(math.Inf(1), x, nil); err != nil || !(s.Answer.Violation <= 1e-15*m.Total) {
					t.Errorf("%s: capacity %g of link %d: gap %g, load %g above a capacity: %v", name, x[e], e, s.Answer.Gap, s.Answer.Violation, err)
				}
				x[e] = before
			}
		}
	}
}

// Many capacities of all sizes at once.
func TestCapacitiesOfAllSizes(t *testing.T) {
	m := open(t, "9node")
	base, s, rng := searched(t, m.Network, 1, 2), NewSolver(m), rand.New(rand.NewPCG(1, 2))
	failed, x := 0, make([]float64, len(base))
	const trials = 300
	for range trials {
		copy(x, base)
		for range 1 + rng.IntN(6) {
			x[rng.IntN(len(x))] = math.Pow(10, 1-13*rng.Float64())
		}
		if s.Solve(math.Inf(1), x, nil) != nil {
			failed++
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d responses were not found", failed, trials)
	}
}

// Designs of the search that are not done leave ten links just open, for thirty pairs to
// share: next to them the response is found from nothing and from the prices of the design,
// whatever the solver has solved before.
func TestSharedTinyCapacities(t *testing.T) {
	m := open(t, "seville")
	s := NewSolver(m)
	for _, seed := range []uint64{4, 7} {
		x := searched(t, m.Network, seed, 2)
		tiny := 0
		for _, v := range x {
			if v > 0 && v < 1e-4 {
				tiny++
			}
		}
		if tiny < 5 {
			t.Fatalf("seed %d: %d tiny capacities", seed, tiny)
		}
		if err := s.Solve(math.Inf(1), x, nil); err != nil {
			t.Fatal(err)
		}
		prices := slices.Clone(s.Answer.Prices)
		for e := 0; e < len(x); e += 4 {
			for _, by := range []float64{0.04, -0.04, 4e-4} {
				before := x[e]
				x[e] = math.Max(0, before+by)
				var profit [2]float64
				for i, from := range [][]float64{nil, prices} {
					err := s.Solve(math.Inf(1), x, from)
					if err != nil || !(s.Answer.Violation <= 1e-12*m.Total) {
						t.Errorf("seed %d, capacity %g of link %d: gap %g, load %g above a capacity: %v", seed, x[e], e, s.Answer.Gap, s.Answer.Violation, err)
					}
					if fresh := NewSolver(m); e%20 == 0 {
						_ = fresh.Solve(math.Inf(1), x, from)
						if !slices.Equal(fresh.Answer.Shares, s.Answer.Shares) || !slices.Equal(fresh.Answer.Prices, s.Answer.Prices) {
							t.Errorf("seed %d, capacity %g of link %d: the answer depends on earlier ones", seed, x[e], e)
						}
					}
					for k, y := range s.Answer.Shares {
						profit[i] += m.Trips[k] * m.Margin[k] * y
					}
				}
				if d := math.Abs(profit[0] - profit[1]); d > 1e-6 {
					t.Errorf("seed %d, capacity %g of link %d: the two responses earn %g and %g", seed, x[e], e, profit[0], profit[1])
				}
				x[e] = before
			}
		}
	}
}
