package svm

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// kkt measures a (penalised) lower solution from the problem's functions alone.
func kkt(p *bilevel.Problem, gamma float64, x, y, mu []float64) float64 {
	g, part := make([]float64, p.NY), make([]float64, p.NY)
	p.Lower.GradY(g, x, y)
	p.Upper.GradY(part, x, y)
	floats.AddScaled(g, 1/gamma, part)
	worst := 0.0
	if p.Coupling != nil {
		p.Coupling.JacYT(part, x, y, mu)
		floats.Add(g, part)
		h := make([]float64, len(mu))
		p.Coupling.Value(h, x, y)
		for i, v := range h {
			worst = max(worst, v, -mu[i], math.Abs(mu[i]*v))
		}
	}
	return max(worst, floats.Norm(g, math.Inf(1)))
}

// anX is a point at which the lower level is feasible and not trivial.
func anX(p *bilevel.Problem, rng *rand.Rand) []float64 {
	x := slices.Clone(p.X0)
	for i := range x {
		x[i] += 0.2 * rng.Float64()
	}
	return x
}

func TestOraclesSolveTheLowerLevel(t *testing.T) {
	for _, f := range []string{"slack-free", "log-weight", "ridge", "blocc-code"} {
		p := openBuiltIn(t, "formulation="+f).Problem
		o := p.Oracle.(bilevel.LowerSolver)
		rng := rand.New(rand.NewPCG(7, 8))
		var mu []float64
		if p.Coupling != nil {
			mu = make([]float64, p.Coupling.Rows)
		}
		for _, gamma := range []float64{math.Inf(1), 100, 15, 12, math.Inf(1)} {
			x, y := anX(p, rng), slices.Clone(p.Y0)
			said, err := o.SolveLower(gamma, x, y, mu)
			if err != nil {
				t.Fatalf("%s, gamma = %g: %v", f, gamma, err)
			}
			if r := kkt(p, gamma, x, y, mu); r > 1e-8 || said > 1e-8 {
				t.Errorf("%s, gamma = %g: residual %.2g, the oracle says %.2g", f, gamma, r, said)
			}
			if floats.Norm(y, 2) < 1e-3 {
				t.Errorf("%s, gamma = %g: a trivial lower level proves nothing", f, gamma)
			}
			// A warm start elsewhere must not move the answer.
			again := slices.Clone(p.Y0)
			for j := range again {
				again[j] = rng.NormFloat64()
			}
			var mu2 []float64
			if mu != nil {
				mu2 = make([]float64, len(mu))
				for i := range 10 {
					mu2[17*i] = 1
				}
			}
			if _, err := o.SolveLower(gamma, x, again, mu2); err != nil {
				t.Fatal(err)
			}
			if d := floats.Distance(y, again, 2); d > 1e-7*(1+floats.Norm(y, 2)) {
				t.Errorf("%s, gamma = %g: answers from two starts differ by %.2g", f, gamma, d)
			}
		}
	}
}

// The paper form has a free bias and slacks: its lower solution, checked from the
// problem's functions alone, with the bound xi >= 0.
func TestSlackLowerLevel(t *testing.T) {
	for _, f := range []string{"slack", "normalised-slack"} {
		p := openBuiltIn(t, "formulation="+f).Problem
		d := p.NY - p.NX
		rng := rand.New(rand.NewPCG(15, 16))
		for range 3 {
			x, y, mu := anX(p, rng), slices.Clone(p.Y0), make([]float64, p.Coupling.Rows)
			if f == "slack" {
				if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(10, x, y, mu); err != nil {
					t.Fatal(err)
				}
				if r := kkt(p, 10, x, y, mu); r > 1e-8 {
					t.Errorf("penalised: residual %.2g", r)
				}
			}
			if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(math.Inf(1), x, y, mu); err != nil {
				t.Fatal(err)
			}
			if r := kkt(p, math.Inf(1), x, y, mu); r > 1e-8 {
				t.Errorf("%s: residual %.2g", f, r)
			}
			if floats.Min(y[d:]) < 0 || floats.Norm(y[:d-1], 2) < 1e-3 {
				t.Errorf("%s: least slack %g, |w| = %g", f, floats.Min(y[d:]), floats.Norm(y[:d-1], 2))
			}
		}
	}
}

