package network

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel"
	"github.com/goccy/go-yaml"
)

// The files of a network folder.
const (
	MainFile     = "network.yaml"
	StationsFile = "stations.csv"
	LinksFile    = "links.csv"
	DemandFile   = "demand.csv"
)

// maxFile bounds the size of each file of a network.
const maxFile = 256 << 20

// DataError reports a file that cannot be used. It matches bilevel.ErrInvalid.
type DataError struct {
	File    string
	Line    int // 0: the file as a whole
	Found   string
	Allowed string
}

// Error reads "file:line: what was found: allowed is what".
func (e *DataError) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("%s: %s: allowed is %s", at, e.Found, e.Allowed)
}

// Is makes errors.Is(err, bilevel.ErrInvalid) true.
func (e *DataError) Is(target error) bool { return target == bilevel.ErrInvalid }

// header is network.yaml.
type header struct {
	Name        string  `yaml:"name"`
	Title       string  `yaml:"title"`
	Source      string  `yaml:"source"`
	Units       units   `yaml:"units"`
	TimeWeight  float64 `yaml:"time_weight"`
	Coordinates string  `yaml:"coordinates"`
}

type units struct {
	Time  string `yaml:"time"`
	Cost  string `yaml:"cost"`
	Trips string `yaml:"trips"`
}

// column is a column of a CSV file.
type column struct {
	name     string
	required bool
}

// tables are the columns of the CSV files, in the order they are written in.
var tables = map[string][]column{
	StationsFile: {{"id", true}, {"name", false}, {"x", false}, {"y", false}, {"terminal", false}},
	LinksFile:    {{"from", true}, {"to", true}, {"time", true}, {"cost", true}},
	DemandFile:   {{"from", true}, {"to", true}, {"trips", true}, {"alternative", true}, {"margin", true}},
}

