package margin

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// bruteForce minimises 1/2 y'Dy + c'y on rows.y >= t by trying every active set
// of at most d rows. It returns nil where no subset is optimal.
func bruteForce(rows blas64.General, diag, c, t []float64) []float64 {
	n, d := rows.Rows, rows.Cols
	for set := range 1 << n {
		var act []int
		for i := range n {
			if set>>i&1 == 1 {
				act = append(act, i)
			}
		}
		if len(act) > d {
			continue
		}
		m := d + len(act)
		k, rhs := mat.NewDense(m, m, nil), mat.NewVecDense(m, nil)
		for j := range d {
			k.Set(j, j, diag[j])
			rhs.SetVec(j, -c[j])
		}
		for a, i := range act {
			for j, v := range row(rows, i) {
				k.Set(j, d+a, -v)
				k.Set(d+a, j, v)
			}
			rhs.SetVec(d+a, t[i])
		}
		var x mat.VecDense
		if x.SolveVec(k, rhs) != nil {
			continue
		}
		y, good := x.RawVector().Data[:d], true
		for a := range act {
			good = good && x.AtVec(d+a) >= -1e-9
		}
		for i := range n {
			good = good && dot(row(rows, i), y) >= t[i]-1e-9
		}
		if good {
			return y
		}
	}
	return nil
}

func TestMinNormAgainstEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	feasible, infeasible := 0, 0
	for range 400 {
		d, n := 1+rng.IntN(3), 1+rng.IntN(8)
		rows := random(rng, n, d)
		if rng.IntN(3) == 0 && n > 2 {
			copy(row(rows, n-1), row(rows, 0)) // a duplicate
			for j := range d {
				row(rows, n-2)[j] = -2 * row(rows, 0)[j] // and an opposite
			}
		}
		diag, c, th := make([]float64, d), make([]float64, d), make([]float64, n)
		for j := range diag {
			diag[j], c[j] = 0.2+rng.Float64()*3, rng.NormFloat64()
		}
		for i := range th {
			th[i] = rng.NormFloat64() - 0.5
		}
		s, err := NewMinNorm(rows)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.SetDiagonal(diag), s.SetLinear(c)); err != nil {
			t.Fatal(err)
		}
		y, mu := make([]float64, d), make([]float64, n)
		_, err = s.Solve(y, mu, th)
		want := bruteForce(rows, diag, c, th)
		var none *InfeasibleError
		switch {
		case want == nil:
			infeasible++
			if !errors.As(err, &none) {
				t.Fatalf("no active set is optimal, but Solve says %v", err)
			}
			checkFarkas(t, none, rows, th)
		case err != nil:
			t.Fatalf("%v, but %v is optimal", err, want)
		default:
			feasible++
			if diff := maxDiff(y, want); diff > 1e-8 {
				t.Fatalf("y = %v, want %v", y, want)
			}
		}
	}
	if feasible < 100 || infeasible < 50 {
		t.Fatalf("%d feasible and %d infeasible cases: too few of one kind", feasible, infeasible)
	}
}

// checkFarkas verifies a certificate from the data alone.
func checkFarkas(t *testing.T, e *InfeasibleError, rows blas64.General, th []float64) {
	t.Helper()
	sum, value := make([]float64, rows.Cols), 0.0
	for i, l := range e.Certificate {
		if l < 0 {
			t.Fatalf("certificate[%d] = %g < 0", i, l)
		}
		if l > 0 {
			value += l * th[i]
			blas64.Axpy(l, vector(row(rows, i)), vector(sum))
		}
	}
	norm := blas64.Nrm2(vector(sum))
	if !(value > 0) || norm > 1e-9*value || math.Abs(value-e.Value) > 1e-9*value {
		t.Fatalf("certificate: value %g (claimed %g), residual %g (claimed %g)", value, e.Value, norm, e.Residual)
	}
}

// degenerate returns t with the first 250 rows active at w.
func degenerate(rng *rand.Rand, rows blas64.General) (th, w []float64) {
	th, w = make([]float64, rows.Rows), make([]float64, rows.Cols)
	for j := range w {
		w[j] = 2 * rng.NormFloat64()
	}
	w[len(w)-1] = w[0] // columns 0 and d-1 are equal up to the bias
	for i := range th {
		th[i] = dot(row(rows, i), w)
		if i >= 250 {
			th[i] -= rng.Float64()
		}
	}
	return th, w
}

// few returns t of a feasible problem with few active rows: the margins of a
// small w, lowered.
func few(rng *rand.Rand, rows blas64.General) []float64 {
	w, th := make([]float64, rows.Cols), make([]float64, rows.Rows)
	for j := range w {
		w[j] = 0.5 * rng.NormFloat64()
	}
	for i := range th {
		th[i] = dot(row(rows, i), w) - 2*rng.Float64()
	}
	return th
}

