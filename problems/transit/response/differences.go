package response

import (
	"math/rand/v2"
	"slices"
)

// differences numbers vectors a_r - a_s, a_r the 0-1 vector of the links of path r,
// between paths of one pair. Most pairs differ by the same detours: of a city's million
// differences some ten thousand are distinct, up to sign.
//
// A vector is known by its sum over random 64-bit numbers, one per link (codes), whose
// sign is dropped. That two of n vectors share a sum has a probability below n^2/2^64.
type differences struct {
	table  table
	code   []uint64
	ends   [][2]int32 // nodes of two paths with that difference, when it was found
	weight []float64
	global []int32 // number among the vectors of all parts, of those that have one
}

// reset forgets all vectors.
func (d *differences) reset() {
	d.table.reset()
	d.code, d.ends, d.weight, d.global = d.code[:0], d.ends[:0], d.weight[:0], d.global[:0]
}

// number returns the number of a_r - a_q.
func (d *differences) number(p *paths, r, q int32) int32 {
	code := p.code[r] - p.code[q]
	code = min(code, -code)
	i := d.table.find(code)
	if i < 0 {
		i = int32(len(d.code))
		d.table.insert(code, i)
		d.code, d.weight = append(d.code, code), append(d.weight, 0)
		d.ends = append(d.ends, [2]int32{p.node[r], p.node[q]})
	}
	return i
}

// vectors lists differences.
type vectors struct {
	begin []int32 // vector i has the entries begin[i] to begin[i+1]
	entry []int32 // links in order, 2e where the vector is 1 and 2e+1 where it is -1
	mark  []int8  // per link
}

// reset forgets all vectors of a network with some number of links.
func (d *vectors) reset(links int) {
	d.begin, d.entry = append(d.begin[:0], 0), d.entry[:0]
	if d.mark == nil {
		d.mark = make([]int8, links)
	}
}

// add appends the difference of the paths to two nodes, which have only their beginning in
// common in the prefix tree.
func (d *vectors) add(p *paths, v, w int32) {
	at := len(d.entry)
	for v != w {
		sign := int8(1)
		if v < w { // parents come before children
			v, w, sign = w, v, -1
		}
		e := p.link[v]
		d.entry = append(d.entry, 2*e)
		d.mark[e] += sign
		if v = p.parent[v]; sign < 0 {
			v, w = w, v
		}
	}
	kept := at
	for _, i := range d.entry[at:] {
		switch e := i / 2; d.mark[e] {
		case 1:
			d.entry[kept] = i
			kept++
		case -1:
			d.entry[kept] = i + 1
			kept++
		}
		d.mark[i/2] = 0
	}
	d.entry = d.entry[:kept]
	slices.Sort(d.entry[at:])
	d.begin = append(d.begin, int32(kept))
}

// codes are the random numbers of links, always the same.
func codes(links int) []uint64 {
	rng, c := rand.New(rand.NewPCG(1, 1)), make([]uint64, links)
	for e := range c {
		c[e] = rng.Uint64()
	}
	return c
}

// table maps numbers that are random to numbers of things: open addressing, at most half
// of the places in use.
type table struct {
	slots []slot
	used  int
}

type slot struct {
	key   uint64
	value int32 // 1 + value, 0: free
}

func (t *table) reset() {
	clear(t.slots)
	t.used = 0
}

// find returns the value of key, -1 if there is none.
func (t *table) find(key uint64) int32 {
	mask := uint64(len(t.slots) - 1)
	for i := key; len(t.slots) > 0; i++ {
		if s := &t.slots[i&mask]; s.value == 0 || s.key == key {
			return s.value - 1
		}
	}
	return -1
}

// insert adds a key that is not there.
func (t *table) insert(key uint64, value int32) {
	if t.used++; 2*t.used > len(t.slots) {
		old := t.slots
		t.slots = make([]slot, max(64, 2*len(old)))
		for _, s := range old {
			if s.value > 0 {
				t.place(s)
			}
		}
	}
	t.place(slot{key, value + 1})
}

func (t *table) place(s slot) {
	mask := uint64(len(t.slots) - 1)
	i := s.key
	for t.slots[i&mask].value != 0 {
		i++
	}
	t.slots[i&mask] = s
}
