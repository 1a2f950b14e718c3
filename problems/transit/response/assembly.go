package response

import (
	"slices"

	"github.com/bilevel-go/bilevel/internal/parallel"
)

// assembly adds up the matrix of the Newton system. The pairs of parts of the origins
// weigh the differences between their paths side by side, and strips of rows of the
// matrix are then written side by side. Neither number depends on that of processors,
// so that sums do not.
type assembly struct {
	matrix  []float64
	parts   []*part
	vectors vectors   // of all parts
	table   table     // of their numbers, where there are several parts
	sum     []float64 // of their weights, there
	weight  []float64 // of the vectors that have one
	begin   []int32   // vector i of those has the entries begin[i] to begin[i+1]
	entry   []int32   // rows in order, 2i or 2i+1 as in vectors
	strips  []strip
}

// part are the origins from one to another.
type part struct {
	from, to int32
	known    differences
	active   []int32 // paths of a pair
}

// strip are rows of the matrix, and what is added to them.
type strip struct {
	vectors []tail
	nodes   []int32
}

// tail is a vector from its first entry in a strip on.
type tail struct {
	vector, at int32
}

// Networks with more than manyPaths paths are assembled side by side, by fewParts parts of the
// origins and by strips of rows.
const (
	manyPaths = 50_000
	fewParts  = 4
	stripRows = 64
)

// reset forgets the vectors that are known, so that their order depends on what follows.
func (a *assembly) reset(links int) {
	a.vectors.reset(links)
	a.table.reset()
	a.sum = a.sum[:0]
	for _, p := range a.parts {
		p.known.reset()
	}
}

// split sets the parts for the present paths.
func (s *Solver) split() {
	count, a := 1, &s.newton
	if len(s.flow) > manyPaths {
		count = min(fewParts, len(s.m.Origins))
	}
	if count != len(a.parts) {
		a.reset(s.m.Links)
		for a.parts = a.parts[:0]; len(a.parts) < count; {
			a.parts = append(a.parts, &part{})
		}
	}
	for i, p := range a.parts {
		p.from, p.to = int32(i*len(s.m.Origins)/count), int32((i+1)*len(s.m.Origins)/count)
	}
}

// add sets the matrix, both triangles of which together hold the terms, to those
// of all pairs.
func (s *Solver) add() {
	a, n := &s.newton, len(s.chosen)
	if cap(a.matrix) < n*n {
		a.matrix = make([]float64, n*n)
	}
	a.matrix = a.matrix[:n*n]
	count := (n + stripRows - 1) / stripRows
	for len(a.strips) < count {
		a.strips = append(a.strips, strip{})
	}
	for i := range a.strips {
		a.strips[i].vectors, a.strips[i].nodes = a.strips[i].vectors[:0], a.strips[i].nodes[:0]
	}
	clear(s.perNode)
	s.split()
	s.jobs(len(a.parts), (*Solver).weighPart)
	s.jobs(2, (*Solver).list)
	s.jobs(count, (*Solver).write)
	s.jobs(count, (*Solver).fold)
}

// jobs calls f with 0 to count-1, side by side where there are several parts. f is a method,
// for a closure would be allocated.
func (s *Solver) jobs(count int, f func(s *Solver, i int)) {
	if len(s.newton.parts) == 1 {
		for i := range count {
			f(s, i)
		}
		return
	}
	_ = parallel.Do(0, count, func(i int) error { // the jobs return no error
		f(s, i)
		return nil
	})
}

func (s *Solver) weighPart(i int) { s.newton.parts[i].weigh(s) }

// list lists with the strips what is added to them: the vectors (0), and the nodes (1).
func (s *Solver) list(what int) {
	if what == 0 {
		s.newton.merge(s.paths, s.row)
	} else {
		s.prefixes()
	}
}

// weigh sets theta of the pairs of the part and the weights of the differences between
// their paths, and leaves those of the paths themselves in perNode.
func (p *part) weigh(s *Solver) {
	clear(p.known.weight)
	for i := p.from; i < p.to; i++ {
		for _, id := range s.m.Origins[i].Pairs {
			k := int32(id)
			switch s.paths.number[k] {
			case 0:
			case 1:
				s.perNode[s.paths.node[s.paths.first[k]]] = s.base[k]
			default:
				p.pair(s, k)
			}
		}
	}
}

// pair weighs pair k, which has several paths.
func (p *part) pair(s *Solver, k int32) {
	t, h, theta := s.paths, s.base[k], 0.0
	p.active = p.active[:0]
	for r := t.first[k]; r >= 0; r = t.next[r] {
		if s.ratio[r] > 0 {
			theta += s.ratio[r]
			p.active = append(p.active, r)
		}
	}
	s.theta[k] = theta
	all := theta + h
	if !(all > 0) {
		return
	}
	for i, r := range p.active {
		part := s.ratio[r] / all
		s.perNode[t.node[r]] = part * h
		for _, q := range p.active[:i] {
			p.known.weight[p.known.number(t, r, q)] += part * s.ratio[q]
		}
	}
}

