package response

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems/transit/network"
)

func open(tb testing.TB, name string) *Model {
	tb.Helper()
	n, err := network.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	return model(tb, n)
}

func model(tb testing.TB, n *network.Network) *Model {
	tb.Helper()
	m, err := NewModel(n)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// random is a network of n stations with links and pairs drawn at random; times are
// small integers, so that shortest paths tie.
func random(tb testing.TB, rng *rand.Rand, n int) *Model {
	net := &network.Network{TimeWeight: 1, Coordinates: network.None}
	for i := range n {
		net.Stations = append(net.Stations, network.Station{ID: fmt.Sprint(i), Terminal: rng.IntN(8) == 0})
	}
	for i := range n {
		for j := range n {
			if i != j && rng.Float64() < 3/float64(n) {
				net.Links = append(net.Links, network.Link{From: i, To: j, Time: float64(rng.IntN(4)), Cost: rng.Float64()})
			}
			if i != j && rng.Float64() < 0.6 {
				net.Pairs = append(net.Pairs, network.Pair{From: i, To: j, Trips: float64(rng.IntN(4)), Alternative: 6 * rng.Float64(), Margin: 6*rng.Float64() - 1})
			}
		}
	}
	net.Links = append(net.Links, network.Link{From: 0, To: 1, Time: 1, Cost: 1})
	net.Pairs = append(net.Pairs, network.Pair{From: 0, To: 1, Trips: 1, Alternative: 2, Margin: 1})
	last := len(net.Links) - 1
	if slices.ContainsFunc(net.Links[:last], func(l network.Link) bool { return l.From == 0 && l.To == 1 }) {
		net.Links = net.Links[:last]
	}
	last = len(net.Pairs) - 1
	if i := slices.IndexFunc(net.Pairs[:last], func(p network.Pair) bool { return p.From == 0 && p.To == 1 }); i >= 0 {
		net.Pairs[i], net.Pairs = net.Pairs[last], net.Pairs[:last]
	}
	return model(tb, net)
}

// proven solves at x and has the answer measured by the audit.
func proven(t *testing.T, s *Solver, gamma float64, x, prices []float64) *Audit {
	t.Helper()
	m := s.m
	if err := s.Solve(gamma, x, prices); err != nil {
		t.Fatalf("%v: gap %g after %d steps", err, s.Answer.Gap, s.Answer.Steps)
	}
	flows := make([]float64, len(m.Origins)*m.Links)
	s.Flows(flows)
	a := NewAudit(m, gamma, x, s.Answer.Shares, flows, s.Answer.Prices)
	size := 1e-10 * (1 + m.Total)
	if !(math.Abs(a.Gap) <= 1e-9) || a.Excess > size || a.Conservation > size || a.Negative > 1e-12 {
		t.Errorf("gamma %g: gap %g, excess %g, imbalance %g, negative %g", gamma, a.Gap, a.Excess, a.Conservation, a.Negative)
	}
	if math.Abs(a.Primal-s.Answer.Primal) > 1e-9*math.Max(1, math.Abs(a.Primal)) {
		t.Errorf("primal value %.15g, claimed %.15g", a.Primal, s.Answer.Primal)
	}
	return a
}

// Random networks with ties, terminals, closed and unused links, pairs without a
// path and pairs without trips, cold and warm, at several penalties.
func TestRandomNetworks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		m := random(t, rng, 2+rng.IntN(10))
		s := NewSolver(m)
		x := make([]float64, m.Links)
		var prices []float64
		for range 3 {
			for e := range x {
				switch rng.IntN(5) {
				case 0:
					x[e] = 0
				case 1:
					x[e] = 100
				default:
					x[e] = math.Exp(4*rng.Float64() - 3)
				}
			}
			for _, gamma := range []float64{math.Inf(1), 5, 0.5} {
				proven(t, s, gamma, x, prices)
			}
			prices = slices.Clone(s.Answer.Prices)
		}
	}
}

