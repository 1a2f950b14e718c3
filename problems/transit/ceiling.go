package transit

import (
	"sync"

	"github.com/bilevel-go/bilevel/problems/transit/bound"
	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// Work on the profit bound is counted in partial ways looked at, so that the bound
// is the same on every machine.
const (
	quickWork  = 500_000
	effortUnit = 1_000_000 // work of one unit of Options.BoundEffort
)

// ceiling is the bound on the profit of every design within the limits, which is
// computed when it is first asked for, and tightened once.
type ceiling struct {
	network *network.Network
	limits  *limits
	work    int

	lock  sync.Mutex
	r     *bound.Relaxation
	tight bool
}

func newCeiling(n *network.Network, l *limits, effort float64) *ceiling {
	return &ceiling{network: n, limits: l, work: int(effort * effortUnit)}
}

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
	c.r = bound.New(c.network, c.limits.options(), 0)
	c.tight = c.r.Improve(min(quickWork, c.work), 0, nil)
}

func (c *ceiling) tighten() {
	if !c.tight {
		c.tight = true
		c.r.Improve(c.work, 0, nil)
	}
}

// by says in words where the bound comes from.
func (c *ceiling) by() string { return "a relaxation in which ways share the losses they open" }
