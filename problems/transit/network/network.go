package network

import (
	"fmt"
	"math"
	"strings"

	"github.com/bilevel-go/bilevel"
)

// Network is a set of stations, candidate links and origin-destination pairs.
// The order of each is the order of vectors everywhere: capacities and prices
// have one entry per link, shares one per pair.
type Network struct {
	Name   string // short, for file names
	Title  string // one line
	Source string // where the figures come from
	// Time, Cost and Trips name the units of travel times, of money and of
	// demand, for tables and maps. They carry no meaning for computations.
	Time, Cost, Trips string
	// TimeWeight > 0 is the disutility of one unit of time: Link.Time and
	// Pair.Alternative times TimeWeight are in units of the logit model.
	TimeWeight float64
	// Coordinates says what Station.X and Y are.
	Coordinates Coordinates
	Stations    []Station
	Links       []Link
	Pairs       []Pair
}

// Coordinates is a kind of coordinates.
type Coordinates string

// The kinds of coordinates: none at all, a plane of any unit, or degrees of
// longitude (X) and latitude (Y).
const (
	None       Coordinates = "none"
	Plane      Coordinates = "plane"
	Geographic Coordinates = "geographic"
)

// Station is a node.
type Station struct {
	ID   string // unique, not empty
	Name string // may be empty
	X, Y float64
	// Terminal stations may begin or end a journey but not lie inside one
	// (zone centroids of road networks).
	Terminal bool
}

// Link is a directed candidate link between two stations, given by their index.
type Link struct {
	From, To int
	Time     float64 // travel time, >= 0
	Cost     float64 // of one unit of capacity, >= 0
}

// Pair is the demand from one station to another.
type Pair struct {
	From, To    int
	Trips       float64 // demand, >= 0
	Alternative float64 // time by the competing mode, any finite number
	Margin      float64 // the operator's revenue per passenger, any finite number
}

// Label is the station's name, or its id where it has none.
func (s *Station) Label() string {
	if s.Name != "" {
		return s.Name
	}
	return s.ID
}

// field names an entry of a network for messages.
func field(table string, row int, column string) string {
	if row < 0 {
		return column
	}
	return fmt.Sprintf("%s[%d].%s", table, row, column)
}

// Validate checks every figure. Its errors are *bilevel.SettingError and name
// the field, e.g. Links[3].Time. What is legal but useless is told by [Survey].
func (n *Network) Validate() error {
	return n.validate(func(table string, row int, column string, value any, allowed string) error {
		return &bilevel.SettingError{Field: field(table, row, column), Value: value, Allowed: allowed}
	})
}

// validate checks n and lets bad make the error of the first entry that is wrong.
func (n *Network) validate(bad func(table string, row int, column string, value any, allowed string) error) error {
	switch {
	case !(n.TimeWeight > 0) || math.IsInf(n.TimeWeight, 0):
		return bad("", -1, "TimeWeight", n.TimeWeight, "a finite number > 0")
	case n.Coordinates != None && n.Coordinates != Plane && n.Coordinates != Geographic:
		return bad("", -1, "Coordinates", n.Coordinates, "none, plane or geographic")
	case len(n.Stations) < 2:
		return bad("", -1, "Stations", len(n.Stations), "two stations or more")
	case len(n.Links) == 0:
		return bad("", -1, "Links", 0, "one candidate link or more")
	case len(n.Pairs) == 0:
		return bad("", -1, "Pairs", 0, "demand between one pair of stations or more")
	}
	ids := make(map[string]int, len(n.Stations))
	for i, s := range n.Stations {
		before, twice := ids[s.ID]
		switch {
		case s.ID == "":
			return bad("Stations", i, "ID", `""`, "a name that is not empty")
		case s.ID != strings.TrimSpace(s.ID):
			return bad("Stations", i, "ID", s.ID, "a name without spaces around it")
		case twice:
			return bad("Stations", i, "ID", s.ID, fmt.Sprintf("an id of its own; station %d has it too", before+1))
		case n.Coordinates != None && !finite(s.X):
			return bad("Stations", i, "X", s.X, "a finite number")
		case n.Coordinates != None && !finite(s.Y):
			return bad("Stations", i, "Y", s.Y, "a finite number")
		case n.Coordinates == Geographic && math.Abs(s.X) > 180:
			return bad("Stations", i, "X", s.X, "a longitude from -180 to 180 degrees")
		case n.Coordinates == Geographic && math.Abs(s.Y) > 90:
			return bad("Stations", i, "Y", s.Y, "a latitude from -90 to 90 degrees")
		}
		ids[s.ID] = i
	}
	id := func(i int) string { return n.Stations[i].ID }
	known := fmt.Sprintf("the index of a station, 0 to %d", len(n.Stations)-1)
	inside := func(i int) bool { return 0 <= i && i < len(n.Stations) }
	links := make(map[[2]int]bool, len(n.Links))
	for i, l := range n.Links {
		switch {
		case !inside(l.From):
			return bad("Links", i, "From", l.From, known)
		case !inside(l.To):
			return bad("Links", i, "To", l.To, known)
		case l.From == l.To:
			return bad("Links", i, "To", id(l.To), "another station than the one the link comes from")
		case links[[2]int{l.From, l.To}]:
			return bad("Links", i, "To", id(l.To), fmt.Sprintf("one link from %s to %s; this is the second", id(l.From), id(l.To)))
		case !(l.Time >= 0) || math.IsInf(l.Time, 0):
			return bad("Links", i, "Time", l.Time, "a finite number >= 0")
		case !(l.Cost >= 0) || math.IsInf(l.Cost, 0):
			return bad("Links", i, "Cost", l.Cost, "a finite number >= 0")
		}
		links[[2]int{l.From, l.To}] = true
	}
	pairs := make(map[[2]int]bool, len(n.Pairs))
	total := 0.0
	for i, p := range n.Pairs {
		switch {
		case !inside(p.From):
			return bad("Pairs", i, "From", p.From, known)
		case !inside(p.To):
			return bad("Pairs", i, "To", p.To, known)
		case p.From == p.To:
			return bad("Pairs", i, "To", id(p.To), "another station than the one the trips come from")
		case pairs[[2]int{p.From, p.To}]:
			return bad("Pairs", i, "To", id(p.To), fmt.Sprintf("one line for the demand from %s to %s; this is the second", id(p.From), id(p.To)))
		case !(p.Trips >= 0) || math.IsInf(p.Trips, 0):
			return bad("Pairs", i, "Trips", p.Trips, "a finite number >= 0")
		case !finite(p.Alternative):
			return bad("Pairs", i, "Alternative", p.Alternative, "a finite number")
		case !finite(p.Margin):
			return bad("Pairs", i, "Margin", p.Margin, "a finite number")
		}
		pairs[[2]int{p.From, p.To}] = true
		total += p.Trips
	}
	if !(total > 0) || math.IsInf(total, 0) {
		return bad("", -1, "Trips", total, "a total demand that is finite and > 0")
	}
	return nil
}

func finite(v float64) bool { return v-v == 0 }
