package capacities

import (
	"math"

	"github.com/bilevel-go/bilevel/problems/transit/response"
	"gonum.org/v1/gonum/floats"
)

// climber improves designs. It is the workspace of one goroutine; its answers depend
// on the arguments alone.
type climber struct {
	p      *plan
	solver *response.Solver
	work   int // responses computed

	x, weights, slope []float64 // per link, per pair, per link
	prices            []float64 // of the design climbed from
	warm              bool

	open                                []int // groups that are built
	z, grad, trial, next, dir, step, hy []float64
	built                               []float64 // what the budget leaves
	curve                               []float64 // approximate inverse Hessian over open, row by row
}

func newClimber(p *plan) *climber {
	groups := func() []float64 { return make([]float64, len(p.groups)) }
	c := &climber{p: p, solver: response.NewSolver(p.m), x: make([]float64, p.m.Links), weights: make([]float64, p.m.Pairs),
		slope: make([]float64, p.m.Links), prices: make([]float64, p.m.Links),
		z: groups(), grad: groups(), trial: groups(), next: groups(), dir: groups(), step: groups(), hy: groups(), built: groups()}
	for k, w := range p.m.Trips {
		c.weights[k] = -w * p.m.Margin[k]
	}
	return c
}

const (
	// accurate is the relative gap of a response that counts.
	accurate = 1e-9
	// A step must gain the part enough of what its slope promises and leave at most
	// the part flat of that slope; a line search has trials for it.
	enough = 1e-4
	flat   = 0.9
	trials = 30
	// The curvature is forgotten restarts times where no step gains, and a gain below
	// settled of the loss is none.
	restarts = 3
	settled  = 1e-11
)

// loss is what climbing minimises at z: construction cost minus margins of z, or of what
// the budget leaves of it (plan.fit); +Inf where no response is found. It sets grad to
// the derivative unless that is nil.
func (c *climber) loss(z, grad []float64) float64 {
	p := c.p
	c.work++
	copy(c.built, z)
	part, free := p.fit(c.built)
	p.unfold(c.x, c.built)
	var prices []float64
	if c.warm {
		prices = c.prices
	}
	if err := c.solver.Solve(math.Inf(1), c.x, prices); err != nil && !(math.Abs(c.solver.Answer.Gap) <= accurate) {
		return math.Inf(1)
	}
	f := p.cost(c.built) + floats.Dot(c.weights, c.solver.Answer.Shares)
	if grad == nil {
		return f
	}
	if c.solver.Adjoint(c.slope, c.weights, nil) != nil {
		return math.Inf(1)
	}
	along := 0.0 // slope along what is scaled
	for g := range grad {
		grad[g] = p.groups[g].cost
		for _, e := range p.groups[g].links {
			grad[g] += c.slope[e]
		}
		along += grad[g] * (z[g] - p.groups[g].least)
	}
	if part < 1 {
		for g := range grad {
			grad[g] = part * (grad[g] - p.groups[g].cost*along/free)
		}
	}
	return f
}

// climb lowers the loss from z, in place, over the capacities of the groups that are
// built, until no step gains or limit responses are computed, and returns the loss.
//
// It is the method of Broyden, Fletcher, Goldfarb and Shanno with a weak Wolfe line
// search, which gets to the bottom of kinks as well (package comment), projected on
// the bounds. A group that falls to 0 stays closed.
func (c *climber) climb(z []float64, limit int, stop func() bool) float64 {
	limit += c.work
	copy(c.z, z)
	c.warm = false
	f := c.loss(c.z, c.grad)
	if math.IsInf(f, 1) {
		return f
	}
	c.list()
	c.forget(0.1)
	for left := restarts; c.work < limit && !stop(); {
		copy(c.prices, c.solver.Answer.Prices)
		c.warm = true
		slope := c.towards()
		now, ok := f, false
		if slope < -1e-14*math.Max(1, math.Abs(f)) {
			now, ok = c.search(f, limit)
		}
		if !ok || f-now <= settled*math.Max(1, math.Abs(f)) {
			if left--; left < 0 {
				if ok {
					f = now
					copy(c.z, c.trial)
				}
				break
			}
			c.forget(math.Pow(0.1, float64(restarts-left+1)))
		}
		if ok {
			c.update()
			f = now
		} else {
			c.loss(c.z, c.grad)
		}
	}
	copy(z, c.z)
	c.p.fit(z)
	return f
}

