package lower

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// TestAllocations: after the first solve, none.
func TestAllocations(t *testing.T) {
	for _, k := range cases(t) {
		if k.status != bilevel.Running {
			continue
		}
		for _, c := range contenders() {
			if !c.accepts(k.p) || c.name == "LBFGS" {
				continue
			}
			solver := c.make(k.p)
			y, mu := make([]float64, k.p.N), make([]float64, k.p.Rows)
			solve := func() {
				clear(y)
				clear(mu)
				copy(y, k.start)
				if _, err := solver.Solve(k.p, y, mu, c.tolerance, nil); err != nil {
					t.Fatal(err)
				}
			}
			solve()
			if a := testing.AllocsPerRun(3, solve); a != 0 {
				t.Errorf("%s on %s: %v allocations per solve", c.name, k.name, a)
			}
		}
	}
}

// TestRepeatable: a solver that has solved something else gives the same bits as
// a new one, because a resumed run starts with new ones.
func TestRepeatable(t *testing.T) {
	list := cases(t)
	for _, c := range contenders() {
		used := c.make(list[len(list)-1].p)
		for _, k := range list {
			if !c.accepts(k.p) || k.status != bilevel.Running {
				continue
			}
			if c.name == "New" {
				used = c.make(k.p)
			}
			run := func(s Solver) []float64 {
				y, mu := make([]float64, k.p.N), make([]float64, k.p.Rows)
				copy(y, k.start)
				if _, err := s.Solve(k.p, y, mu, c.tolerance, nil); err != nil {
					t.Fatal(err)
				}
				return append(y, mu...)
			}
			if a, b := run(used), run(c.make(k.p)); !floats.Equal(a, b) {
				t.Errorf("%s on %s: %v after other solves, %v alone", c.name, k.name, a, b)
			}
		}
	}
}

// TestWarmStart: near the solution of a neighbouring problem a few factorizations
// suffice, and the answer is as exact as a cold one.
func TestWarmStart(t *testing.T) {
	p, y, _ := randomQP(3, 40, 80, 4)
	s := &InteriorPoint{}
	at, m := make([]float64, p.N), make([]float64, p.Rows)
	cold, err := s.Solve(p, at, m, 1e-10, nil)
	if err != nil || !cold.Converged {
		t.Fatal(err, cold)
	}
	rng := rand.New(rand.NewPCG(9, 1))
	grad := p.Grad
	shift := normal(rng, p.N)
	floats.Scale(1e-3, shift)
	p.Grad = func(dst, y []float64) { grad(dst, y); floats.Add(dst, shift) }
	warm, err := s.Solve(p, at, m, 1e-10, nil)
	if err != nil || !warm.Converged || warm.Iterations > 3 {
		t.Errorf("warm: %v, %+v (cold took %d iterations)", err, warm, cold.Iterations)
	}
	if d := floats.Distance(at, y, 2); d > 0.1 || d == 0 {
		t.Errorf("the neighbouring solution is %g away", d)
	}
}

// TestStop: a solver polls stop in every iteration and returns what it has.
func TestStop(t *testing.T) {
	for _, k := range cases(t) {
		if k.status != bilevel.Running {
			continue
		}
		for _, c := range contenders() {
			if !c.accepts(k.p) {
				continue
			}
			for after := range 3 {
				calls := 0
				stop := func() bool { calls++; return calls > after }
				y, mu := make([]float64, k.p.N), make([]float64, k.p.Rows)
				copy(y, k.start)
				info, err := c.make(k.p).Solve(k.p, y, mu, c.tolerance, stop)
				if err != nil || !finite(y) || !finite(mu) || calls > after+4 {
					t.Fatalf("%s on %s stopped after %d polls: %v, %+v, %d polls", c.name, k.name, after, err, info, calls)
				}
				var meter Meter
				if r := meter.Measure(k.p, y, mu); r != info.Residuals || info.Converged != (r.Max() <= c.tolerance) {
					t.Fatalf("%s on %s: stopped with claim %+v, measured %+v", c.name, k.name, info, r)
				}
			}
		}
	}
}

