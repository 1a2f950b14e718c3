package prices

import (
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/internal/parallel"
	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// Search looks for the most profitable prices of a network in rounds. It keeps
// nothing between rounds but the memory that the caller holds, and its results
// do not depend on the number of workers.
type Search struct {
	g      *graph
	chains []*chain
	budget int
}

// Options limit the designs.
type Options struct {
	// Budget bounds the total construction cost; 0 is no bound.
	Budget float64
	// Forbidden links are not built; nil forbids none.
	Forbidden []bool
	// Chains is the number of local searches side by side; 0 is the default.
	Chains int
}

const (
	manyChains = 8
	patience   = 12 // rounds without a better design that end the search
	perRound   = 2_000_000
	head       = 3 // round, idle rounds, best merit
	perChain   = 5 // the scalars of memory
)

// New prepares the search. n must be valid and Forbidden nil or of one entry per link.
func New(n *network.Network, o Options) *Search {
	g := newGraph(n)
	s := &Search{g: g, budget: max(min(perRound, 100*g.n*g.n*g.links), g.n*g.links*(g.n+g.links)/2)}
	count := manyChains
	if g.large() {
		count = fewChains
	}
	if o.Chains > 0 {
		count = o.Chains
	}
	near := nearest(g)
	for range count {
		st := newState(g)
		if o.Budget > 0 {
			st.budget, st.penalty = o.Budget, g.priceOfMoney()
		}
		if o.Forbidden != nil {
			copy(st.fixed, o.Forbidden)
		}
		s.chains = append(s.chains, &chain{s: st, near: near, order: make([]int32, g.links),
			flow: make([]float64, g.links), share: make([]float64, g.demand), grad: make([]float64, g.links),
			dir: make([]float64, g.links), before: make([]float64, g.links), rate: make([]float64, g.n)})
	}
	return s
}

// priceOfMoney is a profit per unit of construction cost that no design exceeds.
func (g *graph) priceOfMoney() float64 {
	least, most := math.Inf(1), 0.0
	for _, c := range g.cost {
		if c > 0 {
			least = math.Min(least, c)
		}
	}
	for _, of := range g.pairs {
		for _, k := range of {
			most = math.Max(most, math.Abs(k.m))
		}
	}
	if most == 0 || math.IsInf(least, 1) {
		return 1
	}
	return 1 + most/least
}

// nearest orders the stations by their distance from each.
func nearest(g *graph) [][]int32 {
	out := make([][]int32, g.n)
	p, t, free := newPaths(g), newTree(g.n), make([]float64, g.links)
	for v := range out {
		p.grow(t, int32(v), free, -1)
		for w := range g.n {
			out[v] = append(out[v], int32(w))
		}
		slices.SortStableFunc(out[v], func(a, b int32) int {
			switch {
			case t.dist[a] < t.dist[b]:
				return -1
			case t.dist[a] > t.dist[b]:
				return 1
			}
			return 0
		})
	}
	return out
}

// Memory is the length of the memory that Round keeps between rounds.
func (s *Search) Memory() int { return head + s.g.links + len(s.chains)*(perChain+2*s.g.links) }

// Round does one round. memory is zero before the first one; rounds follow each
// other with the same seed. done reports that many rounds have brought nothing
// better. When stop reports true the round ends early and memory is of no use.
func (s *Search) Round(memory []float64, seed uint64, workers int, stop func() bool) (done bool) {
	first := memory[0] == 0
	views := make([]*memoryView, len(s.chains))
	pool := make([][]float64, len(s.chains))
	for i, c := range s.chains {
		views[i] = s.view(memory, i)
		if first {
			s.start(c, views[i], i, seed)
		}
		views[i].load(&c.memory)
		pool[i] = slices.Clone(c.home)
	}
	if first {
		memory[2] = math.Inf(-1)
	}
	_ = parallel.Do(workers, len(s.chains), func(i int) error { // the jobs return no error
		s.chains[i].run(seed, i, s.budget, pool, stop)
		views[i].save(&s.chains[i].memory)
		return nil
	})
	memory[0]++
	memory[1]++
	for _, c := range s.chains {
		if m := memory[2]; c.kicks > 0 && (math.IsInf(m, -1) || c.best > m+1e-9*math.Max(1, math.Abs(m))) {
			memory[1], memory[2] = 0, c.best
			copy(memory[head:head+s.g.links], c.home)
		}
	}
	if memory[2] == math.Inf(-1) {
		// No chain has finished its first climb: the best design on the way.
		s.underWay(memory)
		memory[1] = 0
	}
	return memory[1] >= patience
}

// underWay keeps the best design that is being climbed from, without its merit.
func (s *Search) underWay(memory []float64) {
	best := math.Inf(-1)
	for _, c := range s.chains {
		if m := c.s.value(); m > best {
			best = m
			copy(memory[head:head+s.g.links], c.now)
		}
	}
}

// start sets the first design of a chain: everything open, nothing built, then
// random halves; on a large network everything open, then at random prices.
func (s *Search) start(c *chain, v *memoryView, id int, seed uint64) {
	rng := c.stream(seed, id, 3)
	for l := range v.now {
		switch {
		case c.s.fixed[l]:
			v.now[l] = closed
		case id == 0:
			v.now[l] = 0
		case s.g.large():
			v.now[l] = first * rng.Float64()
		case id == 1 || rng.IntN(2) == 0:
			v.now[l] = closed
		default:
			v.now[l] = 0
		}
	}
	copy(v.home, v.now)
}

// memoryView is a chain's part of the memory.
type memoryView struct{ scalars, home, now []float64 }

func (s *Search) view(memory []float64, i int) *memoryView {
	n := s.g.links
	m := memory[head+n+i*(perChain+2*n):]
	return &memoryView{m[:perChain], m[perChain : perChain+n], m[perChain+n : perChain+2*n]}
}

func (v *memoryView) load(m *memory) {
	m.kicks, m.at, m.quiet, m.ridges, m.best = v.scalars[0], v.scalars[1], v.scalars[2], v.scalars[3], v.scalars[4]
	m.home, m.now = v.home, v.now
}

func (v *memoryView) save(m *memory) {
	v.scalars[0], v.scalars[1], v.scalars[2], v.scalars[3], v.scalars[4] = m.kicks, m.at, m.quiet, m.ridges, m.best
}

// Best sets x (links) to the capacities of the best design in memory and returns
// its profit and its construction cost.
func (s *Search) Best(x, memory []float64) (profit, cost float64) {
	st := newState(s.g)
	st.set(memory[head : head+s.g.links])
	st.flows(x, make([]float64, s.g.demand))
	return st.totals()
}

// Prices sets dst (Links) to the link prices of the best design in memory, +Inf for
// a link that is not built. Limits may give links more capacity than they induce.
func (s *Search) Prices(dst, memory []float64) { copy(dst, memory[head:head+s.g.links]) }
