package bound

import (
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/internal/parallel"
)

// label is a path to a station: its travel time and construction cost, or lower
// bounds of them.
type label struct {
	time, cost float64
}

// maxLabels is how many labels a station keeps; beyond, the two nearest become one
// below both, which keeps every bound valid.
const maxLabels = 48

// maxPasses is how often the list of a station may be passed on to its neighbours.
const maxPasses = 1000

// labels lists, per station, the efficient paths from a station in time and cost
// over the candidate links: no other path is better in both. The lists are sorted
// by time.
func (in *instance) labels(from int) [][]label {
	at := make([][]label, in.n)
	at[from] = []label{{0, 0}}
	queue, queued, visits := []int32{int32(from)}, make([]bool, in.n), make([]int, in.n)
	for len(queue) > 0 {
		i := queue[0]
		queue, queued[i] = queue[1:], false
		if in.terminal[i] && int(i) != from {
			continue
		}
		for _, e := range in.out[i] {
			j := in.to[e]
			if int(j) == from {
				continue
			}
			changed := false
			for _, l := range at[i] {
				changed = insert(&at[j], label{l.time + in.time[e], l.cost + in.cost[e]}) || changed
			}
			if visits[j] > maxPasses { // one label below all ends the merging
				low := label{in.fast[from*in.n+int(j)], in.cheap[from*in.n+int(j)]}
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

// wayBounds sets dst, by pair, to
//
//	w max over paths P of (m - c_P)^+ sigma(u - D_P),
//
// what a pair earns at its best path without the others.
func (in *instance) wayBounds(dst []float64, workers int) {
	_ = parallel.Do(workers, in.n, func(from int) error { // the jobs return no error
		var at [][]label
		for to := range in.n {
			k := in.at[from*in.n+to]
			if k < 0 {
				continue
			}
			if at == nil {
				at = in.labels(from)
			}
			p, best := &in.pairs[k], 0.0
			for _, l := range at[to] {
				best = math.Max(best, (p.m-l.cost)/(1+exp(l.time-p.u)))
			}
			dst[k] = p.w * best
		}
		return nil
	})
}
