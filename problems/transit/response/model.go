package response

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// Model is a network in the form that computations take. It is not changed
// after it is made and may be shared by any number of goroutines.
type Model struct {
	Network *network.Network
	// Stations, Links and Pairs are their numbers N, E and K.
	Stations, Links, Pairs int
	// Time (d) and Cost (c) are per link, in units of disutility and of money.
	Time, Cost []float64
	// Trips (w), Utility (u, the disutility of the alternative) and Margin (m)
	// are per pair.
	Trips, Utility, Margin []float64
	// Origins are the stations with demand, in order.
	Origins []Origin
	// Total is the sum of Trips.
	Total float64

	from, to     []int32
	start, out   []int32 // links out of station i: out[start[i]:start[i+1]]
	terminal     []bool
	pairFrom     []int32 // index in Origins
	pairTo       []int32 // station
	anyTerminals bool
}

// Origin is a station with the pairs that begin there.
type Origin struct {
	Station int
	Pairs   []int
}

// NewModel makes the model of n. Errors are those of n.Validate.
func NewModel(n *network.Network) (*Model, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Network: n, Stations: len(n.Stations), Links: len(n.Links), Pairs: len(n.Pairs)}
	m.start = make([]int32, m.Stations+1)
	for _, l := range n.Links {
		m.from, m.to = append(m.from, int32(l.From)), append(m.to, int32(l.To))
		m.Time, m.Cost = append(m.Time, l.Time*n.TimeWeight), append(m.Cost, l.Cost)
		m.start[l.From+1]++
	}
	for e, d := range m.Time {
		if math.IsInf(d, 0) {
			return nil, fmt.Errorf("link %d: travel time %g times time weight %g overflows", e, n.Links[e].Time, n.TimeWeight)
		}
	}
	for i := range m.Stations {
		m.start[i+1] += m.start[i]
		m.terminal = append(m.terminal, n.Stations[i].Terminal)
		m.anyTerminals = m.anyTerminals || n.Stations[i].Terminal
	}
	m.out = make([]int32, m.Links)
	fill := append([]int32(nil), m.start...)
	for e, i := range m.from {
		m.out[fill[i]] = int32(e)
		fill[i]++
	}
	index := make([]int, m.Stations)
	for k, p := range n.Pairs {
		m.Trips, m.Margin = append(m.Trips, p.Trips), append(m.Margin, p.Margin)
		m.Utility = append(m.Utility, p.Alternative*n.TimeWeight)
		m.pairTo = append(m.pairTo, int32(p.To))
		m.Total += p.Trips
		index[p.From]++
		if math.IsInf(m.Utility[k], 0) {
			return nil, fmt.Errorf("pair %d: alternative %g times time weight %g overflows", k, p.Alternative, n.TimeWeight)
		}
	}
	for i, count := range index {
		if count > 0 {
			m.Origins = append(m.Origins, Origin{i, make([]int, 0, count)})
			index[i] = len(m.Origins) - 1
		}
	}
	for k, p := range n.Pairs {
		o := index[p.From]
		m.Origins[o].Pairs = append(m.Origins[o].Pairs, k)
		m.pairFrom = append(m.pairFrom, int32(o))
	}
	return m, nil
}