// TestNotFinite: a function that is not finite is an error, not a loop.
func TestNotFinite(t *testing.T) {
	nan := scalar(func(y float64) float64 { return math.NaN() }, func(y float64) float64 { return math.NaN() }, func(float64) float64 { return 1 })
	for _, c := range contenders() {
		y := []float64{1}
		_, err := c.make(nan).Solve(nan, y, nil, c.tolerance, nil)
		var level *bilevel.LevelError
		if !errors.As(err, &level) || level.Status != bilevel.NumericalFailure {
			t.Errorf("%s: %v, want a numerical failure", c.name, err)
		}
	}
}

// TestRefusals: a solver refuses problems it cannot solve.
func TestRefusals(t *testing.T) {
	constrained, _, _ := randomQP(1, 3, 2, 0)
	for _, s := range []Solver{&Newton{}, &LBFGS{}, &APG{}} {
		if _, err := s.Solve(constrained, make([]float64, 3), make([]float64, 2), 1e-8, nil); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%T accepts constraints: %v", s, err)
		}
	}
}

// TestLarge: the size asked of the interior-point method, with a known solution.
func TestLarge(t *testing.T) {
	p, y, mu := randomQP(7, 200, 350, 20)
	at, m := make([]float64, p.N), make([]float64, p.Rows)
	info, err := (&InteriorPoint{}).Solve(p, at, m, 1e-9, nil)
	if err != nil || !info.Converged {
		t.Fatal(err, info)
	}
	if dy, dm := floats.Distance(at, y, math.Inf(1)), floats.Distance(m, mu, math.Inf(1)); dy > 1e-9 || dm > 1e-9 {
		t.Errorf("off by %g in y, %g in mu", dy, dm)
	}
}

// TestFarStarts: convex problems are solved from anywhere.
func TestFarStarts(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 1))
	for _, k := range cases(t) {
		if k.status != bilevel.Running || k.name == "quartic-free valley" || k.name == "exponentials" {
			continue
		}
		for try := range 20 {
			y, mu := normal(rng, k.p.N), normal(rng, k.p.Rows)
			floats.Scale(100, y)
			floats.Scale(100, mu)
			info, err := New(k.p).Solve(k.p, y, mu, 1e-9, nil)
			if err != nil || !info.Converged {
				t.Errorf("%s, start %d: %v, %+v", k.name, try, err, info)
			}
		}
	}
}

// TestRandomQPs draws shapes, equations and scales.
func TestRandomQPs(t *testing.T) {
	rng := rand.New(rand.NewPCG(37, 1))
	for seed := range uint64(150) {
		n := 2 + rng.IntN(20)
		rows := 1 + rng.IntN(3*n)
		eq := min(rows, rng.IntN(n/2+1))
		p, want, mults := randomQP(seed, n, rows, eq)
		y, mu := make([]float64, n), make([]float64, rows)
		info, err := (&InteriorPoint{}).Solve(p, y, mu, 1e-10, nil)
		if err != nil || !info.Converged {
			t.Fatalf("seed %d (%d x %d, %d equations): %v %+v", seed, rows, n, eq, err, info)
		}
		if d, e := floats.Distance(y, want, math.Inf(1)), floats.Distance(mu, mults, math.Inf(1)); d > 1e-8 || e > 1e-8 {
			t.Errorf("seed %d (%d x %d, %d equations): off by %g and %g", seed, rows, n, eq, d, e)
		}
	}
}

// TestDegeneratePrograms: linear programmes with many constraints through the
// optimal vertex, scaled over eight orders of magnitude.
func TestDegeneratePrograms(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 1))
	for seed := range 60 {
		n := 2 + rng.IntN(6)
		rows := 3 * n
		a, b, q := mat.NewDense(rows, n, nil), make([]float64, rows), make([]float64, n)
		vertex := normal(rng, n)
		for i := range rows {
			row := normal(rng, n)
			floats.Scale(math.Pow(10, float64(rng.IntN(5)-2)), row)
			a.SetRow(i, row)
			b[i] = floats.Dot(row, vertex)
			floats.AddScaled(q, -rng.Float64(), row)
		}
		p := quadratic(nil, q, a, b, 0, nil)
		y, mu := make([]float64, n), make([]float64, rows)
		info, err := (&InteriorPoint{}).Solve(p, y, mu, 1e-9, nil)
		if err != nil || !info.Converged || floats.Distance(y, vertex, 2) > 1e-7 {
			t.Errorf("%d: %v %+v, off by %g", seed, err, info, floats.Distance(y, vertex, 2))
		}
	}
}

