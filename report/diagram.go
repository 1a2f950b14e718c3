package report

import (
	"fmt"
	"strings"

	"html/template"

	"github.com/bilevel-go/bilevel/problems"
)

// Diagram is a chart of numbers against numbers, for sections of a report whose figures
// do not belong to the iterations of a run.
type Diagram struct {
	ID             string // of the figure in its page: letters, digits and hyphens
	Title, Caption string
	XLabel, YLabel string
	LogX, LogY     bool
	Curves         []Curve
}

// Curve is a line, or a set of points, in one colour.
type Curve struct {
	Name string
	X, Y []float64
	// Points marks every point, with no line between them.
	Points bool
	// Labels stand beside points, by index; a missing or empty one is none.
	Labels []string
	// From, when not nil, is where a thin line to each point begins: the same method
	// at another time.
	FromX, FromY []float64
	// Colour is the place in the page's palette, the same for what belongs together.
	Colour int
	Hollow bool
}

// The size of a diagram, wider than a chart of iterations, for its labels.
const (
	diagramWidth, diagramHeight = 640, 380
	diagramLeft, diagramRight   = 58, 16
	diagramTop, diagramBottom   = 16, 44
)

// spot is a marked point in view box units.
type spot struct {
	X, Y         float64
	Title, Label string
	LabelX       float64
	LabelY       float64
	Anchor       string
	Colour       int
	Hollow       bool
}

type stroke struct {
	Path   string
	Colour int
	Thin   bool
}

type diagramView struct {
	Diagram
	Width, Height, Left, Right, Top, Bottom float64
	XTicks, YTicks                          []mark
	Strokes                                 []stroke
	Spots                                   []spot
	Legend                                  []line
	Text                                    string
}

// Figure draws the diagram as a figure of a [problems.Section]; ok is false when no
// point has a place on it.
func (p Diagram) Figure() (f problems.Figure, ok bool, err error) {
	var xs, ys [][]float64
	for _, c := range p.Curves {
		xs, ys = append(xs, c.X, c.FromX), append(ys, c.Y, c.FromY)
	}
	x, okX := newAxis(p.LogX, xs...)
	y, okY := newAxis(p.LogY, ys...)
	if !okX || !okY {
		return f, false, nil
	}
	v := diagramView{Diagram: p, Width: diagramWidth, Height: diagramHeight, Left: diagramLeft, Right: diagramWidth - diagramRight, Top: diagramTop, Bottom: diagramHeight - diagramBottom}
	px := func(u float64) float64 { return round(v.Left + x.at(u)*(v.Right-v.Left)) }
	py := func(u float64) float64 { return round(v.Bottom - y.at(u)*(v.Bottom-v.Top)) }
	for _, t := range x.ticks(6) {
		v.XTicks = append(v.XTicks, mark{round(v.Left + t.At*(v.Right-v.Left)), t.Label})
	}
	for _, t := range y.ticks(6) {
		v.YTicks = append(v.YTicks, mark{round(v.Bottom - t.At*(v.Bottom-v.Top)), t.Label})
	}
	var words []string
	for _, c := range p.Curves {
		colour := c.Colour % palette
		var path strings.Builder
		for i := range c.X {
			if u, w := x.unit(c.X[i]), y.unit(c.Y[i]); u-u != 0 || w-w != 0 {
				continue
			}
			at := spot{X: px(c.X[i]), Y: py(c.Y[i]), Colour: colour, Hollow: c.Hollow,
				Title: fmt.Sprintf("%s: %s %s, %s %s", c.Name, p.XLabel, number(c.X[i]), p.YLabel, number(c.Y[i]))}
			if i < len(c.Labels) {
				at.Label = c.Labels[i]
			}
			if c.Points {
				words = append(words, fmt.Sprintf("%s at %s, %s", c.Name, number(c.X[i]), number(c.Y[i])))
			} else {
				op := "L"
				if path.Len() == 0 {
					op = "M"
				}
				fmt.Fprintf(&path, "%s%.1f %.1f", op, at.X, at.Y)
			}
			if i < len(c.FromX) {
				v.Strokes = append(v.Strokes, stroke{fmt.Sprintf("M%.1f %.1fL%.1f %.1f", px(c.FromX[i]), py(c.FromY[i]), at.X, at.Y), colour, true})
			}
			v.Spots = append(v.Spots, at)
		}
		if path.Len() > 0 {
			v.Strokes = append(v.Strokes, stroke{path.String(), colour, false})
			v.Legend = append(v.Legend, line{Name: c.Name, Class: fmt.Sprintf("s%d", colour)})
			words = append(words, c.Name+" from "+number(c.Y[0])+" to "+number(c.Y[len(c.Y)-1]))
		}
	}
	v.Text = strings.Join(words, "; ")
	v.place()
	var b strings.Builder
	if err := diagramPage.ExecuteTemplate(&b, "diagram", v); err != nil {
		return f, false, err
	}
	return problems.Figure{Title: p.Title, SVG: b.String(), Caption: p.Caption}, true, nil
}

// letter is about the width of a character in labels, and row their height.
const letter, rowHeight = 6.2, 13

// place finds places for the labels: beside their point where there is room, then
// above and below, first come first served.
func (v *diagramView) place() {
	type box struct{ x0, y0, x1, y1 float64 }
	var taken []box
	for _, s := range v.Spots {
		taken = append(taken, box{s.X - 5, s.Y - 5, s.X + 5, s.Y + 5})
	}
	for i := range v.Spots {
		s := &v.Spots[i]
		if s.Label == "" {
			continue
		}
		width := letter * float64(len([]rune(s.Label)))
		try := func(dx, dy float64, anchor string) bool {
			b := box{s.X + dx, s.Y + dy - rowHeight/2, s.X + dx + width, s.Y + dy + rowHeight/2}
			switch anchor {
			case "end":
				b.x0, b.x1 = s.X+dx-width, s.X+dx
			case "middle":
				b.x0, b.x1 = s.X-width/2, s.X+width/2
			}
			if b.x0 < v.Left || b.x1 > v.Right+diagramRight || b.y0 < v.Top-8 || b.y1 > v.Bottom {
				return false
			}
			for _, o := range taken {
				if b.x0 < o.x1 && o.x0 < b.x1 && b.y0 < o.y1 && o.y0 < b.y1 {
					return false
				}
			}
			taken = append(taken, b)
			s.LabelX, s.LabelY, s.Anchor = round(s.X+dx), round(s.Y+dy), anchor
			return true
		}
		found := false
		for step := 0.0; step < 5 && !found; step++ {
			d := rowHeight * step
			found = try(8, -d, "start") || try(8, d, "start") || try(-8, -d, "end") || try(-8, d, "end") ||
				try(0, -12-d, "middle") || try(0, 12+d, "middle")
		}
		if !found {
			s.LabelX, s.LabelY, s.Anchor = s.X+8, s.Y, "start"
		}
	}
}

var diagramPage = template.Must(template.ParseFS(files, "diagram.tmpl"))