func TestMinNormDiabetes(t *testing.T) {
	rows, _ := diabetes(t)
	rng := rand.New(rand.NewPCG(5, 6))
	s, err := NewMinNorm(rows)
	if err != nil {
		t.Fatal(err)
	}
	y, mu := make([]float64, rows.Cols), make([]float64, rows.Rows)
	solve := func(name string, th []float64, tol float64) {
		t.Helper()
		res, err := s.Solve(y, mu, th)
		if err != nil {
			t.Fatalf("%s: %v (%+v)", name, err, res)
		}
		if k := s.measure(y, mu, th); k.Max() > tol {
			t.Errorf("%s: KKT residual %+v exceeds %g", name, k, tol)
		}
	}
	for range 20 {
		s.Reset()
		th := few(rng, rows)
		solve("few", th, 1e-10)
		for i := range th {
			th[i] += 1e-3 * rng.NormFloat64()
		}
		solve("few, warm", th, 1e-10)
		warm := append([]float64(nil), y...)
		s.Reset()
		solve("few, again cold", th, 1e-10)
		if diff := maxDiff(y, warm); diff > 1e-9 {
			t.Errorf("warm and cold start differ by %g", diff)
		}

		s.Reset()
		th, w := degenerate(rng, rows)
		solve("degenerate", th, 1e-9) // multipliers reach 100
		if diff := maxDiff(y, w); diff > 1e-9 {
			t.Errorf("the only feasible point is missed by %g", diff)
		}
		for i := range th {
			th[i] -= 1e-3 * rng.Float64()
		}
		solve("degenerate, warm", th, 1e-9)
	}
}

// Rows of low rank, repeated rows, rounded entries, badly scaled metrics: every
// answer is a point with a small residual or a proof that there is none.
func TestMinNormStress(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var solved, refused, gaveUp int
	for k := range 1500 {
		d, n := 1+rng.IntN(12), 1+rng.IntN(60)
		rank := 1 + rng.IntN(d)
		left, right := random(rng, n, rank), random(rng, rank, d)
		rows := dense(n, d)
		blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, left, right, 0, rows)
		if k%2 == 0 {
			for i, v := range rows.Data {
				rows.Data[i] = math.Round(v)
			}
		}
		for range rng.IntN(n) {
			copy(row(rows, rng.IntN(n)), row(rows, rng.IntN(n)))
		}
		diag, th, w := make([]float64, d), make([]float64, n), make([]float64, d)
		for j := range diag {
			diag[j], w[j] = math.Exp(3*rng.NormFloat64()), rng.NormFloat64()
		}
		for i := range th {
			th[i] = dot(row(rows, i), w)
			switch k % 3 {
			case 1: // feasible at w, some rows active there
				th[i] -= math.Max(0, rng.NormFloat64())
			case 2: // feasible or not
				th[i] += 0.1*rng.NormFloat64() - 0.05
			}
		}
		s, err := NewMinNorm(rows)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetDiagonal(diag); err != nil {
			t.Fatal(err)
		}
		y, mu := make([]float64, d), make([]float64, n)
		for range 2 {
			res, err := s.Solve(y, mu, th)
			var none *InfeasibleError
			switch {
			case errors.As(err, &none):
				refused++
				checkFarkas(t, none, rows, th)
				if k%3 != 2 {
					t.Fatalf("case %d is feasible, but %v", k, err)
				}
			case err != nil:
				gaveUp++
				t.Logf("case %d: %v (%+v)", k, err, res)
			default:
				solved++
			}
			for i := range th {
				th[i] -= 1e-3 * rng.Float64()
			}
		}
	}
	t.Logf("%d solved, %d proven infeasible, %d given up", solved, refused, gaveUp)
	if gaveUp > 0 || solved < 1500 || refused < 200 {
		t.Error("unexpected outcome")
	}
}

func TestMinNormTrivial(t *testing.T) {
	// C >= 1 in every component: y = 0 and mu = 0.
	rows := random(rand.New(rand.NewPCG(1, 1)), 50, 7)
	s, err := NewMinNorm(rows)
	if err != nil {
		t.Fatal(err)
	}
	y, mu, th := make([]float64, 7), make([]float64, 50), make([]float64, 50)
	for i := range th {
		th[i] = -0.1 * float64(i%3)
	}
	y[0], mu[0] = 1, 1
	res, err := s.Solve(y, mu, th)
	if err != nil || res.Value != 0 || support(mu) != 0 || blas64.Nrm2(vector(y)) != 0 {
		t.Errorf("Solve = %+v, %v, y = %v", res, err, y)
	}
}

