package bound

import (
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/internal/parallel"
	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// Options limit the designs, as those of the search over prices do.
type Options struct {
	// Budget bounds the total construction cost; 0 is no bound.
	Budget float64
	// Forbidden links are not built; nil forbids none.
	Forbidden []bool
	// Least bounds the capacity of each link from below; nil bounds none.
	Least []float64
	// Mirror is, per link, the opposite one, which gets the same capacity; nil
	// leaves directions apart.
	Mirror []int32
}

// Relaxation bounds the profit of every design from above.
type Relaxation struct {
	in     *instance
	limits *limits
	rows   []*row
	rest   float64 // what pairs without a row earn at most
	money  float64 // margins of all pairs that could pay for themselves
	// By two stations: loss is what a losing pair costs when its way is wide
	// open, wide the K of its share.
	loss, wide []float64
	borne      []float64 // sum of shares
	// By measure and two stations: what openness is worth to the rows and
	// triangles, openness, and its average over iterations.
	pull, y, mean [measures][]float64
	paid          []float64 // derivative of the bound in borne
	holders       map[int32][]holder
	triangles     []triangle
	finders       []*finder
	value         float64 // proven
	iteration     int
	best          float64 // over iterations, on the coarse grid
	step          float64
	idle          int
	refine        bool // place prices on links
	done          bool
	scratch       []float64
}

// holder is a row that bears part of a loss.
type holder struct{ row, entry int32 }

// New prepares the relaxation and bounds each pair by itself. nw must be valid.
func New(nw *network.Network, o Options, workers int) *Relaxation {
	in := newInstance(nw, o.Forbidden)
	nn := in.n * in.n
	r := &Relaxation{in: in, limits: newLimits(nw, o), holders: make(map[int32][]holder), step: 1, best: math.Inf(1)}
	for _, a := range []*[]float64{&r.loss, &r.wide, &r.borne, &r.paid} {
		*a = make([]float64, nn)
	}
	for m := range measures {
		r.pull[m], r.y[m], r.mean[m] = make([]float64, nn), make([]float64, nn), make([]float64, nn)
	}
	ways := make([]float64, len(in.pairs))
	in.wayBounds(ways, workers)
	for _, v := range ways {
		r.value += v
	}
	for k, p := range in.pairs {
		if ways[k] > 0 {
			r.money += p.w * p.m
		}
	}
	r.value = r.outward(r.value, r.value)
	r.addRows(ways)
	r.reprice()
	for range chunks {
		r.finders = append(r.finders, newFinder(in, r.loss))
	}
	return r
}

// maxEntries bounds the memory of the rows, maxStations that of arrays over two stations.
const (
	maxEntries  = 2_000_000
	maxStations = 2000
)

// addRows gives rows to the pairs that can pay for themselves, those with the
// fewest stations on their ways first, as far as memory goes.
func (r *Relaxation) addRows(ways []float64) {
	in := r.in
	near := func(p pair, v int) bool {
		from, to := int(p.st)/in.n, int(p.st)%in.n
		c := in.cheap[from*in.n+v] + in.cheap[v*in.n+to]
		return c < p.m || r.limits != nil && !math.IsInf(c, 1)
	}
	type candidate struct{ pair, size int }
	var all []candidate
	for k, p := range in.pairs {
		if ways[k] == 0 && r.limits == nil || math.IsInf(in.fast[p.st], 1) {
			continue
		}
		c := candidate{pair: k}
		for v := range in.n {
			if near(p, v) {
				c.size++
			}
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.size - b.size })
	entries := 0
	for _, c := range all {
		if entries += c.size * c.size; entries > maxEntries {
			r.rest += ways[c.pair]
			r.limits.fix()
			continue
		}
		local, size := make([]int16, in.n), 0
		for v := range local {
			local[v] = -1
			if near(in.pairs[c.pair], v) {
				local[v] = int16(size)
				size++
			}
		}
		r.rows = append(r.rows, newRow(c.pair, local, size, ways[c.pair]))
	}
}

// reprice computes what depends on construction costs.
func (r *Relaxation) reprice() {
	in := r.in
	for _, p := range in.pairs {
		st := p.st
		r.loss[st], r.wide[st] = 0, exp(in.fast[st]-p.u)
		if c := in.cheap[st]; c > p.m && !math.IsInf(c, 1) {
			r.loss[st] = p.w * (c - p.m) / (1 + r.wide[st])
		}
	}
}

// Value is the bound proven so far.
func (r *Relaxation) Value() float64 { return r.value }

// outward adds to a bound what rounding can have taken from it: terms is the sum
// of the sizes of all terms.
func (r *Relaxation) outward(v, terms float64) float64 {
	return v + 2e-10*(math.Abs(terms)+0.01*r.money)
}

// chunks is the number of jobs that share the rows.
const chunks = 16

// solveRows finds the best way of each row, on a grid.
func (r *Relaxation) solveRows(grid []float64, workers int) (visits int) {
	_ = parallel.Do(workers, chunks, func(i int) error { // the jobs return no error
		for k := i; k < len(r.rows); k += chunks {
			r.finders[i].find(r.rows[k], grid, r.refine)
		}
		return nil
	})
	for _, a := range r.rows {
		visits += a.visits
	}
	return visits
}

// evaluate is the bound at the present multipliers. It sets pull, y and paid.
func (r *Relaxation) evaluate(grid []float64, workers int) (total, terms float64, visits int) {
	visits = r.solveRows(grid, workers)
	total = r.rest + r.limits.constant()
	terms = math.Abs(r.rest) + r.limits.size()
	for m := range measures {
		clear(r.pull[m])
	}
	for _, a := range r.rows {
		v := a.value
		if r.limits == nil {
			v = min(v, a.ways)
		}
		total += v
		terms += v
		for _, t := range a.touched {
			r.pull[curved][t.st] += a.open[curved][t.entry]
			r.pull[straight][t.st] += a.open[straight][t.entry]
		}
	}
	for i := range r.triangles {
		t := &r.triangles[i]
		if b := t.beta; b > 0 {
			total += b * t.less
			terms += b * (t.less + 1)
			r.pull[t.target][t.st] += b
			for _, st := range [...]int32{t.sv, t.vt} {
				r.pull[curved][st] -= b * t.curved
				r.pull[straight][st] -= b * t.straight
			}
		}
	}
	if len(r.scratch) < len(grid) {
		r.scratch = make([]float64, len(grid))
	}
	for st := range r.paid {
		a := [measures]float64{r.pull[curved][st], r.pull[straight][st]}
		r.y[curved][st], r.y[straight][st], r.paid[st] = 0, 0, 0
		if !(a[curved] > 0 || a[straight] > 0) {
			continue
		}
		v, x := forced(a, max(0, 1-r.borne[st])*r.loss[st], r.wide[st], grid, r.scratch[:len(grid)])
		total += v
		terms += math.Abs(a[curved]) + math.Abs(a[straight])
		if x > 0 {
			r.y[curved][st], r.y[straight][st] = 2*x/(1+x), x
			r.paid[st] = r.loss[st] * (1 + r.wide[st]) * x / (x + r.wide[st])
		}
	}
	return total, terms, visits
}