// With and without slacks the relaxation is the same problem, and both have a
// lower solution among its answers.
func TestSlackRelaxation(t *testing.T) {
	p, q := openBuiltIn(t, "formulation=slack").Problem, openBuiltIn(t, "").Problem
	x, y := slices.Clone(p.X0), slices.Clone(p.Y0)
	if err := p.Oracle.(bilevel.Relaxer).SolveRelaxation(x, y); err != nil {
		t.Fatal(err)
	}
	xq, yq := slices.Clone(q.X0), slices.Clone(q.Y0)
	if err := q.Oracle.(bilevel.Relaxer).SolveRelaxation(xq, yq); err != nil {
		t.Fatal(err)
	}
	if a, b := p.Upper.Value(x, y), q.Upper.Value(xq, yq); math.Abs(a-b) > 1e-8*b {
		t.Errorf("f = %.9g with slacks, %.9g without", a, b)
	}
	yg, mu := make([]float64, p.NY), make([]float64, p.Coupling.Rows)
	if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(math.Inf(1), x, yg, mu); err != nil {
		t.Fatal(err)
	}
	if gap := p.Lower.Value(x, y) - p.Lower.Value(x, yg); math.Abs(gap) > 1e-8*p.Lower.Value(x, y) {
		t.Errorf("the relaxation's y is not a lower solution: gap %.3g of %.3g", gap, p.Lower.Value(x, y))
	}
}

func TestHalvedWeightNeedsEnoughPenalty(t *testing.T) {
	p := openBuiltIn(t, "formulation=blocc-code penalty=12").Problem
	var level *bilevel.LevelError
	_, err := p.Oracle.(bilevel.LowerSolver).SolveLower(6, p.X0, slices.Clone(p.Y0), make([]float64, p.NX))
	if !errors.As(err, &level) || level.Status != bilevel.LowerUnbounded {
		t.Errorf("error %v", err)
	}
}

func TestInfeasibleSlackBounds(t *testing.T) {
	p := openBuiltIn(t, "start=0").Problem
	x := constant(p.NX, floorC)
	var level *bilevel.LevelError
	for _, gamma := range []float64{math.Inf(1), 10} {
		_, err := p.Oracle.(bilevel.LowerSolver).SolveLower(gamma, x, slices.Clone(p.Y0), make([]float64, p.NX))
		if !errors.As(err, &level) || level.Status != bilevel.LowerInfeasible {
			t.Errorf("gamma = %g: error %v; the figures are not separable with margins of %g", gamma, err, 1-floorC)
		}
	}
}

func TestSensitivityAgainstDifferences(t *testing.T) {
	for _, f := range []string{"slack-free", "log-weight", "ridge"} {
		p := openBuiltIn(t, "formulation="+f).Problem
		solver := p.Oracle.(bilevel.LowerSolver)
		rng := rand.New(rand.NewPCG(9, 10))
		x := anX(p, rng)
		var mu []float64
		if p.Coupling != nil {
			mu = make([]float64, p.Coupling.Rows)
		}
		at := func(x []float64) []float64 {
			y := slices.Clone(p.Y0)
			if _, err := solver.SolveLower(math.Inf(1), x, y, mu); err != nil {
				t.Fatal(err)
			}
			return y
		}
		y := at(x)
		v, u := make([]float64, p.NY), make([]float64, p.NX)
		for j := range v {
			v[j] = rng.NormFloat64()
		}
		for i := range u {
			u[i] = rng.NormFloat64()
		}
		adj := make([]float64, p.NX)
		if err := p.Oracle.(bilevel.Sensitivity).Adjoint(adj, x, y, mu, v); err != nil {
			t.Fatal(err)
		}
		const step = 1e-6
		plus, minus := slices.Clone(x), slices.Clone(x)
		floats.AddScaled(plus, step, u)
		floats.AddScaled(minus, -step, u)
		up, down := floats.Dot(at(plus), v), floats.Dot(at(minus), v)
		got, want := floats.Dot(adj, u), (up-down)/(2*step)
		if math.Abs(got-want) > 1e-4*math.Abs(want) || want == 0 {
			t.Errorf("%s: derivative %.9g, by differences %.9g", f, got, want)
		}
	}
}

// The projection p of q on a closed convex set is where <q - p, z - p> <= 0 for
// every z of the set; it moves a point of the set not at all.
func TestJointProjection(t *testing.T) {
	for _, f := range []string{"slack-free", "normalised-slack"} {
		p := openBuiltIn(t, "formulation="+f).Problem
		project := p.Oracle.(bilevel.JointProjector).ProjectJoint
		rng := rand.New(rand.NewPCG(11, 12))
		random := func() ([]float64, []float64) {
			x, y := slices.Clone(p.X0), slices.Clone(p.Y0)
			for i := range x {
				x[i] += rng.NormFloat64()
			}
			for j := range y {
				y[j] += rng.NormFloat64()
			}
			return x, y
		}
		qx, qy := random()
		px, py := slices.Clone(qx), slices.Clone(qy)
		if err := project(px, py); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		h := make([]float64, p.Coupling.Rows)
		p.Coupling.Value(h, px, py)
		if v := floats.Max(h); v > 1e-9 {
			t.Errorf("%s: the projection violates the constraints by %.2g", f, v)
		}
		for range 5 {
			zx, zy := random()
			if err := project(zx, zy); err != nil {
				t.Fatal(err)
			}
			angle := 0.0
			for i := range zx {
				angle += (qx[i] - px[i]) * (zx[i] - px[i])
			}
			for j := range zy {
				angle += (qy[j] - py[j]) * (zy[j] - py[j])
			}
			if angle > 1e-7 {
				t.Errorf("%s: a point of the set lies nearer: <q - p, z - p> = %.3g", f, angle)
			}
		}
		x2, y2 := slices.Clone(px), slices.Clone(py)
		if err := project(x2, y2); err != nil {
			t.Fatal(err)
		}
		if d := floats.Distance(px, x2, 2) + floats.Distance(py, y2, 2); d > 1e-8 {
			t.Errorf("%s: projecting twice moves the point by %.2g", f, d)
		}
	}
}

