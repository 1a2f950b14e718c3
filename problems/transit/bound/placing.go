package bound

import "math"

// placing bounds what a path earns from above more closely than by the cumulated
// price alone: a price on one link is paid on the parts of the path that hold this
// link, and the other parts are charged in full.
//
// For prices l >= 0 of the links with sum L the charge is
//
//	C(l) = sum over parts of  amount / (1 + k exp(l_part))  or  amount exp(-l_part),   k >= 1,
//
// convex in l. At any l', with G the gradient there, C(l) >= C(l') + G.(l - l') for
// all l, hence for all l of sum L
//
//	C >= C(l') - G.l' + L min G,
//
// a line in L. l' comes from Frank and Wolfe's method at one L. Shares with k < 1
// are not convex in l; h_1 <= h_k stands for them.
type placing struct {
	parts               []part
	grow                []float64 // exp of the sum of prices before each station of the path
	price, slope        []float64
	near, trial, chosen place
}

// place says how the charges on a path are bounded: at the cumulated price for every
// part (whole), or by the line that touches C at price, all of it moved to link low.
type place struct {
	whole bool
	price []float64
	low   int
}

func (p *place) copy(q *place, n int) {
	p.whole, p.low = q.whole, q.low
	if !p.whole {
		p.price = append(p.price[:0], q.price[:n]...)
	}
}

// move returns the price of links from..to-1 at the point where the line touches C,
// and what it changes by when all of the price moves to link low. total is the price
// of the path.
func (p *place) move(from, to int, total float64) (price, change float64) {
	if p.whole {
		return total, 0
	}
	for _, l := range p.price[from:to] {
		price += l
	}
	if from <= p.low && p.low < to {
		return price, total - price
	}
	return price, -price
}

func newPlacing(n int) *placing {
	a := func() []float64 { return make([]float64, n+1) }
	return &placing{grow: a(), price: a(), slope: a(), near: place{price: a()}, chosen: place{price: a()}}
}

// part is a charge on links from..to-1 of a path.
type part struct {
	from, to  int
	amount, k float64 // k = 0: amount exp(-l)
}

// charge is C and sets slope to its gradient, at p.price[:n].
func (p *placing) charge(n int) (sum float64) {
	t := 0.0
	p.grow[0] = 1
	for i, l := range p.price[:n] {
		t += l
		p.grow[i+1] = math.Exp(t)
	}
	slope := p.slope[:n+1] // as differences first
	clear(slope)
	for i := range p.parts {
		a := &p.parts[i]
		e := p.grow[a.to] / p.grow[a.from]
		var v, d float64
		if a.k == 0 {
			v = a.amount / e
			d = -v
		} else {
			q := 1 / (1 + a.k*e)
			v = a.amount * q
			d = -v * (1 - q)
		}
		sum += v
		slope[a.from] += d
		slope[a.to] -= d
	}
	for i := 1; i < n; i++ {
		slope[i] += slope[i-1]
	}
	return sum
}

// line returns a, b with C >= a - b L for all L, close to equality at L = at; at
// best p.near is the place.
func (p *placing) line(n int, at float64) (a, b float64) {
	price := p.price[:n]
	// The best single link to start from.
	first, least := 0, math.Inf(1)
	for l := range price {
		clear(price)
		price[l] = at
		if c := p.charge(n); c < least {
			first, least = l, c
		}
	}
	clear(price)
	price[first] = at
	best := math.Inf(-1)
	for step := range 10 {
		c := p.charge(n)
		low, dot := 0, 0.0
		for l, g := range p.slope[:n] {
			dot += g * price[l]
			if g < p.slope[low] {
				low = l
			}
		}
		g := p.slope[low]
		if v := c - dot + at*g; v > best {
			best, a, b = v, c-dot, -g
			p.near.low = low
			p.near.price = append(p.near.price[:0], price...)
		}
		if dot-at*g <= 1e-6*c {
			break
		}
		t := 1 / float64(step+2)
		for l := range price {
			price[l] *= 1 - t
		}
		price[low] += t * at
	}
	return a, b
}

// above returns the maximum of gain/(1 + k exp(L)) - a + b L over from <= L <= to,
// and where it is.
func above(gain, k, a, b, from, to float64) (best, at float64) {
	best = math.Inf(-1)
	try := func(l float64) {
		if v := gain/(1+k*math.Exp(l)) - a + b*l; v > best {
			best, at = v, l
		}
	}
	try(from)
	try(to)
	if root := 1 - 4*b/gain; root > 0 { // s(1-s) = b/gain, s = 1/(1 + k exp(L))
		for _, s := range [...]float64{(1 + math.Sqrt(root)) / 2, (1 - math.Sqrt(root)) / 2} {
			if s > 0 && s < 1 {
				if l := math.Log((1 - s) / (s * k)); l > from && l < to {
					try(l)
				}
			}
		}
	}
	return best, at
}

// refine bounds what the way of n links earns with its price placed on links, if
// that can be more than floor, and sets p.chosen. charge is that at the
// cumulated price, on the grid.
func (p *placing) refine(n int, gain, k float64, grid, charge []float64, floor float64) (best, z float64) {
	best, z = floor, 1
	for j := len(grid) - 1; j >= 0; j-- { // prices from 0 up
		lo, paid := 0.0, 0.0
		if j > 0 {
			lo, paid = grid[j-1], charge[j-1]
		}
		v, at := piece(gain, k, lo, grid[j], paid, charge[j])
		if v <= best {
			continue
		}
		p.trial.whole = true
		for try := at; lo > 0 && n > 1 && v > best; {
			a, b := p.line(n, -math.Log(try))
			w, l := above(gain, k, a, b, -math.Log(grid[j]), -math.Log(lo))
			if !(w < v) {
				break
			}
			closer := v-w > 1e-3*v
			v, at, try = w, math.Exp(-l), math.Exp(-l)
			p.trial.copy(&p.near, n)
			if !closer {
				break
			}
		}
		if v > best {
			best, z = v, at
			p.chosen.copy(&p.trial, n)
		}
	}
	return best, z
}
