package transit

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/problems/transit/response"
	"github.com/bilevel-go/bilevel/set"
)

// design is a network with the layout of the bilevel problem's vectors.
type design struct {
	network *network.Network
	m       *response.Model
	pairs   int   // K: shares are y[:K]
	flows   int   // Origins x Links: flows are y[K:]
	rows    int   // conservation rows: Origins x (Stations - 1)
	from    []int // per link
	to      []int

	ceiling *ceiling
	known   known
}

func newDesign(n *network.Network) (*design, error) {
	m, err := response.NewModel(n)
	if err != nil {
		return nil, err
	}
	d := &design{network: n, m: m, pairs: m.Pairs, flows: len(m.Origins) * m.Links, rows: len(m.Origins) * (m.Stations - 1)}
	for _, l := range n.Links {
		d.from, d.to = append(d.from, l.From), append(d.to, l.To)
	}
	return d, nil
}

// row is the conservation row of station v for origin i, -1 at the origin itself.
func (d *design) row(i, v int) int {
	o := d.m.Origins[i].Station
	switch {
	case v == o:
		return -1
	case v > o:
		v--
	}
	return i*(d.m.Stations-1) + v
}

// problem is the bilevel problem.
func (d *design) problem() (*bilevel.Problem, error) {
	m := d.m
	ny := d.pairs + d.flows
	lo, hi := make([]float64, ny), make([]float64, ny)
	for k := range d.pairs {
		hi[k] = 1
	}
	for i, o := range m.Origins {
		total := 0.0
		for _, k := range o.Pairs {
			total += m.Trips[k]
		}
		for e, v := range d.from {
			if v == o.Station || !d.network.Stations[v].Terminal {
				hi[d.pairs+i*m.Links+e] = total
			}
		}
	}
	box, err := set.Box(lo, hi)
	if err != nil {
		return nil, err
	}
	p := &bilevel.Problem{NX: m.Links, NY: ny, X: set.NonNegative(m.Links), Y: box, Structure: bilevel.Structure{LowerConvex: true, LowerModuli: make([]float64, ny)}}
	for k, w := range m.Trips { // of w (y ln y + (1-y) ln(1-y)); f depends on the shares alone
		p.Structure.LowerModuli[k] = 4 * w
	}
	p.Upper = bilevel.Objective{
		Value: func(x, y []float64) float64 { return d.cost(x) - d.revenue(y) },
		GradX: func(dst, _, _ []float64) { copy(dst, m.Cost) },
		GradY: func(dst, _, _ []float64) {
			clear(dst)
			for k, w := range m.Trips {
				dst[k] = -w * m.Margin[k]
			}
		},
		HessYY: zero, HessXY: zero, HessYX: zero, HessXX: zero,
	}
	p.Lower = bilevel.Objective{
		Value: func(_, y []float64) float64 { return d.lower(y) },
		GradX: func(dst, _, _ []float64) { clear(dst) },
		GradY: func(dst, _, y []float64) {
			for k, w := range m.Trips {
				dst[k] = w * (slope(y[k]) - slope(1-y[k]) - m.Utility[k])
			}
			for i := range m.Origins {
				copy(dst[d.pairs+i*m.Links:], m.Time)
			}
		},
		HessYY: func(dst, _, y, v []float64) {
			clear(dst)
			for k, w := range m.Trips {
				dst[k] = w * (curvature(y[k]) + curvature(1-y[k])) * v[k]
			}
		},
		HessXY: zero, HessYX: zero, HessXX: zero,
	}
	p.Coupling = d.coupling()
	return p, nil
}

func zero(dst, _, _, _ []float64) { clear(dst) }

func (d *design) cost(x []float64) float64 {
	sum := 0.0
	for e, c := range d.m.Cost {
		sum += c * x[e]
	}
	return sum
}

func (d *design) revenue(y []float64) float64 {
	sum := 0.0
	for k, w := range d.m.Trips {
		sum += w * d.m.Margin[k] * y[k]
	}
	return sum
}

// lower is g.
func (d *design) lower(y []float64) float64 {
	m, sum := d.m, 0.0
	for k, w := range m.Trips {
		sum += w * (entropy(y[k]) + entropy(1-y[k]) + m.Utility[k]*(1-y[k]))
	}
	for i := range m.Origins {
		at := d.pairs + i*m.Links
		for e, v := range y[at : at+m.Links] {
			sum += m.Time[e] * v
		}
	}
	return sum
}

// least is the share below which t ln t is continued by its second-order Taylor
// polynomial, so that g and its derivatives are defined at 0, where pairs without a
// path are, and beyond. It changes g by less than the trips times least.
const least = 1e-12

func entropy(t float64) float64 {
	if t < least {
		s := t - least
		return least*math.Log(least) + (math.Log(least)+1)*s + s*s/(2*least)
	}
	return t * math.Log(t)
}

func slope(t float64) float64 {
	if t < least {
		return math.Log(least) + t/least
	}
	return math.Log(t) + 1
}

func curvature(t float64) float64 { return 1 / math.Max(t, least) }

// coupling is conservation, w y - inflow + outflow = 0, and capacity.
func (d *design) coupling() *bilevel.Coupling {
	m := d.m
	value := func(dst, y []float64) {
		clear(dst)
		for i, o := range m.Origins {
			for _, k := range o.Pairs {
				dst[d.row(i, d.network.Pairs[k].To)] += m.Trips[k] * y[k]
			}
			at := d.pairs + i*m.Links
			for e, v := range y[at : at+m.Links] {
				if r := d.row(i, d.to[e]); r >= 0 {
					dst[r] -= v
				}
				if r := d.row(i, d.from[e]); r >= 0 {
					dst[r] += v
				}
				dst[d.rows+e] += v
			}
		}
	}
	return &bilevel.Coupling{
		Rows: d.rows + m.Links, Equalities: d.rows, Affine: true,
		Value: func(dst, x, y []float64) {
			value(dst, y)
			for e, c := range x {
				dst[d.rows+e] -= c
			}
		},
		JacX: func(dst, _, _, u []float64) {
			clear(dst[:d.rows])
			for e, c := range u {
				dst[d.rows+e] = -c
			}
		},
		JacY: func(dst, _, _, v []float64) { value(dst, v) },
		JacXT: func(dst, _, _, mu []float64) {
			for e := range dst {
				dst[e] = -mu[d.rows+e]
			}
		},
		JacYT: func(dst, _, _, mu []float64) {
			for i, o := range m.Origins {
				for _, k := range o.Pairs {
					dst[k] = m.Trips[k] * mu[d.row(i, d.network.Pairs[k].To)]
				}
				at := d.pairs + i*m.Links
				for e := range m.Links {
					v := mu[d.rows+e]
					if r := d.row(i, d.to[e]); r >= 0 {
						v -= mu[r]
					}
					if r := d.row(i, d.from[e]); r >= 0 {
						v += mu[r]
					}
					dst[at+e] = v
				}
			}
		},
	}
}
