package published

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/mt19937"
	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/set"
)

// floor of the capacities.
const floor = 0.001

// Problem is the published formulation of n: y = (shares s_k; flows phi^k_l, pair
// after pair), with pairs x stations equations of conservation and one capacity row
// per link. start is the first x.
func Problem(n *network.Network, start []float64) (*bilevel.Problem, error) {
	l, err := newLoop(n)
	if err != nil {
		return nil, err
	}
	ny := l.pairs * (1 + l.links)
	lo, hi, y0 := make([]float64, ny), make([]float64, ny), make([]float64, ny)
	for i := range lo {
		hi[i] = 1
		if i < l.pairs {
			lo[i], hi[i], y0[i] = least, most, least
		}
	}
	y, err := set.Box(lo, hi)
	if err != nil {
		return nil, err
	}
	bottom, top := make([]float64, l.links), make([]float64, l.links)
	for e := range bottom {
		bottom[e], top[e] = floor, math.Inf(1)
	}
	x, err := set.Box(bottom, top)
	if err != nil {
		return nil, err
	}
	zero := func(dst, _, _, _ []float64) { clear(dst) }
	return &bilevel.Problem{
		NX: l.links, NY: ny, X: x, Y: y, X0: start, Y0: y0, Oracle: l,
		Structure: bilevel.Structure{LowerConvex: true},
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				sum := 0.0
				for e, a := range n.Links {
					sum += a.Cost * x[e]
				}
				for k := range l.pair {
					sum -= l.pair[k].w * l.pair[k].m * y[k]
				}
				return sum
			},
			GradX: func(dst, _, _ []float64) {
				for e, a := range n.Links {
					dst[e] = a.Cost
				}
			},
			GradY: func(dst, _, _ []float64) {
				clear(dst)
				for k := range l.pair {
					dst[k] = -l.pair[k].w * l.pair[k].m
				}
			},
			HessYY: zero, HessXY: zero, HessYX: zero, HessXX: zero,
		},
		Lower: bilevel.Objective{
			Value: func(_, y []float64) float64 {
				sum := 0.0
				for k := range l.pair {
					p, s := &l.pair[k], y[k]
					g := s*(math.Log(s)-1) + (1-s)*(math.Log(1-s)-1) + p.u*(1-s)
					for e, v := range l.flows(y, k) {
						g += l.time[e] * v
					}
					sum += p.w * g
				}
				return sum
			},
			GradX: func(dst, _, _ []float64) { clear(dst) },
			GradY: func(dst, _, y []float64) {
				for k := range l.pair {
					p := &l.pair[k]
					dst[k] = p.w * (math.Log(y[k]/(1-y[k])) - p.u)
					for e, d := range l.time {
						dst[l.pairs+k*l.links+e] = p.w * d
					}
				}
			},
			HessYY: func(dst, _, y, v []float64) {
				clear(dst)
				for k := range l.pair {
					dst[k] = l.pair[k].w * v[k] / (y[k] * (1 - y[k]))
				}
			},
			HessXY: zero, HessYX: zero, HessXX: zero,
		},
		Coupling: l.coupling(),
	}, nil
}

// coupling is outflow - inflow - s [i = o] + s [i = d] = 0 and load - x <= 0.
func (l *loop) coupling() *bilevel.Coupling {
	equations := l.pairs * l.stations
	value := func(dst, y []float64) {
		clear(dst)
		for k := range l.pair {
			p := &l.pair[k]
			row := dst[k*l.stations:]
			for e, v := range l.flows(y, k) {
				row[l.from[e]] += v
				row[l.to[e]] -= v
				dst[equations+e] += p.w * v
			}
			row[p.from] -= y[k]
			row[p.to] += y[k]
		}
	}
	return &bilevel.Coupling{
		Rows: equations + l.links, Equalities: equations, Affine: true,
		Value: func(dst, x, y []float64) {
			value(dst, y)
			for e, v := range x {
				dst[equations+e] -= v
			}
		},
		JacY: func(dst, _, _, v []float64) { value(dst, v) },
		JacX: func(dst, _, _, u []float64) {
			clear(dst)
			for e, v := range u {
				dst[equations+e] = -v
			}
		},
		JacXT: func(dst, _, _, mu []float64) {
			for e := range dst {
				dst[e] = -mu[equations+e]
			}
		},
		JacYT: func(dst, _, _, mu []float64) {
			for k := range l.pair {
				p := &l.pair[k]
				row := mu[k*l.stations:]
				dst[k] = row[p.to] - row[p.from]
				for e := range l.time {
					dst[l.pairs+k*l.links+e] = p.w*mu[equations+e] + row[l.from[e]] - row[l.to[e]]
				}
			}
		},
	}
}

// Settings are those of the published runs of method blocc on a network of that
// many stations. The larger outer step that the code has for iterations in which
// every multiplier of the lower level is below 1 is never taken on these networks.
func Settings(stations int) map[string]string {
	s := map[string]string{"gamma": "3", "inner": "exact", "step": "fixed", "eta": "1.6e-4", "max_iterations": "1100000"}
	switch stations {
	case 3:
		s["gamma"], s["eta"], s["max_iterations"] = "4", "3.2e-6", "1200000"
	case 9:
		s["gamma"], s["max_iterations"] = "4", "200000"
	}
	return s
}

// Start is the published first x of run number run, from 1 on (the 9 stations have
// 10 runs, the others one): a + b times the draws of a generator seeded with 1, one
// per entry of a square matrix, column by column.
func Start(n *network.Network, run int) ([]float64, error) {
	size := len(n.Stations)
	a, b, runs := 15.0, 25.0, 1
	switch size {
	case 3:
		a, b = 0.3, 0.7
	case 9:
		a, b, runs = 3, 12, 10
	}
	if run < 1 || run > runs {
		return nil, &bilevel.SettingError{Field: "run", Value: run, Allowed: "a number from 1 to the published number of runs"}
	}
	rng := mt19937.New(1)
	matrix := make([]float64, size*size)
	for range run {
		for i := range matrix {
			matrix[i] = rng.Float64()
		}
	}
	x := make([]float64, len(n.Links))
	for e, l := range n.Links {
		x[e] = a + b*matrix[l.To*size+l.From]
	}
	return x, nil
}

// Profit is the published figure: margins minus construction cost, without shares
// below 0.02 and capacities below 0.01.
func Profit(n *network.Network, x, y []float64) float64 {
	sum := 0.0
	for k, p := range n.Pairs {
		if y[k] >= 0.02 {
			sum += p.Trips * p.Margin * y[k]
		}
	}
	for e, l := range n.Links {
		if x[e] >= 0.01 {
			sum -= l.Cost * x[e]
		}
	}
	return sum
}
