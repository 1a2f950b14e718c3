package bound

import (
	"math"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// limits are multipliers nu >= 0 of the budget B and tau of the inequalities
// x_l >= flow_l and x_l >= least_l. For a group of links that get the same
// capacity x_g (one link, or both directions) at cost C_g per unit,
//
//	C_g x_g >= C_g ( sum over l of tau_l flow_l + tau_g least_g ),   tau >= 0 with sum 1,
//
// so that profit is at most what it would be at costs (1 + nu) C_g tau_l per unit of
// flow, plus nu B - (1 + nu) sum_g C_g tau_g least_g. A nil *limits has none.
type limits struct {
	fixed      bool
	budget     float64 // +Inf: none
	groups     [][]int32
	cost       []float64 // by group
	least      []float64
	nu, bestNu float64
	tau, best  [][]float64 // by group: one per link, and the least capacity's
	flow       []float64   // by link
	mean       [][]float64
	meanNu     float64
	// Steps are in units of the largest derivatives seen, by group and of nu:
	// multipliers are about 1 and derivatives as large as costs.
	unit   []float64
	unitNu float64
}

func newLimits(nw *network.Network, o Options) *limits {
	if o.Budget == 0 && o.Least == nil && o.Mirror == nil {
		return nil
	}
	l := &limits{budget: math.Inf(1), flow: make([]float64, len(nw.Links))}
	if o.Budget > 0 {
		l.budget = o.Budget
	}
	for e, a := range nw.Links {
		g, cost, least := []int32{int32(e)}, a.Cost, 0.0
		tau := []float64{1, 0}
		if o.Least != nil {
			least = o.Least[e]
		}
		if o.Mirror != nil && int(o.Mirror[e]) != e {
			m := o.Mirror[e]
			if int(m) < e {
				continue
			}
			g, cost = append(g, m), cost+nw.Links[m].Cost
			if tau = []float64{0.5, 0.5, 0}; cost > 0 { // the costs as they are
				tau = []float64{a.Cost / cost, nw.Links[m].Cost / cost, 0}
			}
			if o.Least != nil {
				least = max(least, o.Least[m])
			}
		}
		l.groups, l.cost, l.least = append(l.groups, g), append(l.cost, cost), append(l.least, least)
		l.tau, l.best, l.mean = append(l.tau, tau), append(l.best, append([]float64(nil), tau...)), append(l.mean, make([]float64, len(tau)))
	}
	l.unit = make([]float64, len(l.cost))
	return l
}

// fix leaves the multipliers at what stands for no limits.
func (l *limits) fix() {
	if l != nil {
		l.fixed = true
	}
}

// constant is the part of the bound that no pair earns, size that of its terms.
func (l *limits) constant() float64 {
	if l == nil {
		return 0
	}
	v := 0.0
	if l.nu > 0 {
		v = l.nu * l.budget
	}
	for g, c := range l.cost {
		v -= (1 + l.nu) * c * l.tau[g][len(l.groups[g])] * l.least[g]
	}
	return v
}

func (l *limits) size() float64 {
	if l == nil {
		return 0
	}
	v := 0.0
	if l.nu > 0 {
		v = l.nu * l.budget
	}
	for g, c := range l.cost {
		v += (1 + l.nu) * c * l.least[g]
	}
	return v
}

// apply sets the costs of the instance.
func (l *limits) apply(in *instance) {
	for g, links := range l.groups {
		for i, e := range links {
			in.cost[e] = (1 + l.nu) * l.cost[g] * l.tau[g][i]
		}
	}
	in.shortest(in.cheap, in.cost)
}

func (l *limits) keep() {
	if l == nil {
		return
	}
	l.bestNu = l.nu
	for g, t := range l.tau {
		copy(l.best[g], t)
	}
}

// restore takes back the multipliers that were kept and reports whether there are any.
func (l *limits) restore() bool {
	if l == nil {
		return false
	}
	l.nu = l.bestNu
	for g, t := range l.best {
		copy(l.tau[g], t)
	}
	return true
}

// back forgets averages.
func (l *limits) back() {
	if l == nil {
		return
	}
	l.meanNu = 0
	for _, m := range l.mean {
		clear(m)
	}
}

func (l *limits) begin() {
	if l != nil {
		clear(l.flow)
	}
}

// load adds a flow on links.
func (l *limits) load(links []int32, flow float64) {
	if l == nil {
		return
	}
	for _, e := range links {
		l.flow[e] += flow
	}
}

// end completes the subgradient, once all flows are there.
func (l *limits) end(r *Relaxation) (g2 float64) {
	if l == nil || l.fixed {
		return 0
	}
	const fresh = 1 - momentum
	r.forcedFlows()
	spent := 0.0
	for g, links := range l.groups {
		c, mean := (1+l.nu)*l.cost[g], l.mean[g]
		for i, e := range links {
			mean[i] = momentum*mean[i] - fresh*c*l.flow[e]
			spent += l.cost[g] * l.tau[g][i] * l.flow[e]
		}
		i := len(links)
		if l.least[g] > 0 {
			mean[i] = momentum*mean[i] - fresh*c*l.least[g]
			spent += l.cost[g] * l.tau[g][i] * l.least[g]
		} else {
			mean = mean[:i]
		}
		length := spread(mean)
		l.unit[g] = max(l.unit[g], math.Sqrt(length))
		g2 += length / (1 + l.unit[g])
	}
	if !math.IsInf(l.budget, 1) {
		l.meanNu = momentum*l.meanNu + fresh*(l.budget-spent)
		if l.meanNu < 0 || l.nu > 0 {
			l.unitNu = max(l.unitNu, math.Abs(l.meanNu))
			g2 += l.meanNu * l.meanNu / (1 + l.unitNu)
		}
	}
	return g2
}

// spread is the squared length of g along the plane of sum 0.
func spread(g []float64) float64 {
	m := 0.0
	for _, v := range g {
		m += v / float64(len(g))
	}
	s := 0.0
	for _, v := range g {
		s += (v - m) * (v - m)
	}
	return s
}

// forcedFlows adds the flows of losses that no row bears, on cheapest paths.
func (r *Relaxation) forcedFlows() {
	in := r.in
	for _, p := range in.pairs {
		x := r.y[straight][p.st]
		if !(x > 0) || r.loss[p.st] == 0 {
			continue
		}
		flow := max(0, 1-r.borne[p.st]) * p.w * x / (x + r.wide[p.st])
		if flow == 0 {
			continue
		}
		v, to := int(p.st)/in.n, int(p.st)%in.n
		for steps := 0; v != to && steps < in.n; steps++ {
			best, next := math.Inf(1), int32(-1)
			for _, e := range in.out[v] {
				q := int(in.to[e])
				if in.terminal[q] && q != to {
					continue
				}
				if c := in.cost[e] + in.cheap[q*in.n+to]; c < best {
					best, next = c, e
				}
			}
			if next < 0 {
				break
			}
			r.limits.flow[next] += flow
			v = int(in.to[next])
		}
	}
}

// move goes a step against the subgradient and reports whether costs changed.
func (l *limits) move(t float64) bool {
	if l == nil || l.fixed {
		return false
	}
	if !math.IsInf(l.budget, 1) {
		l.nu = max(0, l.nu-t*l.meanNu/(1+l.unitNu))
	}
	for g, tau := range l.tau {
		for i := range tau {
			tau[i] -= t * l.mean[g][i] / (1 + l.unit[g])
		}
		if l.least[g] == 0 { // its multiplier would waste
			tau[len(tau)-1] = 0
			simplex(tau[:len(tau)-1])
		} else {
			simplex(tau)
		}
	}
	return true
}

// simplex projects v on { v >= 0, sum v = 1 }.
func simplex(v []float64) {
	left := len(v)
	for out := true; out; {
		out = false
		sum := -1.0
		for _, x := range v {
			if !math.IsInf(x, -1) {
				sum += x
			}
		}
		off := sum / float64(left)
		for i, x := range v {
			if !math.IsInf(x, -1) && x < off && left > 1 {
				v[i], out = math.Inf(-1), true
				left--
			}
		}
		if !out {
			for i := range v {
				v[i] = max(0, v[i]-off)
			}
		}
	}
}
