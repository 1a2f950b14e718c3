package transit

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Whether profit can rise when the capacities of built links change, in any
// combination, is decided to first order over their prices. Every response to
// capacities x' is one to the prices lambda' that are its multipliers, and
//
//	profit(x') <= P(lambda') = sum_k w_k (m_k - C_k) sigma(u_k - p_k),
//
// p_k the length of pair k's shortest way at lambda', C_k the least construction
// cost of the ways that are so short, for capacity that is not used costs. Let P be
// the profit at x, lambda the only multipliers there, r_k the way with C_k, and all
// other ways r as short dearer to build. Near lambda a pair whose r_k is no
// longer shortest loses a fixed amount, so that P can rise only along
//
//	K = { v : v_e >= 0 where lambda_e = 0,  v(r) >= v(r_k) for the ways r as short },
//
// on which P is smooth. By Farkas' lemma its slope G v is <= 0 on K exactly if
//
//	G = - sum_e alpha_e 1_e - sum_kr beta_kr (1_r - 1_r_k),   alpha, beta >= 0,
//	G_e = - sum_k q_k (1 - y_k) (m_k - C_k) [e in r_k],
//
// which is a non-negative least-squares problem; its residual rho bounds the slope:
// G v <= |rho| |v|. Closed links stay closed: opening them is another question.
//
// It fails, and says so, where capacity is wasted, where the prices are not unique and
// where a pair has two ways that are equally long and equally dear.
type built struct {
	d      *design
	open   []int     // built links
	at     []int     // their place in open, -1
	length []float64 // time + price, +Inf where closed
	price  []float64

	pred    [][]tight // per station: links on which shortest ways arrive
	columns [][]float64
	slack   []float64 // of each column, 0 for an exact tie
	visits  int       // steps of the search for ways of a pair
}

type tight struct {
	link  int
	slack float64
}

const (
	// tieWithin is how near to the shortest way another counts as as short,
	// freeBelow the price below which a link counts as free.
	tieWithin = 1e-7
	freeBelow = 1e-8
	// visitsEach bounds the steps taken to list the ways of a pair.
	visitsEach = 5000
)

// builtLinks bounds the first-order slope of the profit, relative to the sum of
// the terms of G; the error says what stands in the way.
func (d *design) builtLinks(x, y, prices []float64) (float64, error) {
	m := d.m
	b := &built{d: d, at: make([]int, m.Links), length: make([]float64, m.Links), price: prices, pred: make([][]tight, m.Stations)}
	cost := 0.0
	for e, c := range x {
		b.at[e], b.length[e] = -1, math.Inf(1)
		if c > 1e-12*m.Total {
			b.at[e], b.length[e] = len(b.open), m.Time[e]+math.Max(0, prices[e])
			b.open = append(b.open, e)
			cost += m.Cost[e] * c
		}
	}
	n := len(b.open)
	if n == 0 {
		return 0, nil
	}
	for _, e := range b.open {
		if prices[e] <= freeBelow {
			v := make([]float64, n)
			v[b.at[e]] = 1
			b.columns, b.slack = append(b.columns, v), append(b.slack, math.Max(0, prices[e]))
		}
	}
	slope, size, least := make([]float64, n), 0.0, 0.0
	var used []float64 // rows: the ways r_k
	for _, o := range m.Origins {
		dist := b.reach(o.Station)
		for _, k := range o.Pairs {
			to := d.network.Pairs[k].To
			if math.IsInf(dist[to], 1) || m.Trips[k] == 0 {
				continue
			}
			b.visits = 0
			ways := b.ways(nil, nil, o.Station, to, tieWithin*(1+dist[to]))
			if len(ways) == 0 || b.visits >= visitsEach {
				return 0, errors.New("a pair has too many shortest ways to list")
			}
			best, second := 0, math.Inf(1)
			for i, w := range ways {
				if w.cost < ways[best].cost {
					best = i
				}
			}
			for i, w := range ways {
				if i != best {
					second = math.Min(second, w.cost)
				}
			}
			r := ways[best]
			if second <= r.cost*(1+1e-9) {
				return 0, errors.New("a pair has two ways that are equally long and equally dear to build")
			}
			term := m.Trips[k] * y[k] * (1 - y[k]) * (m.Margin[k] - r.cost)
			size += math.Abs(term)
			least += m.Trips[k] * y[k] * r.cost
			row := make([]float64, n)
			for _, e := range r.links {
				slope[b.at[e]] -= term
				row[b.at[e]]++
			}
			used = append(used, row...)
			for i, w := range ways {
				if i == best {
					continue
				}
				v := make([]float64, n)
				for _, e := range w.links {
					v[b.at[e]]++
				}
				floats.Sub(v, row)
				b.columns, b.slack = append(b.columns, v), append(b.slack, w.slack)
			}
		}
	}
	if math.Abs(cost-least) > 1e-9*(1+cost) {
		return 0, fmt.Errorf("%.3g of the construction cost is for capacity that is not used or could be had on ways that are as short", cost-least)
	}
	if rank(used, n) < n {
		return 0, errors.New("the prices of the built links are not unique")
	}
	z, residual := nonNegativeLeastSquares(b.columns, slope)
	if loose := floats.Dot(z, b.slack); loose > 1e-7*(1+size) {
		return 0, fmt.Errorf("ties between ways hold only up to %.3g", loose)
	}
	return residual / math.Max(1, size), nil
}

