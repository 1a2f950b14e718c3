package margin

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
)

func newPenalised(tb testing.TB, rows, validation blas64.General) *Penalised {
	tb.Helper()
	s, err := NewPenalised(rows, validation)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestPenalisedDiabetes(t *testing.T) {
	rows, validation := diabetes(t)
	rng := rand.New(rand.NewPCG(11, 12))
	s := newPenalised(t, rows, validation)
	y, mu := make([]float64, rows.Cols), make([]float64, rows.Rows)
	for _, gamma := range []float64{1e-4, 0.01, 1, 12, 15, 1e3, 1e8} {
		for k := range 4 {
			th := make([]float64, rows.Rows)
			switch k {
			case 0: // C uniform on (1, 5)
				for i := range th {
					th[i] = -4 * rng.Float64()
				}
			case 1:
				th = few(rng, rows)
			case 2:
				th, _ = degenerate(rng, rows)
			case 3: // no constraint at all
				for i := range th {
					th[i] = math.Inf(-1)
				}
			}
			s.Reset()
			res, err := s.Solve(y, mu, th, gamma)
			if err != nil {
				t.Errorf("gamma %g, case %d: %v (%+v)", gamma, k, err, res)
				continue
			}
			cold := append([]float64(nil), y...)
			if own := stationarity(rows, validation, y, mu, gamma); own > 1e-10*s.scale(100) {
				t.Errorf("gamma %g, case %d: stationarity %g where the solver reports %g", gamma, k, own, res.KKT.Stationarity)
			}
			if k == 2 {
				continue // one feasible point: nothing to move to
			}
			before := append([]float64(nil), th...)
			for i := range th {
				th[i] -= 1e-2 * rng.Float64()
			}
			if _, err = s.Solve(y, mu, th, gamma); err != nil {
				t.Errorf("gamma %g, case %d, warm: %v", gamma, k, err)
			}
			moved := append([]float64(nil), y...)
			copy(th, before)
			if _, err = s.Solve(y, mu, th, gamma); err != nil {
				t.Errorf("gamma %g, case %d, back: %v", gamma, k, err)
			}
			// The objective is strongly convex with constant 1, so that the
			// residual bounds the distance to the solution.
			if diff := maxDiff(y, cold); diff > 1e-9+50*res.KKT.Max() {
				t.Errorf("gamma %g, case %d: %g between a cold start and one at a distance %g", gamma, k, diff, maxDiff(cold, moved))
			}
		}
	}
}

// stationarity is |y - 1/gamma sum_j exp(1 - v_j.y) v_j - rows' mu|.
func stationarity(rows, validation blas64.General, y, mu []float64, gamma float64) float64 {
	g := append([]float64(nil), y...)
	for j := range validation.Rows {
		v := row(validation, j)
		blas64.Axpy(-math.Exp(1-dot(v, y))/gamma, vector(v), vector(g))
	}
	for i, m := range mu {
		blas64.Axpy(-m, vector(row(rows, i)), vector(g))
	}
	return maxAbs(g)
}

// The penalised solution is the lower solution as gamma grows.
func TestPenalisedTendsToMinNorm(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	rows, validation := random(rng, 60, 6), random(rng, 20, 6)
	th := few(rng, rows)
	lower, err := NewMinNorm(rows)
	if err != nil {
		t.Fatal(err)
	}
	yg, yf, mu := make([]float64, 6), make([]float64, 6), make([]float64, 60)
	if _, err := lower.Solve(yg, mu, th); err != nil {
		t.Fatal(err)
	}
	s := newPenalised(t, rows, validation)
	for _, gamma := range []float64{1e3, 1e5, 1e7} {
		if _, err := s.Solve(yf, mu, th, gamma); err != nil {
			t.Fatal(err)
		}
		if diff := maxDiff(yg, yf) * gamma; diff > 2000 {
			t.Errorf("gamma |y_gamma - y_g| = %g at gamma %g", diff, gamma)
		}
	}
}

func TestPenalisedStartAndAllocations(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	rows, validation := random(rng, 100, 10), random(rng, 40, 10)
	th := few(rng, rows)
	s := newPenalised(t, rows, validation)
	y, mu := make([]float64, 10), make([]float64, 100)
	if _, err := s.Solve(y, mu, th, 5); err != nil {
		t.Fatal(err)
	}
	y0, mu0 := append([]float64(nil), y...), append([]float64(nil), mu...)
	th[3] += 0.1
	if a := testing.AllocsPerRun(10, func() {
		th[0] += 1e-3
		if _, err := s.Solve(y, mu, th, 5); err != nil {
			t.Fatal(err)
		}
		s.Reset()
		if _, err := s.Solve(y, mu, th, 7); err != nil {
			t.Fatal(err)
		}
	}); a != 0 {
		t.Errorf("%v allocations per pair of solves", a)
	}
	if err := s.Start(y0, mu0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Solve(y, mu, th, 5); err != nil {
		t.Fatal(err)
	}
	other := newPenalised(t, rows, validation)
	if err := other.Start(y0, mu0); err != nil {
		t.Fatal(err)
	}
	y2, mu2 := make([]float64, 10), make([]float64, 100)
	if _, err := other.Solve(y2, mu2, th, 5); err != nil {
		t.Fatal(err)
	}
	if maxDiff(y, y2) != 0 || maxDiff(mu, mu2) != 0 {
		t.Error("after Start, the solution depends on the solver's past")
	}
}

func TestPenalisedInfeasible(t *testing.T) {
	rows := blas64.General{Rows: 2, Cols: 1, Stride: 1, Data: []float64{1, -1}}
	s := newPenalised(t, rows, rows)
	var none *InfeasibleError
	_, err := s.Solve(make([]float64, 1), make([]float64, 2), []float64{1, 0}, 1)
	if !errors.As(err, &none) {
		t.Fatalf("error %v", err)
	}
	checkFarkas(t, none, rows, []float64{1, 0})
}

func benchmarkPenalised(b *testing.B, cold bool) {
	rows, validation := diabetes(b)
	rng := rand.New(rand.NewPCG(1, 2))
	s := newPenalised(b, rows, validation)
	const cases = 8
	var th [cases][]float64
	for k := range th {
		if k == 0 || cold {
			th[k] = make([]float64, rows.Rows)
			for i := range th[k] {
				th[k][i] = -4 * rng.Float64()
			}
			continue
		}
		th[k] = append([]float64(nil), th[k-1]...)
		for i := range th[k] {
			th[k][i] += 1e-2 * rng.NormFloat64()
		}
	}
	y, mu := make([]float64, rows.Cols), make([]float64, rows.Rows)
	steps, active := 0, 0
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		if cold {
			s.Reset()
		}
		res, err := s.Solve(y, mu, th[k%cases], 12)
		if err != nil {
			b.Fatal(err)
		}
		steps += res.Steps
		active += support(mu)
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/op")
	b.ReportMetric(float64(active)/float64(b.N), "active/op")
}

func BenchmarkPenalisedCold(b *testing.B) { benchmarkPenalised(b, true) }
func BenchmarkPenalisedWarm(b *testing.B) { benchmarkPenalised(b, false) }
