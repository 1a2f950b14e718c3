package response

import "math"

// Audit is what an answer is worth, measured by code that shares nothing with the
// solver: sums over the flows as given, and shortest paths by Bellman and Ford's
// method. The dual value at any prices bounds the lower level from below (weak
// duality), so a small Gap proves the answer whoever made it.
type Audit struct {
	Primal, Dual float64 // see Answer
	Gap          float64 // (Primal - Dual) / max(1, |Primal|)
	// Capacity is per link: load minus capacity, > 0 where it is exceeded.
	// Slackness is the largest price times unused capacity.
	Capacity  []float64
	Excess    float64 // largest of Capacity, 0 at least
	Slackness float64
	// Imbalance is per station: the largest imbalance there of any origin's flow.
	// Conservation is the largest of all.
	Imbalance    []float64
	Conservation float64
	// Negative is the size of the most negative flow, share or price, and of the
	// largest excess of a share over 1.
	Negative float64
}

// NewAudit measures the answer (shares per pair, flows per origin and link, prices
// per link) at capacities x for the penalty gamma (+Inf: the lower level).
func NewAudit(m *Model, gamma float64, x, shares, flows, prices []float64) *Audit {
	a := &Audit{Capacity: make([]float64, m.Links), Imbalance: make([]float64, m.Stations)}
	low := func(v float64) { a.Negative = max(a.Negative, -v) }
	balance := make([]float64, m.Stations)
	for i, o := range m.Origins {
		clear(balance)
		for e, v := range flows[i*m.Links : (i+1)*m.Links] {
			low(v)
			a.Capacity[e] += v
			a.Primal += m.Time[e] * v
			balance[m.to[e]] += v
			balance[m.from[e]] -= v
		}
		for _, k := range o.Pairs {
			q := m.Trips[k] * shares[k]
			balance[m.pairTo[k]] -= q
			balance[o.Station] += q
		}
		for v, b := range balance {
			a.Imbalance[v] = max(a.Imbalance[v], math.Abs(b))
			a.Conservation = max(a.Conservation, a.Imbalance[v])
		}
	}
	length := make([]float64, m.Links)
	for e, p := range prices {
		low(p)
		length[e] = m.Time[e] + max(0, p)
		a.Capacity[e] -= x[e]
		a.Excess = max(a.Excess, a.Capacity[e])
		a.Slackness = max(a.Slackness, -p*a.Capacity[e])
		a.Dual -= p * x[e]
	}
	dist := make([]float64, m.Stations)
	for _, o := range m.Origins {
		m.relax(dist, length, o.Station)
		for _, k := range o.Pairs {
			w, y := m.Trips[k], shares[k]
			low(y)
			low(1 - y)
			u := m.Utility[k] + m.Margin[k]/gamma
			a.Primal += w * (u*(1-y) + entropy(y) + entropy(1-y))
			// -ln(exp(-u) + exp(-p)), from the larger of the two exponentials on.
			least, other := u, dist[m.pairTo[k]]
			if other < least {
				least, other = other, least
			}
			a.Dual += w * (least - math.Log(1+math.Exp(least-other)))
		}
	}
	a.Gap = (a.Primal - a.Dual) / max(1, math.Abs(a.Primal))
	return a
}

// relax sets dist to the shortest lengths from a station by relaxing all links
// until none shortens anything.
func (m *Model) relax(dist, length []float64, from int) {
	for i := range dist {
		dist[i] = math.Inf(1)
	}
	dist[from] = 0
	for again := true; again; {
		again = false
		for e, l := range length {
			i := m.from[e]
			if m.terminal[i] && int(i) != from {
				continue
			}
			if v := dist[i] + l; v < dist[m.to[e]] {
				dist[m.to[e]], again = v, true
			}
		}
	}
}

func entropy(y float64) float64 {
	if y <= 0 {
		return 0
	}
	return y * math.Log(y)
}
