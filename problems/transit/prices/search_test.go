package prices

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

func open(t testing.TB, name string) *network.Network {
	t.Helper()
	n, err := network.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func never() bool { return false }

func rounds(s *Search, n, workers int) []float64 {
	memory := make([]float64, s.Memory())
	for range n {
		s.Round(memory, 1, workers, never)
	}
	return memory
}

// The optimum of the 3-node network is 2 sigma(2); those of the others are the
// best known, reached from every seed tried.
func TestRoundReachesTheBestKnown(t *testing.T) {
	for _, c := range []struct {
		name   string
		rounds int
		want   float64
	}{
		{"3node", 1, 2 / (1 + math.Exp(-2))},
		{"9node", 2, 17.2848584},
		{"seville", 4, 226.4287},
	} {
		n := open(t, c.name)
		s := New(n, Options{})
		x := make([]float64, len(n.Links))
		profit, _ := s.Best(x, rounds(s, c.rounds, 0))
		if profit < c.want-1e-7 {
			t.Errorf("%s: profit %.9f, want %.9f", c.name, profit, c.want)
		}
	}
}

func TestRoundDoesNotDependOnWorkersNorOnInterruption(t *testing.T) {
	n := open(t, "9node")
	one, four := rounds(New(n, Options{}), 3, 1), rounds(New(n, Options{}), 3, 4)
	if !slices.Equal(one, four) {
		t.Error("one worker and four workers end with different bits")
	}
	// A search that is begun anew between rounds, as a resumed run does.
	memory := make([]float64, New(n, Options{}).Memory())
	for range 3 {
		New(n, Options{}).Round(memory, 1, 2, never)
	}
	if !slices.Equal(one, memory) {
		t.Error("a search resumed between rounds ends with different bits")
	}
}

// total is the profit and cost of prices by its definition: Floyd-Warshall on
// lengths, the cheaper of equally long paths.
func total(n *network.Network, price []float64) (profit, spent float64) {
	size := len(n.Stations)
	d, c := make([][]float64, size), make([][]float64, size)
	for i := range d {
		d[i], c[i] = make([]float64, size), make([]float64, size)
		for j := range d[i] {
			if i != j {
				d[i][j], c[i][j] = math.Inf(1), math.Inf(1)
			}
		}
	}
	take := func(i, j int, length, cost float64) {
		if length < d[i][j]-1e-12 || length <= d[i][j]+1e-12 && cost < c[i][j] {
			d[i][j], c[i][j] = length, cost
		}
	}
	for l, link := range n.Links {
		if price[l] >= 0 {
			take(link.From, link.To, n.TimeWeight*link.Time+price[l], link.Cost)
		}
	}
	for k := range size {
		for i := range size {
			for j := range size {
				if length := d[i][k] + d[k][j]; length < math.Inf(1) {
					take(i, j, length, c[i][k]+c[k][j])
				}
			}
		}
	}
	for _, p := range n.Pairs {
		if length := d[p.From][p.To]; length < math.Inf(1) {
			y := p.Trips / (1 + math.Exp(length-n.TimeWeight*p.Alternative))
			profit += y * (p.Margin - c[p.From][p.To])
			spent += y * c[p.From][p.To]
		}
	}
	return profit, spent
}

func randomPrices(rng *rand.Rand, links int) []float64 {
	price := make([]float64, links)
	for l := range price {
		switch rng.IntN(3) {
		case 0:
			price[l] = closed
		case 1:
			price[l] = 3 * rng.Float64()
		}
	}
	return price
}

func TestEvaluateAgreesWithTheDefinition(t *testing.T) {
	for _, name := range []string{"3node", "9node", "seville"} {
		n := open(t, name)
		s := newState(newGraph(n))
		rng := rand.New(rand.NewPCG(1, 1))
		flow, share := make([]float64, len(n.Links)), make([]float64, len(n.Pairs))
		for range 20 {
			price := randomPrices(rng, len(n.Links))
			s.set(price)
			s.flows(flow, share)
			profit, spent := s.totals()
			wantProfit, wantSpent := total(n, price)
			if math.Abs(profit-wantProfit) > 1e-9*(1+math.Abs(wantProfit)) || math.Abs(spent-wantSpent) > 1e-9*(1+wantSpent) {
				t.Errorf("%s: profit %v and cost %v, want %v and %v", name, profit, spent, wantProfit, wantSpent)
			}
			built := 0.0
			for l, f := range flow {
				built += n.Links[l].Cost * f
			}
			if math.Abs(built-spent) > 1e-9*(1+spent) {
				t.Errorf("%s: the flows cost %v, the paths %v", name, built, spent)
			}
		}
	}
}

// A line search knows the merit at its answer, and no price that was not its
// answer is better.
func TestLineIsExact(t *testing.T) {
	n := open(t, "seville")
	g := newGraph(n)
	s, rng := newState(g), rand.New(rand.NewPCG(2, 1))
	for range 10 {
		s.set(randomPrices(rng, g.links))
		for range 10 {
			l := int32(rng.IntN(g.links))
			price, merit := s.line(l, true)
			s.move(l, price)
			if d := s.value() - merit; math.Abs(d) > 1e-9 {
				t.Fatalf("link %d at price %v: merit %v, foretold %v", l, price, s.value(), merit)
			}
			fresh := newState(g)
			fresh.set(s.price)
			if d := fresh.value() - merit; math.Abs(d) > 1e-9 {
				t.Fatalf("link %d: paths kept up to date give %v, found anew %v", l, merit, fresh.value())
			}
			for _, other := range []float64{closed, 0, 3 * rng.Float64(), 10 * rng.Float64()} {
				s.move(l, other)
				if v := s.value(); v > merit+1e-4 { // the maximum within a piece is found to about that
					t.Errorf("link %d: %v at price %v beats %v at %v", l, v, other, merit, price)
				}
			}
			s.move(l, price)
		}
	}
}

// Limits on designs hold, and cost profit.
func TestLimits(t *testing.T) {
	n := open(t, "seville")
	x := make([]float64, len(n.Links))
	s := New(n, Options{Budget: 150})
	profit, cost := s.Best(x, rounds(s, 2, 0))
	if cost > 150*(1+1e-9) || cost < 149 || profit < 100 {
		t.Errorf("budget 150: profit %v, cost %v", profit, cost)
	}
	forbidden := make([]bool, len(n.Links))
	free := New(n, Options{})
	free.Best(x, rounds(free, 1, 0))
	for l := range forbidden {
		forbidden[l] = x[l] > 0 && l%5 == 0
	}
	s = New(n, Options{Forbidden: forbidden})
	profit, _ = s.Best(x, rounds(s, 1, 0))
	for l, f := range forbidden {
		if f && x[l] != 0 {
			t.Errorf("forbidden link %d has capacity %v", l, x[l])
		}
	}
	if profit > 226.43 || profit < 50 {
		t.Errorf("profit %v with links forbidden", profit)
	}
}

func BenchmarkLine(b *testing.B) {
	s := newState(newGraph(open(b, "seville")))
	s.set(s.price)
	l := int32(0)
	for b.Loop() {
		s.line(l, true)
		l = (l + 1) % int32(s.g.links)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	s := newState(newGraph(open(b, "seville")))
	for b.Loop() {
		s.set(s.price)
	}
}
