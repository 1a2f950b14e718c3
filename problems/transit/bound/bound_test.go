package bound

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// random makes a network of n stations with random links and demand, and figures
// that make some pairs pay for themselves and others not.
func random(rng *rand.Rand, n int) *network.Network {
	nw := &network.Network{Name: "random", TimeWeight: 1, Coordinates: network.None}
	pick := func(values ...float64) float64 { return values[rng.IntN(len(values))] }
	for i := range n {
		nw.Stations = append(nw.Stations, network.Station{ID: fmt.Sprint(i + 1), Terminal: rng.IntN(8) == 0})
	}
	u := pick(1, 3, 8)
	for i := range n {
		for j := range n {
			if i == j {
				continue
			}
			if rng.IntN(3) > 0 {
				nw.Links = append(nw.Links, network.Link{From: i, To: j, Time: pick(0, 1, 2*rng.Float64()), Cost: pick(0, 1, 2*rng.Float64(), 3*rng.Float64())})
			}
			if rng.IntN(4) > 0 {
				nw.Pairs = append(nw.Pairs, network.Pair{From: i, To: j, Trips: pick(1, rng.Float64(), 5*rng.Float64()), Alternative: u * (2*rng.Float64() - 0.3), Margin: 6*rng.Float64() - 1.5})
			}
		}
	}
	if len(nw.Links) == 0 || len(nw.Pairs) == 0 {
		return random(rng, n)
	}
	return nw
}

// profit evaluates prices (+Inf: closed) by the definition: shortest paths under
// time + price, the cheaper of equally long ones, and logit shares.
func profit(nw *network.Network, price []float64) float64 {
	n, sum := len(nw.Stations), 0.0
	p, c := make([]float64, n), make([]float64, n)
	for from := range n {
		for i := range p {
			p[i], c[i] = math.Inf(1), math.Inf(1)
		}
		p[from], c[from] = 0, 0
		for again := true; again; {
			again = false
			for e, l := range nw.Links {
				if l.From != from && nw.Stations[l.From].Terminal || math.IsInf(price[e], 1) {
					continue
				}
				d, b := p[l.From]+l.Time*nw.TimeWeight+price[e], c[l.From]+l.Cost
				if d < p[l.To]-1e-13 || d <= p[l.To]+1e-13 && b < c[l.To]-1e-13 {
					p[l.To], c[l.To], again = d, b, true
				}
			}
		}
		for _, k := range nw.Pairs {
			if k.From == from && !math.IsInf(p[k.To], 1) {
				sum += k.Trips * (k.Margin - c[k.To]) / (1 + math.Exp(p[k.To]-k.Alternative*nw.TimeWeight))
			}
		}
	}
	return sum
}

// climb improves prices one at a time, from random ones.
func climb(nw *network.Network, rng *rand.Rand) float64 {
	price := make([]float64, len(nw.Links))
	for e := range price {
		price[e] = []float64{0, 0, math.Inf(1), 3 * rng.Float64()}[rng.IntN(4)]
	}
	best := profit(nw, price)
	for range 2 {
		for _, e := range rng.Perm(len(price)) {
			was := price[e]
			for _, try := range []float64{0, math.Inf(1), 0.3, 1, 2, 4 * rng.Float64(), was + 0.1, math.Max(0, was-0.1)} {
				before := price[e]
				price[e] = try
				if v := profit(nw, price); v > best {
					best = v
				} else {
					price[e] = before
				}
			}
		}
	}
	return best
}

// No design has a larger profit, whenever the descent is stopped, and the bound
// falls with work.
func TestNeverExceeded(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	gap, first := 0.0, 0.0
	for trial := range 150 {
		nw := random(rng, 3+rng.IntN(4))
		r := New(nw, Options{}, 1)
		values := []float64{r.Value()}
		for _, work := range []int{1, 20, 300, 20_000} {
			r.Improve(work, 1, nil)
			values = append(values, r.Value())
		}
		best := 0.0
		for range 6 {
			best = math.Max(best, climb(nw, rng))
		}
		for i, v := range values {
			if !(v >= best) || i > 0 && v > values[i-1] {
				t.Fatalf("trial %d: profit %.12g, bounds %v", trial, best, values)
			}
		}
		gap += values[len(values)-1] - best
		first += values[0] - best
	}
	t.Logf("mean gap %.4g, before the descent %.4g", gap/150, first/150)
	if gap > 0.5*first {
		t.Errorf("the descent closes too little of the gap: %.4g of %.4g is left", gap, first)
	}
}

