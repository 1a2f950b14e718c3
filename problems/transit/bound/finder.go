package bound

// maxVisits is how many partial ways one search may look at; beyond, the bounds of
// partial ways stand for the ways that continue them.
const maxVisits = 20_000

// finder searches the ways of a pair by depth-first branch and bound. A way is a
// simple path P and a cumulated price -ln z on it, and earns at most
//
//	max over z of  w (m - c_P) sigma(u - D_P + ln z) - charges(z)  or 0,
//
// with the price on the links of P where that costs least (placing.go). Partial
// ways are cut by the simpler bound that takes the cumulated price for every part.
type finder struct {
	in    *instance
	loss  []float64
	grid  []float64
	row   *row
	p     pair
	to    int32
	on    []bool
	nodes []int32
	links []int32
	d, c  []float64
	e     []float64 // exp(d), where the instance is moderate
	// charge has one row of the grid's length per station on the way.
	charge  []float64
	best    float64
	over    float64 // of ways not looked at
	at      float64
	path    []int32
	place   place // of the price on path
	visits  int
	refine  bool // place prices on links
	placing *placing
}

func newFinder(in *instance, loss []float64) *finder {
	return &finder{in: in, loss: loss, on: make([]bool, in.n), nodes: make([]int32, 0, in.n), links: make([]int32, 0, in.n),
		d: make([]float64, 0, in.n), c: make([]float64, 0, in.n), e: make([]float64, 0, in.n), path: make([]int32, 0, in.n), placing: newPlacing(in.n)}
}

// find sets the row's value, at, path and visits.
func (f *finder) find(r *row, grid []float64, refine bool) {
	in := f.in
	f.row, f.grid, f.refine, f.p = r, grid, refine, in.pairs[r.pair]
	if need := (in.n + 1) * len(grid); len(f.charge) < need {
		f.charge = make([]float64, need)
	}
	f.to = f.p.st % int32(in.n)
	f.best, f.over, f.at, f.path, f.visits = 0, 0, 0, f.path[:0], 0
	if !(in.cheap[f.p.st] < f.p.m) {
		r.value, r.at, r.path, r.visits = 0, 0, r.path[:0], 1
		return
	}
	f.begin()
	if len(r.path) > 0 { // the last answer bounds this one from below
		for i, e := range r.path {
			f.extend(i, e)
		}
		f.arrive(len(r.path))
		for _, v := range f.nodes {
			f.on[v] = false
		}
		f.begin()
	}
	f.walk(0, f.p.st/int32(in.n))
	f.on[f.p.st/int32(in.n)] = false
	r.value, r.at, r.visits = max(f.best, f.over), f.at, f.visits
	r.path = append(r.path[:0], f.path...)
	r.place.copy(&f.place, len(f.path))
}

func (f *finder) begin() {
	from := f.p.st / int32(f.in.n)
	f.on[from] = true
	f.nodes, f.links = append(f.nodes[:0], from), f.links[:0]
	f.d, f.c, f.e = append(f.d[:0], 0), append(f.c[:0], 0), append(f.e[:0], 1)
	clear(f.charge[:len(f.grid)])
}

// walk looks at all continuations of a partial way of k links that ends at v.
func (f *finder) walk(k int, v int32) {
	f.visits++
	if v == f.to {
		f.arrive(k)
		return
	}
	in := f.in
	if in.terminal[v] && k > 0 {
		return
	}
	for _, e := range in.out[v] {
		q := in.to[e]
		if f.on[q] {
			continue
		}
		rest := int(q)*in.n + int(f.to)
		gain := f.p.w * (f.p.m - (f.c[k] + in.cost[e] + in.cheap[rest]))
		if !(gain > 0) {
			continue
		}
		f.extend(k, e)
		var wide float64
		if in.moderate {
			wide = f.e[k+1] * in.drop[f.row.pair] / in.shrink[rest]
		} else {
			wide = exp(f.d[k+1] + in.fast[rest] - f.p.u)
		}
		up, _ := peak(gain, wide, f.grid, f.charge[(k+1)*len(f.grid):(k+2)*len(f.grid)], max(f.best, f.over))
		switch {
		case up <= max(f.best, f.over):
		case f.visits >= maxVisits:
			f.over = up
		default:
			f.walk(k+1, q)
		}
		f.on[q] = false
		f.nodes, f.links, f.d, f.c, f.e = f.nodes[:k+1], f.links[:k], f.d[:k+1], f.c[:k+1], f.e[:k+1]
	}
}

