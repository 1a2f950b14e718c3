package bound

// row is a pair that could pay for itself, with its multipliers: for two stations
// on its way, how much it is charged for what they do when it opens their way.
type row struct {
	pair  int
	local []int16 // index of each station that can lie on its way, -1: none can
	size  int
	ways  float64 // bound of its profit without charges, at first costs
	// Arrays over two local stations. open prices the measures of openness; share
	// is the part of a losing pair's loss that this row bears.
	open, bestOpen, meanOpen    [measures][]float64
	share, bestShare, meanShare []float64 // mean: subgradient, averaged over iterations
	known                       []bool
	touched                     []touch // entries that are or were nonzero
	// The best way found last: value bounds what any way earns after charges.
	value, at float64
	path      []int32
	place     place // of the price on path
	visits    int
}

// touch is an entry of a row's arrays and the two stations it belongs to.
type touch struct{ entry, st int32 }

func newRow(k int, local []int16, size int, ways float64) *row {
	a := func() []float64 { return make([]float64, size*size) }
	r := &row{pair: k, local: local, size: size, ways: ways, share: a(), bestShare: a(), meanShare: a(), known: make([]bool, size*size)}
	for m := range measures {
		r.open[m], r.bestOpen[m], r.meanOpen[m] = a(), a(), a()
	}
	return r
}

// entry is where the arrays keep stations i and j, or -1.
func (r *row) entry(i, j int32) int {
	a, b := r.local[i], r.local[j]
	if a < 0 || b < 0 {
		return -1
	}
	return int(a)*r.size + int(b)
}
