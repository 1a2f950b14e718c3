package transit

import (
	"sync"

	"github.com/bilevel-go/bilevel/problems/transit/bound"
	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// Work on the profit bound, in partial ways looked at, so that it is the same on
// every machine: about 0.1 s and 1.5 s for Seville.
const (
	quickWork = 500_000
	fullWork  = 8_000_000
)

// ceiling is the bound on the profit of every design within the limits, which is
// computed when it is first asked for, and tightened once.
type ceiling struct {
	network *network.Network
	limits  *limits

	lock  sync.Mutex
	r     *bound.Relaxation
	tight bool
}

func newCeiling(n *network.Network, l *limits) *ceiling { return &ceiling{network: n, limits: l} }

// next is quick the first time.
func (c *ceiling) next() float64 {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.r == nil {
		c.start()
		return c.r.Value()
	}
	c.tighten()
	return c.r.Value()
}

// value is the tight bound.
func (c *ceiling) value() float64 {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.r == nil {
		c.start()
	}
	c.tighten()
	return c.r.Value()
}

func (c *ceiling) start() {
	c.r = bound.New(c.network, c.limits.bound(), 0)
	c.tight = c.r.Improve(quickWork, 0, nil)
}

func (c *ceiling) tighten() {
	if !c.tight {
		c.tight = true
		c.r.Improve(fullWork, 0, nil)
	}
}

// by says in words where the bound comes from.
func (c *ceiling) by() string { return "a relaxation in which ways share the losses they open" }
