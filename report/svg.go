package report

import (
	"fmt"
	"html/template"
	"io"
)

// Plot is a chart that stands by itself.
type Plot struct {
	Title, XLabel string
	// Log asks for a logarithmic axis of values; those at or below zero are left out.
	Log    bool
	Series []Series
}

// Series is a line of a plot: equally many X and Y, which need not be ordered.
type Series struct {
	Name string
	X, Y []float64
}

// WriteSVG writes the plot as an SVG file with its own colours. The error says that no
// value can be drawn, that lengths differ, or why w could not be written.
func (p *Plot) WriteSVG(w io.Writer) error {
	f := figure{id: "plot", title: p.Title, xLabel: p.XLabel, log: p.Log}
	for _, s := range p.Series {
		if len(s.X) != len(s.Y) {
			return fmt.Errorf("plot %q, series %q: %d values of x and %d of y; allowed is the same number", p.Title, s.Name, len(s.X), len(s.Y))
		}
		f.series = append(f.series, series(s))
	}
	c := f.draw()
	if c == nil {
		return fmt.Errorf("plot %q: no value can be drawn", p.Title)
	}
	return svgTemplate.Execute(w, c)
}

var svgTemplate = template.Must(template.New("svg").Funcs(template.FuncMap{
	"below": func(i int) int { return chartHeight + 8 + 16*i },
	"tall":  func(lines int) int { return chartHeight + 16*lines },
}).Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -22 {{.Width}} {{tall (len .Lines)}}" width="840" role="img" aria-labelledby="t d">
<title id="t">{{.Title}}</title><desc id="d">{{.Text}}</desc>
<style>text { fill: #444; font: 11px system-ui, sans-serif } .grid { stroke: #d5d9de } .path { fill: none; stroke-width: 1.8 } circle { stroke: none }
.s0 { stroke: #0b63c4; color: #0b63c4 } .s1 { stroke: #c2570c; color: #c2570c } .s2 { stroke: #1a7f37; color: #1a7f37 } .s3 { stroke: #8250df; color: #8250df }
.s4 { stroke: #b6247a; color: #b6247a } .s5 { stroke: #0f766e; color: #0f766e } .s6 { stroke: #7a5c00; color: #7a5c00 } .s7 { stroke: #57606a; color: #57606a }</style>
<rect x="0" y="-22" width="{{.Width}}" height="{{tall (len .Lines)}}" fill="#fff"/>
<text x="{{.Left}}" y="-6" font-weight="bold">{{.Title}}</text>
{{range .YTicks}}<line class="grid" x1="{{$.Left}}" x2="{{$.Right}}" y1="{{.At}}" y2="{{.At}}"/><text x="{{$.LabelX}}" y="{{.At}}" text-anchor="end" dominant-baseline="middle">{{.Label}}</text>
{{end}}{{range .XTicks}}<line class="grid" x1="{{.At}}" x2="{{.At}}" y1="{{$.Top}}" y2="{{$.Bottom}}"/><text x="{{.At}}" y="{{$.LabelY}}" text-anchor="middle">{{.Label}}</text>
{{end}}<text x="{{.Right}}" y="{{.Height}}" dy="-4" text-anchor="end">{{.XLabel}}</text>
{{range $i, $l := .Lines}}<g class="{{.Class}}"><path class="path" d="{{.Path}}"/>{{range .Dots}}<circle cx="{{.X}}" cy="{{.Y}}" r="3" fill="currentColor"><title>{{.Label}}</title></circle>{{end}}{{if $l.Name}}<path d="M{{$.Left}} {{below $i}}h18" stroke-width="2"/>{{end}}</g>{{if $l.Name}}<text x="{{$.Left}}" dx="24" y="{{below $i}}" dominant-baseline="middle">{{.Name}}</text>{{end}}
{{end}}</svg>
`))
