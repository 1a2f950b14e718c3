package transit

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// The size of the map in view box units, and what does not fit on a large one.
const (
	mapWidth   = 640.0
	mapMargin  = 26.0
	mapLegend  = 64.0
	widest     = 9.0 // of links
	mostLabels = 80  // stations
)

// mapStyle colours the map in light and in dark; class names begin with tm-.
const mapStyle = `<style>
.tm{--tm-bg:#fff;--tm-fg:#1b1f24;--tm-dim:#57606a;--tm-no:#c9d1d9;--tm-0:#0b63c4;--tm-1:#1a9850;--tm-2:#d9a400;--tm-3:#e8590c;--tm-4:#b00020}
@media (prefers-color-scheme:dark){.tm{--tm-bg:#12161b;--tm-fg:#e6edf3;--tm-dim:#9aa5b1;--tm-no:#3d4650;--tm-0:#6cb2ff;--tm-1:#6fdc8c;--tm-2:#f2cc60;--tm-3:#ffa657;--tm-4:#ff6b7d}}
@media print{.tm{--tm-bg:#fff;--tm-fg:#000;--tm-dim:#444;--tm-no:#bbb}}
.tm path{fill:none;stroke-linecap:round}.tm .tm-no{stroke:var(--tm-no);stroke-width:1;stroke-dasharray:3 3}
.tm .tm-0{stroke:var(--tm-0)}.tm .tm-1{stroke:var(--tm-1)}.tm .tm-2{stroke:var(--tm-2)}.tm .tm-3{stroke:var(--tm-3)}.tm .tm-4{stroke:var(--tm-4)}
.tm circle{fill:var(--tm-bg);stroke:var(--tm-fg);stroke-width:1.5}.tm .tm-bar{stroke:var(--tm-fg);stroke-width:1.5;stroke-linecap:butt}
.tm path:hover{stroke-opacity:.55}.tm circle:hover{fill:var(--tm-fg)}
.tm text{fill:var(--tm-fg);font:12px system-ui,sans-serif}.tm .tm-dim{fill:var(--tm-dim)}.tm .tm-id{paint-order:stroke;stroke:var(--tm-bg);stroke-width:3px;stroke-linejoin:round}
</style>`

// classes of congestion prices: up to each of these, then above.
var priceClasses = [...]float64{1e-6, 0.25, 0.5, 1}

func priceClass(p float64) int {
	for i, limit := range priceClasses {
		if p <= limit {
			return i
		}
	}
	return len(priceClasses)
}

// projection maps coordinates to view box units, north up and to scale. perUnit is
// the length of a kilometre (degrees) or of a unit (plane) on the map; 0: unknown.
type projection struct {
	at      [][2]float64
	height  float64
	perUnit float64
	unit    string
}

func project(n *network.Network) projection {
	at := positions(n)
	stretch, km := 1.0, 0.0
	if n.Coordinates == network.Geographic {
		middle := 0.0
		for _, p := range at {
			middle += p[1] / float64(len(at))
		}
		stretch, km = math.Cos(middle*math.Pi/180), 1/(math.Pi/180*6371)
	}
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for i := range at {
		at[i][0] *= stretch
		for c, v := range at[i] {
			lo[c], hi[c] = math.Min(lo[c], v), math.Max(hi[c], v)
		}
	}
	inner := mapWidth - 2*mapMargin
	scale := math.Inf(1)
	for c, room := range [2]float64{inner, inner} {
		if size := hi[c] - lo[c]; size > 0 {
			scale = math.Min(scale, room/size)
		}
	}
	if math.IsInf(scale, 1) {
		scale = 1 // all stations at one place
	}
	p := projection{at: at, height: (hi[1]-lo[1])*scale + 2*mapMargin}
	left := mapMargin + (inner-(hi[0]-lo[0])*scale)/2
	for i := range at {
		at[i] = [2]float64{left + (at[i][0]-lo[0])*scale, p.height - mapMargin - (at[i][1]-lo[1])*scale}
	}
	switch n.Coordinates {
	case network.Geographic:
		p.perUnit, p.unit = scale*km, "km"
	case network.Plane:
		p.perUnit, p.unit = scale, "units"
	}
	return p
}

