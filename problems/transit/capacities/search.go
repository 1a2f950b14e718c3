package capacities

import (
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel/internal/parallel"
	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/problems/transit/prices"
	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// Search looks for the most profitable capacities of a network within limits, in
// rounds. It keeps nothing between rounds but the memory that the caller holds, and
// its results do not depend on the number of workers.
type Search struct {
	n      *network.Network
	p      *plan
	o      Options
	chains []*climber
	limit  int // responses in one climb
}

const (
	manyChains = 8
	fewChains  = 4 // of networks with more pairs than fewPairs
	fewPairs   = 200
	thorough   = 6    // rounds of the search over prices for every other proposal
	manyPairs  = 3000 // pairs from which on proposals have one round
	patience   = 8    // rounds without a better design that end the search
	perRound   = 6    // kicks
	brief      = 60   // responses after which a kick that is not promising is given up
	promising  = 0.01
	better     = 1e-7 // relative gain that counts
	shareStep  = 0.3  // first step of shares

	head     = 3 // round, idle rounds, best loss
	perChain = 1 // loss
)

// New prepares the search. n must be valid, m its model and the vectors in o nil or of
// one entry per link.
func New(n *network.Network, m *response.Model, o Options) *Search {
	s := &Search{n: n, p: newPlan(m, o), o: o, limit: min(400, max(5, 200_000/max(1, m.Pairs)))}
	count := manyChains
	if m.Pairs > fewPairs {
		count = fewChains
	}
	for range count {
		s.chains = append(s.chains, newClimber(s.p))
	}
	return s
}

// Memory is the length of the memory that Round keeps between rounds.
func (s *Search) Memory() int {
	g := len(s.p.groups)
	return head + g + len(s.chains)*(perChain+g+s.p.m.Links)
}

// view is a chain's part of the memory: the best design that it has found, its loss,
// and the shares of costs, per link.
type view struct{ loss, home, share []float64 }

func (s *Search) view(memory []float64, i int) *view {
	g, l := len(s.p.groups), s.p.m.Links
	m := memory[head+g+i*(perChain+g+l):]
	return &view{m[:perChain], m[perChain : perChain+g], m[perChain+g : perChain+g+l]}
}

// Round does one round: rounds with proposals and rounds with kicks in turn. memory
// is zero before the first one; rounds follow each other with the same seed. done
// reports that many rounds have brought nothing better. When stop reports true the
// round ends early and memory is of no use.
func (s *Search) Round(memory []float64, seed uint64, workers int, stop func() bool) (done bool) {
	round := int(memory[0])
	best := memory[head : head+len(s.p.groups)]
	if round == 0 {
		memory[2] = math.Inf(1)
		for i := range s.chains {
			v := s.view(memory, i)
			v.loss[0] = math.Inf(1)
			s.p.share(v.share, 0.2*float64(i), rand.New(rand.NewPCG(seed^0x54a2e, uint64(i))))
		}
	}
	_ = parallel.Do(workers, len(s.chains), func(i int) error { // the jobs return no error
		c, v := s.chains[i], s.view(memory, i)
		rng := rand.New(rand.NewPCG(seed^0x51ca9, uint64(i)<<32|uint64(round)))
		if round%2 == 0 {
			s.propose(c, v, rng, round, i, stop)
		} else {
			s.kicks(c, v, best, memory[2], rng, stop)
		}
		return nil
	})
	memory[0]++
	memory[1]++
	for i := range s.chains {
		v := s.view(memory, i)
		if now := v.loss[0]; math.IsInf(memory[2], 1) && now < memory[2] || now < memory[2]-better*math.Max(1, math.Abs(now)) {
			memory[1], memory[2] = 0, now
			copy(best, v.home)
		}
	}
	return memory[1] >= patience
}

// propose climbs from what the shared-out problem proposes, and moves the shares. Proposals
// of a thorough search and of a short one take turns: the former are better, the latter
// differ more.
func (s *Search) propose(c *climber, v *view, rng *rand.Rand, round, chain int, stop func() bool) {
	p := s.p
	n, o := *s.n, prices.Options{Forbidden: s.o.Forbidden, Chains: 1}
	n.Links = append([]network.Link(nil), s.n.Links...)
	paid := 0.0
	for _, g := range p.groups {
		rest := 1.0
		for _, e := range g.links {
			n.Links[e].Cost = v.share[e] * g.cost
			rest -= v.share[e]
		}
		paid += math.Max(0, rest) * g.cost * g.least
	}
	if !math.IsInf(p.budget, 1) {
		o.Budget = math.Max(p.budget-paid, 1e-9*p.budget)
	}
	search := prices.New(&n, o)
	memory, flow := make([]float64, search.Memory()), make([]float64, p.m.Links)
	rounds := thorough
	if p.m.Pairs > manyPairs || (chain+round/2)%2 == 1 {
		rounds = 1
	}
	for seed := rng.Uint64(); rounds > 0 && !stop(); rounds-- {
		if search.Round(memory, seed, 1, stop) {
			break
		}
	}
	if stop() {
		return
	}
	search.Best(flow, memory)
	z := make([]float64, len(p.groups))
	p.fold(z, flow)
	s.offer(c, v, z, stop)
	p.move(v.share, flow, shareStep/math.Sqrt(1+float64(round/2)), rng)
}

// offer climbs from z and keeps what is better than the chain's best.
func (s *Search) offer(c *climber, v *view, z []float64, stop func() bool) {
	f := c.climb(z, min(brief, s.limit), stop)
	if f < v.loss[0]+promising*math.Max(1, math.Abs(v.loss[0])) && s.limit > brief {
		f = c.climb(z, s.limit-brief, stop)
	}
	if math.IsInf(v.loss[0], 1) || f < v.loss[0] {
		v.loss[0] = f
		copy(v.home, z)
	}
}

// kicks changes a design at random and climbs, several times. A chain that is far
// behind the best goes on from there.
func (s *Search) kicks(c *climber, v *view, best []float64, least float64, rng *rand.Rand, stop func() bool) {
	if v.loss[0] > least+0.1*math.Max(1, math.Abs(least)) || rng.IntN(2) == 0 {
		v.loss[0] = least
		copy(v.home, best)
	}
	z := make([]float64, len(best))
	for range perRound {
		if stop() {
			return
		}
		copy(z, v.home)
		s.kick(z, rng)
		s.offer(c, v, z, stop)
	}
}

// kick changes a few groups.
func (s *Search) kick(z []float64, rng *rand.Rand) {
	p := s.p
	size, built := 0.0, 0
	for _, v := range z {
		if size += v; v > 0 {
			built++
		}
	}
	size /= math.Max(1, float64(built))
	kind := rng.IntN(4)
	if kind == 3 { // all sizes shaken
		for g := range z {
			z[g] *= math.Exp(0.3 * rng.NormFloat64())
			p.clip(z, g)
		}
		return
	}
	for range 1 + rng.IntN(3) {
		g := rng.IntN(len(z))
		switch {
		case kind == 0 || kind == 1 && z[g] > 0:
			z[g] = 0
		case kind == 1:
			z[g] = size * rng.Float64()
		default:
			z[g] += size * rng.Float64()
		}
		p.clip(z, g)
	}
}

// Best sets x (links) to the best capacities in memory and returns their profit and
// construction cost.
func (s *Search) Best(x, memory []float64) (profit, cost float64) {
	z := memory[head : head+len(s.p.groups)]
	s.p.unfold(x, z)
	return -memory[2], s.p.cost(z)
}
