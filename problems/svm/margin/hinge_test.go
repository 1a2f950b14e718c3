package margin

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
)

// gamWeights draws ridge (1 for w, 0 for b) and weights exp(U(-7, -6)).
func gamWeights(rng *rand.Rand, n, d int) (ridge, weight []float64) {
	ridge, weight = make([]float64, d), make([]float64, n)
	for j := range d - 1 {
		ridge[j] = 1
	}
	for i := range weight {
		weight[i] = math.Exp(-7 + rng.Float64())
	}
	return ridge, weight
}

func hingeGradient(rows blas64.General, y, ridge, weight []float64) float64 {
	g := make([]float64, len(y))
	for j, v := range y {
		g[j] = ridge[j] * v
	}
	for i := range rows.Rows {
		if xi := 1 - dot(row(rows, i), y); xi > 0 {
			blas64.Axpy(-weight[i]*xi, vector(row(rows, i)), vector(g))
		}
	}
	return maxAbs(g)
}

func TestSquaredHinge(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	for range 60 {
		n, d := 5+rng.IntN(150), 1+rng.IntN(12)
		rows := random(rng, n, d)
		s, err := NewSquaredHinge(rows)
		if err != nil {
			t.Fatal(err)
		}
		ridge, weight := gamWeights(rng, n, d)
		spread := math.Exp(8 * rng.Float64())
		for i := range weight {
			weight[i] = math.Exp(math.Log(spread) * rng.NormFloat64())
		}
		y, xi := make([]float64, d), make([]float64, n)
		for range 3 {
			res, err := s.Solve(y, xi, ridge, weight)
			if err != nil {
				t.Fatalf("n %d, d %d, spread %g: %v (%+v)", n, d, spread, err, res)
			}
			// The rounding of a margin, about 1e-15, is multiplied by the weight.
			if g := hingeGradient(rows, y, ridge, weight); g > 1e-11*(1+blas64.Dot(vector(weight), vector(xi)))+1e-14*blas64.Asum(vector(weight)) {
				t.Errorf("gradient %g, reported %g", g, res.KKT.Stationarity)
			}
			for i := range weight {
				weight[i] *= 1 + 0.1*rng.Float64()
			}
		}
	}
}

func TestSquaredHingeSensitivity(t *testing.T) {
	rng := rand.New(rand.NewPCG(43, 44))
	n, d := 80, 6
	rows := random(rng, n, d)
	s, err := NewSquaredHinge(rows)
	if err != nil {
		t.Fatal(err)
	}
	logs := make([]float64, d+n)
	for i := range logs {
		logs[i] = rng.NormFloat64()
	}
	ridge, weight, y, xi, q := make([]float64, d), make([]float64, n), make([]float64, d), make([]float64, n), make([]float64, d)
	for j := range q {
		q[j] = rng.NormFloat64()
	}
	value := func() float64 {
		for k, l := range logs {
			if k < d {
				ridge[k] = math.Exp(l)
			} else {
				weight[k-d] = math.Exp(l)
			}
		}
		if _, err := s.Solve(y, xi, ridge, weight); err != nil {
			t.Fatal(err)
		}
		return dot(q, y)
	}
	value()
	got := make([]float64, d+n)
	if err := s.Sensitivity(got[:d], got[d:], q); err != nil {
		t.Fatal(err)
	}
	const h = 1e-5
	for k := range logs {
		at := logs[k]
		logs[k] = at + h
		up := value()
		logs[k] = at - h
		down := value()
		logs[k] = at
		if want := (up - down) / (2 * h); math.Abs(got[k]-want) > 1e-8*(1+math.Abs(want)) {
			t.Errorf("derivative %d: %g, central difference %g", k, got[k], want)
		}
	}
}

func TestSquaredHingeWrongInput(t *testing.T) {
	s, err := NewSquaredHinge(random(rand.New(rand.NewPCG(1, 1)), 4, 2))
	if err != nil {
		t.Fatal(err)
	}
	y, xi := make([]float64, 2), make([]float64, 4)
	for name, err := range map[string]error{
		"negative ridge": second(s.Solve(y, xi, []float64{1, -1}, xi)),
		"infinite":       second(s.Solve(y, xi, []float64{1, 1}, []float64{1, 1, math.Inf(1), 0})),
		"short xi":       second(s.Solve(y, xi[:2], []float64{1, 1}, xi)),
		"too early":      s.SolveHessian(y),
		"NaN start":      s.Start([]float64{math.NaN(), 0}),
	} {
		if !errors.Is(err, ErrInput) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestSquaredHingeAllocates(t *testing.T) {
	rng := rand.New(rand.NewPCG(45, 46))
	rows := random(rng, 100, 8)
	s, err := NewSquaredHinge(rows)
	if err != nil {
		t.Fatal(err)
	}
	ridge, weight := gamWeights(rng, 100, 8)
	y, xi := make([]float64, 8), make([]float64, 100)
	if a := testing.AllocsPerRun(10, func() {
		weight[3] *= 1.1
		if _, err := s.Solve(y, xi, ridge, weight); err != nil {
			t.Fatal(err)
		}
		if err := s.Sensitivity(nil, xi, y); err != nil {
			t.Fatal(err)
		}
		s.Reset()
	}); a != 0 {
		t.Errorf("%v allocations per solve", a)
	}
}

func benchmarkHinge(b *testing.B, cold bool, raise float64) {
	rows, _ := diabetes(b)
	rng := rand.New(rand.NewPCG(1, 2))
	s, err := NewSquaredHinge(rows)
	if err != nil {
		b.Fatal(err)
	}
	y, xi := make([]float64, rows.Cols), make([]float64, rows.Rows)
	const cases = 8
	var w [cases][]float64
	var ridge []float64
	for k := range w {
		ridge, w[k] = gamWeights(rng, rows.Rows, rows.Cols)
		if k > 0 && !cold {
			copy(w[k], w[k-1])
			for i := range w[k] {
				w[k][i] *= math.Exp(0.05 * rng.NormFloat64())
			}
		} else {
			for i := range w[k] {
				w[k][i] *= math.Exp(raise)
			}
		}
	}
	steps, active := 0, 0
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		if cold {
			s.Reset()
		}
		res, err := s.Solve(y, xi, ridge, w[k%cases])
		if err != nil {
			b.Fatal(err)
		}
		steps += res.Steps
		active += support(xi)
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/op")
	b.ReportMetric(float64(active)/float64(b.N), "active/op")
}

func BenchmarkSquaredHingeCold(b *testing.B)     { benchmarkHinge(b, true, 0) }
func BenchmarkSquaredHingeWarm(b *testing.B)     { benchmarkHinge(b, false, 0) }
func BenchmarkSquaredHingeColdHard(b *testing.B) { benchmarkHinge(b, true, 7) }

func BenchmarkGram(b *testing.B) {
	rows, _ := diabetes(b)
	g := newGram(rows)
	ridge, w := gamWeights(rand.New(rand.NewPCG(1, 2)), rows.Rows, rows.Cols)
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			g.build(ridge, w)
		}
	})
	b.Run("factor", func(b *testing.B) {
		for b.Loop() {
			g.cholesky(0)
		}
	})
	m := dense(46, 46)
	b.Run("inverse", func(b *testing.B) {
		for b.Loop() {
			g.factor(m)
		}
	})
}
