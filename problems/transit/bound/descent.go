package bound

import (
	"math"
	"slices"
)

const (
	momentum = 0.8  // of the averaged subgradient
	level    = 0.05 // the step aims that far below the best bound
	patience = 12   // iterations without progress that shorten the step
	shorten  = 0.75
	rough    = 0.02 // step from which prices are placed on links
	again    = 0.2  // step that this begins with
	shortest = 1e-3 // step that ends the descent
	astray   = 0.5  // excess over the best bound from which the descent starts again there
	every    = 5    // iterations between two separations
)

// Improve descends until work partial ways have been looked at or stop, which may
// be nil, reports true, and proves the best bound found. done reports that more work
// would bring next to nothing. Results do not depend on workers (0: one per core).
func (r *Relaxation) Improve(work, workers int, stop func() bool) (done bool) {
	if r.done {
		return true
	}
	for !r.done && work > 0 && (stop == nil || !stop()) {
		total, _, visits := r.evaluate(coarse, workers)
		work -= visits + len(r.paid) + len(r.triangles) + len(r.rows)
		if total > r.best+astray*r.size(r.best) {
			r.back()
			continue
		}
		r.keep(total)
		g2 := r.subgradient()
		if !(g2 > 0) {
			r.done = true
			break
		}
		r.move(r.step * (total - r.best + level*r.size(r.best)) / g2)
		if r.iteration%every == 0 {
			r.separate(&r.mean)
		}
		r.iteration++
		if r.step < shortest && r.refine {
			r.done = true
		} else if r.step < rough && !r.refine {
			r.restore()
			r.refine, r.step, r.idle = true, again, 0
			r.best, _, visits = r.evaluate(coarse, workers)
			work -= visits
		}
	}
	r.prove(workers)
	return r.done
}

// size is the scale of a bound, which limits can make negative or 0.
func (r *Relaxation) size(v float64) float64 { return max(math.Abs(v), 1e-3*r.money) }

// keep remembers the multipliers if they are the best so far.
func (r *Relaxation) keep(total float64) {
	if total < r.best-1e-4*r.size(r.best) {
		r.idle = 0
	} else {
		r.idle++
	}
	if r.idle > patience {
		r.step *= shorten
		r.idle = 0
	}
	if !(total < r.best) {
		return
	}
	r.best = total
	for _, a := range r.rows {
		for _, t := range a.touched {
			for m := range measures {
				a.bestOpen[m][t.entry] = a.open[m][t.entry]
			}
			a.bestShare[t.entry] = a.share[t.entry]
		}
	}
	for i := range r.triangles {
		r.triangles[i].best = r.triangles[i].beta
	}
	r.limits.keep()
}

// restore takes back the best multipliers.
func (r *Relaxation) restore() {
	for _, a := range r.rows {
		for _, t := range a.touched {
			for m := range measures {
				a.open[m][t.entry] = a.bestOpen[m][t.entry]
			}
			a.share[t.entry] = a.bestShare[t.entry]
		}
	}
	for i := range r.triangles {
		r.triangles[i].beta = r.triangles[i].best
	}
	if r.limits.restore() {
		r.limits.apply(r.in)
		r.reprice()
	}
	for st, list := range r.holders {
		r.borne[st] = r.sum(list)
	}
}

// back returns to the best multipliers, with no direction, where averages of
// subgradients that cancel each other have led astray.
func (r *Relaxation) back() {
	r.restore()
	for _, a := range r.rows {
		for m := range measures {
			clear(a.meanOpen[m])
		}
		clear(a.meanShare)
	}
	for i := range r.triangles {
		r.triangles[i].mean = 0
	}
	r.limits.back()
	r.step *= shorten
}

// prove evaluates the best multipliers on the fine grid and goes on from there.
func (r *Relaxation) prove(workers int) {
	if math.IsInf(r.best, 1) {
		return
	}
	r.restore()
	refine := r.refine
	r.refine = true
	total, terms, _ := r.evaluate(fine, workers)
	r.refine = refine
	if v := r.outward(total, terms); v < r.value {
		r.value = v
	}
}

func (r *Relaxation) sum(list []holder) float64 {
	sum := 0.0
	for _, h := range list {
		sum += r.rows[h.row].share[h.entry]
	}
	return sum
}