// svg draws the map: a self-contained element that is also a file.
func (o *outcome) svg() string {
	n := o.d.network
	p := project(n)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="tm" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="Map of the network">`, mapWidth, p.height+mapLegend)
	b.WriteString(mapStyle)
	most := 0.0
	for _, f := range o.load {
		most = math.Max(most, f)
	}
	width := func(flow float64) float64 { return 1 + (widest-1)*flow/math.Max(most, 1e-300) }
	none := 1e-9 * o.d.m.Total
	drawn := order(o.d.m.Links, func(e int) float64 { return -o.load[e] }) // the busiest on top
	for _, e := range drawn {
		l := n.Links[e]
		name, built := html.EscapeString(o.linkLabel(e)), o.x[e] > none
		class, w := "tm-no", 0.0
		title := fmt.Sprintf("%s: candidate, not built; time %s %s, one unit of capacity costs %s", name, figure(l.Time), html.EscapeString(n.Time), figure(l.Cost))
		if built {
			class, w = fmt.Sprintf("tm-%d", priceClass(o.price[e])), width(o.load[e])
			title = fmt.Sprintf("%s: flow %s of capacity %s; congestion price %s; time %s %s; construction cost %s", name, figure(o.load[e]), figure(o.x[e]),
				priceFigure(o.price[e]), figure(l.Time), html.EscapeString(n.Time), figure(l.Cost*o.x[e]))
		}
		from, to := p.at[l.From], p.at[l.To]
		dx, dy := to[0]-from[0], to[1]-from[1]
		length := math.Hypot(dx, dy)
		if length == 0 {
			continue
		}
		// To the right of its direction, clear of the opposite one.
		shift := 0.8 + w/2
		sx, sy := -dy/length*shift, dx/length*shift
		fmt.Fprintf(&b, `<path class="%s"`, class)
		if built {
			fmt.Fprintf(&b, ` stroke-width="%.2f"`, w)
		}
		fmt.Fprintf(&b, ` d="M%.1f %.1fL%.1f %.1f"><title>%s</title></path>`, from[0]+sx, from[1]+sy, to[0]+sx, to[1]+sy, title)
	}
	o.drawStations(&b, p)
	o.drawLegend(&b, p, most, width)
	b.WriteString("</svg>")
	return b.String()
}

func (o *outcome) drawStations(b *strings.Builder, p projection) {
	n, d := o.d.network, o.d
	begin, end := make([]float64, len(n.Stations)), make([]float64, len(n.Stations))
	for k, pair := range n.Pairs {
		begin[pair.From] += d.m.Trips[k] * o.share[k]
		end[pair.To] += d.m.Trips[k] * o.share[k]
	}
	radius := 4.5
	if len(n.Stations) > mostLabels {
		radius = 2
	}
	for i, s := range n.Stations {
		at := p.at[i]
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="%.1f"><title>%s: %s trips begin and %s end here</title></circle>`, at[0], at[1], radius,
			html.EscapeString(s.Label()), figure(begin[i]), figure(end[i]))
	}
	if len(n.Stations) > mostLabels {
		return
	}
	for i, s := range n.Stations {
		at := p.at[i]
		fmt.Fprintf(b, `<text class="tm-id" x="%.1f" y="%.1f">%s</text>`, at[0]+6, at[1]-6, html.EscapeString(s.ID))
	}
}

func (o *outcome) drawLegend(b *strings.Builder, p projection, most float64, width func(float64) float64) {
	y := p.height + 14
	x := mapMargin
	fmt.Fprintf(b, `<text class="tm-dim" x="%.0f" y="%.0f">congestion price</text>`, x, y)
	x += 104
	low := "0"
	for i := 0; i <= len(priceClasses); i++ {
		text := "0"
		switch {
		case i == len(priceClasses):
			text = "over " + low
		case i > 0:
			text = "to " + figure(priceClasses[i])
			low = figure(priceClasses[i])
		}
		fmt.Fprintf(b, `<path class="tm-%d" stroke-width="5" d="M%.0f %.0fh16"/><text x="%.0f" y="%.0f">%s</text>`, i, x, y-4, x+22, y, text)
		x += 30 + 7.5*float64(len(text))
	}
	fmt.Fprintf(b, `<path class="tm-no" d="M%.0f %.0fh22"/><text x="%.0f" y="%.0f">not built</text>`, x, y-4, x+28, y)
	y += 24
	x = mapMargin
	fmt.Fprintf(b, `<text class="tm-dim" x="%.0f" y="%.0f">flow</text>`, x, y)
	x += 104
	for _, part := range [...]float64{0.25, 0.5, 1} {
		text := fmt.Sprintf("%.3g", most*part)
		fmt.Fprintf(b, `<path class="tm-0" stroke-width="%.2f" d="M%.0f %.0fh22"/><text x="%.0f" y="%.0f">%s</text>`, width(most*part), x, y-4, x+32, y, text)
		x += 44 + 7.5*float64(len(text))
	}
	fmt.Fprintf(b, `<text class="tm-dim" x="%.0f" y="%.0f">%s</text>`, x, y, html.EscapeString(strings.TrimSpace(strings.TrimPrefix(trips(0, o.d.network.Trips), "0"))))
	if p.perUnit > 0 {
		size := round125(mapWidth / 5 / p.perUnit)
		right := mapWidth - mapMargin
		fmt.Fprintf(b, `<path class="tm-bar" d="M%.1f %.1fv6h%.1fv-6"/><text text-anchor="end" x="%.1f" y="%.1f">%s %s</text>`,
			right-size*p.perUnit, y-8, size*p.perUnit, right, y+14, figure(size), p.unit)
	}
}

// round125 rounds down to 1, 2 or 5 times a power of 10.
func round125(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range [...]float64{5, 2} {
		if f*power <= v {
			return f * power
		}
	}
	return power
}