// Designs within limits do not exceed the bound with these limits, at the response
// computed by the solver.
func TestLimits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	tighter := 0
	for trial := range 80 {
		nw := random(rng, 3+rng.IntN(3))
		links := len(nw.Links)
		at := make(map[[2]int]int)
		for e, l := range nw.Links {
			at[[2]int{l.From, l.To}] = e
		}
		var o Options
		if rng.IntN(2) == 0 {
			o.Budget = 6 * rng.Float64()
		}
		if rng.IntN(2) == 0 {
			o.Forbidden = make([]bool, links)
			o.Forbidden[rng.IntN(links)] = true
		}
		if rng.IntN(2) == 0 {
			both := true
			o.Mirror = make([]int32, links)
			for e, l := range nw.Links {
				m, ok := at[[2]int{l.To, l.From}]
				both = both && ok
				o.Mirror[e] = int32(m)
			}
			if !both {
				o.Mirror = nil
			}
		}
		if rng.IntN(2) == 0 && o.Forbidden == nil && o.Budget == 0 {
			o.Least = make([]float64, links)
			o.Least[rng.IntN(links)] = 2 * rng.Float64()
		}
		r := New(nw, o, 1)
		r.Improve(20_000, 1, nil)
		free := New(nw, Options{}, 1)
		free.Improve(20_000, 1, nil)
		if r.Value() < free.Value()-1e-6 {
			tighter++
		}
		m, err := response.NewModel(nw)
		if err != nil {
			t.Fatal(err)
		}
		s := response.NewSolver(m)
		x := make([]float64, links)
		for range 30 {
			for e := range x {
				x[e] = []float64{0, 5 * rng.Float64(), 100}[rng.IntN(3)] * rng.Float64()
			}
			fit(nw, o, x)
			for range 2 { // and what the response uses of it
				if err := s.Solve(math.Inf(1), x, nil); err != nil && !errors.Is(err, response.ErrNumerical) {
					t.Fatal(err)
				}
				v, spent := 0.0, 0.0
				for k, y := range s.Answer.Shares {
					v += m.Trips[k] * m.Margin[k] * y
				}
				for e, c := range m.Cost {
					v -= c * x[e]
					spent += c * x[e]
				}
				if o.Budget > 0 && spent > o.Budget*(1+1e-9) {
					t.Fatal("the test's design is beyond the budget")
				}
				if v > r.Value()+1e-7 {
					t.Fatalf("trial %d, limits %+v: profit %.9g above the bound %.9g", trial, o, v, r.Value())
				}
				copy(x, s.Answer.Loads)
				fit(nw, o, x)
			}
		}
	}
	if tighter < 20 {
		t.Errorf("limits make the bound tighter in only %d of 80 networks", tighter)
	}
}

// fit brings capacities within limits.
func fit(nw *network.Network, o Options, x []float64) {
	spent := 0.0
	for e := range x {
		if o.Forbidden != nil && o.Forbidden[e] {
			x[e] = 0
		}
		if o.Least != nil {
			x[e] = math.Max(x[e], o.Least[e])
		}
	}
	for e := range x {
		if o.Mirror != nil {
			m := o.Mirror[e]
			x[e] = math.Max(x[e], x[m])
			if o.Forbidden != nil && o.Forbidden[m] {
				x[e], x[m] = 0, 0
			}
			x[m] = x[e]
		}
	}
	for e, l := range nw.Links {
		spent += l.Cost * x[e]
	}
	if o.Budget > 0 && spent > o.Budget {
		for e := range x {
			x[e] *= o.Budget / spent
		}
	}
}

// With two links the optimum is found by a dense search; the bound is next to it.
func TestTwoLinks(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	exact := 0
	for trial := range 40 {
		nw := &network.Network{Name: "line", TimeWeight: 1, Coordinates: network.None}
		for i := range 3 {
			nw.Stations = append(nw.Stations, network.Station{ID: fmt.Sprint(i)})
		}
		for i := range 2 {
			nw.Links = append(nw.Links, network.Link{From: i, To: i + 1, Time: rng.Float64(), Cost: 1 + rng.Float64()})
		}
		for _, p := range [][2]int{{0, 1}, {1, 2}, {0, 2}} {
			nw.Pairs = append(nw.Pairs, network.Pair{From: p[0], To: p[1], Trips: 0.5 + rng.Float64(), Alternative: 2 * rng.Float64() * float64(p[1]-p[0]), Margin: 3 * rng.Float64() * float64(p[1]-p[0])})
		}
		best := 0.0
		price := make([]float64, 2)
		for i := range 61 {
			for j := range 61 {
				price[0], price[1] = 0.1*float64(i), 0.1*float64(j)
				if i == 60 {
					price[0] = math.Inf(1)
				}
				if j == 60 {
					price[1] = math.Inf(1)
				}
				best = math.Max(best, profit(nw, price))
			}
		}
		r := New(nw, Options{}, 1)
		r.Improve(100_000, 1, nil)
		gap := r.Value() - best
		if gap < 0 || gap > 0.15*(0.3+best) {
			t.Errorf("trial %d: optimum %.6f, bound %.6f", trial, best, r.Value())
		}
		if gap < 1e-3 {
			exact++
		}
	}
	t.Logf("exact in %d of 40", exact)
	if exact < 20 {
		t.Errorf("the bound is attained in only %d of 40 networks", exact)
	}
}