// A design that prices induce is answered by them at once, whichever links they
// close, and its derivative by the interior-point method.
func TestPricedDesignsAtOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, name := range network.BuiltIn() {
		m := open(t, name)
		s, e := NewSolver(m), NewPricing(m)
		prices, dst := make([]float64, m.Links), make([]float64, m.Links)
		for range 10 {
			for l := range prices {
				switch prices[l] = 0; rng.IntN(3) {
				case 0:
					prices[l] = rng.Float64()
				case 1:
					prices[l] = math.Inf(1)
				}
			}
			e.Evaluate(prices)
			proven(t, s, math.Inf(1), e.Loads, prices)
			if s.Answer.Steps != 0 {
				t.Errorf("%s: %d steps", name, s.Answer.Steps)
			}
			for k, y := range s.Answer.Shares {
				if math.Abs(y-e.Shares[k]) > 1e-9 {
					t.Fatalf("%s: share %g of pair %d, %g by the prices", name, y, k, e.Shares[k])
				}
			}
			if err := s.Adjoint(dst, e.Shares, nil); err != nil {
				t.Errorf("%s: adjoint: %v", name, err)
			}
		}
	}
}

func TestBuiltInNetworks(t *testing.T) {
	for _, name := range network.BuiltIn() {
		m := open(t, name)
		s := NewSolver(m)
		rng := rand.New(rand.NewPCG(3, 4))
		x := make([]float64, m.Links)
		for _, scale := range []float64{1e-6, 0.01, 0.3, 3, 100} {
			for range 4 {
				for e := range x {
					x[e] = scale * rng.Float64()
				}
				for _, gamma := range []float64{math.Inf(1), 3, 0.5} {
					proven(t, s, gamma, x, nil)
					proven(t, s, gamma, x, slices.Clone(s.Answer.Prices))
				}
			}
		}
	}
}

// Capacity for just everybody who wants to travel without congestion: sums in
// another order may exceed it in the last digit.
func TestEverybodyFitsButForRounding(t *testing.T) {
	net, err := network.Grid(8, 8, 1)
	if err != nil {
		t.Fatal(err)
	}
	m := model(t, net)
	s, e := NewSolver(m), NewPricing(m)
	e.Evaluate(make([]float64, m.Links))
	a := proven(t, s, math.Inf(1), e.Loads, nil)
	if s.Answer.Steps != 0 || math.Abs(a.Gap) > 1e-13 {
		t.Errorf("%d steps, gap %g", s.Answer.Steps, a.Gap)
	}
}

// A design that is exactly the flow that prices induce has that flow as response:
// every open link is full and paths tie wherever the prices make them.
func TestPricedDesigns(t *testing.T) {
	for _, name := range network.BuiltIn() {
		m := open(t, name)
		s, p := NewSolver(m), NewPricing(m)
		rng := rand.New(rand.NewPCG(5, 6))
		prices := make([]float64, m.Links)
		for range 20 {
			for e := range prices {
				prices[e] = []float64{0, 0.5 * rng.Float64(), math.Inf(1)}[rng.IntN(3)]
			}
			profit := p.Evaluate(prices)
			a := proven(t, s, math.Inf(1), p.Loads, nil)
			_ = a
			revenue := 0.0
			for k, y := range s.Answer.Shares {
				if math.Abs(y-p.Shares[k]) > 1e-7 {
					t.Errorf("%s: share %g of pair %d, priced %g", name, y, k, p.Shares[k])
				}
				revenue += m.Trips[k] * m.Margin[k] * y
			}
			for e, v := range p.Loads {
				revenue -= m.Cost[e] * v
			}
			if math.Abs(revenue-profit) > 1e-6*(1+math.Abs(profit)) {
				t.Errorf("%s: profit %.12g at the response, priced %.12g", name, revenue, profit)
			}
		}
	}
}

func TestPricingGradient(t *testing.T) {
	m := open(t, "seville")
	p := NewPricing(m)
	rng := rand.New(rand.NewPCG(7, 8))
	prices := make([]float64, m.Links)
	for e := range prices {
		prices[e] = rng.Float64()
	}
	p.Evaluate(prices)
	gradient := slices.Clone(p.Gradient)
	const h = 1e-6
	for e := range prices {
		at := prices[e]
		prices[e] = at + h
		up := p.Evaluate(prices)
		prices[e] = at - h
		down := p.Evaluate(prices)
		prices[e] = at
		if diff := (up - down) / (2 * h); math.Abs(diff-gradient[e]) > 1e-6*(1+math.Abs(diff)) {
			t.Errorf("link %d: slope %g, differences %g", e, gradient[e], diff)
		}
	}
}