func TestMinNormStartIsReproducible(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	rows := random(rng, 120, 12)
	th := few(rng, rows)
	s1, _ := NewMinNorm(rows)
	y, mu := make([]float64, 12), make([]float64, 120)
	for range 5 {
		for i := range th {
			th[i] += 0.05 * rng.NormFloat64()
		}
		if _, err := s1.Solve(y, mu, th); err != nil {
			t.Fatal(err)
		}
	}
	start := append([]float64(nil), mu...)
	for i := range th {
		th[i] += 0.05 * rng.NormFloat64()
	}
	s2, _ := NewMinNorm(rows)
	y2, mu2 := make([]float64, 12), make([]float64, 120)
	for _, s := range []*MinNorm{s1, s2} {
		if err := s.Start(start); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s1.Solve(y, mu, th); err != nil {
		t.Fatal(err)
	}
	if _, err := s2.Solve(y2, mu2, th); err != nil {
		t.Fatal(err)
	}
	if maxDiff(y, y2) != 0 || maxDiff(mu, mu2) != 0 {
		t.Error("after Start, the solution depends on the solver's past")
	}
}

func TestMinNormWrongInput(t *testing.T) {
	rows := random(rand.New(rand.NewPCG(1, 1)), 3, 2)
	s, err := NewMinNorm(rows)
	if err != nil {
		t.Fatal(err)
	}
	y, mu := make([]float64, 2), make([]float64, 3)
	bad := map[string]error{
		"short y":       second(s.Solve(y[:1], mu, mu)),
		"NaN":           second(s.Solve(y, mu, []float64{1, math.NaN(), 1})),
		"+Inf":          second(s.Solve(y, mu, []float64{1, math.Inf(1), 1})),
		"zero diagonal": s.SetDiagonal([]float64{1, 0}),
		"NaN linear":    s.SetLinear([]float64{1, math.NaN()}),
		"long start":    s.Start(make([]float64, 4)),
	}
	rows.Data[3] = math.Inf(1)
	_, bad["infinite row"] = NewMinNorm(rows)
	_, bad["no rows"] = NewMinNorm(blas64.General{})
	for name, err := range bad {
		if !errors.Is(err, ErrInput) {
			t.Errorf("%s: error %v, want ErrInput", name, err)
		}
	}
}

func second(_ Result, err error) error { return err }

func TestMinNormAllocates(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	rows := random(rng, 200, 20)
	s, _ := NewMinNorm(rows)
	th := few(rng, rows)
	y, mu := make([]float64, 20), make([]float64, 200)
	if a := testing.AllocsPerRun(20, func() {
		th[0] += 1e-3
		if _, err := s.Solve(y, mu, th); err != nil {
			t.Fatal(err)
		}
		s.Reset()
		if _, err := s.Solve(y, mu, th); err != nil {
			t.Fatal(err)
		}
	}); a != 0 {
		t.Errorf("%v allocations per solve", a)
	}
}

func benchmarkMinNorm(b *testing.B, cold bool, generate func(*rand.Rand, blas64.General) []float64) {
	rows, _ := diabetes(b)
	rng := rand.New(rand.NewPCG(1, 2))
	s, err := NewMinNorm(rows)
	if err != nil {
		b.Fatal(err)
	}
	const cases = 8
	var th [cases][]float64
	for k := range th {
		if k == 0 || cold {
			th[k] = generate(rng, rows)
			continue
		}
		th[k] = append([]float64(nil), th[k-1]...)
		for i := range th[k] {
			th[k][i] += 0.05 * rng.NormFloat64()
		}
	}
	y, mu := make([]float64, rows.Cols), make([]float64, rows.Rows)
	steps, active := 0, 0
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		if cold {
			s.Reset()
		}
		res, err := s.Solve(y, mu, th[k%cases])
		if err != nil {
			b.Fatal(err)
		}
		steps += res.Steps
		active += support(mu)
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/op")
	b.ReportMetric(float64(active)/float64(b.N), "active/op")
}

func BenchmarkMinNormColdFew(b *testing.B) { benchmarkMinNorm(b, true, few) }
func BenchmarkMinNormWarmFew(b *testing.B) { benchmarkMinNorm(b, false, few) }
func BenchmarkMinNormColdDegenerate(b *testing.B) {
	benchmarkMinNorm(b, true, func(rng *rand.Rand, rows blas64.General) []float64 {
		th, _ := degenerate(rng, rows)
		return th
	})
}
