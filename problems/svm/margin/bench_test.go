package margin

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkMinNormWarmDegenerate raises every C of the relaxation's optimum by up to
// 1e-3: the single feasible point opens into a small polytope with some 300 facets,
// so that the active set changes throughout.
func BenchmarkMinNormWarmDegenerate(b *testing.B) {
	rows, validation := diabetes(b)
	relaxation, err := NewRelaxation(rows, validation, 1e-4)
	if err != nil {
		b.Fatal(err)
	}
	c, y := make([]float64, 500), make([]float64, 46)
	if _, err := relaxation.Solve(c, y); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	const cases = 8
	var th [cases][]float64
	for k := range th {
		th[k] = make([]float64, 500)
		for i := range c {
			th[k][i] = 1 - c[i] - 1e-3*rng.Float64()
		}
	}
	s, err := NewMinNorm(rows)
	if err != nil {
		b.Fatal(err)
	}
	mu, steps := make([]float64, 500), 0
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		res, err := s.Solve(y, mu, th[k%cases])
		if err != nil {
			b.Fatal(err)
		}
		steps += res.Steps
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/op")
}

// BenchmarkBloccOuterIteration is one outer iteration of BLOCC with exact inner
// solves: lower and penalised level at C, and the step of C.
func BenchmarkBloccOuterIteration(b *testing.B) {
	rows, validation := diabetes(b)
	lower, err := NewMinNorm(rows)
	if err != nil {
		b.Fatal(err)
	}
	penalised := newPenalised(b, rows, validation)
	relaxation, err := NewRelaxation(rows, validation, 1e-4)
	if err != nil {
		b.Fatal(err)
	}
	const gamma, eta = 12, 0.001
	rng := rand.New(rand.NewPCG(1, 2))
	start, c, th := make([]float64, 500), make([]float64, 500), make([]float64, 500)
	y, muG, muF := make([]float64, 46), make([]float64, 500), make([]float64, 500)
	// Between the optimum, where one point is feasible, and C >= 1, where the
	// lower level is trivial.
	if _, err := relaxation.Solve(start, y); err != nil {
		b.Fatal(err)
	}
	for i := range start {
		start[i] += 0.4 * rng.Float64()
	}
	activeG, activeF := 0, 0
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		if k%10 == 0 {
			copy(c, start)
		}
		for i, v := range c {
			th[i] = 1 - v
		}
		if _, err := lower.Solve(y, muG, th); err != nil {
			b.Fatal(err)
		}
		if _, err := penalised.Solve(y, muF, th, gamma); err != nil {
			b.Fatal(err)
		}
		for i := range c {
			c[i] = max(1e-4, c[i]-eta*(c[i]+gamma*(muG[i]-muF[i])))
		}
		activeG += support(muG)
		activeF += support(muF)
	}
	b.ReportMetric(float64(activeG)/float64(b.N), "lower-active/op")
	b.ReportMetric(float64(activeF)/float64(b.N), "penalised-active/op")
}
