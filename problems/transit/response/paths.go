package response

// paths are the paths found so far, one prefix tree per origin. Node 0 to
// len(Origins)-1 are the roots; the others stand for the link by which they are
// reached from their parent. Parents come before children, so that one sweep over
// the nodes adds up path lengths and one sweep back adds up link flows.
type paths struct {
	m              *Model
	link, parent   []int32
	child, sibling []int32 // first child, next child of the parent; 0: none
	path           []int32 // path that ends at the node, -1: none
	root           []int32 // index of the origin

	node, pair []int32  // per path
	code       []uint64 // per path: the sum of codes over its links
	next       []int32  // per path: next path of the pair, -1: none
	first      []int32  // per pair, -1: none
	number     []int32  // of paths per pair
	stack      []int32
	codes      []uint64 // per link: see differences
}

func newPaths(m *Model) *paths {
	p := &paths{m: m, first: make([]int32, m.Pairs), number: make([]int32, m.Pairs), codes: codes(m.Links)}
	p.reset()
	return p
}

// reset forgets all paths.
func (p *paths) reset() {
	n := len(p.m.Origins)
	p.link, p.parent, p.child, p.sibling, p.path = p.link[:0], p.parent[:0], p.child[:0], p.sibling[:0], p.path[:0]
	p.root = p.root[:0]
	for range n {
		p.grow(-1, -1)
	}
	p.node, p.pair, p.code, p.next = p.node[:0], p.pair[:0], p.code[:0], p.next[:0]
	for k := range p.first {
		p.first[k], p.number[k] = -1, 0
	}
}

func (p *paths) grow(link, parent int32) int32 {
	p.link, p.parent = append(p.link, link), append(p.parent, parent)
	p.child, p.sibling, p.path = append(p.child, 0), append(p.sibling, 0), append(p.path, -1)
	v := int32(len(p.link) - 1)
	if parent < 0 {
		p.root = append(p.root, v)
	} else {
		p.root = append(p.root, p.root[parent])
	}
	return v
}

// add adds the path of pair k in the tree t, which was grown from its origin, and
// reports whether it is new.
func (p *paths) add(k int, t *tree) bool {
	m := p.m
	p.stack = p.stack[:0]
	for v := m.pairTo[k]; t.pred[v] >= 0; v = m.from[t.pred[v]] {
		p.stack = append(p.stack, t.pred[v])
	}
	at, code := m.pairFrom[k], uint64(0)
	for i := len(p.stack) - 1; i >= 0; i-- {
		e := p.stack[i]
		code += p.codes[e]
		c := p.child[at]
		for c != 0 && p.link[c] != e {
			c = p.sibling[c]
		}
		if c == 0 {
			c = p.grow(e, at)
			p.sibling[c] = p.child[at]
			p.child[at] = c
		}
		at = c
	}
	if p.path[at] >= 0 {
		return false
	}
	r := int32(len(p.node))
	p.path[at] = r
	p.node, p.pair = append(p.node, at), append(p.pair, int32(k))
	p.code = append(p.code, code)
	p.next = append(p.next, p.first[k])
	p.first[k] = r
	p.number[k]++
	return true
}

// cut forgets all paths but the first n.
func (p *paths) cut(n int) {
	for r := len(p.node) - 1; r >= n; r-- {
		k := p.pair[r]
		p.first[k], p.path[p.node[r]] = p.next[r], -1
		p.number[k]--
	}
	p.node, p.pair, p.next, p.code = p.node[:n], p.pair[:n], p.next[:n], p.code[:n]
}

// lengths sets dst, one entry per node, to the sum of length over the links from
// the root.
func (p *paths) lengths(dst, length []float64) {
	for v := range dst {
		if e := p.link[v]; e >= 0 {
			dst[v] = dst[p.parent[v]] + length[e]
		} else {
			dst[v] = 0
		}
	}
}

// loads adds to dst, one entry per link, what passes over it; amount, one entry
// per node, holds what ends at each node and is left with what passes through it.
func (p *paths) loads(dst, amount []float64) {
	for v := len(amount) - 1; v >= 0; v-- {
		if e := p.link[v]; e >= 0 {
			dst[e] += amount[v]
			amount[p.parent[v]] += amount[v]
		}
	}
}

// links appends the links of path r, last first.
func (p *paths) links(dst []int32, r int32) []int32 {
	for v := p.node[r]; p.link[v] >= 0; v = p.parent[v] {
		dst = append(dst, p.link[v])
	}
	return dst
}