// subgradient updates the averaged subgradient and returns its squared length,
// without the entries that the signs of the multipliers hold back.
func (r *Relaxation) subgradient() (g2 float64) {
	const fresh = 1 - momentum
	in := r.in
	r.limits.begin()
	for i, a := range r.rows {
		for _, t := range a.touched {
			for m := range measures {
				a.meanOpen[m][t.entry] = momentum*a.meanOpen[m][t.entry] + fresh*r.y[m][t.st]
			}
			g := momentum * a.meanShare[t.entry]
			if r.loss[t.st] > 0 && int(in.at[t.st]) != a.pair {
				g += fresh * r.paid[t.st]
			}
			a.meanShare[t.entry] = g
		}
		if a.value > 0 {
			r.travelled(i, a)
		}
		for _, t := range a.touched {
			for m := range measures {
				if g := a.meanOpen[m][t.entry]; g < 0 || a.open[m][t.entry] > 0 {
					g2 += g * g
				}
			}
			if g := a.meanShare[t.entry]; g < 0 || a.share[t.entry] > 0 {
				g2 += g * g
			}
		}
	}
	for i := range r.triangles {
		t := &r.triangles[i]
		t.mean = momentum*t.mean - fresh*t.violated(&r.y)
		if t.mean < 0 || t.beta > 0 {
			g2 += t.mean * t.mean
		}
	}
	for m := range measures {
		for st, y := range r.y[m] {
			r.mean[m][st] = momentum*r.mean[m][st] + fresh*y
		}
	}
	return g2 + r.limits.end(r)
}

// travelled takes the charges on the best way of row i into the subgradient.
func (r *Relaxation) travelled(i int, a *row) {
	const fresh = 1 - momentum
	in := r.in
	p := in.pairs[a.pair]
	d, c, total := 0.0, 0.0, -math.Log(a.at)
	for to, e := range a.path {
		d, c = d+in.time[e], c+in.cost[e]
		dd, cc := d, c
		for from := 0; from <= to; from++ {
			first := a.path[from]
			v := in.from[first]
			st := v*int32(in.n) + in.to[e]
			if at := a.entry(v, in.to[e]); at >= 0 {
				if !a.known[at] {
					a.known[at] = true
					a.touched = append(a.touched, touch{int32(at), st})
					if k := in.at[st]; k >= 0 && int(k) != a.pair {
						r.holders[st] = append(r.holders[st], holder{int32(i), int32(at)})
					}
				}
				price, change := a.place.move(from, to+1, total)
				detour := exp(dd - in.fast[st] + price)
				q := 1 / (1 + detour)
				a.meanOpen[curved][at] -= fresh * 2 * q * (1 - (1-q)*change)
				a.meanOpen[straight][at] -= fresh / detour * (1 - change)
				if r.loss[st] > 0 && st != p.st {
					k := &in.pairs[in.at[st]]
					wide, scale := exp(dd-k.u), 1.0
					if !a.place.whole && wide < 1 { // as in gather
						wide, scale = 1, 2/(1+wide)
					}
					q := 1 / (1 + wide*exp(price))
					load := k.w * scale * q * (1 - (1-q)*change)
					a.meanShare[at] -= fresh * load * max(0, cc-k.m)
					r.limits.load(a.path[from:to+1], load*a.share[at])
				}
			}
			dd, cc = dd-in.time[first], cc-in.cost[first]
		}
	}
	r.limits.load(a.path, p.w*a.at/(a.at+exp(d-p.u)))
}

// move goes a step against the averaged subgradient, within the signs of the
// multipliers and with at most the whole loss of a pair borne.
func (r *Relaxation) move(t float64) {
	for _, a := range r.rows {
		for _, e := range a.touched {
			for m := range measures {
				a.open[m][e.entry] = max(0, a.open[m][e.entry]-t*a.meanOpen[m][e.entry])
			}
			a.share[e.entry] = max(0, a.share[e.entry]-t*a.meanShare[e.entry])
		}
	}
	for st, list := range r.holders {
		if r.borne[st] = r.sum(list); r.borne[st] > 1 {
			r.project(list)
			r.borne[st] = r.sum(list)
		}
	}
	for i := range r.triangles {
		b := &r.triangles[i]
		b.beta = max(0, b.beta-t*b.mean)
	}
	if r.limits.move(t) {
		r.limits.apply(r.in)
		r.reprice()
	}
}

// project brings shares whose sum is above 1 to the nearest ones with sum 1.
func (r *Relaxation) project(list []holder) {
	v := r.scratch[:0]
	for _, h := range list {
		if s := r.rows[h.row].share[h.entry]; s > 0 {
			v = append(v, s)
		}
	}
	slices.Sort(v)
	sum, off := 0.0, 0.0
	for i := len(v) - 1; i >= 0; i-- {
		sum += v[i]
		if t := (sum - 1) / float64(len(v)-i); v[i] > t {
			off = t
		}
	}
	for _, h := range list {
		s := &r.rows[h.row].share[h.entry]
		*s = max(0, *s-off)
	}
	r.scratch = v
}
