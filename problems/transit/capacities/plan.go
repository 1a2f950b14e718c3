package capacities

import (
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel/problems/transit/response"
)

// Options are the planner's limits.
type Options struct {
	// Budget bounds the total construction cost; 0 is no bound.
	Budget float64
	// Forbidden links are not built; nil forbids none.
	Forbidden []bool
	// Least bounds the capacity of each link from below; nil bounds none.
	Least []float64
	// Mirror is, per link, the opposite one, which gets the same capacity; nil
	// leaves directions apart.
	Mirror []int32
}

// plan is a network within limits.
type plan struct {
	m      *response.Model
	groups []group
	budget float64
}

// group are links of equal capacity; cost is that of one unit in all of them.
type group struct {
	links       []int32
	least, cost float64
	forbidden   bool
}

func newPlan(m *response.Model, o Options) *plan {
	p := &plan{m: m, budget: math.Inf(1)}
	if o.Budget > 0 {
		p.budget = o.Budget
	}
	for e := range m.Links {
		g := group{links: []int32{int32(e)}}
		if o.Mirror != nil {
			r := o.Mirror[e]
			if int(r) < e {
				continue
			}
			if int(r) != e {
				g.links = append(g.links, r)
			}
		}
		for _, l := range g.links {
			g.cost += m.Cost[l]
			if o.Least != nil {
				g.least = math.Max(g.least, o.Least[l])
			}
			g.forbidden = g.forbidden || o.Forbidden != nil && o.Forbidden[l]
		}
		p.groups = append(p.groups, g)
	}
	return p
}

// fold sets z to the least capacities of the groups that hold the flows.
func (p *plan) fold(z, flow []float64) {
	for i, g := range p.groups {
		z[i] = g.least
		for _, e := range g.links {
			z[i] = math.Max(z[i], flow[e])
		}
		p.clip(z, i)
	}
}

// unfold is the inverse.
func (p *plan) unfold(x, z []float64) {
	for i, g := range p.groups {
		for _, e := range g.links {
			x[e] = z[i]
		}
	}
}

// clip puts z within the limits of group i.
func (p *plan) clip(z []float64, i int) {
	g := &p.groups[i]
	z[i] = math.Max(z[i], g.least)
	if g.forbidden {
		z[i] = 0
	}
}

func (p *plan) cost(z []float64) float64 {
	sum := 0.0
	for i, g := range p.groups {
		sum += g.cost * z[i]
	}
	return sum
}

// fit takes the same part of all capacity above the least ones away where z costs more
// than the budget. It returns the part that is left, and what that capacity had cost.
func (p *plan) fit(z []float64) (part, free float64) {
	fixed, cost := 0.0, p.cost(z)
	if !(cost > p.budget) {
		return 1, 0
	}
	for i, g := range p.groups {
		fixed += g.cost * math.Min(g.least, z[i])
	}
	free = cost - fixed
	part = math.Max(0, p.budget-fixed) / free * (1 - 1e-14)
	for i, g := range p.groups {
		if z[i] > g.least {
			z[i] = g.least + part*(z[i]-g.least)
		}
	}
	return part, free
}

// share sets the first shares of costs: equal ones of the links of a group and its
// least capacity where spread is 0, at random around that otherwise.
func (p *plan) share(share []float64, spread float64, rng *rand.Rand) {
	for _, g := range p.groups {
		if len(g.links) == 1 && g.least == 0 {
			share[g.links[0]] = 1
			continue
		}
		sum := 0.0
		for _, e := range g.links {
			share[e] = math.Exp(spread * rng.NormFloat64())
			sum += share[e]
		}
		if g.least > 0 {
			sum++
		}
		for _, e := range g.links {
			share[e] /= sum
		}
	}
}

// move moves the shares by at most step towards the fullest link of each group, or its
// least capacity, with a little chance.
func (p *plan) move(share, flow []float64, step float64, rng *rand.Rand) {
	for _, g := range p.groups {
		count, total := float64(len(g.links)), g.least
		for _, e := range g.links {
			total += flow[e]
		}
		if g.least > 0 {
			count++
		}
		if count == 1 || !(total > 0) {
			continue
		}
		rest, sum := 1.0, 0.0
		for _, e := range g.links {
			rest -= share[e]
			share[e] = math.Max(0, share[e]+step*(0.5+rng.Float64())*(flow[e]/total-1/count))
			sum += share[e]
		}
		if g.least > 0 {
			sum += math.Max(0, rest+step*(0.5+rng.Float64())*(g.least/total-1/count))
		}
		for _, e := range g.links {
			share[e] /= sum
		}
	}
}
