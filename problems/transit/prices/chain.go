package prices

import (
	"math"
	"math/rand/v2"
	"slices"
)

// chain is one local search with kicks. Its fields below memory are all that it
// remembers; everything else follows from them.
type chain struct {
	s    *state
	near [][]int32 // per station, the stations in order of distance

	memory

	order                   []int32
	flow, share             []float64
	grad, dir, rate, before []float64
	rows                    []row
	lines                   []moving
}

// memory is what a chain keeps between rounds. In vectors a closed link has
// price -1.
type memory struct {
	kicks, at, quiet, ridges float64
	best                     float64 // merit of home
	home                     []float64
	now                      []float64 // the design being climbed from
}

const (
	ridgeSteps  = 40
	ridgeRounds = 5     // climbs and ridges per kick
	promising   = 0.005 // relative distance from the best up to which a ridge is climbed
	gain        = 1e-10
)

// stream is the random stream of a chain for its present kick.
func (c *chain) stream(seed uint64, id int, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed^purpose*0x9e3779b97f4a7c15, uint64(id)<<40|uint64(c.kicks)))
}

// run works until budget units of work are done. pool holds designs to take
// parts from.
func (c *chain) run(seed uint64, id int, budget int, pool [][]float64, stop func() bool) {
	s := c.s
	s.set(c.now)
	s.paths.work = 0
	if c.kicks == 0 && c.at == 0 && c.s.g.large() {
		c.slide(seed, id, budget, stop)
	}
	for s.paths.work < budget && !stop() {
		if !c.climb(c.stream(seed, id, 1), budget, stop) {
			break
		}
		m := s.value()
		if c.ridges < ridgeRounds && (c.ridges == 1 || m > c.best-promising*math.Max(1, math.Abs(c.best))) && (c.ridge(ridgeSteps, stop) > 1e-9*math.Max(1, math.Abs(m)) || c.ridges == 0) {
			c.ridges++
			c.at, c.quiet = 0, 0
			continue
		}
		if m = s.value(); c.kicks == 0 || m > c.best+gain*math.Max(1, math.Abs(m)) {
			c.best = m
			copy(c.home, s.price)
		} else {
			copy(s.price, c.home)
		}
		c.kicks++
		c.at, c.quiet, c.ridges = 0, 0, 0
		c.kick(c.stream(seed, id, 2), pool)
		s.set(s.price)
	}
	copy(c.now, s.price)
}

// climb maximises over one price at a time until none alone improves; false when
// the budget or the run ends before.
func (c *chain) climb(rng *rand.Rand, budget int, stop func() bool) bool {
	s := c.s
	for l := range c.order {
		c.order[l] = int32(l)
	}
	rng.Shuffle(len(c.order), func(i, j int) { c.order[i], c.order[j] = c.order[j], c.order[i] })
	value := s.value()
	for ; int(c.quiet) < len(c.order); c.at++ {
		if s.paths.work >= budget || stop() {
			return false
		}
		l := c.order[int(c.at)%len(c.order)]
		c.quiet++
		if s.fixed[l] {
			continue
		}
		fine := c.ridges > 0
		if price, m := s.line(l, fine); m > value+gain*math.Max(1, math.Abs(value)) {
			s.move(l, price)
			value, c.quiet = s.value(), 0
		}
	}
	return true
}

// kick changes a few prices at random; the paths are left as they were.
func (c *chain) kick(rng *rand.Rand, pool [][]float64) {
	s, g := c.s, c.s.g
	set := func(l int32, price float64) {
		if !s.fixed[l] {
			s.price[l] = price
		}
	}
	switch rng.IntN(7) {
	case 0: // a few links anywhere
		for range 1 + rng.IntN(6) {
			l := int32(rng.IntN(g.links))
			if s.price[l] < 0 || rng.IntN(3) == 0 {
				set(l, 0)
			} else {
				set(l, closed)
			}
		}
	case 1: // a region anew
		p := rng.Float64()
		for _, l := range c.region(rng) {
			if rng.Float64() < p {
				set(l, closed)
			} else {
				set(l, 0)
			}
		}
	case 2: // a region open
		for _, l := range c.region(rng) {
			set(l, 0)
		}
	case 3: // half a region closed
		for _, l := range c.region(rng) {
			if rng.IntN(2) == 0 {
				set(l, closed)
			}
		}
	case 4: // the fastest ways of a few pairs open
		for range 1 + rng.IntN(3) {
			c.openWay(rng, set)
		}
	case 5: // a region as in another design
		other := pool[rng.IntN(len(pool))]
		for _, l := range c.region(rng) {
			set(l, other[l])
		}
	case 6: // a few prices shaken
		for l := range g.links {
			if rng.IntN(8) == 0 && s.price[l] >= 0 {
				set(int32(l), math.Max(0, s.price[l]+rng.NormFloat64()*0.5))
			}
		}
	}
}

// region lists the links at a station and at up to three of its neighbours.
func (c *chain) region(rng *rand.Rand) []int32 {
	g := c.s.g
	v := rng.IntN(g.n)
	around := c.near[v][:1+rng.IntN(min(4, g.n))]
	var links []int32
	for l := range g.links {
		if slices.Contains(around, g.from[l]) || slices.Contains(around, g.to[l]) {
			links = append(links, int32(l))
		}
	}
	return links
}

// openWay opens the links of the shortest path of a random pair.
func (c *chain) openWay(rng *rand.Rand, set func(l int32, price float64)) {
	s, g := c.s, c.s.g
	v := int32(rng.IntN(g.n))
	if len(g.pairs[v]) == 0 {
		return
	}
	k := &g.pairs[v][rng.IntN(len(g.pairs[v]))]
	for l, fixed := range s.fixed {
		c.before[l] = 0
		if fixed {
			c.before[l] = s.price[l]
		}
	}
	s.paths.grow(s.alt, v, c.before, -1)
	for at := k.to; at != v && s.alt.last[at] >= 0; at = g.from[s.alt.last[at]] {
		set(s.alt.last[at], 0)
	}
}
