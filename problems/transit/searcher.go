package transit

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems/transit/prices"
)

// searcher offers the search over link prices to methods: it implements
// bilevel.Searcher.
type searcher struct {
	search *prices.Search
	d      *design
}

// SearchState is the length of the search's memory.
func (s *searcher) SearchState() int { return s.search.Memory() }

// Search does one round and sets x to the capacities of the best design so far.
func (s *searcher) Search(x, state []float64, r bilevel.SearchRound) (done bool, err error) {
	done = s.search.Round(state, r.Seed, r.Workers, r.Stop)
	if !r.Stop() {
		s.search.Best(x, state)
		known := make([]float64, len(x))
		s.search.Prices(known, state)
		s.d.remember(x, known)
	}
	return done, nil
}
