package certify

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
)

// flows is a capacity design problem: x holds the capacities of the links of a
// w x w grid, the follower sends one unit for each of k pairs of nodes, y_al >= 0
// on link l for pair a, conserving flow (equations) within the capacities (one row a link):
//
//	g = sum (c_l y + y²/20),   f = sum c_l y_al + |x|²/2.
//
// With k pairs it has k·L lower variables and k·(nodes - 1) + L rows of two to five entries,
// or k for the capacities.
func flows(t testing.TB, w, k int) *bilevel.Problem {
	t.Helper()
	type link struct{ from, to int }
	var links []link
	for i := range w * w {
		if i%w+1 < w {
			links = append(links, link{i, i + 1}, link{i + 1, i})
		}
		if i+w < w*w {
			links = append(links, link{i, i + w}, link{i + w, i})
		}
	}
	l, nodes := len(links), w*w
	rng := rand.New(rand.NewPCG(11, 12))
	cost, from, to := make([]float64, l), make([]int, k), make([]int, k)
	for i := range cost {
		cost[i] = 1 + rng.Float64()
	}
	for a := range k {
		from[a] = rng.IntN(nodes)
		to[a] = (from[a] + 1 + rng.IntN(nodes-1)) % nodes
	}
	eq := k * (nodes - 1)
	// The last node of every pair's conservation follows from the others.
	balance := func(dst, v []float64) {
		for a := range k {
			for i, e := range links {
				if e.from < nodes-1 {
					dst[a*(nodes-1)+e.from] += v[a*l+i]
				}
				if e.to < nodes-1 {
					dst[a*(nodes-1)+e.to] -= v[a*l+i]
				}
				dst[eq+i] += v[a*l+i]
			}
		}
	}
	x, err := set.Box(make([]float64, l), filled(l, float64(k)))
	if err != nil {
		t.Fatal(err)
	}
	weighted := func(y []float64) float64 {
		s := 0.0
		for i, v := range y {
			s += cost[i%l] * v
		}
		return s
	}
	scale := func(by float64) func(dst, x, y, v []float64) {
		return func(dst, _, _, v []float64) {
			for i := range v {
				dst[i] = by * v[i]
			}
		}
	}
	zero := func(dst, _, _, _ []float64) { clear(dst) }
	return &bilevel.Problem{
		NX: l, NY: k * l, X: x, Y: set.NonNegative(k * l), X0: filled(l, float64(k)),
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 { return weighted(y) + dot(x, x)/2 },
			GradX: func(dst, x, _ []float64) { copy(dst, x) },
			GradY: func(dst, _, _ []float64) {
				for i := range dst {
					dst[i] = cost[i%l]
				}
			},
			HessXX: scale(1), HessYY: zero, HessXY: zero, HessYX: zero,
		},
		Lower: bilevel.Objective{
			Value: func(_, y []float64) float64 { return weighted(y) + dot(y, y)/20 },
			GradX: func(dst, _, _ []float64) { clear(dst) },
			GradY: func(dst, _, y []float64) {
				for i := range dst {
					dst[i] = cost[i%l] + y[i]/10
				}
			},
			HessXX: zero, HessYY: scale(0.1), HessXY: zero, HessYX: zero,
		},
		Coupling: &bilevel.Coupling{Rows: eq + l, Equalities: eq, Affine: true,
			Value: func(dst, x, y []float64) {
				clear(dst)
				balance(dst, y)
				for a := range k {
					if from[a] < nodes-1 {
						dst[a*(nodes-1)+from[a]]--
					}
					if to[a] < nodes-1 {
						dst[a*(nodes-1)+to[a]]++
					}
				}
				for i := range l {
					dst[eq+i] -= x[i]
				}
			},
			JacX: func(dst, _, _, u []float64) {
				clear(dst)
				for i := range l {
					dst[eq+i] = -u[i]
				}
			},
			JacXT: func(dst, _, _, mu []float64) {
				for i := range l {
					dst[i] = -mu[eq+i]
				}
			},
			JacY: func(dst, _, _, v []float64) { clear(dst); balance(dst, v) },
			JacYT: func(dst, _, _, mu []float64) {
				for a := range k {
					for i, e := range links {
						s := mu[eq+i]
						if e.from < nodes-1 {
							s += mu[a*(nodes-1)+e.from]
						}
						if e.to < nodes-1 {
							s -= mu[a*(nodes-1)+e.to]
						}
						dst[a*l+i] = s
					}
				}
			},
		},
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 0.1, LowerQuadratic: true, JointlyConvex: true},
	}
}

func filled(n int, v float64) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// TestFlows: equations, bounds and capacities together; the capacities are no
// optimum, and everything else holds.
func TestFlows(t *testing.T) {
	p := flows(t, 3, 6) // 24 links, 144 lower variables, 72 rows
	x := filled(p.NX, 2)
	c := measure(t, p, x, nil, nil)
	if !(c.LowerGap[1] <= 1e-9*c.Lower) || !(c.LowerKKT <= 1e-9) || !(c.LowerFeasibility <= 1e-9) || !c.Unique {
		t.Errorf("gap %v, KKT %v, feasibility %v, unique %v", c.LowerGap, c.LowerKKT, c.LowerFeasibility, c.Unique)
	}
	if c.Verdict != Refuted || !strings.Contains(c.Message, "x is not a local minimum") {
		t.Errorf("%v: %s", c.Verdict, c.Message)
	}
	if wrong := measure(t, p, x, moved(c.Y, 5, 0.1), nil); wrong.Verdict != Refuted || !strings.Contains(wrong.Message, "coupling constraint is violated") {
		t.Errorf("a flow moved: %v: %s", wrong.Verdict, wrong.Message)
	}
}

func BenchmarkMeasureFlows(b *testing.B) {
	p := flows(b, 5, 33) // 80 links, 2640 lower variables, 872 rows
	x := filled(p.NX, 3)
	for b.Loop() {
		if _, err := Measure(context.Background(), p, x, nil, nil, Settings{}); err != nil {
			b.Fatal(err)
		}
	}
}
