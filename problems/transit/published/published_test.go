package published

import (
	"bufio"
	"context"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/vec"
)

func open(t testing.TB, name string, run int) (*network.Network, *bilevel.Problem) {
	t.Helper()
	n, err := network.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	x, err := Start(n, run)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Problem(n, x)
	if err != nil {
		t.Fatal(err)
	}
	p.Name = name
	return n, p
}

// data reads a CSV file of the external data, skipping the test without it.
func data(t *testing.T, name string) [][]float64 {
	t.Helper()
	root := os.Getenv("BILEVEL_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(root, "transit", name))
	if err != nil {
		t.Skipf("external data: %v", err)
	}
	defer f.Close()
	var rows [][]float64
	s := bufio.NewScanner(f)
	for s.Scan() {
		var row []float64
		for _, cell := range strings.Split(strings.TrimSpace(s.Text()), ",") {
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				row = nil // the header
				break
			}
			row = append(row, v)
		}
		if row != nil {
			rows = append(rows, row)
		}
	}
	return rows
}

func TestStartsAreThePublishedOnes(t *testing.T) {
	for _, c := range []struct{ name, file string }{{"3node", "3node_x0.csv"}, {"9node", "9node_x0.csv"}, {"seville", "seville_x0.csv"}} {
		n, err := network.Open(c.name)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		runs := map[int][]float64{}
		for _, row := range data(t, c.file) {
			run := 1
			if len(row) == 4 {
				run, row = int(row[0]), row[1:]
			}
			if runs[run] == nil {
				if runs[run], err = Start(n, run); err != nil {
					t.Fatal(err)
				}
			}
			for e, l := range n.Links {
				if l.From+1 == int(row[0]) && l.To+1 == int(row[1]) {
					seen++
					if d := runs[run][e] - row[2]; math.Abs(d) > 1e-12 {
						t.Errorf("%s run %d link %v-%v: %v, want %v", c.name, run, row[0], row[1], runs[run][e], row[2])
					}
				}
			}
		}
		if seen != len(runs)*len(n.Links) {
			t.Errorf("%s: %d starts compared", c.name, seen)
		}
	}
}

// tracer keeps the published profit of some iterations: it takes x after the
// update, which is that of the next iteration's inner solves.
type tracer struct {
	n         *network.Network
	want      map[int]bool
	y, yGamma []float64
	of        int
	g, f      map[int]float64
}

func (r *tracer) Record(p *bilevel.Progress) error {
	if r.of > 0 {
		x := vec.Slice(p.X)
		r.g[r.of], r.f[r.of] = Profit(r.n, x, r.y), Profit(r.n, x, r.yGamma)
		r.of = 0
	}
	if r.want[p.Iteration] {
		r.of = p.Iteration
		r.y, r.yGamma = append(r.y[:0], vec.Slice(p.Y)...), append(r.yGamma[:0], vec.Slice(p.PenalisedY)...)
	}
	return nil
}

func blocc(t testing.TB, stations int, set map[string]string) *method.BLOCC {
	t.Helper()
	m := new(method.BLOCC)
	for key, value := range Settings(stations) {
		if key != "max_iterations" {
			if err := option.Set(m, key, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	for key, value := range set {
		if err := option.Set(m, key, value); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// The published code's own figures, 3 stations, gamma = 4, to 1e-9 relative.
func TestPublishedTrace(t *testing.T) {
	n, p := open(t, "3node", 1)
	wantG := map[int]float64{1: -7.393911489703, 10: -7.455884058390, 100: -7.442375028311, 1000: -6.826418150863, 2000: -6.156463728307}
	wantF := map[int]float64{1: -7.314995518594, 10: -7.282149096554, 100: -7.271238984407, 1000: -6.634217225948, 2000: -5.987562334644}
	r := &tracer{n: n, want: map[int]bool{}, g: map[int]float64{}, f: map[int]float64{}}
	for k := range wantG {
		r.want[k] = true
	}
	if _, err := bilevel.Solve(context.Background(), p, blocc(t, 3, nil), bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: 2001, Recorder: r}); err != nil {
		t.Fatal(err)
	}
	for k := range wantG {
		if math.Abs(r.g[k]/wantG[k]-1) > 1e-9 || math.Abs(r.f[k]/wantF[k]-1) > 1e-9 {
			t.Errorf("iteration %d: %.12f and %.12f, want %.12f and %.12f", k, r.g[k], r.f[k], wantG[k], wantF[k])
		}
	}
}

// The published final figures after 1.2e6 iterations, gamma = 3 and 4; they are
// given to 6 decimals.
func TestPublishedEnd(t *testing.T) {
	for _, c := range []struct {
		gamma string
		g, f  float64
	}{{"3", 1.692788, 1.816001}, {"4", 1.706687, 1.802101}} {
		n, p := open(t, "3node", 1)
		r, err := bilevel.Solve(context.Background(), p, blocc(t, 3, map[string]string{"gamma": c.gamma}), bilevel.Settings{Mode: bilevel.Faithful, MaxIterations: 1200000})
		if err != nil {
			t.Fatal(err)
		}
		g, f := Profit(n, r.X, r.Y), Profit(n, r.X, r.PenalisedY)
		if math.Abs(g-c.g) > 6e-7 || math.Abs(f-c.f) > 6e-7 {
			t.Errorf("gamma = %s: %.7f and %.7f, want %.6f and %.6f", c.gamma, g, f, c.g, c.f)
		}
	}
}

func TestDerivatives(t *testing.T) {
	_, p := open(t, "3node", 1)
	y := append([]float64(nil), p.Y0...)
	for i := range y {
		y[i] = 0.1 + 0.8*math.Mod(float64(i)*0.37, 1)
	}
	if err := p.CheckDerivativesAt(p.X0, y); err != nil {
		t.Error(err)
	}
}

// Seville has the published number of variables and constraints, and its sweeps
// allocate nothing.
func TestSeville(t *testing.T) {
	_, p := open(t, "seville", 1)
	if p.NX+p.NY != 49216 || p.Coupling.Rows != 13336 {
		t.Errorf("%d variables and %d constraints, want 49216 and 13336", p.NX+p.NY, p.Coupling.Rows)
	}
	y, mu := append([]float64(nil), p.Y0...), make([]float64, p.Coupling.Rows)
	o := p.Oracle.(bilevel.LowerSolver)
	if n := testing.AllocsPerRun(3, func() {
		if _, err := o.SolveLower(3, p.X0, y, mu); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations per inner solve", n)
	}
}

func BenchmarkSevilleSweep(b *testing.B) {
	_, p := open(b, "seville", 1)
	y, mu := append([]float64(nil), p.Y0...), make([]float64, p.Coupling.Rows)
	l := p.Oracle.(*loop)
	if _, err := l.SolveLower(3, p.X0, y, mu); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l.sweep(1./3, dual/9, y, mu, mu[l.pairs*l.stations:])
	}
}