// list sets open to the groups that are built.
func (c *climber) list() {
	c.open = c.open[:0]
	for g, v := range c.z {
		if v > 0 {
			c.open = append(c.open, g)
		}
	}
}

// forget sets the curvature so that the first step is a part of the capacities.
func (c *climber) forget(part float64) {
	n := len(c.open)
	if cap(c.curve) < n*n {
		c.curve = make([]float64, n*n)
	}
	c.curve = c.curve[:n*n]
	clear(c.curve)
	size, slope := 0.0, 0.0
	for _, g := range c.open {
		size = math.Max(size, c.z[g])
		slope = math.Max(slope, math.Abs(c.grad[g]))
	}
	for i := range c.open {
		c.curve[i*n+i] = part * size / math.Max(slope, 1e-300)
	}
}

// towards sets dir to the quasi-Newton step over the groups that may move and returns
// the slope along it.
func (c *climber) towards() float64 {
	n, slope := len(c.open), 0.0
	for i, g := range c.open {
		c.dir[i] = 0
		if c.held(g) {
			continue
		}
		for j, h := range c.open {
			if !c.held(h) {
				c.dir[i] -= c.curve[i*n+j] * c.grad[h]
			}
		}
		slope += c.dir[i] * c.grad[g]
	}
	return slope
}

// held reports that g is at its bound and would go below.
func (c *climber) held(g int) bool { return c.z[g] <= c.p.groups[g].least && c.grad[g] > 0 }

// search looks for a step along dir, bent at the bounds, that gains enough and is not
// too short; it sets trial, next (the derivative there) and step.
func (c *climber) search(f float64, limit int) (float64, bool) {
	lo, hi, t := 0.0, math.Inf(1), 1.0
	for range trials {
		if c.work >= limit {
			break
		}
		copy(c.trial, c.z)
		moved := 0.0
		for i, g := range c.open {
			c.trial[g] = math.Max(c.p.groups[g].least, c.z[g]+t*c.dir[i])
			moved += c.grad[g] * (c.trial[g] - c.z[g])
		}
		now := c.loss(c.trial, c.next)
		if !(now <= f+enough*moved) {
			hi = t
		} else {
			along := 0.0
			for _, g := range c.open {
				along += c.next[g] * (c.trial[g] - c.z[g])
			}
			if along >= flat*moved {
				return now, true
			}
			lo = t
		}
		if math.IsInf(hi, 1) {
			t *= 2
		} else {
			t = lo + (hi-lo)/2
		}
	}
	if lo > 0 { // it gains, though not as it should
		copy(c.trial, c.z)
		for i, g := range c.open {
			c.trial[g] = math.Max(c.p.groups[g].least, c.z[g]+lo*c.dir[i])
		}
		now := c.loss(c.trial, c.next)
		return now, now < f
	}
	return f, false
}

// update moves to trial and learns the curvature from the step there.
func (c *climber) update() {
	n, sy, yhy := len(c.open), 0.0, 0.0
	for i, g := range c.open {
		c.step[i] = c.trial[g] - c.z[g]
		c.dir[i] = c.next[g] - c.grad[g]
		sy += c.step[i] * c.dir[i]
	}
	copy(c.z, c.trial)
	copy(c.grad, c.next)
	if sy > 0 {
		for i := range n {
			c.hy[i] = floats.Dot(c.curve[i*n:(i+1)*n], c.dir[:n])
			yhy += c.hy[i] * c.dir[i]
		}
		for i := range n {
			for j := range n {
				c.curve[i*n+j] += (1+yhy/sy)*c.step[i]*c.step[j]/sy - (c.hy[i]*c.step[j]+c.step[i]*c.hy[j])/sy
			}
		}
	}
	c.close()
}

// close drops the groups that have fallen to 0.
func (c *climber) close() {
	n, kept := len(c.open), c.open[:0:0]
	var keep []int
	for i, g := range c.open {
		if c.z[g] > 0 {
			kept, keep = append(kept, g), append(keep, i)
		}
	}
	if len(kept) == n {
		return
	}
	for a, i := range keep {
		for b, j := range keep {
			c.curve[a*len(keep)+b] = c.curve[i*n+j]
		}
	}
	c.open, c.curve = kept, c.curve[:len(keep)*len(keep)]
}
