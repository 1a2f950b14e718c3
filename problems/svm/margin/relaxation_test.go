package margin

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/optimize"
)

// relaxed is P(y) = sum_j exp(1 - v_j.y) + 1/2 sum_i max(floor, 1 - r_i.y)^2.
func relaxed(rows, validation blas64.General, floor float64, y []float64) float64 {
	sum := 0.0
	for j := range validation.Rows {
		sum += math.Exp(1 - dot(row(validation, j), y))
	}
	for i := range rows.Rows {
		c := math.Max(floor, 1-dot(row(rows, i), y))
		sum += 0.5 * c * c
	}
	return sum
}

// overlapping returns rows whose classes overlap, so that the relaxation has a
// minimiser.
func overlapping(rng *rand.Rand, n, m, d int) (rows, validation blas64.General) {
	rows, validation = random(rng, n, d), random(rng, m, d)
	for i := range n / 2 {
		for j := range d {
			row(rows, n-1-i)[j] = -row(rows, i)[j] * (0.5 + rng.Float64())
		}
	}
	return rows, validation
}

func TestRelaxationAgainstGeneralSolver(t *testing.T) {
	rng := rand.New(rand.NewPCG(61, 62))
	for k := range 20 {
		n, m, d := 30+rng.IntN(40), 5+rng.IntN(20), 1+rng.IntN(5)
		rows, validation := overlapping(rng, n, m, d)
		floor := []float64{0, 1e-4, 0.7}[k%3]
		s, err := NewRelaxation(rows, validation, floor)
		if err != nil {
			t.Fatal(err)
		}
		c, y := make([]float64, n), make([]float64, d)
		res, err := s.Solve(c, y)
		if err != nil {
			t.Fatalf("case %d: %v (%+v)", k, err, res)
		}
		if got := relaxed(rows, validation, floor, y); math.Abs(got-res.Value) > 1e-12*got {
			t.Errorf("case %d: value %.17g, reported %.17g", k, got, res.Value)
		}
		if gap := (res.Value - res.Lower) / res.Value; gap < 0 || gap > 1e-9 {
			t.Errorf("case %d: relative gap %g", k, gap)
		}
		// A derivative-free method that shares nothing with this one.
		p := optimize.Problem{Func: func(y []float64) float64 { return relaxed(rows, validation, floor, y) }}
		other, err := optimize.Minimize(p, make([]float64, d), &optimize.Settings{FuncEvaluations: 4000}, &optimize.NelderMead{})
		if err != nil {
			t.Fatal(err)
		}
		if other.F < res.Lower || res.Value > other.F*(1+1e-12) {
			t.Errorf("case %d: Nelder-Mead reaches %.15g outside [%.15g, %.15g]", k, other.F, res.Lower, res.Value)
		}
		if other.F > res.Value*1.01 {
			t.Errorf("case %d: Nelder-Mead got only to %g: no check of %g", k, other.F, res.Value)
		}
	}
}

