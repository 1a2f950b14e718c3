package tokenizer

import "math"

var noMerge = merge{rank: math.MaxInt32}

func (m *bpe) pairMerge(a, b int32) merge {
	if r, ok := m.merges[pair(a, b)]; ok {
		return r
	}
	return noMerge
}

// mergeShort merges ids in place by scanning for the lowest rank.
func (m *bpe) mergeShort(ids []int32, w *scratch) []int32 {
	pairs := w.pairs[:0]
	for i := 0; i+1 < len(ids); i++ {
		pairs = append(pairs, m.pairMerge(ids[i], ids[i+1]))
	}
	w.pairs = pairs
	for {
		best, at := int32(math.MaxInt32), -1
		for i, p := range pairs {
			if p.rank < best {
				best, at = p.rank, i
			}
		}
		if at < 0 {
			return ids
		}
		ids[at] = pairs[at].id
		ids = append(ids[:at+1], ids[at+2:]...)
		pairs = append(pairs[:at], pairs[at+1:]...)
		if at > 0 {
			pairs[at-1] = m.pairMerge(ids[at-1], ids[at])
		}
		if at < len(pairs) {
			pairs[at] = m.pairMerge(ids[at], ids[at+1])
		}
	}
}

// mergeLong merges ids in place with a linked list of symbols and a heap of
// pairs ordered by rank, then position. An entry whose pair has changed since
// is skipped when it comes up.
func (m *bpe) mergeLong(ids []int32, w *scratch) []int32 {
	n := len(ids)
	prev, next, heap := grow(w.prev, n), grow(w.next, n), w.heap[:0]
	push := func(at int32) {
		if r := m.pairMerge(ids[at], ids[next[at]]); r != noMerge {
			heap = heapPush(heap, uint64(uint32(r.rank))<<32|uint64(uint32(at)))
		}
	}
	for i := range n {
		prev[i], next[i] = int32(i-1), int32(i+1)
	}
	for i := range int32(n - 1) {
		push(i)
	}
	const gone = -1
	for len(heap) > 0 {
		var top uint64
		top, heap = heapPop(heap)
		at := int32(uint32(top))
		right := next[at]
		if ids[at] == gone || right == int32(n) {
			continue
		}
		r := m.pairMerge(ids[at], ids[right])
		if r == noMerge || uint32(r.rank) != uint32(top>>32) {
			continue
		}
		ids[at], ids[right] = r.id, gone
		next[at] = next[right]
		if next[at] < int32(n) {
			prev[next[at]] = at
			push(at)
		}
		if prev[at] >= 0 {
			push(prev[at])
		}
	}
	w.prev, w.next, w.heap = prev, next, heap
	out := ids[:0]
	for i := int32(0); i < int32(n); i = next[i] {
		out = append(out, ids[i])
	}
	return out
}

func grow(s []int32, n int) []int32 {
	if cap(s) < n {
		return make([]int32, n)
	}
	return s[:n]
}

func heapPush(h []uint64, x uint64) []uint64 {
	h = append(h, x)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up] <= x {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = x
	return h
}

func heapPop(h []uint64) (uint64, []uint64) {
	top, x := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	if len(h) == 0 {
		return top, h
	}
	i := 0
	for {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1] < h[c] {
			c++
		}
		if x <= h[c] {
			break
		}
		h[i] = h[c]
		i = c
	}
	h[i] = x
	return top, h
}
