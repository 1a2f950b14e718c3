package prices

import "math"

// On a large network one pass over all links, one price at a time, takes long. A
// chain there first slides: all prices, or a random half of them, move together
// along the slopes of profit at fixed paths,
//
//	lambda_l <- max(0, lambda_l + t g_l/h_l),  g_l = sum of -w y (1-y) (m - c) over the pairs on l,
//
// h_l the sum of the absolute values, so that t is the largest change of a price. A
// step that gains nothing, for paths change, is taken back and t falls.

const (
	// A network is large from many stations times links on; it has fewChains chains.
	many      = 30_000
	fewChains = 2
	// A slide begins with steps of first and ends with steps of last.
	first = 0.5
	last  = 1e-3
)

func (g *graph) large() bool { return g.n*g.links > many }

// slide improves all prices together until steps are short or the budget is spent.
func (c *chain) slide(seed uint64, id, budget int, stop func() bool) {
	s := c.s
	rng := c.stream(seed, id, 4)
	value := s.value()
	for t := first; t > last && s.paths.work < budget && !stop(); {
		c.slopes(c.dir)
		copy(c.before, s.price)
		all := rng.IntN(2) == 0
		for l, h := range c.dir {
			if h > 0 && s.price[l] >= 0 && !s.fixed[l] && (all || rng.IntN(2) == 0) {
				s.price[l] = math.Max(0, s.price[l]+t*c.grad[l]/h)
			}
		}
		s.set(s.price)
		if now := s.value(); now > value+gain*math.Max(1, math.Abs(value)) {
			value = now
			t = math.Min(2*first, 1.2*t)
			continue
		}
		s.set(c.before)
		t *= 0.7
	}
}