// Read reads a network from a folder of four files.
//
// network.yaml holds name, title, source, coordinates (none, plane or
// geographic), units (time, cost, trips: words for tables) and time_weight, the
// disutility of one unit of time (1 when left out). The tables are CSV files
// whose first line names the columns, in any order; numbers have a decimal point:
//
//	stations.csv  id, and optionally name, x, y, terminal (yes or no: journeys do not pass through)
//	links.csv     from, to (station ids), time, cost (of one unit of capacity); directed
//	demand.csv    from, to (station ids), trips, alternative (time by the competing mode), margin (revenue per passenger)
//
// x is the longitude and y the latitude where coordinates are geographic; they
// are required unless coordinates is none. Errors are *DataError with file and
// line, or what the file system says.
func Read(folder fs.FS) (*Network, error) {
	main, err := content(folder, MainFile)
	if err != nil {
		return nil, err
	}
	h := header{TimeWeight: 1, Coordinates: string(None), Units: units{"time", "money", "trips"}}
	if err := yaml.UnmarshalWithOptions(main, &h, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlError(err)
	}
	n := &Network{Name: h.Name, Title: h.Title, Source: h.Source, Time: h.Units.Time, Cost: h.Units.Cost, Trips: h.Units.Trips,
		TimeWeight: h.TimeWeight, Coordinates: Coordinates(h.Coordinates)}
	lines := map[string][]int{}
	for _, t := range []struct {
		file string
		add  func(r *record) error
	}{{StationsFile, n.addStation}, {LinksFile, n.linkAdder()}, {DemandFile, n.pairAdder()}} {
		if lines[t.file], err = readTable(folder, t.file, t.add); err != nil {
			return nil, err
		}
	}
	err = n.validate(func(table string, row int, col string, value any, allowed string) error {
		file := map[string]string{"Stations": StationsFile, "Links": LinksFile, "Pairs": DemandFile}
		if row >= 0 {
			name := file[table]
			return &DataError{name, lines[name][row], fmt.Sprintf("%s = %v", strings.ToLower(col), value), allowed}
		}
		if name, ok := file[col]; ok {
			return &DataError{name, 0, fmt.Sprintf("%v rows", value), allowed}
		}
		if col == "Trips" {
			return &DataError{DemandFile, 0, fmt.Sprintf("trips add up to %v", value), allowed}
		}
		key := map[string]string{"TimeWeight": "time_weight", "Coordinates": "coordinates"}[col]
		return &DataError{MainFile, 0, fmt.Sprintf("%s = %v", key, value), allowed}
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

func content(folder fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(folder, name)
	switch {
	case err != nil:
		return nil, &DataError{name, 0, err.Error(), "a file that can be read; a network folder holds " + strings.Join([]string{MainFile, StationsFile, LinksFile, DemandFile}, ", ")}
	case !info.Mode().IsRegular():
		return nil, &DataError{name, 0, "no regular file", "a regular file, not a folder or a device"}
	case info.Size() > maxFile:
		return nil, &DataError{name, 0, fmt.Sprintf("%d bytes", info.Size()), fmt.Sprintf("at most %d bytes", maxFile)}
	}
	return fs.ReadFile(folder, name)
}

// yamlError is a YAML error with its line.
func yamlError(err error) error {
	line, text := 0, err.Error()
	var e yaml.Error
	if errors.As(err, &e) {
		text = e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			line = t.Position.Line
		}
	}
	return &DataError{MainFile, line, text, "a YAML mapping with name, title, source, coordinates, time_weight and units {time, cost, trips}"}
}

// record is one row of a CSV file with access by column name.
type record struct {
	file   string
	line   int
	index  map[string]int
	fields []string
}

func (r *record) has(name string) bool { _, ok := r.index[name]; return ok }

func (r *record) text(name string) string {
	if i, ok := r.index[name]; ok {
		return strings.TrimSpace(r.fields[i])
	}
	return ""
}

func (r *record) bad(name, allowed string) error {
	return &DataError{r.file, r.line, fmt.Sprintf("%s = %q", name, r.text(name)), allowed}
}

func (r *record) number(name string) (float64, error) {
	v, err := strconv.ParseFloat(r.text(name), 64)
	if err != nil || v-v != 0 {
		return math.NaN(), r.bad(name, "a finite number")
	}
	return v, nil
}

// readTable calls add for every row of a CSV file and returns the rows' lines.
func readTable(folder fs.FS, file string, add func(r *record) error) ([]int, error) {
	data, err := content(folder, file)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, &DataError{file, 0, "bytes that are not text", "text in UTF-8"}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	in := csv.NewReader(bytes.NewReader(data))
	in.FieldsPerRecord, in.ReuseRecord, in.TrimLeadingSpace = -1, true, true
	columns := tables[file]
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	r := &record{file: file, index: map[string]int{}}
	var lines []int
	width := 0
	for {
		fields, err := in.Read()
		if err == io.EOF {
			break
		}
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			return nil, &DataError{file, syntax.Line, syntax.Err.Error(), "comma-separated values"}
		}
		if err != nil {
			return nil, err
		}
		r.line, _ = in.FieldPos(0)
		if width == 0 {
			width = len(fields)
			for i, name := range fields {
				name = strings.ToLower(strings.TrimSpace(name))
				_, twice := r.index[name]
				if twice || !slices.Contains(names, name) {
					return nil, &DataError{file, r.line, fmt.Sprintf("the column %q", name), "each of " + strings.Join(names, ", ") + " once"}
				}
				r.index[name] = i
			}
			for _, c := range columns {
				if c.required && !r.has(c.name) {
					return nil, &DataError{file, r.line, fmt.Sprintf("no column %q", c.name), "a first line with " + strings.Join(names, ", ")}
				}
			}
			continue
		}
		if len(fields) != width {
			return nil, &DataError{file, r.line, fmt.Sprintf("%d values", len(fields)), fmt.Sprintf("%d, one for each column", width)}
		}
		r.fields = fields
		if err := add(r); err != nil {
			return nil, err
		}
		lines = append(lines, r.line)
	}
	if width == 0 {
		return nil, &DataError{file, 0, "no line", "a first line with " + strings.Join(names, ", ")}
	}
	return lines, nil
}

func (n *Network) addStation(r *record) error {
	s := Station{ID: r.text("id"), Name: r.text("name")}
	if n.Coordinates != None {
		var err error
		if s.X, err = r.number("x"); err != nil {
			return err
		}
		if s.Y, err = r.number("y"); err != nil {
			return err
		}
	}
	switch strings.ToLower(r.text("terminal")) {
	case "", "no":
	case "yes":
		s.Terminal = true
	default:
		return r.bad("terminal", "yes or no")
	}
	n.Stations = append(n.Stations, s)
	return nil
}

// ends reads the two stations of a row.
func (n *Network) ends() func(r *record) (from, to int, err error) {
	var ids map[string]int
	return func(r *record) (int, int, error) {
		if ids == nil {
			ids = make(map[string]int, len(n.Stations))
			for i, s := range n.Stations {
				ids[s.ID] = i
			}
		}
		var at [2]int
		for k, name := range []string{"from", "to"} {
			i, ok := ids[r.text(name)]
			if !ok {
				return 0, 0, r.bad(name, "the id of a station in "+StationsFile)
			}
			at[k] = i
		}
		return at[0], at[1], nil
	}
}

func (n *Network) linkAdder() func(r *record) error {
	ends := n.ends()
	return func(r *record) (err error) {
		var l Link
		if l.From, l.To, err = ends(r); err != nil {
			return err
		}
		if l.Time, err = r.number("time"); err != nil {
			return err
		}
		if l.Cost, err = r.number("cost"); err != nil {
			return err
		}
		n.Links = append(n.Links, l)
		return nil
	}
}

func (n *Network) pairAdder() func(r *record) error {
	ends := n.ends()
	return func(r *record) (err error) {
		var p Pair
		if p.From, p.To, err = ends(r); err != nil {
			return err
		}
		for _, c := range []struct {
			name string
			to   *float64
		}{{"trips", &p.Trips}, {"alternative", &p.Alternative}, {"margin", &p.Margin}} {
			if *c.to, err = r.number(c.name); err != nil {
				return err
			}
		}
		n.Pairs = append(n.Pairs, p)
		return nil
	}
}
