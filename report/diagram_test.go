package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestDiagram(t *testing.T) {
	p := Diagram{ID: "p", Title: "Trade <off>", XLabel: "f", YLabel: "g", LogY: true, Caption: "c", Curves: []Curve{
		{Name: "one", X: []float64{1, 1.001}, Y: []float64{1, 1.01}, Points: true, Labels: []string{"first point", "second point"}},
		{Name: "two & more", X: []float64{0, 1, 2}, Y: []float64{.5, math.NaN(), 4}, Colour: 1, FromX: []float64{0}, FromY: []float64{1}},
	}}
	f, ok, err := p.Figure()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	d := xml.NewDecoder(strings.NewReader("<x>" + f.SVG + "</x>"))
	circles := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 4 {
		t.Errorf("%d points, want 4: one has no place", circles)
	}
	for _, want := range []string{"Trade &lt;off&gt;", "first point", "second point", "two &amp; more", ">0.5<", ">2<"} {
		if !strings.Contains(f.SVG, want) {
			t.Errorf("the figure does not hold %q", want)
		}
	}
	if _, ok, err := (Diagram{Curves: []Curve{{X: []float64{math.NaN()}, Y: []float64{1}}}}).Figure(); ok || err != nil {
		t.Errorf("a diagram of nothing: %v, %v", ok, err)
	}
}

// Labels of neighbouring points do not lie on one another.
func TestDiagramLabels(t *testing.T) {
	v := diagramView{Left: 0, Right: 600, Top: 0, Bottom: 300}
	for range 4 {
		v.Spots = append(v.Spots, spot{X: 300, Y: 150, Label: "method"})
	}
	v.place()
	for i, a := range v.Spots {
		for _, b := range v.Spots[:i] {
			if a.Anchor == b.Anchor && math.Abs(a.LabelY-b.LabelY) < rowHeight-1 {
				t.Errorf("labels at %g, %g and %g, %g", a.LabelX, a.LabelY, b.LabelX, b.LabelY)
			}
		}
	}
}
