package network

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Economics is what TNTP files do not tell.
type Economics struct {
	// CostPerLength is the construction cost of one unit of capacity over one unit
	// of length; CostPerTime the same over one unit of travel time, added to it.
	CostPerLength, CostPerTime float64
	// Alternative is the time by the competing mode as a multiple of the shortest
	// travel time of the pair.
	Alternative float64
	// Margin is the revenue per passenger, MarginPerTime what is added to it per
	// unit of the pair's shortest travel time.
	Margin, MarginPerTime float64
	// TimeWeight is the disutility of one unit of time.
	TimeWeight float64
	// TripWeight multiplies the trips.
	TripWeight float64
}

// ReadTNTP reads a network and its trips in the TNTP format (Transportation
// Networks for Research): link_file with the columns init node, term node,
// capacity, length, free flow time of which the last two are used, and trips
// between zones. Zones below the FIRST THRU NODE become terminal stations. Parallel
// links become the quicker one. Pairs that cannot be served and trips within a zone
// are left out. Errors are *DataError with file and line.
func ReadTNTP(name, netFile string, net []byte, tripsFile string, trips []byte, econ Economics) (*Network, error) {
	n := &Network{Name: name, Title: "TNTP network " + name, Source: fmt.Sprintf("TNTP files %s and %s", netFile, tripsFile),
		Time: "time", Cost: "money", Trips: "trips", TimeWeight: econ.TimeWeight, Coordinates: None}
	if err := n.tntpLinks(netFile, net, econ); err != nil {
		return nil, err
	}
	if err := n.tntpTrips(tripsFile, trips, econ); err != nil {
		return nil, err
	}
	if err := n.Validate(); err != nil {
		return nil, &DataError{netFile, 0, err.Error(), "a network that can be used with these economic data"}
	}
	return n, nil
}

// tntpLine is a line of a TNTP file after its metadata.
type tntpLine struct {
	number int
	text   string
}

// tntpParts splits a file into metadata by key and the lines that follow.
func tntpParts(file string, data []byte) (map[string]tntpLine, []tntpLine, error) {
	meta := map[string]tntpLine{}
	var lines []tntpLine
	in := bufio.NewScanner(bytes.NewReader(data))
	in.Buffer(nil, 1<<24)
	ended, number := false, 0
	for in.Scan() {
		number++
		text := strings.TrimSpace(in.Text())
		switch {
		case ended:
			if i := strings.IndexByte(text, '~'); i >= 0 {
				text = strings.TrimSpace(text[:i])
			}
			if text != "" {
				lines = append(lines, tntpLine{number, text})
			}
		case strings.HasPrefix(text, "<"):
			key, value, ok := strings.Cut(text[1:], ">")
			if !ok {
				return nil, nil, &DataError{file, number, fmt.Sprintf("%q", text), "<KEY> value"}
			}
			key = strings.ToUpper(strings.TrimSpace(key))
			ended = key == "END OF METADATA"
			meta[key] = tntpLine{number, strings.TrimSpace(value)}
		case text != "" && !strings.HasPrefix(text, "~"):
			return nil, nil, &DataError{file, number, fmt.Sprintf("%q", text), "<KEY> value lines down to <END OF METADATA>"}
		}
	}
	if err := in.Err(); err != nil {
		return nil, nil, &DataError{file, number + 1, err.Error(), "text lines"}
	}
	if !ended {
		return nil, nil, &DataError{file, 0, "no <END OF METADATA>", "a TNTP file"}
	}
	return meta, lines, nil
}

func metaInt(file string, meta map[string]tntpLine, key string, least, most int) (int, error) {
	l, ok := meta[key]
	if !ok {
		return 0, &DataError{file, 0, "no <" + key + ">", "a TNTP file with it"}
	}
	v, err := strconv.Atoi(l.text)
	if err != nil || v < least || v > most {
		return 0, &DataError{file, l.number, fmt.Sprintf("<%s> %s", key, l.text), fmt.Sprintf("an integer from %d to %d", least, most)}
	}
	return v, nil
}

