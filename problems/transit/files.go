package transit

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// files writes the design and the travellers' exact response to it:
//
//   - network.geojson: stations, and every candidate link with its capacity, flow
//     and congestion price (shadow price of capacity). Coordinates are longitude and
//     latitude where the network has them, otherwise those of its plane or a circle.
//   - links.csv: one line per link with its capacity, flow and residual (capacity that
//     is left, negative where it is exceeded) and the imbalance of flow at its ends.
//   - od.csv: one line per pair with its share, its main path and why trips are lost.
//   - design.json: the capacities in the form of `bilevel certify --point`, to be
//     edited by hand.
//   - map.svg: the map of the report.
func (d *design) files(x, _, _ []float64, create func(name string) (problems.File, error)) error {
	o, err := d.outcome(x)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		write func(w io.Writer) error
	}{
		{"network.geojson", o.geojson},
		{"links.csv", o.links},
		{"od.csv", o.pairs},
		{"design.json", func(w io.Writer) error { return json.NewEncoder(w).Encode(map[string][]float64{"x": x}) }},
		{"map.svg", func(w io.Writer) error { _, err := io.WriteString(w, o.svg()); return err }},
	} {
		file, err := create(f.name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.write(file), file.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	return nil
}

type feature struct {
	Type       string         `json:"type"`
	Geometry   geometry       `json:"geometry"`
	Properties map[string]any `json:"properties"`
}

type geometry struct {
	Type        string `json:"type"`
	Coordinates any    `json:"coordinates"`
}

func (o *outcome) geojson(w io.Writer) error {
	n := o.d.network
	at := positions(n)
	all := struct {
		Type     string    `json:"type"`
		Features []feature `json:"features"`
	}{Type: "FeatureCollection"}
	for i, s := range n.Stations {
		all.Features = append(all.Features, feature{"Feature", geometry{"Point", at[i]},
			map[string]any{"kind": "station", "id": s.ID, "name": s.Name, "imbalance": o.audit.Imbalance[i]}})
	}
	for e, l := range n.Links {
		price := any(o.price[e])
		if math.IsInf(o.price[e], 0) {
			price = nil
		}
		all.Features = append(all.Features, feature{"Feature", geometry{"LineString", [][2]float64{at[l.From], at[l.To]}},
			map[string]any{"kind": "link", "from": n.Stations[l.From].ID, "to": n.Stations[l.To].ID, "capacity": o.x[e], "flow": o.load[e],
				"congestion_price": price, "time": l.Time, "construction_cost": l.Cost * o.x[e], "excess": math.Max(0, o.audit.Capacity[e])}})
	}
	return json.NewEncoder(w).Encode(all)
}

// positions are the stations' coordinates; on a circle where there are none.
func positions(n *network.Network) [][2]float64 {
	at := make([][2]float64, len(n.Stations))
	for i, s := range n.Stations {
		at[i] = [2]float64{s.X, s.Y}
		if n.Coordinates == network.None {
			sine, cosine := math.Sincos(2 * math.Pi * float64(i) / float64(len(at)))
			at[i] = [2]float64{sine, cosine}
		}
	}
	return at
}

func (o *outcome) links(w io.Writer) error {
	n, a := o.d.network, o.audit
	c := csv.NewWriter(w)
	c.Write([]string{"from", "to", "capacity", "flow", "residual", "congestion", "construction_cost", "imbalance_from", "imbalance_to"})
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }
	for e, l := range n.Links {
		c.Write([]string{n.Stations[l.From].ID, n.Stations[l.To].ID, number(o.x[e]), number(o.load[e]), number(-a.Capacity[e]), number(o.price[e]),
			number(o.d.m.Cost[e] * o.x[e]), number(a.Imbalance[l.From]), number(a.Imbalance[l.To])})
	}
	c.Flush()
	return c.Error()
}

func (o *outcome) pairs(w io.Writer) error {
	n, d := o.d.network, o.d
	c := csv.NewWriter(w)
	c.Write([]string{"from", "to", "demand", "share", "trips", "lost_trips", "path", "path_share", "time", "congestion", "alternative_time", "margin", "construction_per_trip", "profit", "why"})
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }
	for k, p := range n.Pairs {
		var way, part, time, congestion, construction, profit string
		if paths := o.paths[k]; len(paths) > 0 {
			total, earned := 0.0, 0.0
			for _, path := range paths {
				_, cost := o.time(path.Links)
				total += path.Flow
				earned += path.Flow * (p.Margin - cost)
			}
			t, cost := o.time(paths[0].Links)
			way, part, time = o.way(paths[0].Links), number(paths[0].Flow/total), number(t)
			congestion, construction, profit = number(o.congestion(paths[0].Links)), number(cost), number(earned)
		}
		c.Write([]string{n.Stations[p.From].ID, n.Stations[p.To].ID, number(p.Trips), number(o.share[k]), number(d.m.Trips[k] * o.share[k]), number(o.lost(k)),
			way, part, time, congestion, number(p.Alternative), number(p.Margin), construction, profit, o.why(k)})
	}
	c.Flush()
	return c.Error()
}
