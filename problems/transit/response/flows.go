package response

// Flows sets dst, one row of Links entries per origin, to the flows of the last
// answer aggregated by origin.
func (s *Solver) Flows(dst []float64) {
	p, links := s.paths, s.m.Links
	clear(dst)
	clear(s.perNode)
	for r, v := range p.node {
		s.perNode[v] = s.flow[r]
	}
	for v := len(s.perNode) - 1; v >= len(s.m.Origins); v-- {
		s.perNode[p.parent[v]] += s.perNode[v]
	}
	for v, e := range p.link {
		if e >= 0 {
			dst[int(p.root[v])*links+int(e)] += s.perNode[v]
		}
	}
}

// Potentials sets dst, one row of Stations entries per origin, to the lengths of
// the shortest paths at the last answer's prices.
func (s *Solver) Potentials(dst []float64) {
	m := s.m
	for e, d := range m.Time {
		s.length[e] = d + s.Answer.Prices[e]
	}
	for i, o := range m.Origins {
		s.tree.grow(s.length, int32(o.Station))
		copy(dst[i*m.Stations:(i+1)*m.Stations], s.tree.dist)
	}
}

// Path is a path that travellers of a pair take.
type Path struct {
	Links []int
	Flow  float64
	Cost  float64 // at the answer's prices
}

// PathsOf lists the paths of pair k in the last answer that carry more than
// least, from the most used one on.
func (s *Solver) PathsOf(k int, least float64) []Path {
	var found []Path
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		if !(s.flow[r] > least) {
			continue
		}
		links := s.paths.links(nil, r)
		path := Path{Flow: s.flow[r]}
		for i := len(links) - 1; i >= 0; i-- {
			path.Links = append(path.Links, int(links[i]))
			path.Cost += s.m.Time[links[i]] + s.Answer.Prices[links[i]]
		}
		at := len(found)
		for at > 0 && found[at-1].Flow < path.Flow {
			at--
		}
		found = append(found, Path{})
		copy(found[at+1:], found[at:])
		found[at] = path
	}
	return found
}