func (n *Network) tntpLinks(file string, data []byte, econ Economics) error {
	meta, lines, err := tntpParts(file, data)
	if err != nil {
		return err
	}
	nodes, err := metaInt(file, meta, "NUMBER OF NODES", 2, 1<<20)
	if err != nil {
		return err
	}
	first := 1
	if _, ok := meta["FIRST THRU NODE"]; ok {
		if first, err = metaInt(file, meta, "FIRST THRU NODE", 1, 1<<20); err != nil {
			return err
		}
	}
	for i := 1; i <= nodes; i++ {
		n.Stations = append(n.Stations, Station{ID: strconv.Itoa(i), Terminal: i < first})
	}
	at := map[[2]int]int{}
	for _, l := range lines {
		fields := strings.Fields(strings.TrimSuffix(l.text, ";"))
		if len(fields) < 5 {
			return &DataError{file, l.number, fmt.Sprintf("%d values", len(fields)), "init node, term node, capacity, length, free flow time and more"}
		}
		var ends [2]int
		for k := range ends {
			v, err := strconv.Atoi(fields[k])
			if err != nil || v < 1 || v > nodes {
				return &DataError{file, l.number, fmt.Sprintf("node %q", fields[k]), fmt.Sprintf("an integer from 1 to %d", nodes)}
			}
			ends[k] = v - 1
		}
		var size [2]float64 // length, free flow time
		for k := range size {
			v, err := strconv.ParseFloat(fields[3+k], 64)
			if err != nil || !(v >= 0) || math.IsInf(v, 0) {
				return &DataError{file, l.number, fmt.Sprintf("%s %q", []string{"length", "free flow time"}[k], fields[3+k]), "a finite number >= 0"}
			}
			size[k] = v
		}
		link := Link{ends[0], ends[1], size[1], econ.CostPerLength*size[0] + econ.CostPerTime*size[1]}
		k, twice := at[ends]
		switch {
		case ends[0] == ends[1]: // of no use to anyone
		case !twice:
			at[ends] = len(n.Links)
			n.Links = append(n.Links, link)
		case link.Time < n.Links[k].Time:
			n.Links[k] = link
		}
	}
	if want, err := metaInt(file, meta, "NUMBER OF LINKS", 1, 1<<24); err != nil {
		return err
	} else if len(lines) != want {
		return &DataError{file, 0, fmt.Sprintf("%d links", len(lines)), fmt.Sprintf("%d, as <NUMBER OF LINKS> says", want)}
	}
	return nil
}

func (n *Network) tntpTrips(file string, data []byte, econ Economics) error {
	meta, lines, err := tntpParts(file, data)
	if err != nil {
		return err
	}
	zones, err := metaInt(file, meta, "NUMBER OF ZONES", 1, len(n.Stations))
	if err != nil {
		return err
	}
	zone := func(l tntpLine, text string) (int, error) {
		v, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || v < 1 || v > zones {
			return 0, &DataError{file, l.number, fmt.Sprintf("zone %q", text), fmt.Sprintf("an integer from 1 to %d", zones)}
		}
		return v - 1, nil
	}
	origin := -1
	var time []float64
	at := map[[2]int]int{}
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l.text, "Origin"); ok {
			if origin, err = zone(l, rest); err != nil {
				return err
			}
			time = n.times(origin)
			continue
		}
		if origin < 0 {
			return &DataError{file, l.number, fmt.Sprintf("%q", l.text), "a line \"Origin NUMBER\" before the first trips"}
		}
		for _, item := range strings.Split(l.text, ";") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			to, trips, ok := strings.Cut(item, ":")
			if !ok {
				return &DataError{file, l.number, fmt.Sprintf("%q", item), "DESTINATION : TRIPS;"}
			}
			d, err := zone(l, to)
			if err != nil {
				return err
			}
			w, err := strconv.ParseFloat(strings.TrimSpace(trips), 64)
			if err != nil || !(w >= 0) || math.IsInf(w, 0) {
				return &DataError{file, l.number, fmt.Sprintf("trips %q", strings.TrimSpace(trips)), "a finite number >= 0"}
			}
			if w == 0 || d == origin || math.IsInf(time[d], 1) {
				continue
			}
			key := [2]int{origin, d}
			if k, twice := at[key]; twice {
				n.Pairs[k].Trips += w * econ.TripWeight
				continue
			}
			at[key] = len(n.Pairs)
			n.Pairs = append(n.Pairs, Pair{From: origin, To: d, Trips: w * econ.TripWeight,
				Alternative: econ.Alternative * time[d], Margin: econ.Margin + econ.MarginPerTime*time[d]})
		}
	}
	if len(n.Pairs) == 0 {
		return &DataError{file, 0, "no trips between zones that a path joins", "one pair with trips or more"}
	}
	return nil
}
