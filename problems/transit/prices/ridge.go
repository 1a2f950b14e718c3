package prices

import (
	"math"
	"slices"
)

// The prices at a local optimum of single prices usually hold some pairs at a
// tie between two paths, the dearer of which would carry them at a loss. Along
// the ridge on which the ties persist, several prices change together and profit
// is smooth:
//
//	max over lambda of  sum_k w_k (m_k - c_k) sigma(u_k - p_k),  p_k = time + lambda along the present path,
//	slack_r(lambda) = (length over another path) - (length of the present one) >= 0,  lambda >= 0,
//
// with linear p_k and slack_r. Steps follow the gradient projected on the cone of
// the active constraints (Hildreth's method on its dual), as far as the best
// point before the next constraint becomes active.

// unused is the part of all trips below which a flow is none.
const unused = 1e-10

// row is the gradient of a slack: +1 on plus, -1 on minus.
type row struct{ plus, minus []int32 }

func (r *row) dot(d []float64) float64 {
	v := 0.0
	for _, l := range r.plus {
		v += d[l]
	}
	for _, l := range r.minus {
		v -= d[l]
	}
	return v
}

func (r *row) add(d []float64, t float64) {
	for _, l := range r.plus {
		d[l] += t
	}
	for _, l := range r.minus {
		d[l] -= t
	}
}

// ridge climbs along ties for at most steps steps, or until stop reports true, and
// reports the gain.
func (c *chain) ridge(steps int, stop func() bool) float64 {
	s := c.s
	s.flows(c.flow, c.share)
	for l, f := range c.flow {
		if f <= unused*s.g.trips && s.price[l] >= 0 && !s.fixed[l] {
			s.price[l] = closed // nobody uses it: its ties are no constraints
		}
	}
	s.set(s.price)
	begin := s.value()
	value := begin
	for range steps {
		if stop() {
			break
		}
		c.gradient()
		c.project()
		size := 0.0
		for _, v := range c.dir {
			size = math.Max(size, math.Abs(v))
		}
		if size < 1e-9*math.Max(1, math.Abs(value)) {
			break
		}
		far := c.reach(4 / size)
		t := c.along(far)
		if !(t > 0) {
			break
		}
		copy(c.before, s.price)
		for l, v := range c.dir {
			if v != 0 {
				s.price[l] = math.Max(0, s.price[l]+t*v)
			}
		}
		s.set(s.price)
		now := s.value()
		if now < value+1e-10*math.Max(1, math.Abs(value)) {
			s.set(c.before)
			break
		}
		value = now
	}
	return value - begin
}

// gradient sets c.grad to that of the merit at fixed paths, and lists the active rows.
func (c *chain) gradient() {
	c.slopes(nil)
	c.rows = c.rows[:0]
	for v := range c.s.trees {
		c.ties(int32(v))
	}
}

// slopes sets c.grad to the gradient of the merit at fixed paths and size, where it is
// not nil, to the sums of the absolute values of what is added up there.
func (c *chain) slopes(size []float64) {
	s, g := c.s, c.s.g
	clear(c.grad)
	clear(size)
	_, spent := s.totals()
	weight := 1.0
	if spent > s.budget {
		weight += s.penalty
	}
	for v := range s.trees {
		t := s.trees[v]
		for i := range g.pairs[v] {
			k := &g.pairs[v][i]
			d := t.dist[k.to]
			if !(d < math.Inf(1)) {
				continue
			}
			y := 1 / (1 + math.Exp(d-k.u))
			slope := -k.w * y * (1 - y) * (k.m - weight*t.cost[k.to])
			for at := k.to; at != int32(v); at = g.from[t.last[at]] {
				c.grad[t.last[at]] += slope
				if size != nil {
					size[t.last[at]] += math.Abs(slope)
				}
			}
		}
	}
}

// ties adds the active rows of the tree of v.
func (c *chain) ties(v int32) {
	s, g := c.s, c.s.g
	t := s.trees[v]
	if len(g.pairs[v]) == 0 {
		return
	}
	for l := range g.links {
		a, b := g.from[l], g.to[l]
		if s.price[l] < 0 || t.last[b] == int32(l) || g.terminal[a] && a != v || !(t.dist[a] < math.Inf(1)) || b == v {
			continue
		}
		if t.dist[a]+g.time[l]+s.price[l] > t.dist[b]+4*g.tie {
			continue
		}
		r := row{plus: []int32{int32(l)}}
		for at := a; at != v; at = g.from[t.last[at]] {
			r.plus = append(r.plus, t.last[at])
		}
		for at := b; at != v; at = g.from[t.last[at]] {
			if i := slices.Index(r.plus, t.last[at]); i >= 0 {
				r.plus = slices.Delete(r.plus, i, i+1)
			} else {
				r.minus = append(r.minus, t.last[at])
			}
		}
		slices.Sort(r.plus)
		slices.Sort(r.minus)
		if !slices.ContainsFunc(c.rows, func(o row) bool { return slices.Equal(o.plus, r.plus) && slices.Equal(o.minus, r.minus) }) {
			c.rows = append(c.rows, r)
		}
	}
}