func BenchmarkSolve(b *testing.B) {
	for _, c := range []struct {
		name    string
		p       *Problem
		s       Solver
		n, rows int
	}{
		{"newton-logistic-20", logistic(20, 100), &Newton{}, 20, 0},
		{"apg-logistic-20", logistic(20, 100), &APG{}, 20, 0},
		{"lbfgs-logistic-20", logistic(20, 100), &LBFGS{}, 20, 0},
	} {
		b.Run(c.name, func(b *testing.B) { benchmark(b, c.p, c.s, false) })
	}
	for _, size := range []struct{ n, rows, eq int }{{10, 20, 2}, {46, 500, 0}, {200, 400, 10}, {600, 1000, 20}} {
		p, _, _ := randomQP(1, size.n, size.rows, size.eq)
		for _, warm := range []bool{false, true} {
			b.Run(fmt.Sprintf("interior-%dx%d-warm=%v", size.n, size.rows, warm), func(b *testing.B) { benchmark(b, p, &InteriorPoint{}, warm) })
		}
	}
	p, _, _ := randomQP(1, 10, 20, 2)
	b.Run("maxmin-10x20", func(b *testing.B) { benchmark(b, p, &MaxMin{}, false) })
}

func benchmark(b *testing.B, p *Problem, s Solver, warm bool) {
	y, mu := make([]float64, p.N), make([]float64, p.Rows)
	if _, err := s.Solve(p, y, mu, 1e-8, nil); err != nil {
		b.Fatal(err)
	}
	y0, mu0 := append([]float64(nil), y...), append([]float64(nil), mu...)
	b.ReportAllocs()
	its := 0
	for b.Loop() {
		clear(y)
		clear(mu)
		if warm {
			copy(y, y0)
			copy(mu, mu0)
			floats.AddConst(1e-3, y)
		}
		info, err := s.Solve(p, y, mu, 1e-8, nil)
		if err != nil || !info.Converged {
			b.Fatal(err, info)
		}
		its += info.Iterations
	}
	b.ReportMetric(float64(its)/float64(b.N), "iterations/op")
}

// TestNonconvex: from every start the solvers that New chooses end at a local
// minimum, not at the maximum between two.
func TestNonconvex(t *testing.T) {
	well := scalar(func(y float64) float64 { return y*y*(y*y/4-0.5)*1 - 0.1*y },
		func(y float64) float64 { return y*(y*y-1) - 0.1 },
		func(y float64) float64 { return 3*y*y - 1 })
	left, right := -0.9456492739235914, 1.0466805318046022
	boxed, bounded := *well, *well
	boxed.Y = mustSet(t)(set.Interval(1, -2, 2))
	bounded.Rows, bounded.Affine = 1, true
	bounded.Constraint = func(dst, y []float64) { dst[0] = y[0] - 0.5 }
	bounded.Jac = func(dst, _, v []float64) { dst[0] = v[0] }
	bounded.JacT = func(dst, _, mu []float64) { dst[0] = mu[0] }
	for _, c := range []struct {
		name   string
		p      *Problem
		minima []float64
	}{{"free", well, []float64{left, right}}, {"box", &boxed, []float64{left, right}}, {"constraint", &bounded, []float64{left, 0.5}}} {
		for start := -1.95; start < 2; start += 0.1 {
			y, mu := []float64{start}, make([]float64, c.p.Rows)
			info, err := New(c.p).Solve(c.p, y, mu, 1e-10, nil)
			if err != nil || !info.Converged {
				t.Errorf("%s from %.2f: %v %+v y = %v", c.name, start, err, info, y)
				continue
			}
			if math.Abs(y[0]-c.minima[0]) > 1e-9 && math.Abs(y[0]-c.minima[1]) > 1e-9 {
				t.Errorf("%s from %.2f: ended at %v, minima are %v", c.name, start, y[0], c.minima)
			}
		}
	}
	inDisk := disk(rosenbrock(), 1)
	for start := -2.0; start <= 2; start += 0.25 {
		y, mu := []float64{start, -start / 2}, make([]float64, 1)
		info, err := New(inDisk).Solve(inDisk, y, mu, 1e-9, nil)
		if err != nil || !info.Converged || inDisk.Value(y) > 0.0456749 {
			t.Errorf("disk from %v: %v %+v y = %v F = %v", start, err, info, y, inDisk.Value(y))
		}
	}
}
