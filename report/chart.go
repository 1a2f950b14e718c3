package report

import (
	"fmt"
	"math"
	"strings"
)

// series is one line of a chart.
type series struct {
	Name string
	X, Y []float64
}

// chart is a figure ready for the template. Coordinates are in the units of its
// view box; the page scales it to its column.
type chart struct {
	ID, Title, Text  string
	Width, Height    int
	Left, Right      float64
	Top, Bottom      float64
	XTicks, YTicks   []mark
	LabelX, LabelY   float64
	XLabel           string
	Lines            []line
	Marks            []mark
	Legend           bool
	HiddenNotOnScale int
}

// mark is a labelled place on an axis, in view box units.
type mark struct {
	At    float64
	Label string
}

// line is a drawn series.
type line struct {
	Name  string
	Class string
	Path  string
	Dots  []dot
}

// dot shows its value under the pointer.
type dot struct {
	X, Y  float64
	Label string
}

// The size of a chart. It is drawn in columns of 320 to 560 pixels, so that its
// text stays near its nominal size on a telephone and on a desk.
const (
	chartWidth, chartHeight = 420, 250
	left, right, top        = 54, 10, 14
	bottom                  = 34
	maxDots                 = 120 // per line
	maxPoints               = 600
	palette                 = 8
)

// figure is what a chart shows.
type figure struct {
	id, title, xLabel string
	log               bool
	series            []series
	span              []float64 // x values that the chart covers beside those of its series
	marks             []mark    // At is an x value within the span
}

// draw returns the chart, or nil when no series has a value that can be drawn.
func (f figure) draw() *chart {
	xs, ys := [][]float64{f.span}, [][]float64{}
	for _, s := range f.series {
		ys = append(ys, s.Y)
		xs = append(xs, s.X)
	}
	y, ok := newAxis(f.log, ys...)
	if !ok {
		return nil
	}
	x, ok := newAxis(false, xs...)
	if !ok {
		return nil
	}
	c := &chart{ID: f.id, Title: f.title, Width: chartWidth, Height: chartHeight, Left: left, Right: chartWidth - right, Top: top, Bottom: chartHeight - bottom,
		LabelX: left - 6, LabelY: chartHeight - bottom + 14, XLabel: f.xLabel, Legend: len(f.series) > 1}
	px := func(v float64) float64 { return left + x.at(v)*(chartWidth-left-right) }
	py := func(v float64) float64 { return chartHeight - bottom - y.at(v)*(chartHeight-top-bottom) }
	for _, t := range x.wholeTicks(5) {
		c.XTicks = append(c.XTicks, mark{round(left + t.At*(chartWidth-left-right)), t.Label})
	}
	for _, t := range y.ticks(5) {
		c.YTicks = append(c.YTicks, mark{round(chartHeight - bottom - t.At*(chartHeight-top-bottom)), t.Label})
	}
	for _, m := range f.marks {
		c.Marks = append(c.Marks, mark{round(px(m.At)), m.Label})
	}
	var words []string
	for i, s := range f.series {
		drawn := thin(onAxis(s, y, &c.HiddenNotOnScale))
		if len(drawn.X) == 0 {
			continue
		}
		l := line{Name: s.Name, Class: fmt.Sprintf("s%d", i%palette)}
		var path strings.Builder
		for k := range drawn.X {
			op := 'L'
			if k == 0 {
				op = 'M'
			}
			fmt.Fprintf(&path, "%c%.1f %.1f", op, px(drawn.X[k]), py(drawn.Y[k]))
		}
		l.Path = path.String()
		every := max(1, (len(drawn.X)+maxDots-1)/maxDots)
		for k := range drawn.X {
			if k%every == 0 || k == len(drawn.X)-1 {
				l.Dots = append(l.Dots, dot{round(px(drawn.X[k])), round(py(drawn.Y[k])), fmt.Sprintf("%s%s %s: %s", prefix(s.Name), f.xLabel, number(drawn.X[k]), number(drawn.Y[k]))})
			}
		}
		c.Lines = append(c.Lines, l)
		text := number(drawn.Y[0])
		if n := len(drawn.X) - 1; n > 0 {
			text = fmt.Sprintf("from %s to %s", text, number(drawn.Y[n]))
		}
		words = append(words, prefix(s.Name)+text)
	}
	if len(words) == 0 {
		return nil
	}
	if len(words) > 4 {
		words = append(words[:4], "…")
	}
	c.Text = capital(strings.Join(words, "; "))
	return c
}

func prefix(name string) string {
	if name == "" {
		return ""
	}
	return name + ", "
}

func round(v float64) float64 { return math.Round(10*v) / 10 }

// onAxis keeps the points that have a place on the axis and counts the others
// that are numbers.
func onAxis(s series, y axis, hidden *int) series {
	var kept series
	for i, v := range s.Y {
		if u := y.unit(v); u-u == 0 {
			kept.X, kept.Y = append(kept.X, s.X[i]), append(kept.Y, v)
		} else if v <= 0 {
			*hidden++
		}
	}
	return kept
}

// thin keeps at most maxPoints points: the smallest and the largest value of
// every stretch of x, so that no peak is lost, and the ends.
func thin(s series) series {
	n := len(s.X)
	if n <= maxPoints {
		return s
	}
	var kept series
	add := func(i int) { kept.X, kept.Y = append(kept.X, s.X[i]), append(kept.Y, s.Y[i]) }
	stretches := maxPoints / 2
	last := -1
	for b := range stretches {
		from, to := b*n/stretches, (b+1)*n/stretches
		low, high := from, from
		for i := from; i < to; i++ {
			if s.Y[i] < s.Y[low] {
				low = i
			}
			if s.Y[i] > s.Y[high] {
				high = i
			}
		}
		if b == 0 && min(low, high) > 0 {
			add(0)
		}
		add(min(low, high))
		if low != high {
			add(max(low, high))
		}
		last = max(low, high)
	}
	if last < n-1 {
		add(n - 1)
	}
	return kept
}