// arrive compares the way, complete after k links, with the best one.
func (f *finder) arrive(k int) {
	gain, wide := f.p.w*(f.p.m-f.c[k]), exp(f.d[k]-f.p.u)
	charge := f.charge[k*len(f.grid) : (k+1)*len(f.grid)]
	v, z := peak(gain, wide, f.grid, charge, f.best)
	if v <= f.best {
		return
	}
	f.placing.chosen.whole = true
	if f.refine && z < 1 {
		f.gather(k)
		if v, z = f.placing.refine(k, gain, wide, f.grid, charge, f.best); v <= f.best {
			return
		}
	}
	f.best, f.at = v, z
	f.path = append(f.path[:0], f.links...)
	f.place.copy(&f.placing.chosen, k)
}

// gather lists the charges on the parts of the way of k links.
func (f *finder) gather(k int) {
	in, r, p := f.in, f.row, f.placing
	p.parts = p.parts[:0]
	for j := 1; j <= k; j++ {
		for i := range j {
			at := r.entry(f.nodes[i], f.nodes[j])
			if at < 0 {
				continue
			}
			st := int(f.nodes[i])*in.n + int(f.nodes[j])
			d := f.d[j] - f.d[i]
			detour := max(1, exp(d-in.fast[st]))
			if a := r.open[curved][at]; a > 0 {
				p.parts = append(p.parts, part{i, j, 2 * a, detour})
			}
			if a := r.open[straight][at]; a > 0 {
				p.parts = append(p.parts, part{i, j, a / detour, 0})
			}
			if a := r.share[at]; a > 0 {
				q := &in.pairs[in.at[st]]
				if lost := f.c[j] - f.c[i] - q.m; lost > 0 {
					wide := exp(d - q.u)
					amount := a * q.w * lost
					if wide < 1 {
						amount, wide = 2*amount/(1+wide), 1
					}
					p.parts = append(p.parts, part{i, j, amount, wide})
				}
			}
		}
	}
}

// extend adds link e after k links, with what its end is charged for.
func (f *finder) extend(k int, e int32) {
	in, r, j := f.in, f.row, len(f.grid)
	q := in.to[e]
	d, c, wide := f.d[k]+in.time[e], f.c[k]+in.cost[e], f.e[k]*in.grow[e]
	charge := f.charge[(k+1)*j : (k+2)*j]
	copy(charge, f.charge[k*j:])
	if to := r.local[q]; to >= 0 {
		for i, v := range f.nodes {
			from := r.local[v]
			if from < 0 {
				continue
			}
			at := int(from)*r.size + int(to)
			open, slope, share := r.open[curved][at], r.open[straight][at], r.share[at]
			if open == 0 && slope == 0 && share == 0 {
				continue
			}
			st := int(v)*in.n + int(q)
			var part float64 // exp of the travel time from v
			if in.moderate {
				part = wide / f.e[i]
			}
			if open > 0 || slope > 0 {
				detour := part * in.shrink[st]
				if !in.moderate {
					detour = exp(d - f.d[i] - in.fast[st])
				}
				if open > 0 {
					add(charge, f.grid, 2*open, detour)
				}
				if slope /= detour; slope > 0 {
					for l, z := range f.grid {
						charge[l] += slope * z
					}
				}
			}
			if share > 0 {
				p := &in.pairs[in.at[st]]
				if lost := c - f.c[i] - p.m; lost > 0 {
					wide := part * in.drop[in.at[st]]
					if !in.moderate {
						wide = exp(d - f.d[i] - p.u)
					}
					add(charge, f.grid, share*p.w*lost, wide)
				}
			}
		}
	}
	f.on[q] = true
	f.nodes, f.links, f.d, f.c, f.e = append(f.nodes, q), append(f.links, e), append(f.d, d), append(f.c, c), append(f.e, wide)
}

// add adds a z/(z+k) on the grid.
func add(charge, grid []float64, a, k float64) {
	charge = charge[:len(grid)]
	for l, z := range grid {
		charge[l] += a * z / (z + k)
	}
}
