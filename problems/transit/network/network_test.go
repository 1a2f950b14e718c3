package network

import (
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bilevel-go/bilevel"
)

func folder(files map[string][]byte) fstest.MapFS {
	f := fstest.MapFS{}
	for name, content := range files {
		f[name] = &fstest.MapFile{Data: content}
	}
	return f
}

// The published dimensions, and figures at the corners of each table.
func TestBuiltInNetworks(t *testing.T) {
	for _, c := range []struct {
		name                   string
		stations, links, pairs int
		trips                  float64
	}{{"3node", 3, 6, 6, 6}, {"9node", 9, 30, 72, 104.4}, {"seville", 24, 88, 552, 1465.085}} {
		n, err := Open(c.name)
		if err != nil {
			t.Fatal(err)
		}
		total := 0.0
		for _, p := range n.Pairs {
			total += p.Trips
		}
		if len(n.Stations) != c.stations || len(n.Links) != c.links || len(n.Pairs) != c.pairs || math.Abs(total-c.trips) > 1e-9 {
			t.Errorf("%s: %d stations, %d links, %d pairs, %g trips", c.name, len(n.Stations), len(n.Links), len(n.Pairs), total)
		}
		if f := Survey(n); len(f.Unserved)+len(f.Useless)+len(f.Isolated) > 0 {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
	n, err := Open("seville")
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := math.Inf(1), 0.0
	for _, l := range n.Links { // construction costs are in proportion to times
		lo, hi = math.Min(lo, l.Time*n.TimeWeight), math.Max(hi, l.Time*n.TimeWeight)
		if r := l.Cost / (l.Time * n.TimeWeight); math.Abs(r-1.0951403149) > 1e-9 {
			t.Errorf("cost is %.10f of time", r)
		}
	}
	if math.Abs(lo-0.1871) > 5e-5 || math.Abs(hi-1.7462) > 5e-5 {
		t.Errorf("times from %g to %g", lo, hi)
	}
	if _, err := Open("none"); err == nil {
		t.Error("a network that does not exist was opened")
	}
}

func TestEncodeAndRead(t *testing.T) {
	grid, err := Grid(3, 4, 7)
	if err != nil {
		t.Fatal(err)
	}
	grid.Stations[2].Name, grid.Stations[3].Terminal = `Plaza "Nueva", south`, true
	all := []*Network{grid}
	for _, name := range BuiltIn() {
		n, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	for _, n := range all {
		files, err := Encode(n)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Read(folder(files))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(n, back) {
			t.Errorf("%s is not what was written", n.Name)
		}
	}
}

// small is a correct network folder.
func small() map[string][]byte {
	return map[string][]byte{
		MainFile:     []byte("name: small\ncoordinates: plane\ntime_weight: 0.5\nunits: {time: min, cost: EUR, trips: per hour}\n"),
		StationsFile: []byte("id,x,y,name\na,0,0,Airport\nb,1,0,\nc,2,1,\n"),
		LinksFile:    []byte("from,to,time,cost\na,b,3,1\nb,a,3,1\nb,c,2,1.5\n"),
		DemandFile:   []byte("trips, from,to,alternative,margin\n10,a,c,9,4\n5,c,a,9,4\n"),
	}
}

func TestReadSmall(t *testing.T) {
	n, err := Read(folder(small()))
	if err != nil {
		t.Fatal(err)
	}
	if n.TimeWeight != 0.5 || n.Links[2] != (Link{1, 2, 2, 1.5}) || n.Pairs[0] != (Pair{0, 2, 10, 9, 4}) || n.Stations[0].Label() != "Airport" || n.Stations[1].Label() != "b" {
		t.Errorf("%+v", n)
	}
	f := Survey(n) // c cannot be left
	if !reflect.DeepEqual(f, Findings{Unserved: []int{1}, Useless: []int{1}}) {
		t.Errorf("%+v", f)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, c := range []struct {
		file, content string
		want          []string // parts of the error
	}{
		{MainFile, "name: [", []string{"network.yaml:1"}},
		{MainFile, "name: a\ntimeweight: 1\n", []string{"network.yaml:2", "time_weight"}},
		{MainFile, "time_weight: -1\n", []string{"network.yaml", "time_weight = -1", "> 0"}},
		{MainFile, "coordinates: polar\n", []string{"coordinates = polar", "geographic"}},
		{StationsFile, "", []string{"stations.csv", "no line"}},
		{StationsFile, "id,x\na,0\n", []string{"stations.csv:2", `y = ""`}},
		{StationsFile, "name\na\n", []string{`stations.csv:1`, `no column "id"`}},
		{StationsFile, "id,x,y\na,0,0\nb,1,nan\n", []string{"stations.csv:3", "nan"}},
		{StationsFile, "id,x,y\na,0,0\na,1,1\nb,1,1\nc,1,1\n", []string{"stations.csv:3", "an id of its own"}},
		{StationsFile, "id,x,y,terminal\na,0,0,maybe\n", []string{"stations.csv:2", "yes or no"}},
		{LinksFile, "from,to,time,cost\n", []string{"links.csv", "one candidate link"}},
		{LinksFile, "from,to,time,cost\na,z,1,1\n", []string{"links.csv:2", `to = "z"`}},
		{LinksFile, "from,to,time,cost\na,b,-1,1\n", []string{"links.csv:2", "time = -1", ">= 0"}},
		{LinksFile, "from,to,time,cost\na,b,1,NaN\n", []string{"links.csv:2", "cost", "finite"}},
		{LinksFile, "from,to,time,cost\na,b,1,1e999\n", []string{"links.csv:2", "cost", "finite"}},
		{LinksFile, "from,to,time,cost\na,b,1,1\n\na,b,2,2\n", []string{"links.csv:4", "this is the second"}},
		{LinksFile, "from,to,time,cost\na,a,1,1\n", []string{"links.csv:2", "another station"}},
		{LinksFile, "from,to,time,cost\na,b,1\n", []string{"links.csv:2", "3 values"}},
		{LinksFile, "from,to,time,price\na,b,1,1\n", []string{"links.csv:1", `"price"`}},
		{LinksFile, "from,to,time,cost\n\"a,b,1,1\n", []string{"links.csv:2"}},
		{LinksFile, "from,to,time,cost\n\xff\xfe", []string{"links.csv", "UTF-8"}},
		{DemandFile, "from,to,trips,alternative,margin\na,b,-3,1,1\n", []string{"demand.csv:2", "trips = -3"}},
		{DemandFile, "from,to,trips,alternative,margin\na,b,0,1,1\n", []string{"demand.csv", "total demand"}},
		{DemandFile, "from,to,trips,alternative,margin\na,b,1,1,1\na,b,1,1,1\n", []string{"demand.csv:3", "this is the second"}},
		{DemandFile, "from,to,trips,alternative,margin\na,b,one,1,1\n", []string{"demand.csv:2", `trips = "one"`}},
	} {
		files := small()
		files[c.file] = []byte(c.content)
		_, err := Read(folder(files))
		var data *DataError
		if !errors.As(err, &data) || !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%s %q: %v", c.file, c.content, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s %q: %v, want %q in it", c.file, c.content, err, w)
			}
		}
	}
	for name := range small() {
		files := small()
		delete(files, name)
		if _, err := Read(folder(files)); !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for want, spoil := range map[string]func(n *Network){
		"Links[1].Time":       func(n *Network) { n.Links[1].Time = math.NaN() },
		"Links[2].From":       func(n *Network) { n.Links[2].From = 3 },
		"Pairs[0].To":         func(n *Network) { n.Pairs[0].To = -1 },
		"Pairs[1].Margin":     func(n *Network) { n.Pairs[1].Margin = math.Inf(1) },
		"Stations[0].X":       func(n *Network) { n.Coordinates, n.Stations[0].X = Geographic, 181 },
		"TimeWeight":          func(n *Network) { n.TimeWeight = 0 },
		"Pairs[0].Trips":      func(n *Network) { n.Pairs[0].Trips = -1 },
		"Pairs[1].To = c":     func(n *Network) { n.Pairs[1] = n.Pairs[0] },
		"Stations[1].ID =  b": func(n *Network) { n.Stations[1].ID = " b" },
		"Stations[1].ID = a":  func(n *Network) { n.Stations[1].ID = "a" },
	} {
		n, err := Read(folder(small()))
		if err != nil {
			t.Fatal(err)
		}
		spoil(n)
		err = n.Validate()
		var setting *bilevel.SettingError
		if !errors.As(err, &setting) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestGrid(t *testing.T) {
	n, err := Grid(20, 20, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Validate(); err != nil {
		t.Fatal(err)
	}
	if len(n.Stations) != 400 || len(n.Links) != 1520 || len(n.Pairs) != 159600 {
		t.Errorf("%d stations, %d links, %d pairs", len(n.Stations), len(n.Links), len(n.Pairs))
	}
	a, _ := Grid(4, 5, 3)
	b, _ := Grid(4, 5, 3)
	c, _ := Grid(4, 5, 4)
	if !reflect.DeepEqual(a, b) || reflect.DeepEqual(a.Pairs, c.Pairs) {
		t.Error("a grid is not a function of its seed")
	}
	if _, err := Grid(0, 5, 1); !errors.Is(err, bilevel.ErrInvalid) {
		t.Error(err)
	}
}

var economics = Economics{CostPerLength: 0.1, CostPerTime: 0.2, Alternative: 1.5, Margin: 1, MarginPerTime: 0.5, TimeWeight: 0.25, TripWeight: 0.01}

const tntpNet = `<NUMBER OF ZONES> 2
<NUMBER OF NODES> 3
<FIRST THRU NODE> 3
<NUMBER OF LINKS> 4
<END OF METADATA>
~ init term capacity length time b power ;
	1	3	100	2	4	0.15	4	0	0	1	;
	3	2	100	1	6	0.15	4	0	0	1	;
	2	3	100	1	6	0.15	4	0	0	1	;
	1	3	100	9	5	0.15	4	0	0	1	;
`

const tntpTrips = `<NUMBER OF ZONES> 2
<TOTAL OD FLOW> 30.0
<END OF METADATA>

Origin 1
    1 : 5.0;  2 : 20.0;
Origin 2
    1 : 10.0;
`

func TestReadTNTP(t *testing.T) {
	n, err := ReadTNTP("tiny", "net", []byte(tntpNet), "trips", []byte(tntpTrips), economics)
	if err != nil {
		t.Fatal(err)
	}
	want := []Link{{0, 2, 4, 1}, {2, 1, 6, 1.3}, {1, 2, 6, 1.3}} // the quicker of two parallel links
	for e := range n.Links {
		n.Links[e].Cost = math.Round(n.Links[e].Cost*1e12) / 1e12
	}
	if !reflect.DeepEqual(n.Links, want) || !n.Stations[0].Terminal || n.Stations[2].Terminal {
		t.Errorf("%+v", n)
	}
	// No trips within a zone; nobody can get from 2 to 1.
	if len(n.Pairs) != 1 || n.Pairs[0] != (Pair{0, 1, 0.2, 15, 6}) {
		t.Errorf("%+v", n.Pairs)
	}
	for _, c := range []struct{ what, old, new, want string }{
		{"net", "<END OF METADATA>", "", "net:7"},
		{"net", "<NUMBER OF NODES> 3", "", "NUMBER OF NODES"},
		{"net", "<NUMBER OF NODES> 3", "<NUMBER OF NODES> three", "net:2"},
		{"net", "<NUMBER OF LINKS> 4", "<NUMBER OF LINKS> 5", "4 links"},
		{"net", "	3	2	100	1	6", "	3	9	100	1	6", "net:8"},
		{"net", "	3	2	100	1	6", "	3	2	100	1	-6", "net:8"},
		{"net", "	3	2	100	1	6	0.15	4	0	0	1	;", "3 2", "net:8"},
		{"trips", "Origin 1", "Origin 7", "trips:5"},
		{"trips", "Origin 1", "", "trips:6"},
		{"trips", "2 : 20.0;", "2 = 20.0;", "trips:6"},
		{"trips", "2 : 20.0;", "2 : many;", "trips:6"},
		{"trips", "2 : 20.0;", "2 : 0;", "no trips"},
	} {
		net, trips := tntpNet, tntpTrips
		if c.what == "net" {
			net = strings.Replace(net, c.old, c.new, 1)
		} else {
			trips = strings.Replace(trips, c.old, c.new, 1)
		}
		_, err := ReadTNTP("tiny", "net", []byte(net), "trips", []byte(trips), economics)
		if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q instead of %q: %v, want %q", c.new, c.old, err, c.want)
		}
	}
}

// external is the folder of external data, or the test is skipped.
func external(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	dir = filepath.Join(dir, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no external data: %v", err)
	}
	return dir
}

func TestReadTNTPCollection(t *testing.T) {
	dir := external(t, "tntp")
	nets, err := filepath.Glob(filepath.Join(dir, "*", "*_net.tntp"))
	if err != nil || len(nets) == 0 {
		t.Skipf("no TNTP files in %s", dir)
	}
	for _, net := range nets {
		trips := strings.TrimSuffix(net, "_net.tntp") + "_trips.tntp"
		a, errA := os.ReadFile(net)
		b, errB := os.ReadFile(trips)
		if errA != nil || errB != nil {
			t.Errorf("%v, %v", errA, errB)
			continue
		}
		n, err := ReadTNTP("x", filepath.Base(net), a, filepath.Base(trips), b, economics)
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.Contains(net, "SiouxFalls") {
			total := 0.0
			for _, p := range n.Pairs {
				total += p.Trips
			}
			if len(n.Stations) != 24 || len(n.Links) != 76 || len(n.Pairs) != 528 || math.Abs(total-3606) > 1e-6 {
				t.Errorf("Sioux Falls: %d stations, %d links, %d pairs, %g trips", len(n.Stations), len(n.Links), len(n.Pairs), total)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	s := small()
	f.Add(s[MainFile], s[StationsFile], s[LinksFile], s[DemandFile])
	for _, name := range BuiltIn() {
		sub, err := fs.Sub(data, "data/"+name)
		if err != nil {
			f.Fatal(err)
		}
		var c [4][]byte
		for i, file := range []string{MainFile, StationsFile, LinksFile, DemandFile} {
			if c[i], err = fs.ReadFile(sub, file); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(c[0], c[1], c[2][:min(len(c[2]), 400)], c[3][:min(len(c[3]), 400)])
	}
	f.Fuzz(func(t *testing.T, main, stations, links, demand []byte) {
		n, err := Read(folder(map[string][]byte{MainFile: main, StationsFile: stations, LinksFile: links, DemandFile: demand}))
		if err != nil {
			if !errors.Is(err, bilevel.ErrInvalid) {
				t.Errorf("an error that names no file: %v", err)
			}
			return
		}
		if err := n.Validate(); err != nil {
			t.Errorf("a network that was read is not valid: %v", err)
		}
		Survey(n)
		files, err := Encode(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read(folder(maps.Clone(files))); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}

func FuzzReadTNTP(f *testing.F) {
	f.Add([]byte(tntpNet), []byte(tntpTrips))
	f.Fuzz(func(t *testing.T, net, trips []byte) {
		n, err := ReadTNTP("fuzz", "net", net, "trips", trips, economics)
		if err != nil {
			if !errors.Is(err, bilevel.ErrInvalid) {
				t.Errorf("an error that names no file: %v", err)
			}
			return
		}
		if err := n.Validate(); err != nil {
			t.Error(err)
		}
	})
}
