package response

// part adds up the share of the Newton matrix that the pairs of some origins
// have. Both triangles are written to, as the order of links on a path has it, and
// folded into the upper one at the end.
type part struct {
	from, to int32 // origins
	matrix   []float64
	a, b     []float64 // vectors over links, zero outside the support
	mark     []bool
	support  []int32
	index    []int32 // of the entries of a rank-one term
	value    []float64
}

// Networks with more than manyPaths paths are assembled in fewParts parts, side by
// side; the number does not depend on that of processors, so that sums do not.
const (
	manyPaths = 50_000
	fewParts  = 4
)

// split returns the parts for the present paths, with a clear matrix each.
func (s *Solver) split() []*part {
	count := 1
	if len(s.flow) > manyPaths {
		count = min(fewParts, len(s.m.Origins))
	}
	for len(s.parts) < count {
		l := s.m.Links
		s.parts = append(s.parts, &part{a: make([]float64, l), b: make([]float64, l), mark: make([]bool, l)})
	}
	n := len(s.chosen)
	for i, p := range s.parts[:count] {
		p.from, p.to = int32(i*len(s.m.Origins)/count), int32((i+1)*len(s.m.Origins)/count)
		if cap(p.matrix) < n*n {
			p.matrix = make([]float64, n*n)
		}
		p.matrix = p.matrix[:n*n]
	}
	return s.parts[:count]
}

func (p *part) assemble(s *Solver) {
	clear(p.matrix)
	for i := p.from; i < p.to; i++ {
		for _, id := range s.m.Origins[i].Pairs {
			if k := int32(id); s.paths.number[k] > 0 {
				p.pair(s, k)
			}
		}
	}
	p.prefixes(s)
}

// pair adds the terms of pair k, or leaves them in perNode for prefixes.
func (p *part) pair(s *Solver, k int32) {
	first := s.paths.first[k]
	if s.paths.number[k] == 1 {
		s.perNode[s.paths.node[first]] = s.base[k]
		return
	}
	sum, ref := 0.0, first
	for r := first; r >= 0; r = s.paths.next[r] {
		if sum += s.ratio[r]; s.ratio[r] > s.ratio[ref] {
			ref = r
		}
	}
	s.theta[k] = sum
	p.several(s, k, ref)
}

// prefixes adds sum_r h_r a_r a_r', h_r at the end of each path, along the prefix trees.
func (p *part) prefixes(s *Solver) {
	t, n := s.paths, len(s.chosen)
	for v := len(s.perNode) - 1; v >= 0; v-- {
		h := s.perNode[v]
		if h == 0 || t.root[v] < p.from || t.root[v] >= p.to || t.link[v] < 0 {
			continue
		}
		up := t.parent[v]
		if t.link[up] >= 0 {
			s.perNode[up] += h
		}
		i := int(s.row[t.link[v]])
		if i < 0 {
			continue
		}
		row := p.matrix[i*n : (i+1)*n]
		for a := int32(v); t.link[a] >= 0; a = t.parent[a] {
			if j := s.row[t.link[a]]; j >= 0 {
				row[j] += h
			}
		}
	}
}

// touch puts link e in the support.
func (p *part) touch(e int32) {
	if !p.mark[e] {
		p.mark[e] = true
		p.support = append(p.support, e)
	}
}

// forget empties the support.
func (p *part) forget() {
	for _, e := range p.support {
		p.a[e], p.b[e], p.mark[e] = 0, 0, false
	}
	p.support = p.support[:0]
}

// several adds the bracket of a pair with more than one path, of which ref has the
// largest theta; kappa a_ref a_ref' is left for prefixes.
func (p *part) several(s *Solver, k, ref int32) {
	t, h, theta := s.paths, s.base[k], s.theta[k]
	all := theta + h
	if !(all > 0) {
		return
	}
	kappa := theta * (h / all)
	s.perNode[t.node[ref]] = kappa
	two := t.number[k] == 2
	for r := t.first[k]; r >= 0; r = t.next[r] {
		weight := s.ratio[r]
		if r == ref || weight == 0 {
			continue
		}
		p.difference(s, r, ref)
		for _, e := range p.support {
			p.a[e] += weight * p.b[e]
		}
		if two {
			weight *= (s.ratio[ref] + h) / all
		}
		p.rankOne(s, p.b, weight)
		for _, e := range p.support {
			p.b[e] = 0
		}
	}
	p.gather(s, p.a)
	if c := h / all; c > 0 {
		n := len(s.chosen)
		for v := t.node[ref]; t.link[v] >= 0; v = t.parent[v] {
			i := s.row[t.link[v]]
			if i < 0 {
				continue
			}
			row := p.matrix[int(i)*n : (int(i)+1)*n]
			for m, j := range p.index {
				row[j] += c * p.value[m]
				if i == j {
					row[j] += c * p.value[m]
				}
			}
		}
	}
	if !two {
		p.add(s, -1/all)
	}
	p.forget()
}

// difference sets b to a_r - a_ref: the paths differ from where they part.
func (p *part) difference(s *Solver, r, ref int32) {
	t := s.paths
	v, w := t.node[r], t.node[ref]
	for v != w {
		if v > w { // parents come before children
			p.touch(t.link[v])
			p.b[t.link[v]]++
			v = t.parent[v]
		} else {
			p.touch(t.link[w])
			p.b[t.link[w]]--
			w = t.parent[w]
		}
	}
}

// gather lists the entries of v that are not 0 and have a row.
func (p *part) gather(s *Solver, v []float64) {
	p.index, p.value = p.index[:0], p.value[:0]
	for _, e := range p.support {
		if i := s.row[e]; i >= 0 && v[e] != 0 {
			p.index, p.value = append(p.index, i), append(p.value, v[e])
		}
	}
}

// rankOne adds weight v v' over the links of the support.
func (p *part) rankOne(s *Solver, v []float64, weight float64) {
	p.gather(s, v)
	p.add(s, weight)
}

// add adds weight times the outer square of what was gathered.
func (p *part) add(s *Solver, weight float64) {
	n := len(s.chosen)
	for k, i := range p.index {
		row := p.matrix[int(i)*n : (int(i)+1)*n]
		c := weight * p.value[k]
		value := p.value[k:]
		for m, j := range p.index[k:] {
			row[j] += c * value[m]
		}
	}
}

// fold sets the upper triangle of rows of the first n x n matrix to the sum of
// both triangles of all, block by block.
func fold(parts []*part, n, from, to int) {
	const block = 32
	sum := parts[0].matrix
	for i0 := from; i0 < to; i0 += block {
		for j0 := i0 / block * block; j0 < n; j0 += block {
			for _, p := range parts {
				for i := i0; i < min(i0+block, to); i++ {
					for j := max(j0, i); j < min(j0+block, n); j++ {
						if p != parts[0] {
							sum[i*n+j] += p.matrix[i*n+j]
						}
						if i != j {
							sum[i*n+j] += p.matrix[j*n+i]
						}
					}
				}
			}
		}
	}
}
