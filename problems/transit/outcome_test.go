package transit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

type buffer struct{ bytes.Buffer }

func (b *buffer) Close() error { return nil }

func written(t *testing.T, in *problems.Instance, x []float64) map[string]*buffer {
	t.Helper()
	files := map[string]*buffer{}
	err := in.Files(x, nil, nil, func(name string) (problems.File, error) {
		files[name] = new(buffer)
		return files[name], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What the files say adds up to the metrics.
func TestFiles(t *testing.T) {
	for _, name := range []string{"transit/3node", "transit/9node", "transit/seville"} {
		in := openInstance(t, name, nil)
		x := in.Problem.X0
		m := in.Metrics(x, nil, nil)
		files := written(t, in, x)

		var geo struct {
			Type     string
			Features []struct {
				Geometry   struct{ Type string }
				Properties map[string]any
			}
		}
		if err := json.Unmarshal(files["network.geojson"].Bytes(), &geo); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cost, links := 0.0, 0
		for _, f := range geo.Features {
			if f.Geometry.Type == "LineString" {
				links++
				cost += f.Properties["construction_cost"].(float64)
				if flow, c := f.Properties["flow"].(float64), f.Properties["capacity"].(float64); flow > c+1e-9*(1+c) {
					t.Errorf("%s: flow %v on capacity %v", name, flow, c)
				}
			}
		}
		if links != in.Problem.NX || math.Abs(cost-m["construction_cost"]) > 1e-9*(1+cost) {
			t.Errorf("%s: %d links for %v, want %d for %v", name, links, cost, in.Problem.NX, m["construction_cost"])
		}

		lines, err := csv.NewReader(files["links.csv"]).ReadAll()
		if err != nil || len(lines) != 1+in.Problem.NX {
			t.Fatalf("%s: %d lines of links, %v", name, len(lines), err)
		}
		for _, l := range lines[1:] {
			var v [7]float64
			for i := range v {
				if v[i], err = strconv.ParseFloat(l[2+i], 64); err != nil {
					t.Fatal(err)
				}
			}
			if capacity, flow, residual := v[0], v[1], v[2]; math.Abs(capacity-flow-residual) > 1e-9*(1+capacity) || residual < -1e-9*(1+capacity) || v[5] > 1e-9 || v[6] > 1e-9 {
				t.Errorf("%s: link %v", name, l)
			}
		}

		rows, err := csv.NewReader(files["od.csv"]).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		sum := func(column int) float64 {
			total := 0.0
			for _, r := range rows[1:] {
				if r[column] == "" {
					continue
				}
				v, err := strconv.ParseFloat(r[column], 64)
				if err != nil {
					t.Fatal(err)
				}
				total += v
			}
			return total
		}
		if r := sum(4); math.Abs(r-m["ridership"]) > 1e-7*(1+r) {
			t.Errorf("%s: od.csv has %v trips, want %v", name, r, m["ridership"])
		}
		// Profit by pairs leaves out capacity that nobody uses: here there is none.
		if p := sum(13); math.Abs(p-m["profit"]) > 1e-6*(1+math.Abs(p)) {
			t.Errorf("%s: od.csv has profit %v, want %v", name, p, m["profit"])
		}

		var point struct{ X []float64 }
		if err := json.Unmarshal(files["design.json"].Bytes(), &point); err != nil || len(point.X) != in.Problem.NX {
			t.Errorf("%s: design.json: %d capacities, %v", name, len(point.X), err)
		}
		wellFormed(t, name, files["map.svg"].Bytes())
	}
}

// wellFormed checks that a map is XML with a path per link and no NaN.
func wellFormed(t *testing.T, name string, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: map: %v", name, err)
		}
	}
	if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
		t.Errorf("%s: the map has a number that is not finite", name)
	}
}

func TestSections(t *testing.T) {
	in := openInstance(t, "transit/seville", nil)
	x := make([]float64, in.Problem.NX) // nothing is built
	s, err := in.Sections(x, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, "nothing built", []byte(s[0].Figures[0].SVG))
	for _, table := range s[0].Tables {
		for _, row := range table.Rows {
			if len(row) != len(table.Head) {
				t.Errorf("%s: row %q under header %q", table.Title, row, table.Head)
			}
		}
	}
	lost := s[0].Tables[2]
	if len(lost.Rows) != shownRows || !strings.Contains(lost.Rows[0][3], "no way left") {
		t.Errorf("pairs lost when nothing is built: %q", lost.Rows)
	}
}

func TestLimitsOfX(t *testing.T) {
	in := openInstance(t, "transit/seville", map[string]string{"budget": "100", "symmetric": "true", "forbid": "1>2", "force": "1>3:0.5,2>3:2"})
	d := in.Problem
	n := d.NX
	x, y := make([]float64, n), make([]float64, n)
	for e := range x {
		x[e] = math.Mod(float64(e)*1.7, 5) - 1
	}
	d.X.Project(y, x)
	cost := -d.Upper.Value(make([]float64, n), make([]float64, d.NY)) + d.Upper.Value(y, make([]float64, d.NY))
	if cost > 100*(1+1e-12) || cost < 99.99 {
		t.Errorf("projected capacities cost %v, budget 100", cost)
	}
	again := make([]float64, n)
	d.X.Project(again, y)
	for e := range y {
		if y[e] < 0 || math.Abs(again[e]-y[e]) > 1e-9 {
			t.Errorf("capacity %d: %v, projected again %v", e, y[e], again[e])
		}
	}
	for _, c := range []struct{ key, value, want string }{
		{"forbid", "1>99", "FROM>TO"}, {"forbid", "1-2", "FROM>TO"}, {"force", "1>2", "CAPACITY"}, {"force", "1>2:-1", "CAPACITY"},
		{"budget", "-1", "[0,inf)"}, {"force", "1>2:NaN", "CAPACITY"},
	} {
		_, err := Family{}.Open(problems.Request{Name: "transit/seville", Set: map[string]string{c.key: c.value}})
		if err == nil || !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v", c.key, c.value, err)
		}
	}
	if _, err := (Family{}).Open(problems.Request{Name: "transit/seville", Set: map[string]string{"budget": "1", "force": "1>2:50"}}); err == nil || !strings.Contains(err.Error(), "at least") {
		t.Errorf("a budget below the forced capacities: %v", err)
	}
}

// Faithful mode has the published formulation; limits are refused there.
func TestFaithful(t *testing.T) {
	in, err := Family{}.Open(problems.Request{Name: "transit/9node", Mode: bilevel.Faithful, Method: "blocc", Set: map[string]string{"run": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	if in.Problem.NY != 72*31 || in.Published["blocc"]["max_iterations"] != "200000" {
		t.Errorf("NY = %d, settings %v", in.Problem.NY, in.Published)
	}
	n := openInstance(t, "transit/9node", nil)
	if in.Problem.NX != n.Problem.NX || in.Problem.X0[0] == n.Problem.X0[0] {
		t.Error("the published start is not used")
	}
	if _, err := (Family{}).Open(problems.Request{Name: "transit/9node", Mode: bilevel.Faithful, Set: map[string]string{"budget": "3"}}); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("a budget in faithful mode: %v", err)
	}
}