// project sets c.dir to the gradient projected on the cone of directions that
// keep the active slacks and the prices at 0 from falling.
func (c *chain) project() {
	s := c.s
	copy(c.dir, c.grad)
	for l, p := range s.price {
		if p < 0 || s.fixed[l] {
			c.dir[l] = 0
		}
	}
	mult := make([]float64, len(c.rows))
	bound := make([]float64, len(c.dir))
	for range 300 {
		moved := 0.0
		for i := range c.rows {
			r := &c.rows[i]
			d := r.dot(c.dir) / float64(len(r.plus)+len(r.minus))
			if n := math.Max(0, mult[i]-d); n != mult[i] {
				r.add(c.dir, n-mult[i])
				moved = math.Max(moved, math.Abs(n-mult[i]))
				mult[i] = n
			}
		}
		for l, p := range s.price {
			if p > 1e-12 {
				continue
			}
			if p < 0 || s.fixed[l] {
				c.dir[l] = 0
				continue
			}
			if n := math.Max(0, bound[l]-c.dir[l]); n != bound[l] {
				moved = math.Max(moved, math.Abs(n-bound[l]))
				c.dir[l] += n - bound[l]
				bound[l] = n
			}
		}
		if moved < 1e-12 {
			break
		}
	}
	for i := range c.dir {
		if math.Abs(c.dir[i]) < 1e-11 {
			c.dir[i] = 0
		}
	}
}

// reach is the largest step along c.dir before a price or a slack falls below 0.
func (c *chain) reach(far float64) float64 {
	s, g := c.s, c.s.g
	for l, v := range c.dir {
		if v < 0 && s.price[l] > 0 {
			far = math.Min(far, -s.price[l]/v)
		}
	}
	rate := c.rate
	for v := range s.trees {
		t := s.trees[v]
		if len(g.pairs[v]) == 0 {
			continue
		}
		c.rates(int32(v))
		for l := range g.links {
			a, b := g.from[l], g.to[l]
			if s.price[l] < 0 || t.last[b] == int32(l) || g.terminal[a] && int(a) != v || !(t.dist[a] < math.Inf(1)) || int(b) == v {
				continue
			}
			slack := t.dist[a] + g.time[l] + s.price[l] - t.dist[b]
			if fall := rate[a] + c.dir[l] - rate[b]; fall < -1e-12 && slack > 4*g.tie {
				far = math.Min(far, -slack/fall)
			}
		}
	}
	return far
}

// rates sets c.rate to the change of the distances from v along c.dir.
func (c *chain) rates(v int32) {
	s, g := c.s, c.s.g
	t := s.trees[v]
	for w := range g.n {
		r := 0.0
		if t.dist[w] < math.Inf(1) {
			for at := int32(w); at != v; at = g.from[t.last[at]] {
				r += c.dir[t.last[at]]
			}
		}
		c.rate[w] = r
	}
}

// along maximises the merit with fixed paths over steps in [0, far].
func (c *chain) along(far float64) float64 {
	s, g := c.s, c.s.g
	c.lines = c.lines[:0]
	for v := range s.trees {
		if len(g.pairs[v]) == 0 {
			continue
		}
		t := s.trees[v]
		c.rates(int32(v))
		for i := range g.pairs[v] {
			k := &g.pairs[v][i]
			if d := t.dist[k.to]; d < math.Inf(1) {
				c.lines = append(c.lines, moving{d - k.u, c.rate[k.to], k.w * (k.m - t.cost[k.to]), k.w * t.cost[k.to]})
			}
		}
	}
	best, at := math.Inf(-1), 0.0
	try := func(t float64) float64 {
		p, q := 0.0, 0.0
		for i := range c.lines {
			e := &c.lines[i]
			y := 1 / (1 + math.Exp(e.at+t*e.rate))
			p += y * e.profit
			q += y * e.spent
		}
		m := s.merit(p, q)
		if m > best {
			best, at = m, t
		}
		return m
	}
	try(0)
	try(far)
	golden(try, 0, far)
	return at
}

// moving is a pair on its path as prices move.
type moving struct{ at, rate, profit, spent float64 }
