package certify

import (
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// directions are unit vectors: the way to the solution of the convex relaxation
// (the lower level is feasible all along it), the projected descent direction,
// the coordinates in up to four dimensions, and seeded random ones.
func (m *measurement) directions() [][]float64 {
	n := m.p.NX
	var ds [][]float64
	add := func(d []float64) {
		if size := floats.Norm(d, 2); size > 1e-300 && !floats.HasNaN(d) {
			floats.Scale(1/size, d)
			ds = append(ds, d)
		}
	}
	if n <= 4 {
		for i := range n {
			e := make([]float64, n)
			e[i] = 1
			add(e)
		}
	}
	if n == 1 || m.c.attained() && m.c.Bound.proven {
		return ds // every direction, or no need of any: nothing is better
	}
	g := make([]float64, n)
	if m.relaxed != nil && floats.Distance(m.relaxed, m.x, 2) > 1e-6*(1+floats.Norm(m.x, 2)) {
		floats.SubTo(g, m.relaxed, m.x)
		add(g)
		g = make([]float64, n)
	}
	floats.SubTo(g, m.x, m.c.Hypergradient.Gradient)
	if m.p.X != nil {
		m.p.X.Project(g, g)
	}
	floats.Sub(g, m.x)
	if floats.Norm(g, 2) > 1e-9*m.scale {
		add(g)
	}
	rng := rand.New(rand.NewPCG(m.s.Seed, 0xd1ec))
	random := m.s.Directions
	if m.p.NY > denseLimit {
		random = min(random, 1) // each solve is long
	}
	if m.refuted() && m.p.NY > denseBelow || m.prover.long() && len(ds) > 0 {
		random = 0 // nothing changes the verdict, or each solve is very long
	}
	for range random {
		d := make([]float64, n)
		for i := range d {
			d[i] = rng.NormFloat64()
		}
		add(d)
	}
	return ds
}

// affordable lists further directions for a kink where the problem's own solvers make
// lower solves cheap: the coordinates and the problem's proposals (bilevel.Prober), a
// part of them where all would take long, for lower solves take time in proportion
// to NY.
func (m *measurement) affordable() [][]float64 {
	n := m.p.NX
	rng := rand.New(rand.NewPCG(m.s.Seed, 0xaffd))
	most := int(affordableWork / float64(m.p.NY))
	var ds [][]float64
	unit := func(d []float64) {
		if size := floats.Norm(d, 2); len(d) == n && size > 0 && size-size == 0 {
			floats.Scale(1/size, d)
			ds = append(ds, d)
		}
	}
	if n > 4 {
		m.allCoordinates = n <= most
		for _, i := range rng.Perm(n)[:min(n, most)] {
			d := make([]float64, n)
			d[i] = 1
			unit(d)
		}
	}
	if q, ok := m.p.Oracle.(bilevel.Prober); ok && most > n {
		proposed := q.Directions(append([]float64(nil), m.x...))
		for _, d := range proposed[:min(len(proposed), most-n)] {
			unit(append([]float64(nil), d...))
		}
	}
	return ds
}

// affordableWork is the number of directions times NY that are probed, for about a
// second.
const affordableWork = 4e5
