package response

import "github.com/bilevel-go/bilevel/internal/parallel"

// forest holds the shortest-path trees of all origins where they are grown side by
// side.
type forest struct {
	grower []*tree
	dist   []float64 // Origins x Stations
	pred   []int32
	view   tree // the tree that is looked at
}

const (
	// manyStations is the number of origins times stations from which on trees
	// are grown side by side, by growers workers at most.
	manyStations = 20_000
	growers      = 8
)

// sweep grows the tree of every origin with the present lengths, sets dist and
// calls visit for every pair while its tree stands.
func (s *Solver) sweep(visit func(k int, t *tree)) {
	m := s.m
	f := &s.trees
	many := len(m.Origins)*m.Stations > manyStations
	if many {
		s.growAll()
	}
	for i := range m.Origins {
		o, t := &m.Origins[i], s.tree
		if many {
			at := i * m.Stations
			t = &f.view
			t.dist, t.pred = f.dist[at:at+m.Stations], f.pred[at:at+m.Stations]
		} else {
			t.grow(s.length, int32(o.Station))
		}
		for _, k := range o.Pairs {
			s.dist[k] = t.dist[m.pairTo[k]]
			visit(k, t)
		}
	}
}

func (s *Solver) growAll() {
	m, f := s.m, &s.trees
	n, origins := m.Stations, len(m.Origins)
	if f.grower == nil {
		f.dist, f.pred = make([]float64, origins*n), make([]int32, origins*n)
		for range growers {
			f.grower = append(f.grower, newTree(m))
		}
	}
	_ = parallel.Do(0, growers, func(i int) error { // the jobs return no error
		t := f.grower[i]
		for o := i * origins / growers; o < (i+1)*origins/growers; o++ {
			t.dist, t.pred = f.dist[o*n:(o+1)*n], f.pred[o*n:(o+1)*n]
			t.grow(s.length, int32(m.Origins[o].Station))
		}
		return nil
	})
}

// eachPair calls f, which writes to what is the pair's alone, for every pair that is
// served.
func (s *Solver) eachPair(f func(s *Solver, k int32)) {
	if len(s.flow) <= manyPaths {
		for _, k := range s.served {
			f(s, k)
		}
		return
	}
	n := len(s.served)
	_ = parallel.Do(0, fewParts, func(i int) error { // the jobs return no error
		for _, k := range s.served[i*n/fewParts : (i+1)*n/fewParts] {
			f(s, k)
		}
		return nil
	})
}
