package prices

import (
	"math"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// graph is a network in the units of the logit model, with flat adjacency.
type graph struct {
	n, links int
	from, to []int32
	time     []float64 // in units of disutility
	cost     []float64
	first    []int32 // out[first[v]:first[v+1]] are the links that leave v
	out      []int32
	terminal []bool
	pairs    [][]pair // by origin
	demand   int      // number of pairs
	trips    float64  // of all pairs
	tie      float64  // lengths closer than this are equal
	tieCost  float64  // the same of construction costs
}

// pair is the demand from an origin to station to.
type pair struct {
	to      int32
	id      int32 // index in Network.Pairs
	w, u, m float64
}

func newGraph(n *network.Network) *graph {
	g := &graph{n: len(n.Stations), links: len(n.Links), demand: len(n.Pairs)}
	g.from, g.to = make([]int32, g.links), make([]int32, g.links)
	g.time, g.cost = make([]float64, g.links), make([]float64, g.links)
	g.first, g.out = make([]int32, g.n+1), make([]int32, g.links)
	longest, dearest := 0.0, 0.0
	for i, l := range n.Links {
		g.from[i], g.to[i], g.time[i], g.cost[i] = int32(l.From), int32(l.To), n.TimeWeight*l.Time, l.Cost
		g.first[l.From+1]++
		longest, dearest = math.Max(longest, g.time[i]), math.Max(dearest, l.Cost)
	}
	for v := range g.n {
		g.first[v+1] += g.first[v]
	}
	next := append([]int32(nil), g.first...)
	for i := range n.Links {
		f := g.from[i]
		g.out[next[f]] = int32(i)
		next[f]++
	}
	g.terminal = make([]bool, g.n)
	for v, s := range n.Stations {
		g.terminal[v] = s.Terminal
	}
	g.pairs = make([][]pair, g.n)
	for k, p := range n.Pairs {
		g.trips += p.Trips
		g.pairs[p.From] = append(g.pairs[p.From], pair{int32(p.To), int32(k), p.Trips, n.TimeWeight * p.Alternative, p.Margin})
	}
	g.tie, g.tieCost = 1e-11*math.Max(longest, 1e-300), 1e-11*math.Max(dearest, 1e-300)
	return g
}

// tree holds the shortest paths from one station: their length, construction
// cost and last link (-1: none).
type tree struct {
	dist, cost []float64
	last       []int32
}

func newTree(n int) tree {
	return tree{make([]float64, n), make([]float64, n), make([]int32, n)}
}

// paths finds shortest paths; of paths of equal length the cheaper one.
type paths struct {
	g    *graph
	heap []int32 // stations, the nearest first
	slot []int32 // place in heap, -1: not there
	work int     // stations and links looked at, roughly
}

func newPaths(g *graph) *paths {
	p := &paths{g: g, heap: make([]int32, 0, g.n), slot: make([]int32, g.n)}
	for i := range p.slot {
		p.slot[i] = -1
	}
	return p
}

// grow sets t to the shortest paths from root under time + price without the
// link avoid (-1: none). A negative price closes a link.
func (p *paths) grow(t tree, root int32, price []float64, avoid int32) {
	g := p.g
	p.work += g.n + g.links
	for v := range t.dist {
		t.dist[v], t.cost[v], t.last[v] = math.Inf(1), math.Inf(1), -1
	}
	t.dist[root], t.cost[root] = 0, 0
	p.push(t, root)
	for len(p.heap) > 0 {
		v := p.pop(t)
		if g.terminal[v] && v != root {
			continue
		}
		dv, cv := t.dist[v], t.cost[v]
		for _, l := range g.out[g.first[v]:g.first[v+1]] {
			if price[l] < 0 || l == avoid {
				continue
			}
			d, c, to := dv+g.time[l]+price[l], cv+g.cost[l], g.to[l]
			if old := t.dist[to]; d < old-g.tie || d <= old+g.tie && c < t.cost[to]-g.tieCost {
				t.dist[to], t.cost[to], t.last[to] = d, c, l
				p.push(t, to)
			}
		}
	}
}

// push enters v, or moves it up after its distance fell.
func (p *paths) push(t tree, v int32) {
	i := p.slot[v]
	if i < 0 {
		i = int32(len(p.heap))
		p.heap = append(p.heap, v)
	}
	d := t.dist[v]
	for i > 0 {
		up := (i - 1) / 2
		w := p.heap[up]
		if t.dist[w] <= d {
			break
		}
		p.heap[i], p.slot[w] = w, i
		i = up
	}
	p.heap[i], p.slot[v] = v, i
	p.sink(t, i) // a tie may have lengthened it by a rounding
}

func (p *paths) pop(t tree) int32 {
	v := p.heap[0]
	p.slot[v] = -1
	end := len(p.heap) - 1
	w := p.heap[end]
	p.heap = p.heap[:end]
	if end > 0 {
		p.heap[0], p.slot[w] = w, 0
		p.sink(t, 0)
	}
	return v
}

func (p *paths) sink(t tree, i int32) {
	v := p.heap[i]
	d, n := t.dist[v], int32(len(p.heap))
	for {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && t.dist[p.heap[c+1]] < t.dist[p.heap[c]] {
			c++
		}
		w := p.heap[c]
		if t.dist[w] >= d {
			break
		}
		p.heap[i], p.slot[w] = w, i
		i = c
	}
	p.heap[i], p.slot[v] = v, i
}
