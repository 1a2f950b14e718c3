package certify

import (
	"math"
	"math/rand/v2"
	"sort"

	"gonum.org/v1/gonum/floats"
)

// search looks for a better lower solution where one local solve proves
// nothing: from a grid (two dimensions or fewer and bounded Y) and from seeded
// random starts, uniform in a bounded Y and at three distances from y
// otherwise. The best usable solution becomes the certificate's own.
func (m *measurement) search(y []float64) {
	p, pr := m.p, m.pr
	rng := rand.New(rand.NewPCG(m.s.Seed, 0x57a7))
	lo, hi, bounded := pr.extent()
	var starts [][]float64
	if p.Y0 != nil {
		starts = append(starts, p.Y0)
	}
	starts = append(starts, make([]float64, p.NY))
	random := m.s.Starts
	if m.convex {
		random = 0 // a second try of a solve that failed, not a search
	}
	if !m.convex && bounded && p.NY <= 2 {
		starts = append(starts, m.grid(lo, hi)...)
	}
	size := 1 + floats.Norm(y, math.Inf(1))
	for i := range random {
		z := make([]float64, p.NY)
		for j := range z {
			if bounded {
				z[j] = lo[j] + (hi[j]-lo[j])*rng.Float64()
			} else {
				z[j] = y[j] + size*[]float64{0.1, 1, 10}[i%3]*rng.NormFloat64()
			}
		}
		starts = append(starts, z)
	}
	m.searched = 1 + len(starts)
	for _, z := range starts {
		if m.stop() {
			return
		}
		sol := m.solver.solve(pr, z, nil)
		if !sol.usable() {
			if !m.own.usable() && sol.violation < m.own.violation {
				m.own = sol
			}
			continue
		}
		if !m.own.usable() || sol.value < m.own.value-1e-12*(1+math.Abs(m.own.value)) {
			m.own = sol
		}
		m.remember(sol)
	}
	m.remember(m.own)
}

// branchLimit is how many distinct lower solutions the search keeps.
const branchLimit = 6

// remember keeps the lowest distinct solutions, best first.
func (m *measurement) remember(sol *solution) {
	if !sol.usable() {
		return
	}
	at := len(m.branches)
	for i, b := range m.branches {
		if floats.Distance(b.z, sol.z, math.Inf(1)) <= 1e-5*(1+floats.Norm(sol.z, math.Inf(1))) {
			return
		}
		if at == len(m.branches) && sol.value < b.value {
			at = i
		}
	}
	m.branches = append(m.branches, nil)
	copy(m.branches[at+1:], m.branches[at:])
	m.branches[at] = sol
	m.branches = m.branches[:min(len(m.branches), branchLimit)]
}

// grid returns the lowest few local minima of g over the feasible points of a
// grid on the box [lo, hi].
func (m *measurement) grid(lo, hi []float64) [][]float64 {
	n := 401
	if m.p.NY == 2 {
		n = 61
	}
	type node struct {
		z []float64
		g float64
	}
	var nodes []node
	coordinate := func(i, k int) float64 { return lo[i] + (hi[i]-lo[i])*float64(k)/float64(n-1) }
	value := func(z []float64) float64 {
		m.pr.project(z, z)
		slack := 0.0
		for i, c := range couplingAt(m.p.Coupling, m.x, z) {
			if i < m.p.Coupling.Equalities {
				c = math.Abs(c)
			}
			slack = math.Max(slack, c)
		}
		if slack > floats.Distance(lo, hi, 2)/float64(n) {
			return math.Inf(1)
		}
		return m.pr.value(z)
	}
	columns := 1
	if m.p.NY == 2 {
		columns = n
	}
	all := make([]node, 0, n*columns)
	for k := range n * columns {
		z := []float64{coordinate(0, k%n)}
		if m.p.NY == 2 {
			z = append(z, coordinate(1, k/n))
		}
		all = append(all, node{z, value(z)})
	}
	for k, a := range all {
		i, j := k%n, k/n
		least := !math.IsInf(a.g, 1) && !math.IsNaN(a.g)
		for _, d := range [][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}} {
			if u, v := i+d[0], j+d[1]; u >= 0 && u < n && v >= 0 && v < columns && all[v*n+u].g < a.g {
				least = false
			}
		}
		if least {
			nodes = append(nodes, a)
		}
	}
	sort.SliceStable(nodes, func(a, b int) bool { return nodes[a].g < nodes[b].g })
	var zs [][]float64
	for _, a := range nodes[:min(len(nodes), 12)] {
		zs = append(zs, a.z)
	}
	return zs
}