// reach returns the shortest lengths from a station over built links and sets pred.
func (b *built) reach(from int) []float64 {
	d := b.d
	dist := make([]float64, d.m.Stations)
	for i := range dist {
		dist[i] = math.Inf(1)
	}
	dist[from] = 0
	passes := func(e int) bool { i := d.from[e]; return i == from || !d.network.Stations[i].Terminal }
	for again := true; again; {
		again = false
		for _, e := range b.open {
			if v := dist[d.from[e]] + b.length[e]; passes(e) && v < dist[d.to[e]] {
				dist[d.to[e]], again = v, true
			}
		}
	}
	for i := range b.pred {
		b.pred[i] = b.pred[i][:0]
	}
	for _, e := range b.open {
		i, j := d.from[e], d.to[e]
		if s := dist[i] + b.length[e] - dist[j]; passes(e) && j != from && s <= tieWithin*(1+dist[j]) {
			b.pred[j] = append(b.pred[j], tight{e, s})
		}
	}
	return dist
}

type way struct {
	links       []int
	cost, slack float64
}

// ways appends the ways from a station to another that are longer than the shortest
// one by no more than slack in all, the links in the order from their end.
func (b *built) ways(all []way, tail []int, from, to int, slack float64) []way {
	if b.visits++; len(tail) > b.d.m.Stations || b.visits >= visitsEach {
		return all
	}
	if to == from {
		w := way{links: append([]int(nil), tail...)}
		for _, e := range tail {
			w.cost += b.d.m.Cost[e]
		}
		return append(all, w)
	}
	for _, t := range b.pred[to] {
		if t.slack > slack {
			continue
		}
		before := len(all)
		all = b.ways(all, append(tail[:len(tail):len(tail)], t.link), from, b.d.from[t.link], slack-t.slack)
		for i := before; i < len(all); i++ {
			all[i].slack += t.slack
		}
	}
	return all
}

// rank of the rows of n numbers.
func rank(rows []float64, n int) int {
	if len(rows) < n*n {
		return 0
	}
	a := mat.NewDense(len(rows)/n, n, rows)
	var gram mat.SymDense
	gram.SymOuterK(1, a.T())
	var e mat.EigenSym
	if !e.Factorize(&gram, false) {
		return 0
	}
	values, count := e.Values(nil), 0
	for _, v := range values {
		if v > 1e-9*values[n-1] {
			count++
		}
	}
	return count
}

// nonNegativeLeastSquares minimises |b + sum_j z_j a_j| over z >= 0 and returns the
// minimiser and the minimum, by the active-set method of Lawson and Hanson (Solving
// Least Squares Problems, 1974, chapter 23).
func nonNegativeLeastSquares(a [][]float64, b []float64) (z []float64, residual float64) {
	n := len(b)
	z = make([]float64, len(a))
	r := append([]float64(nil), b...)
	in := make([]bool, len(a))
	size := floats.Norm(b, 2)
	for range 3*len(a) + 10 {
		enter, most := -1, 1e-12*size
		for j, c := range a {
			if v := -floats.Dot(c, r); !in[j] && v > most {
				enter, most = j, v
			}
		}
		if enter < 0 {
			break
		}
		in[enter] = true
		for {
			var set []int
			for j := range a {
				if in[j] {
					set = append(set, j)
				}
			}
			m := mat.NewDense(n, len(set), nil)
			for i, j := range set {
				m.SetCol(i, a[j])
			}
			var s mat.VecDense
			var svd mat.SVD
			if !svd.Factorize(m, mat.SVDThin) {
				return z, floats.Norm(r, 2)
			}
			negative := append([]float64(nil), b...)
			floats.Scale(-1, negative)
			svd.SolveVecTo(&s, mat.NewVecDense(n, negative), svd.Rank(1e-12))
			step, leave := 1.0, -1
			for i, j := range set {
				if v := s.AtVec(i); v <= 0 {
					if t := z[j] / (z[j] - v); t < step || leave < 0 {
						step, leave = t, j
					}
				}
			}
			for i, j := range set {
				z[j] += step * (s.AtVec(i) - z[j])
			}
			if leave < 0 {
				break
			}
			z[leave], in[leave] = 0, false
		}
		copy(r, b)
		for j, v := range z {
			floats.AddScaled(r, v, a[j])
		}
	}
	return z, floats.Norm(r, 2)
}

// builtCheck is the row of the certificate.
func (d *design) builtCheck(x, y, prices []float64) bilevel.Check {
	c := bilevel.Check{Name: "built links", Value: math.NaN(), Tolerance: math.Inf(1)}
	slope, err := d.builtLinks(x, y, prices)
	switch {
	case err != nil:
		c.Sentence = "Whether capacity of built links, changed in any combination, raises the profit was not decided: " + err.Error() + "."
	case slope <= 1e-6:
		c.Value = slope
		c.Sentence = "To first order no change of the capacities of the built links, in any combination, raises the profit: its slope over their prices is a non-negative combination of what ties and zero prices forbid, up to this part."
	default:
		c.Value = slope
		c.Sentence = "Some change of the capacities of the built links may raise the profit: this part of its slope over their prices is not held back by ties and zero prices."
	}
	return c
}
