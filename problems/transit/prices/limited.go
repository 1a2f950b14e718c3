package prices

import "math"

// Least capacities and equal capacities of opposite links make the operator build
// more than the flow:
//
//	x_l = max( flow_l, least_l, and the same of the opposite link ).
//
// A link with unused capacity has price 0, so that prices are those of a design
// only where price_l = 0 or x_l = flow_l. Prices that are not have no merit; a
// change of prices is tried as a whole, and after a kick the prices of links with
// unused capacity are set to 0 until none is left. Ties are not climbed along.
type limited struct {
	least  []float64 // nil: none
	mirror []int32   // the opposite link, which gets the same capacity; nil: none
	flow   []float64
	share  []float64
}

func newLimited(g *graph, o *Options) *limited {
	if o.Least == nil && o.Mirror == nil {
		return nil
	}
	return &limited{least: o.Least, mirror: o.Mirror, flow: make([]float64, g.links), share: make([]float64, g.demand)}
}

// capacity of link l for the present flows.
func (d *limited) capacity(l int) float64 {
	x := d.flow[l]
	if d.least != nil {
		x = math.Max(x, d.least[l])
	}
	if d.mirror != nil {
		r := d.mirror[l]
		x = math.Max(x, d.flow[r])
		if d.least != nil {
			x = math.Max(x, d.least[r])
		}
	}
	return x
}

// unused reports whether link l has capacity that its flow leaves free.
func (d *limited) unused(l int) bool {
	x := d.capacity(l)
	return x-d.flow[l] > 1e-9*x
}

// extra is the cost of the capacity beyond the flow; ok is false where the prices
// are those of no design.
func (s *state) extra() (cost float64, ok bool) {
	d := s.limited
	s.flows(d.flow, d.share)
	for l, p := range s.price {
		if p != 0 && d.unused(l) {
			return 0, false
		}
		cost += s.g.cost[l] * (d.capacity(l) - d.flow[l])
	}
	return cost, true
}

// repair sets prices to 0 until they are those of a design.
func (s *state) repair() {
	d := s.limited
	for again := true; again; {
		again = false
		s.flows(d.flow, d.share)
		for l, p := range s.price {
			if p != 0 && d.unused(l) {
				s.price[l], again = 0, true
			}
		}
		if again {
			s.set(s.price)
		}
	}
}

// lineLimited is line where capacities have limits: it tries prices of l, and of l
// and its opposite link together.
func (s *state) lineLimited(l int32, fine bool) (price, opposite, merit float64) {
	r := l
	if s.limited.mirror != nil {
		r = s.limited.mirror[l]
	}
	before, beforeR := s.price[l], s.price[r]
	price, opposite, merit = before, beforeR, s.value()
	try := func(p, q float64) {
		s.move(l, p)
		if r != l {
			s.move(r, q)
		}
		if m := s.value(); m > merit {
			price, opposite, merit = p, q, m
		}
		s.move(l, before)
		if r != l {
			s.move(r, beforeR)
		}
	}
	for _, p := range [...]float64{0, closed} {
		try(p, p)
	}
	if !fine {
		return price, opposite, merit
	}
	s.survey(l)
	if len(s.entries) == 0 {
		return price, opposite, merit
	}
	s.collectStops()
	stops := append([]float64(nil), s.stops...)
	each := max(1, len(stops)/4)
	for i := 0; i < len(stops); i += each {
		try(stops[i], 0)
		if i+1 < len(stops) {
			try((stops[i]+stops[i+1])/2, 0)
		}
		if r != l {
			try(stops[i], stops[i])
		}
	}
	width := 0.5
	for range 8 { // and closer to the best of them
		at, with := price, opposite
		if at >= 0 {
			for _, p := range [...]float64{math.Max(0, at-width), at + width} {
				try(p, with)
				if r != l && with > 0 {
					try(p, math.Max(0, with+p-at))
				}
			}
		}
		if price == at {
			width /= 2
		}
	}
	return price, opposite, merit
}