// Without any capacity nobody travels, the value is what the alternative costs, and
// the prices of closed links keep everybody away.
func TestNothingBuilt(t *testing.T) {
	m := open(t, "seville")
	s := NewSolver(m)
	a := proven(t, s, math.Inf(1), make([]float64, m.Links), nil)
	want := 0.0
	for k, w := range m.Trips {
		want += w * m.Utility[k]
	}
	if math.Abs(a.Primal-want) > 1e-12*want || slices.Max(s.Answer.Shares) != 0 || slices.Max(s.Answer.Loads) != 0 {
		t.Errorf("value %.15g, want %.15g; largest share %g", a.Primal, want, slices.Max(s.Answer.Shares))
	}
}

// Disutilities far beyond where exp overflows.
func TestHugeUnits(t *testing.T) {
	for _, scale := range []float64{8, 1e3, 1e6} {
		n, err := network.Open("9node")
		if err != nil {
			t.Fatal(err)
		}
		n.TimeWeight = scale
		m := model(t, n)
		s := NewSolver(m)
		rng := rand.New(rand.NewPCG(9, 10))
		x := make([]float64, m.Links)
		for range 5 {
			for e := range x {
				if x[e] = 6 * rng.Float64(); scale > 8 { // room for all, where the network is open
					x[e] = []float64{0, 1e3}[rng.IntN(2)]
				}
			}
			proven(t, s, math.Inf(1), x, nil)
			for k, y := range s.Answer.Shares {
				if !(y >= 0 && y <= 1) {
					t.Errorf("share %g of pair %d", y, k)
				}
			}
		}
	}
}

// The method of multipliers finds the same value, shares and loads.
func TestAgainstSecondMethod(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, name := range network.BuiltIn() {
		m := open(t, name)
		s := NewSolver(m)
		x := capacities(m, rng, s, 0.7)
		x[0] = 0
		for _, gamma := range []float64{math.Inf(1), 4} {
			a := proven(t, s, gamma, x, nil)
			o := NewSecond(m, gamma, x, 120)
			b := NewAudit(m, gamma, x, o.Shares, o.Flows, o.Prices)
			if math.Abs(a.Primal-b.Primal) > 1e-6*math.Abs(a.Primal) || math.Abs(b.Gap) > 1e-6 || b.Excess > 1e-5*(1+slices.Max(x)) {
				t.Errorf("%s, gamma %g: value %.12g and %.12g, second method's gap %g, excess %g", name, gamma, a.Primal, b.Primal, b.Gap, b.Excess)
			}
			for k, y := range s.Answer.Shares {
				if math.Abs(y-o.Shares[k]) > 1e-4 {
					t.Errorf("%s, gamma %g: share %g and %g of pair %d", name, gamma, y, o.Shares[k], k)
				}
			}
		}
	}
}

// The audit refuses what is wrong.
func TestAuditFindsFaults(t *testing.T) {
	m := open(t, "9node")
	s := NewSolver(m)
	x := capacities(m, rand.New(rand.NewPCG(1, 1)), s, 0.5)
	proven(t, s, math.Inf(1), x, nil)
	shares, prices := s.Answer.Shares, s.Answer.Prices
	flows := make([]float64, len(m.Origins)*m.Links)
	s.Flows(flows)
	for what, c := range map[string]struct {
		spoil func(y, f, p []float64)
		fault func(a *Audit) float64
	}{
		"a share too large": {func(y, _, _ []float64) { y[3] += 0.01 }, func(a *Audit) float64 { return a.Conservation }},
		"a flow too large":  {func(_, f, _ []float64) { f[slices.Index(f, slices.Max(f))] += 0.1 }, func(a *Audit) float64 { return a.Conservation }},
		"a negative price":  {func(_, _, p []float64) { p[0] = -0.1 }, func(a *Audit) float64 { return a.Negative }},
		"prices of another": {func(_, _, p []float64) { clear(p) }, func(a *Audit) float64 { return a.Gap }},
		"load over capacity": {func(y, f, _ []float64) {
			for i := range y {
				y[i] *= 1.05
			}
			for i := range f {
				f[i] *= 1.05
			}
		}, func(a *Audit) float64 { return a.Excess }},
	} {
		y, f, p := slices.Clone(shares), slices.Clone(flows), slices.Clone(prices)
		c.spoil(y, f, p)
		if v := c.fault(NewAudit(m, math.Inf(1), x, y, f, p)); !(v > 1e-4) {
			t.Errorf("%s: %g", what, v)
		}
	}
}