// Whatever the dual point, the bound stays below the optimum.
func TestRelaxationBoundOfWrongDualPoints(t *testing.T) {
	rng := rand.New(rand.NewPCG(63, 64))
	rows, validation := overlapping(rng, 60, 20, 4)
	s, err := NewRelaxation(rows, validation, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	c, y := make([]float64, 60), make([]float64, 4)
	res, err := s.Solve(c, y)
	if err != nil {
		t.Fatal(err)
	}
	exact := append([]float64(nil), s.newton.first...)
	sharp := 0
	for k := range 300 {
		size := math.Pow(10, -12*rng.Float64())
		for i, v := range exact {
			s.newton.first[i] = v * (1 + size*rng.NormFloat64())
			if k%3 == 0 {
				s.newton.first[i] += size * rng.NormFloat64()
			}
		}
		low := s.lower(res.Value)
		if !(low <= res.Value) {
			t.Fatalf("perturbation %g: bound %.17g exceeds the optimum %.17g", size, low, res.Value)
		}
		if low > 0.9*res.Value {
			sharp++
		}
	}
	if sharp < 100 {
		t.Errorf("only %d of 300 bounds are of use", sharp)
	}
}

func TestRelaxationSeparable(t *testing.T) {
	// All margins can grow together: the infimum 1/2 n floor^2 is not attained.
	rows := blas64.General{Rows: 3, Cols: 2, Stride: 2, Data: []float64{1, 1, 2, 1, 3, 1}}
	s, err := NewRelaxation(rows, rows, 0.2)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Solve(make([]float64, 3), make([]float64, 2))
	const infimum = 0.5 * 3 * 0.2 * 0.2
	if res.Lower > infimum*(1+1e-12) || res.Lower < infimum*(1-1e-12) {
		t.Errorf("bound %g, infimum %g (%v)", res.Lower, infimum, err)
	}
}

func TestRelaxationMergesEqualColumns(t *testing.T) {
	rng := rand.New(rand.NewPCG(65, 66))
	rows, validation := overlapping(rng, 40, 10, 4)
	for _, a := range []blas64.General{rows, validation} {
		for i := range a.Rows {
			row(a, i)[3] = row(a, i)[0]
		}
	}
	s, err := NewRelaxation(rows, validation, 1e-4)
	if err != nil {
		t.Fatal(err)
	}
	c, y := make([]float64, 40), make([]float64, 4)
	res, err := s.Solve(c, y)
	if err != nil {
		t.Fatal(err)
	}
	if y[0] != y[3] || res.Value-res.Lower > 1e-9*res.Value {
		t.Errorf("y = %v, %+v", y, res)
	}
}

// The published problem is solved to proven global optimality: the point of the
// relaxation passes the lower-level check.
func TestDiabetesGlobalOptimum(t *testing.T) {
	rows, validation := diabetes(t)
	s, err := NewRelaxation(rows, validation, 1e-4)
	if err != nil {
		t.Fatal(err)
	}
	c, y := make([]float64, 500), make([]float64, 46)
	res, err := s.Solve(c, y)
	if err != nil {
		t.Fatalf("%v (%+v)", err, res)
	}
	if gap := (res.Value - res.Lower) / res.Value; gap < 0 || gap > 1e-10 {
		t.Errorf("relative gap %g", gap)
	}
	// The gap checked above proves these digits; they guard the data and the split.
	if math.Abs(res.Value-417.3200661837) > 1e-8 {
		t.Errorf("optimum %.10f, want 417.3200661837", res.Value)
	}
	th := make([]float64, 500)
	active := 0
	for i, v := range c {
		th[i] = 1 - v
		if dot(row(rows, i), y) <= th[i]+1e-12 {
			active++
		}
	}
	lower, err := NewMinNorm(rows)
	if err != nil {
		t.Fatal(err)
	}
	mu := make([]float64, 500)
	proof, err := lower.Multipliers(mu, y, th)
	if err != nil || proof.KKT.Max() > 1e-11 {
		t.Errorf("multipliers of y: %+v, %v", proof, err)
	}
	yg := make([]float64, 46)
	if _, err := lower.Solve(yg, mu, th); err != nil {
		t.Fatal(err)
	}
	if diff := maxDiff(y, yg); diff > 1e-11 {
		t.Errorf("the min-norm answer to C differs from y by %g", diff)
	}
	t.Logf("optimum %.10f, gap %.1e, %d Newton steps, %d active rows, |y| = %.4f, lower KKT residual %.1e",
		res.Value, res.Value-res.Lower, res.Steps, active, blas64.Nrm2(vector(y)), proof.KKT.Max())
}

func TestMultipliersOfAWrongPoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(67, 68))
	rows := random(rng, 60, 6)
	th := few(rng, rows)
	s, err := NewMinNorm(rows)
	if err != nil {
		t.Fatal(err)
	}
	y, mu := make([]float64, 6), make([]float64, 60)
	if _, err := s.Solve(y, mu, th); err != nil {
		t.Fatal(err)
	}
	res, err := s.Multipliers(mu, y, th)
	if err != nil || res.KKT.Max() > 1e-12 {
		t.Errorf("at the solution: %+v, %v", res, err)
	}
	// A feasible point away from the solution: no multipliers prove it.
	for j := range y {
		y[j] += 0.3 * rng.NormFloat64()
	}
	for i := range th {
		th[i] = math.Min(th[i], dot(row(rows, i), y))
	}
	if res, err = s.Multipliers(mu, y, th); err != nil || res.KKT.Stationarity < 1e-2 {
		t.Errorf("away from the solution: %+v, %v", res, err)
	}
}

func TestRelaxationWrongInput(t *testing.T) {
	rows := random(rand.New(rand.NewPCG(1, 1)), 4, 2)
	_, negative := NewRelaxation(rows, rows, -1)
	_, shape := NewRelaxation(rows, random(rand.New(rand.NewPCG(1, 1)), 4, 3), 0)
	s, err := NewRelaxation(rows, rows, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, short := s.Solve(make([]float64, 3), make([]float64, 2))
	for name, err := range map[string]error{"negative floor": negative, "columns": shape, "short c": short} {
		if !errors.Is(err, ErrInput) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRelaxationAllocates(t *testing.T) {
	rng := rand.New(rand.NewPCG(69, 70))
	rows, validation := overlapping(rng, 60, 20, 4)
	s, err := NewRelaxation(rows, validation, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	lower, err := NewMinNorm(rows)
	if err != nil {
		t.Fatal(err)
	}
	c, y, mu := make([]float64, 60), make([]float64, 4), make([]float64, 60)
	if a := testing.AllocsPerRun(10, func() {
		s.Reset()
		if _, err := s.Solve(c, y); err != nil {
			t.Fatal(err)
		}
		for i := range c {
			c[i] = 1 - c[i]
		}
		if _, err := lower.Multipliers(mu, y, c); err != nil {
			t.Fatal(err)
		}
	}); a != 0 {
		t.Errorf("%v allocations per solve", a)
	}
}

func BenchmarkRelaxation(b *testing.B) {
	rows, validation := diabetes(b)
	s, err := NewRelaxation(rows, validation, 1e-4)
	if err != nil {
		b.Fatal(err)
	}
	c, y := make([]float64, 500), make([]float64, 46)
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		if _, err := s.Solve(c, y); err != nil {
			b.Fatal(err)
		}
	}
}

// The lower level at the relaxation's C: 250 and more active rows in 45
// dimensions, one feasible point.
func BenchmarkMinNormColdOptimum(b *testing.B) {
	benchmarkMinNorm(b, true, func(_ *rand.Rand, rows blas64.General) []float64 {
		train, validation := diabetes(b)
		s, err := NewRelaxation(train, validation, 1e-4)
		if err != nil {
			b.Fatal(err)
		}
		c, y := make([]float64, 500), make([]float64, 46)
		if _, err := s.Solve(c, y); err != nil {
			b.Fatal(err)
		}
		for i := range c {
			c[i] = 1 - c[i]
		}
		return c
	})
}
