package response

import (
	"math"
	"slices"
)

// label is a path to a station: its travel time and construction cost, or lower
// bounds of them.
type label struct {
	time, cost float64
}

// maxLabels is how many labels a station keeps; beyond, the two nearest become one
// below both, which keeps every bound valid.
const maxLabels = 48

// maxVisits is how often the list of a station may be passed on to its neighbours.
const maxVisits = 1000

// labels lists, per station, the efficient paths from a station in time and cost
// over the candidate links: no other path is better in both. The lists are sorted
// by time.
func (m *Model) labels(from int) [][]label {
	at := make([][]label, m.Stations)
	at[from] = []label{{0, 0}}
	queue, queued, visits := []int32{int32(from)}, make([]bool, m.Stations), make([]int, m.Stations)
	time, cost := make([]float64, m.Stations), make([]float64, m.Stations)
	m.relax(time, m.Time, from)
	m.relax(cost, m.Cost, from)
	for len(queue) > 0 {
		i := queue[0]
		queue, queued[i] = queue[1:], false
		if m.terminal[i] && int(i) != from {
			continue
		}
		for _, e := range m.out[m.start[i]:m.start[i+1]] {
			j := m.to[e]
			if int(j) == from {
				continue
			}
			changed := false
			for _, l := range at[i] {
				changed = insert(&at[j], label{l.time + m.Time[e], l.cost + m.Cost[e]}) || changed
			}
			if visits[j] > maxVisits { // one label below all ends the merging
				low := label{time[j], cost[j]}
				changed = len(at[j]) != 1 || at[j][0] != low
				at[j] = append(at[j][:0], low)
			}
			if changed && !queued[j] {
				visits[j]++
				queued[j] = true
				queue = append(queue, j)
			}
		}
	}
	return at
}

// insert adds l to a sorted list of efficient labels unless one there is as good;
// labels that it makes inefficient go.
func insert(list *[]label, l label) bool {
	const slack = 1e-12
	s := *list
	i, _ := slices.BinarySearchFunc(s, l, func(a, b label) int {
		if a.time < b.time {
			return -1
		}
		return 1
	})
	if i > 0 && s[i-1].cost <= l.cost*(1+slack) || i < len(s) && s[i].time <= l.time*(1+slack) && s[i].cost <= l.cost*(1+slack) {
		return false
	}
	j := i
	for j < len(s) && s[j].cost >= l.cost {
		j++
	}
	s = slices.Replace(s, i, j, l)
	if len(s) > maxLabels {
		best, near := 0, math.Inf(1)
		for k := 1; k < len(s); k++ {
			if d := (s[k].time - s[k-1].time) * (s[k-1].cost - s[k].cost); d < near {
				best, near = k, d
			}
		}
		s[best] = label{s[best-1].time, s[best].cost}
		s = slices.Delete(s, best-1, best)
	}
	*list = s
	return true
}

// PairBound is an upper bound on the profit of every design,
//
//	sum_k w_k max over paths r of k of (m_k - C_r)^+ sigma(u_k - D_r):
//
// each pair pays at least the capacity of a path that it takes, and takes it no
// more often than at no price. D_r and C_r are the path's time and cost.
func (m *Model) PairBound() float64 {
	sum := 0.0
	for _, o := range m.Origins {
		at := m.labels(o.Station)
		for _, k := range o.Pairs {
			best := 0.0
			for _, l := range at[m.pairTo[k]] {
				best = math.Max(best, (m.Margin[k]-l.cost)*sigmoid(m.Utility[k]-l.time))
			}
			sum += m.Trips[k] * best
		}
	}
	return sum
}
