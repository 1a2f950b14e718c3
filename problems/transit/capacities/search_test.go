package capacities

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/problems/transit/response"
)

func open(t testing.TB, name string) (*network.Network, *response.Model, []int32) {
	t.Helper()
	n, err := network.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := response.NewModel(n)
	if err != nil {
		t.Fatal(err)
	}
	mirror := make([]int32, len(n.Links))
	for l, a := range n.Links {
		for r, b := range n.Links {
			if a.From == b.To && a.To == b.From {
				mirror[l] = int32(r)
			}
		}
	}
	return n, m, mirror
}

func never() bool { return false }

func rounds(s *Search, n, workers int) []float64 {
	memory := make([]float64, s.Memory())
	for range n {
		s.Round(memory, 1, workers, never)
	}
	return memory
}

// profit of capacities at the response computed anew.
func profit(t *testing.T, m *response.Model, x []float64) (profit, cost float64) {
	t.Helper()
	s := response.NewSolver(m)
	if err := s.Solve(math.Inf(1), x, nil); err != nil {
		t.Fatal(err)
	}
	for k, y := range s.Answer.Shares {
		profit += m.Trips[k] * m.Margin[k] * y
	}
	for e, c := range m.Cost {
		cost += c * x[e]
	}
	return profit - cost, cost
}

// The derivative of the loss equals differences, within limits and above the budget.
func TestLossDerivative(t *testing.T) {
	n, m, mirror := open(t, "9node")
	least := make([]float64, len(n.Links))
	least[3] = 0.5
	for _, o := range []Options{{Mirror: mirror}, {Least: least}, {Mirror: mirror, Least: least, Budget: 40}} {
		p := newPlan(m, o)
		c := newClimber(p)
		rng := rand.New(rand.NewPCG(3, 4))
		z, grad := make([]float64, len(p.groups)), make([]float64, len(p.groups))
		for g := range z {
			z[g] = 0.2 + 2*rng.Float64()
			p.clip(z, g)
		}
		if f := c.loss(z, grad); math.IsInf(f, 1) {
			t.Fatal("no response")
		}
		for g := range z {
			const h = 1e-5
			at := z[g]
			z[g] = at + h
			above := c.loss(z, nil)
			z[g] = at - h
			below := c.loss(z, nil)
			z[g] = at
			if d := (above - below) / (2 * h); math.Abs(d-grad[g]) > 1e-6*(1+math.Abs(d)) {
				t.Errorf("%d groups: derivative in group %d is %v, differences give %v", len(z), g, grad[g], d)
			}
		}
	}
}

// A climb ends where no capacity alone gains.
func TestClimb(t *testing.T) {
	_, m, mirror := open(t, "3node")
	p := newPlan(m, Options{Mirror: mirror})
	c := newClimber(p)
	z := make([]float64, len(p.groups))
	z[0] = 0.3 // 1-2 alone: the optimum is the full demand at no price
	want := 2 / (1 + math.Exp(-2))
	if f := c.climb(z, 400, never); math.Abs(f+want) > 1e-8 {
		t.Errorf("profit %v, want %v (capacities %v)", -f, want, z)
	}
	if z[1] != 0 || z[2] != 0 {
		t.Errorf("closed groups have capacities %v", z[1:])
	}
}

// The designs found keep the limits, have the profit that is said, and are as good as a
// few rounds can find. (Without limits the best known is 17.285.)
func TestRounds(t *testing.T) {
	n, m, mirror := open(t, "9node")
	least := make([]float64, len(n.Links))
	least[0], least[6] = 4, 2
	forbidden := make([]bool, len(n.Links))
	forbidden[1] = true
	for _, c := range []struct {
		name   string
		o      Options
		rounds int
		want   float64
	}{
		{"symmetric", Options{Mirror: mirror}, 3, 14.459},
		{"least", Options{Least: least}, 3, 13.31},
		{"both", Options{Mirror: mirror, Least: least, Budget: 60}, 6, -0.0221},
		{"forbidden", Options{Least: least, Forbidden: forbidden}, 1, 13.311},
	} {
		s := New(n, m, c.o)
		x := make([]float64, len(n.Links))
		said, saidCost := s.Best(x, rounds(s, c.rounds, 0))
		t.Logf("%s: profit %.6f, cost %.6f", c.name, said, saidCost)
		got, cost := profit(t, m, x)
		if got < c.want || math.Abs(got-said) > 1e-6 || math.Abs(cost-saidCost) > 1e-9 {
			t.Errorf("%s: profit %v and cost %v, said to be %v and %v; want a profit of %v", c.name, got, cost, said, saidCost, c.want)
		}
		for e, v := range x {
			switch {
			case c.o.Mirror != nil && v != x[mirror[e]],
				c.o.Least != nil && v < least[e],
				c.o.Forbidden != nil && forbidden[e] && v != 0:
				t.Errorf("%s: capacity %v of link %d is not within the limits", c.name, v, e)
			}
		}
		if c.o.Budget > 0 && cost > c.o.Budget*(1+1e-9) {
			t.Errorf("%s: cost %v above the budget %v", c.name, cost, c.o.Budget)
		}
	}
}

func TestRoundDoesNotDependOnWorkersNorOnInterruption(t *testing.T) {
	n, m, mirror := open(t, "3node")
	o := Options{Mirror: mirror}
	one := rounds(New(n, m, o), 4, 1)
	memory := make([]float64, New(n, m, o).Memory())
	for range 4 { // a search that is begun anew between rounds, as a resumed run does
		New(n, m, o).Round(memory, 1, 4, never)
	}
	if !slices.Equal(one, memory) {
		t.Error("one worker and four workers, begun anew after each round, end with different bits")
	}
}

func BenchmarkLoss(b *testing.B) {
	for _, name := range []string{"9node", "seville"} {
		n, m, mirror := open(b, name)
		s := New(n, m, Options{Mirror: mirror})
		c := newClimber(s.p)
		z := slices.Clone(rounds(s, 1, 0)[head : head+len(s.p.groups)])
		b.Run(name, func(b *testing.B) {
			grad := make([]float64, len(z))
			c.loss(z, grad)
			copy(c.prices, c.solver.Answer.Prices)
			c.warm = true
			for b.Loop() {
				c.loss(z, grad)
			}
		})
	}
}
