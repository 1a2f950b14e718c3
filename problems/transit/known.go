package transit

import (
	"slices"
	"sync"

	"gonum.org/v1/gonum/floats"
)

// known are link prices of the last designs of a large network, where the response from
// nothing takes many seconds: from prices that are right it takes a moment, and is
// proven all the same. The response to small networks is computed from nothing or from the
// prices of the caller, so that no figure of theirs depends on what was computed before.
type known struct {
	lock sync.Mutex
	last []pricedDesign
}

type pricedDesign struct{ x, prices []float64 }

const (
	knownDesigns = 8 // are remembered
	nearby       = 0.01
)

// remember keeps the prices of the design x.
func (d *design) remember(x, prices []float64) {
	if d.pairs <= secondLimit {
		return
	}
	d.known.lock.Lock()
	defer d.known.lock.Unlock()
	last := slices.DeleteFunc(d.known.last, func(p pricedDesign) bool { return slices.Equal(p.x, x) })
	if len(last) == knownDesigns {
		last = slices.Delete(last, 0, 1)
	}
	d.known.last = append(last, pricedDesign{slices.Clone(x), slices.Clone(prices)})
}

// recall returns the prices of the design x, or else, unless they must be exact, of the
// nearest one that differs by no more than nearby, relative; nil where none is known.
func (d *design) recall(x []float64, exact bool) []float64 {
	d.known.lock.Lock()
	defer d.known.lock.Unlock()
	least := nearby * floats.Norm(x, 2)
	if exact {
		least = 0
	}
	var prices []float64
	for _, p := range d.known.last {
		if away := floats.Distance(p.x, x, 2); away <= least {
			least, prices = away, p.prices
		}
	}
	return prices
}
