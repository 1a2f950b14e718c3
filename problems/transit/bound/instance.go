package bound

import (
	"math"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// instance is a network as the relaxation sees it. Arrays over two stations are
// indexed by from*n + to.
type instance struct {
	n        int
	from, to []int32
	out      [][]int32 // links that leave a station and may be built
	terminal []bool
	time     []float64
	cost     []float64 // per unit of flow, which the multipliers of limits change
	pairs    []pair
	at       []int32 // pair between two stations, -1: no demand
	// fast and cheap are the least travel time and the least cost between two
	// stations, by different paths as a rule; +Inf where none joins them.
	fast, cheap []float64
	// Exponentials of travel times of links, of -fast, and of -u by pair, where
	// they and their products along ways stay far inside the range of numbers.
	grow, shrink, drop []float64
	moderate           bool
}

type pair struct {
	st      int32 // from*n + to
	w, u, m float64
}

func newInstance(nw *network.Network, forbidden []bool) *instance {
	n := len(nw.Stations)
	in := &instance{n: n, out: make([][]int32, n), at: make([]int32, n*n), fast: make([]float64, n*n), cheap: make([]float64, n*n)}
	for _, s := range nw.Stations {
		in.terminal = append(in.terminal, s.Terminal)
	}
	for e, l := range nw.Links {
		in.from, in.to = append(in.from, int32(l.From)), append(in.to, int32(l.To))
		in.time, in.cost = append(in.time, l.Time*nw.TimeWeight), append(in.cost, l.Cost)
		if forbidden == nil || !forbidden[e] {
			in.out[l.From] = append(in.out[l.From], int32(e))
		}
	}
	for i := range in.at {
		in.at[i] = -1
	}
	for _, k := range nw.Pairs {
		if k.Trips > 0 {
			in.at[k.From*n+k.To] = int32(len(in.pairs))
			in.pairs = append(in.pairs, pair{int32(k.From*n + k.To), k.Trips, k.Alternative * nw.TimeWeight, k.Margin})
		}
	}
	in.shortest(in.fast, in.time)
	in.shortest(in.cheap, in.cost)
	in.exponentials()
	return in
}

// shortest sets dst to the shortest distances by Floyd and Warshall's method.
// Terminals are not passed.
func (in *instance) shortest(dst, length []float64) {
	n := in.n
	for i := range dst {
		dst[i] = math.Inf(1)
	}
	for i := range n {
		dst[i*n+i] = 0
		for _, e := range in.out[i] {
			if j := int(in.to[e]); j != i {
				dst[i*n+j] = math.Min(dst[i*n+j], length[e])
			}
		}
	}
	for v := range n {
		if in.terminal[v] {
			continue
		}
		second := dst[v*n : v*n+n]
		for i := range n {
			first := dst[i*n+v]
			if math.IsInf(first, 1) {
				continue
			}
			row := dst[i*n : i*n+n]
			for j, d := range second {
				if t := first + d; t < row[j] {
					row[j] = t
				}
			}
		}
	}
}

func (in *instance) exponentials() {
	most, span := 0.0, 0.0
	for _, d := range in.time {
		most = max(most, d)
		in.grow = append(in.grow, math.Exp(d))
	}
	for _, p := range in.pairs {
		span = max(span, math.Abs(p.u))
		in.drop = append(in.drop, math.Exp(-p.u))
	}
	for _, d := range in.fast {
		in.shrink = append(in.shrink, math.Exp(-d))
	}
	in.moderate = most*float64(in.n)+span < 200
}

// exp is the exponential function, kept so far inside the range of numbers that
// products of results are finite.
func exp(t float64) float64 { return math.Exp(max(-300, min(300, t))) }