func TestRelaxationBoundsTheProblem(t *testing.T) {
	p := openBuiltIn(t, "").Problem
	x, y := slices.Clone(p.X0), slices.Clone(p.Y0)
	if err := p.Oracle.(bilevel.Relaxer).SolveRelaxation(x, y); err != nil {
		t.Fatal(err)
	}
	value := p.Upper.Value(x, y)
	bound, _, err := p.Oracle.(bilevel.Bounder).LowerBound()
	if err != nil {
		t.Fatal(err)
	}
	if !(bound <= value && value-bound < 1e-6*value) {
		t.Errorf("bound %.9g, value of the relaxation %.9g", bound, value)
	}
	h := make([]float64, p.NX)
	p.Coupling.Value(h, x, y)
	if v := floats.Max(h); v > 1e-9 {
		t.Errorf("the relaxation's answer violates the margins by %.2g", v)
	}
	// The published start lies far above.
	if three := p.Upper.Value(constant(p.NX, 3), make([]float64, p.NY)); three < 3*value {
		t.Errorf("f = %.4g at C = 3, %.4g at the relaxation", three, value)
	}
	// Its answer is the follower's own: the problem is solved globally.
	yg, mu := slices.Clone(y), make([]float64, p.NX)
	if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(math.Inf(1), x, yg, mu); err != nil {
		t.Fatal(err)
	}
	if gap := p.Lower.Value(x, y) - p.Lower.Value(x, yg); math.Abs(gap) > 1e-7*p.Lower.Value(x, y) {
		t.Errorf("the relaxation's y is not the lower solution: gap %.3g of %.3g", gap, p.Lower.Value(x, y))
	}
}

func TestRidgeBound(t *testing.T) {
	p := openBuiltIn(t, "formulation=ridge").Problem
	bound, by, err := p.Oracle.(bilevel.Bounder).LowerBound()
	if err != nil || by == "" {
		t.Fatal(by, err)
	}
	rng := rand.New(rand.NewPCG(13, 14))
	for range 20 {
		x, y := make([]float64, p.NX), make([]float64, p.NY)
		for i := range x {
			x[i] = -12 + 16*rng.Float64()
		}
		if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(math.Inf(1), x, y, nil); err != nil {
			t.Fatal(err)
		}
		if f := p.Upper.Value(x, y); f < bound {
			t.Errorf("f = %.6g at a lower solution, below the bound %.6g", f, bound)
		}
	}
	if bound < 0.05 {
		t.Errorf("bound %.3g says nothing", bound)
	}
}

func TestOraclesAllocateNothing(t *testing.T) {
	for _, f := range []string{"slack-free", "log-weight", "ridge"} {
		p := openBuiltIn(t, "formulation="+f).Problem
		x, y, v, dst := slices.Clone(p.X0), slices.Clone(p.Y0), slices.Clone(p.Y0), make([]float64, p.NX)
		var mu []float64
		if p.Coupling != nil {
			mu = make([]float64, p.Coupling.Rows)
		}
		run := func() {
			for _, gamma := range []float64{math.Inf(1), 10} {
				if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(gamma, x, y, mu); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Oracle.(bilevel.Sensitivity).Adjoint(dst, x, y, mu, v); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(5, run); n > 0 {
			t.Errorf("%s: %v allocations", f, n)
		}
	}
}

func BenchmarkSolveLower(b *testing.B) {
	for _, f := range []string{"slack-free", "log-weight", "ridge"} {
		p := openBuiltIn(b, "formulation="+f).Problem
		var mu []float64
		if p.Coupling != nil {
			mu = make([]float64, p.Coupling.Rows)
		}
		y := slices.Clone(p.Y0)
		for _, c := range []struct {
			name  string
			gamma float64
		}{{"lower", math.Inf(1)}, {"penalised", 12}} {
			b.Run(f+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					copy(y, p.Y0)
					clear(mu)
					if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(c.gamma, p.X0, y, mu); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