func open(t testing.TB, name string) *network.Network {
	t.Helper()
	nw, err := network.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return nw
}

// On the three networks the bound lies between the profits that are known to be
// reached and what the relaxation is known to give.
func TestKnownNetworks(t *testing.T) {
	optimum := 2 / (1 + math.Exp(-2))
	for _, c := range []struct {
		name     string
		work     int
		lo, most float64
	}{
		{"3node", 100_000, optimum, optimum + 1e-8},
		{"9node", 200_000, 17.284858, 18.1},
		{"seville", 2_000_000, 226.428746, 290},
	} {
		r := New(open(t, c.name), Options{}, 0)
		r.Improve(c.work, 0, nil)
		if v := r.Value(); !(v >= c.lo && v <= c.most) {
			t.Errorf("%s: bound %.12g, want one from %.12g to %.12g", c.name, v, c.lo, c.most)
		}
	}
}

// The number of workers does not change a bit, nor do the pieces of the work when
// they end at the same iterations.
func TestWorkers(t *testing.T) {
	var want float64
	for i, workers := range []int{1, 2, 5, 0} {
		r := New(open(t, "9node"), Options{Budget: 12}, workers)
		r.Improve(30_000, workers, nil)
		if i == 0 {
			want = r.Value()
		} else if r.Value() != want {
			t.Errorf("bound %v with %d workers, %v with one", r.Value(), workers, want)
		}
	}
}

// Figures far from those of a city do no harm.
func TestExtremes(t *testing.T) {
	line := func(time, cost, trips, alternative, margin float64) *network.Network {
		return &network.Network{Name: "line", TimeWeight: 1, Coordinates: network.None,
			Stations: []network.Station{{ID: "1"}, {ID: "2"}, {ID: "3"}, {ID: "4"}},
			Links:    []network.Link{{From: 0, To: 1, Time: time, Cost: cost}, {From: 1, To: 2, Time: time, Cost: cost}},
			Pairs: []network.Pair{{From: 0, To: 1, Trips: trips, Alternative: alternative, Margin: margin}, {From: 0, To: 2, Trips: trips, Alternative: alternative, Margin: margin},
				{From: 1, To: 2, Trips: trips, Alternative: alternative, Margin: cost / 2}, {From: 2, To: 0, Trips: trips, Alternative: alternative, Margin: margin}, {From: 0, To: 3, Trips: 1, Alternative: 1, Margin: 1}}}
	}
	for _, c := range []struct {
		time, cost, trips, alternative, margin float64
	}{
		{0, 1, 1, 1, 3}, {0, 0, 1, 0, 1}, {1, 1, 1, 800, 3}, {1000, 1, 1, 1, 3}, {1, 1, 1e9, 1, 3}, {1, 1, 1e-9, 1, 3}, {1, 1e9, 1, 1, 3e9},
		{1, 1, 1, 1, -3}, {1, 1, 0, 1, 3}, {1, 1, 1, -500, 3}, {1e300, 1, 1, 1e300, 3},
	} {
		nw := line(c.time, c.cost, c.trips, c.alternative, c.margin)
		r := New(nw, Options{}, 1)
		r.Improve(20_000, 1, nil)
		best := 0.0
		inf := math.Inf(1)
		for _, price := range [][]float64{{0, 0}, {0, inf}, {inf, 0}, {1, 0}, {0, 1}, {1, 1}} {
			best = math.Max(best, profit(nw, price))
		}
		if v := r.Value(); !(v >= best) || math.IsInf(v, 0) {
			t.Errorf("%+v: bound %v, profit %v", c, v, best)
		}
	}
}

func TestStop(t *testing.T) {
	r := New(open(t, "seville"), Options{}, 1)
	first, calls := r.Value(), 0
	r.Improve(math.MaxInt, 1, func() bool { calls++; return calls > 3 })
	if calls != 4 || !(r.Value() <= first) {
		t.Errorf("stopped after %d calls, bound %v", calls, r.Value())
	}
}

func BenchmarkIteration(b *testing.B) {
	r := New(open(b, "seville"), Options{}, 0)
	r.Improve(1_500_000, 0, nil)
	b.ResetTimer()
	b.ReportAllocs()
	for range b.N {
		r.evaluate(coarse, 0)
	}
}

func BenchmarkImprove(b *testing.B) {
	for _, name := range []string{"9node", "seville"} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				r := New(open(b, name), Options{}, 0)
				r.Improve(1_000_000, 0, nil)
				b.ReportMetric(r.Value(), "bound")
			}
		})
	}
}