func TestAnswerDependsOnArgumentsAlone(t *testing.T) {
	m := open(t, "seville")
	used, fresh := NewSolver(m), NewSolver(m)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 3 {
		proven(t, used, math.Inf(1), capacities(m, rng, used, 0.5), nil)
	}
	x := capacities(m, rng, used, 0.6)
	for _, prices := range [][]float64{nil, slices.Clone(used.Answer.Prices)} {
		proven(t, used, 2, x, prices)
		proven(t, fresh, 2, x, prices)
		a, b := &used.Answer, &fresh.Answer
		if !slices.Equal(a.Shares, b.Shares) || !slices.Equal(a.Prices, b.Prices) || a.Primal != b.Primal {
			t.Error("an answer depends on earlier ones")
		}
	}
}

func TestSolveAllocatesNothing(t *testing.T) {
	m := open(t, "seville")
	s := NewSolver(m)
	rng := rand.New(rand.NewPCG(1, 1))
	x := capacities(m, rng, s, 0.6)
	x[5] = 0
	z := slices.Clone(x)
	for e := range z {
		z[e] *= 1 + 0.05*rng.Float64()
	}
	proven(t, s, math.Inf(1), x, nil)
	prices := slices.Clone(s.Answer.Prices)
	flows := make([]float64, len(m.Origins)*m.Links)
	work := func() {
		for _, v := range [][]float64{x, z} {
			if err := s.Solve(math.Inf(1), v, prices); err != nil {
				t.Fatal(err)
			}
			s.Flows(flows)
		}
	}
	work()
	if n := testing.AllocsPerRun(3, work); n != 0 {
		t.Errorf("%g allocations", n)
	}
	p := NewPricing(m)
	if n := testing.AllocsPerRun(3, func() { p.Evaluate(prices) }); n != 0 {
		t.Errorf("pricing: %g allocations", n)
	}
}

func TestSolveRefuses(t *testing.T) {
	m := open(t, "3node")
	s := NewSolver(m)
	x := make([]float64, m.Links)
	for _, c := range []struct {
		gamma     float64
		x, prices []float64
	}{
		{0, x, nil}, {math.NaN(), x, nil}, {1, x[:5], nil}, {1, x, x[:5]},
		{1, []float64{0, 0, -1, 0, 0, 0}, nil}, {1, []float64{0, 0, math.Inf(1), 0, 0, 0}, nil},
		{1, x, []float64{math.NaN(), 0, 0, 0, 0, 0}},
	} {
		if err := s.Solve(c.gamma, c.x, c.prices); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestPaths(t *testing.T) {
	m := open(t, "9node")
	s := NewSolver(m)
	x := capacities(m, rand.New(rand.NewPCG(1, 1)), s, 0.5)
	proven(t, s, math.Inf(1), x, nil)
	several := 0
	for k := range m.Pairs {
		paths, sum := s.PathsOf(k, 1e-9), 0.0
		for _, p := range paths {
			sum += p.Flow
			if math.Abs(p.Cost-s.Answer.Costs[k]) > 1e-6 {
				t.Errorf("pair %d uses a path of cost %g, the shortest has %g", k, p.Cost, s.Answer.Costs[k])
			}
			at := m.Network.Pairs[k].From
			for _, e := range p.Links {
				if m.Network.Links[e].From != at {
					t.Fatalf("pair %d: path %v does not hang together", k, p.Links)
				}
				at = m.Network.Links[e].To
			}
			if at != m.Network.Pairs[k].To {
				t.Errorf("pair %d: path %v ends elsewhere", k, p.Links)
			}
		}
		if math.Abs(sum-m.Trips[k]*s.Answer.Shares[k]) > 1e-7 {
			t.Errorf("pair %d: paths carry %g of %g", k, sum, m.Trips[k]*s.Answer.Shares[k])
		}
		if len(paths) > 1 {
			several++
		}
	}
	if several == 0 {
		t.Error("no pair uses several paths: the test shows nothing")
	}
}

// Utilities of any size end the solver: with an answer, or short of its tolerance.
func TestHugeUtilitiesEnd(t *testing.T) {
	n := open(t, "3node").Network
	huge := *n
	huge.TimeWeight = 1e300
	m, err := NewModel(&huge)
	if err != nil {
		t.Fatal(err)
	}
	s, x := NewSolver(m), make([]float64, m.Links)
	for e := range x {
		x[e] = 0.3
	}
	if err := s.Solve(math.Inf(1), x, nil); err != nil && !errors.Is(err, ErrNumerical) {
		t.Error(err)
	}
	if s.Answer.Steps > 2*s.limit {
		t.Errorf("%d steps", s.Answer.Steps)
	}
}
