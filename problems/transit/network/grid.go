package network

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
)

// gridStream tells the stream of generated cities from others of the same seed.
const gridStream = 0x671d

// Grid generates a city of rows x columns stations, 800 m apart on average, with
// both directions of a link between neighbours and demand between all pairs: trips
// fall with distance (mean 1 per pair), the alternative is the direct way at the
// links' speed of 30 km/h, slowed by up to 30 %, and the margin is the time of the
// shortest path plus a number from -1 to 3. One unit of time, 4 minutes, is one unit
// of disutility. The seed determines everything.
func Grid(rows, columns int, seed uint64) (*Network, error) {
	for _, v := range []struct {
		name string
		n    int
	}{{"rows", rows}, {"columns", columns}} {
		if v.n < 1 || v.n > 200 {
			return nil, &bilevel.SettingError{Field: v.name, Value: v.n, Allowed: "an integer from 1 to 200"}
		}
	}
	if rows*columns < 2 {
		return nil, &bilevel.SettingError{Field: "rows", Value: rows, Allowed: "with columns, two stations or more"}
	}
	rng := rand.New(rand.NewPCG(seed, gridStream))
	n := &Network{Name: fmt.Sprintf("grid-%dx%d-%d", rows, columns, seed), Title: fmt.Sprintf("Generated city of %d x %d stations", rows, columns),
		Source: fmt.Sprintf("generated, seed %d", seed), Time: "4 min", Cost: "unit of margin", Trips: "trips", TimeWeight: 1, Coordinates: Plane}
	const spacing, perKm = 0.8, 0.5 // km, time units per km
	for i := range rows {
		for j := range columns {
			n.Stations = append(n.Stations, Station{ID: fmt.Sprintf("%d", len(n.Stations)+1),
				X: spacing * (float64(j) + 0.4*(rng.Float64()-0.5)), Y: spacing * (float64(rows-1-i) + 0.4*(rng.Float64()-0.5))})
		}
	}
	direct := func(a, b int) float64 {
		return math.Hypot(n.Stations[a].X-n.Stations[b].X, n.Stations[a].Y-n.Stations[b].Y)
	}
	join := func(a, b int) {
		km := direct(a, b)
		cost := km * (0.4 + 0.4*rng.Float64())
		n.Links = append(n.Links, Link{a, b, perKm * km, cost}, Link{b, a, perKm * km, cost})
	}
	for i := range rows {
		for j := range columns {
			a := i*columns + j
			if j+1 < columns {
				join(a, a+1)
			}
			if i+1 < rows {
				join(a, a+columns)
			}
		}
	}
	total := 0.0
	for a := range n.Stations {
		time := n.times(a)
		for b := range n.Stations {
			if a == b {
				continue
			}
			km := direct(a, b)
			trips := math.Exp(-km/4) * (0.5 + rng.Float64())
			total += trips
			n.Pairs = append(n.Pairs, Pair{From: a, To: b, Trips: trips,
				Alternative: perKm * km * (1 + 0.3*rng.Float64()), Margin: math.Max(0.25, time[b]-1+4*rng.Float64())})
		}
	}
	for k := range n.Pairs {
		n.Pairs[k].Trips *= float64(len(n.Pairs)) / total
	}
	return n, nil
}

// times are the travel times from station a over all candidate links (+Inf where
// there is no way), by Bellman and Ford's method on a queue.
func (n *Network) times(a int) []float64 {
	out := n.outgoing()
	time := make([]float64, len(n.Stations))
	for i := range time {
		time[i] = math.Inf(1)
	}
	time[a] = 0
	queued := make([]bool, len(time))
	for queue := []int{a}; len(queue) > 0; queue = queue[1:] {
		i := queue[0]
		queued[i] = false
		if i != a && n.Stations[i].Terminal {
			continue
		}
		for _, e := range out[i] {
			l := n.Links[e]
			if t := time[i] + l.Time; t < time[l.To] {
				time[l.To] = t
				if !queued[l.To] {
					queued[l.To] = true
					queue = append(queue, l.To)
				}
			}
		}
	}
	return time
}

// outgoing lists the links out of each station.
func (n *Network) outgoing() [][]int {
	out := make([][]int, len(n.Stations))
	for e, l := range n.Links {
		out[l.From] = append(out[l.From], e)
	}
	return out
}
