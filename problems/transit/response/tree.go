package response

import "math"

// tree is a shortest-path tree by Dijkstra's method with a binary heap. Equal
// lengths are resolved by the order of stations and links, so that the tree is a
// function of its arguments.
type tree struct {
	m     *Model
	dist  []float64
	pred  []int32 // link into each station, -1: none
	order []int32 // stations in the order they were reached
	heap  []int32
	at    []int32 // position in heap, -1: not in it, -2: reached
}

func newTree(m *Model) *tree {
	n := m.Stations
	return &tree{m: m, dist: make([]float64, n), pred: make([]int32, n), order: make([]int32, 0, n), heap: make([]int32, 0, n), at: make([]int32, n)}
}

// grow finds the shortest paths from a station; length is per link, >= 0, +Inf
// for a closed one.
func (t *tree) grow(length []float64, from int32) {
	m := t.m
	for i := range t.dist {
		t.dist[i], t.pred[i], t.at[i] = math.Inf(1), -1, -1
	}
	t.order, t.heap = t.order[:0], append(t.heap[:0], from)
	t.dist[from], t.at[from] = 0, 0
	for len(t.heap) > 0 {
		i := t.pop()
		t.order = append(t.order, i)
		if m.anyTerminals && m.terminal[i] && i != from {
			continue
		}
		d := t.dist[i]
		for _, e := range m.out[m.start[i]:m.start[i+1]] {
			j := m.to[e]
			if v := d + length[e]; v < t.dist[j] {
				t.dist[j], t.pred[j] = v, e
				t.push(j)
			}
		}
	}
}

func (t *tree) less(i, j int32) bool {
	return t.dist[i] < t.dist[j] || t.dist[i] == t.dist[j] && i < j
}

// push puts station j in the heap or moves it up.
func (t *tree) push(j int32) {
	k := t.at[j]
	if k < 0 {
		k = int32(len(t.heap))
		t.heap = append(t.heap, j)
	}
	for k > 0 {
		p := (k - 1) / 2
		if !t.less(j, t.heap[p]) {
			break
		}
		t.heap[k] = t.heap[p]
		t.at[t.heap[k]] = k
		k = p
	}
	t.heap[k], t.at[j] = j, k
}

func (t *tree) pop() int32 {
	top, last := t.heap[0], t.heap[len(t.heap)-1]
	t.at[top] = -2
	t.heap = t.heap[:len(t.heap)-1]
	n := int32(len(t.heap))
	if n == 0 {
		return top
	}
	k := int32(0)
	for {
		c := 2*k + 1
		if c >= n {
			break
		}
		if c+1 < n && t.less(t.heap[c+1], t.heap[c]) {
			c++
		}
		if !t.less(t.heap[c], last) {
			break
		}
		t.heap[k] = t.heap[c]
		t.at[t.heap[k]] = k
		k = c
	}
	t.heap[k], t.at[last] = last, k
	return top
}
