package transit

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// Options are the family's settings.
type Options struct {
	Network       string  `opt:"network" doc:"a folder with network.yaml, stations.csv, links.csv and demand.csv to use instead of the named network"`
	Net           string  `opt:"net" doc:"a TNTP file of links (*_net.tntp) to use instead of the named network; needs trips"`
	Trips         string  `opt:"trips" doc:"the TNTP file of trips (*_trips.tntp) that belongs to net"`
	CostPerLength float64 `opt:"cost_per_length" range:"[0,inf)" doc:"TNTP: construction cost of one unit of capacity over one unit of length"`
	CostPerTime   float64 `opt:"cost_per_time" range:"[0,inf)" doc:"TNTP: construction cost of one unit of capacity over one unit of travel time; 1 where neither cost is given"`
	Alternative   float64 `opt:"alternative" default:"1.2" range:"(0,inf)" doc:"TNTP: time by the competing mode as a multiple of the shortest travel time"`
	Margin        float64 `opt:"margin" range:"(-inf,inf)" doc:"TNTP: revenue per passenger"`
	MarginPerTime float64 `opt:"margin_per_time" range:"[0,inf)" doc:"TNTP: revenue per passenger and unit of shortest travel time, added to margin; 2 where neither is given"`
	TimeWeight    float64 `opt:"time_weight" default:"0.25" range:"(0,inf)" doc:"TNTP: disutility of one unit of time"`
	TripWeight    float64 `opt:"trip_weight" default:"1" range:"(0,inf)" doc:"TNTP: factor of the trips"`
	Rows          int     `opt:"rows" default:"10" range:"[1,200]" doc:"transit/grid: stations from north to south"`
	Columns       int     `opt:"columns" default:"10" range:"[1,200]" doc:"transit/grid: stations from west to east"`
	Budget        float64 `opt:"budget" range:"[0,inf)" doc:"largest total construction cost; 0: no limit"`
	Symmetric     bool    `opt:"symmetric" doc:"both directions of a link get the same capacity"`
	Force         string  `opt:"force" doc:"links that must have some capacity at least, such as 1>2:0.5,2>1:0.5"`
	Forbid        string  `opt:"forbid" doc:"links that must not be built, such as 3>4,4>3"`
	BoundEffort   float64 `opt:"bound_effort" default:"10" range:"[0,1e6]" doc:"work on the profit bound: 10 takes about a second for transit/seville, more is tighter (docs/transit.md)"`
	Run           int     `opt:"run" default:"1" range:"[1,10]" doc:"faithful mode: number of the published start (transit/9node has 10)"`
	Start         string  `opt:"start" default:"all" doc:"first capacities: all (what everybody needs on the shortest path), none, or one number for every link"`
}

// load is the network that r and o ask for.
func (o *Options) load(r problems.Request) (*network.Network, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(r.Name, "transit"), "/")
	switch {
	case o.Network != "" && (o.Net != "" || o.Trips != ""):
		return nil, &bilevel.SettingError{Field: "network", Value: o.Network, Allowed: "either a folder (network) or TNTP files (net and trips)"}
	case (o.Net == "") != (o.Trips == ""):
		return nil, &bilevel.SettingError{Field: "net", Value: strconv.Quote(o.Net), Allowed: "given together with trips"}
	case o.Network != "":
		info, err := os.Stat(o.Network)
		if err != nil {
			return nil, &bilevel.SettingError{Field: "network", Value: err, Allowed: "a folder that can be read"}
		}
		if !info.IsDir() {
			return nil, &bilevel.SettingError{Field: "network", Value: o.Network, Allowed: "a folder with " + network.MainFile}
		}
		n, err := network.Read(os.DirFS(o.Network))
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", filepath.Base(o.Network), err)
		}
		if n.Name == "" {
			n.Name = filepath.Base(o.Network)
		}
		return n, absolute(&o.Network)
	case o.Net != "":
		return o.tntp()
	case name == "grid":
		return network.Grid(o.Rows, o.Columns, r.Seed)
	case name == "":
		return nil, &bilevel.SettingError{Field: "network", Value: `""`, Allowed: "a folder (network=DIR) or TNTP files (net=FILE trips=FILE); or open transit/3node, transit/9node, transit/seville, transit/grid"}
	}
	return network.Open(name)
}

func (o *Options) tntp() (*network.Network, error) {
	var content [2][]byte
	for k, f := range []struct{ field, path string }{{"net", o.Net}, {"trips", o.Trips}} {
		info, err := os.Stat(f.path)
		if err == nil && !info.Mode().IsRegular() {
			err = fs.ErrInvalid
		}
		if err == nil {
			content[k], err = os.ReadFile(f.path)
		}
		if err != nil {
			return nil, &bilevel.SettingError{Field: f.field, Value: err, Allowed: "the path of a TNTP file that can be read"}
		}
	}
	econ := network.Economics{CostPerLength: o.CostPerLength, CostPerTime: o.CostPerTime, Alternative: o.Alternative,
		Margin: o.Margin, MarginPerTime: o.MarginPerTime, TimeWeight: o.TimeWeight, TripWeight: o.TripWeight}
	if econ.CostPerLength == 0 && econ.CostPerTime == 0 {
		econ.CostPerTime = 1
	}
	if econ.Margin == 0 && econ.MarginPerTime == 0 {
		econ.MarginPerTime = 2
	}
	if err := absolute(&o.Net, &o.Trips); err != nil {
		return nil, err
	}
	file := filepath.Base(o.Net)
	return network.ReadTNTP(strings.TrimSuffix(file, "_net.tntp"), file, content[0], filepath.Base(o.Trips), content[1], econ)
}

// absolute makes paths that were read absolute, so that the run is found and measured
// again from anywhere.
func absolute(paths ...*string) error {
	for _, p := range paths {
		whole, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = whole
	}
	return nil
}

// start is the first x.
func (d *design) start(text string) ([]float64, error) {
	x := make([]float64, d.m.Links)
	switch text {
	case "all":
		return d.everything(), nil
	case "none":
		return x, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0) || v-v != 0 {
		return nil, &bilevel.SettingError{Field: "start", Value: strconv.Quote(text), Allowed: "all, none, or a finite capacity >= 0"}
	}
	for e := range x {
		x[e] = v
	}
	return x, nil
}

// resolved lists the options by name.
func resolved(o *Options) map[string]string {
	all := map[string]string{}
	for _, f := range option.Fields(o) {
		all[f.Name] = f.Value
	}
	return all
}
