package report

import (
	"math"
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		name   string
		log    bool
		values []float64
		want   string
	}{
		{"round", false, []float64{0, 10}, "0 5 10"},
		{"offset", false, []float64{1.72, 1.76}, "1.72 1.73 1.74 1.75 1.76"},
		{"negative", false, []float64{-0.3, 0.3}, "-0.2 0 0.2"},
		{"thousands", false, []float64{0, 20000}, "0 5000 10000 15000 20000"},
		{"large", false, []float64{0, 4e9}, "0 1e+09 2e+09 3e+09 4e+09"},
		{"decades", true, []float64{1e-9, 10}, "10⁻⁹ 10⁻⁶ 10⁻³ 1"},
		{"within a decade", true, []float64{2, 3}, "2.05 2.45 2.93"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, ok := newAxis(c.log, c.values)
			if !ok {
				t.Fatal("no axis")
			}
			var labels []string
			for _, tick := range a.ticks(5) {
				if tick.At < 0 || tick.At > 1 {
					t.Errorf("tick %s lies at %g", tick.Label, tick.At)
				}
				labels = append(labels, tick.Label)
			}
			if got := strings.Join(labels, " "); got != c.want {
				t.Errorf("ticks %s, want %s", got, c.want)
			}
		})
	}
}

func TestAxisOfOddValues(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	if _, ok := newAxis(false, []float64{nan, inf, math.MaxFloat64}); ok {
		t.Error("an axis without numbers")
	}
	if _, ok := newAxis(true, []float64{0, -1}); ok {
		t.Error("a logarithmic axis without positive numbers")
	}
	for _, constant := range []float64{0, 5, -1e-300, 1e300} {
		a, ok := newAxis(false, []float64{constant})
		if at := a.at(constant); !ok || !(at > 0 && at < 1) {
			t.Errorf("constant %g lies at %g", constant, at)
		}
		if n := len(a.ticks(5)); n > 11 {
			t.Errorf("constant %g has %d ticks", constant, n)
		}
	}
}

func TestThinKeepsPeaksAndEnds(t *testing.T) {
	var s series
	for i := range 100000 {
		s.X, s.Y = append(s.X, float64(i)), append(s.Y, math.Sin(float64(i)/5000))
	}
	s.Y[54321], s.Y[777] = 100, -100
	got := thin(s)
	if len(got.X) > maxPoints+2 {
		t.Errorf("%d points left", len(got.X))
	}
	seen := map[float64]bool{}
	for i, x := range got.X {
		seen[x] = true
		if i > 0 && x <= got.X[i-1] {
			t.Fatalf("point %d is out of order", i)
		}
	}
	for _, want := range []float64{0, 777, 54321, 99999} {
		if !seen[want] {
			t.Errorf("point %g was lost", want)
		}
	}
}

func TestDraw(t *testing.T) {
	f := figure{id: "a", title: "Gap", xLabel: "iteration", log: true, series: []series{{Name: "g", X: []float64{1, 2, 3}, Y: []float64{1, 0, 1e-4}}}}
	c := f.draw()
	if c == nil || c.HiddenNotOnScale != 1 || len(c.Lines) != 1 || len(c.Lines[0].Dots) != 2 {
		t.Fatalf("chart %+v", c)
	}
	if c.Text != "G, from 1 to 0.0001" {
		t.Errorf("text %q", c.Text)
	}
	first, last := c.Lines[0].Dots[0], c.Lines[0].Dots[1]
	if !(first.X < last.X && first.Y < last.Y) {
		t.Errorf("a decrease is drawn from (%g, %g) to (%g, %g)", first.X, first.Y, last.X, last.Y)
	}
	f.series[0].Y = []float64{0, 0, 0}
	if f.draw() != nil {
		t.Error("a chart without values")
	}
}