// merge adds up the weights of parts and lists the vectors that have one.
func (a *assembly) merge(t *paths, row []int32) {
	parts := a.parts
	for _, p := range parts {
		d := &p.known
		for j := len(d.global); j < len(d.code); j++ {
			g := int32(-1)
			if len(parts) > 1 {
				g = a.table.find(d.code[j])
			}
			if g < 0 {
				g = int32(len(a.vectors.begin) - 1)
				a.vectors.add(t, d.ends[j][0], d.ends[j][1])
				if len(parts) > 1 {
					a.table.insert(d.code[j], g)
					a.sum = append(a.sum, 0)
				}
			}
			d.global = append(d.global, g)
		}
	}
	sum := parts[0].known.weight
	if len(parts) > 1 {
		sum = a.sum
		clear(sum)
		for _, p := range parts {
			for j, w := range p.known.weight {
				sum[p.known.global[j]] += w
			}
		}
	}
	entries := 0
	for i, w := range sum {
		if w > 0 {
			entries += int(a.vectors.begin[i+1] - a.vectors.begin[i])
		}
	}
	a.begin, a.entry, a.weight = append(a.begin[:0], 0), slices.Grow(a.entry[:0], entries), a.weight[:0]
	for i, w := range sum {
		if w > 0 {
			a.list(a.vectors.entry[a.vectors.begin[i]:a.vectors.begin[i+1]], w, row)
		}
	}
}

// list lists a vector with the strips in which it has entries.
func (a *assembly) list(vector []int32, weight float64, row []int32) {
	number, at, last := int32(len(a.weight)), len(a.entry), int32(-1)
	for _, e := range vector {
		r := row[e/2]
		if r < 0 {
			continue
		}
		if b := r / stripRows; b != last {
			a.strips[b].vectors = append(a.strips[b].vectors, tail{number, int32(len(a.entry) - at)})
			last = b
		}
		a.entry = append(a.entry, 2*r+e%2)
	}
	if len(a.entry) > at {
		a.weight, a.begin = append(a.weight, weight), append(a.begin, int32(len(a.entry)))
	}
}

// prefixes adds up perNode along the prefix trees and lists the nodes that have a row with
// the strips.
func (s *Solver) prefixes() {
	t, a := s.paths, &s.newton
	for v := len(s.perNode) - 1; v >= 0; v-- {
		h, e := s.perNode[v], t.link[v]
		if h == 0 || e < 0 {
			continue
		}
		s.perNode[t.parent[v]] += h
		if i := s.row[e]; i >= 0 {
			b := &a.strips[i/stripRows]
			b.nodes = append(b.nodes, int32(v))
		}
	}
}

// write sets rows to the sum of weight d d' over the vectors, of which it writes the
// upper triangle, and of h a a' over the paths, of which it writes the entries of a link
// with those before it on the path.
func (s *Solver) write(index int) {
	a := &s.newton
	n, number, link, parent := len(s.chosen), s.row, s.paths.link, s.paths.parent
	from, to := index*stripRows, min((index+1)*stripRows, n)
	clear(a.matrix[from*n : to*n])
	for _, u := range a.strips[index].vectors {
		w := a.weight[u.vector]
		list := a.entry[a.begin[u.vector]+u.at : a.begin[u.vector+1]]
		for m, e := range list {
			i := int(e / 2)
			if i >= to {
				break
			}
			row, c := a.matrix[i*n:(i+1)*n], [2]float64{w, -w}
			if e%2 != 0 {
				c = [2]float64{-w, w}
			}
			for _, j := range list[m:] {
				row[j>>1] += c[j&1]
			}
		}
	}
	for _, v := range a.strips[index].nodes {
		e, h := link[v], s.perNode[v]
		i := int(number[e])
		row := a.matrix[i*n : (i+1)*n]
		for ; e >= 0; e = link[v] {
			if j := number[e]; j >= 0 {
				row[j] += h
			}
			v = parent[v]
		}
	}
}

// fold adds the lower triangle to the upper one of rows, block by block.
func (s *Solver) fold(index int) {
	a, n := &s.newton, len(s.chosen)
	from, to := index*stripRows, min((index+1)*stripRows, n)
	for j0 := from; j0 < n; j0 += stripRows {
		for i := from; i < to; i++ {
			for j := max(j0, i+1); j < min(j0+stripRows, n); j++ {
				a.matrix[i*n+j] += a.matrix[j*n+i]
			}
		}
	}
}
