package transit

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems/transit/capacities"
	"github.com/bilevel-go/bilevel/problems/transit/prices"
)

// searcher offers a search over designs to methods: it implements bilevel.Searcher.
type searcher struct {
	search search
	d      *design
}

// search is what the searches over prices and over capacities have in common.
type search interface {
	Memory() int
	Round(memory []float64, seed uint64, workers int, stop func() bool) (done bool)
	Best(x, memory []float64) (profit, cost float64)
}

// newSearch is the search over link prices, or over capacities where limits make the
// operator build more than the flow.
func newSearch(d *design, l *limits) search {
	o := l.options()
	if o.Mirror == nil && o.Least == nil {
		return prices.New(d.network, prices.Options{Budget: o.Budget, Forbidden: o.Forbidden})
	}
	return capacities.New(d.network, d.m, capacities.Options(o))
}

// SearchState is the length of the search's memory.
func (s *searcher) SearchState() int { return s.search.Memory() }

// Search does one round and sets x to the capacities of the best design so far.
func (s *searcher) Search(x, state []float64, r bilevel.SearchRound) (done bool, err error) {
	done = s.search.Round(state, r.Seed, r.Workers, r.Stop)
	if !r.Stop() {
		s.search.Best(x, state)
		if p, ok := s.search.(*prices.Search); ok {
			known := make([]float64, len(x))
			p.Prices(known, state)
			s.d.remember(x, known)
		}
	}
	return done, nil
}
