package margin

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
)

// A point p of a convex set is the projection of q exactly if (q - p).(x - p) <= 0
// for every x in the set. For a polyhedron A x >= b that is: q - p = -A' l with
// l >= 0 and l (A p - b) = 0. The reference solves the same problem as a program in all
// variables, by the dual active-set method.
func referenceProjection(t *testing.T, rows blas64.General, floor float64, y, xi, c []float64) []float64 {
	t.Helper()
	n, d := rows.Rows, rows.Cols
	width := d + n
	if xi != nil {
		width += n
	}
	count := 2 * n
	if xi != nil {
		count += n
	}
	a, th := dense(count, width), make([]float64, count)
	point := append([]float64(nil), y...)
	if xi != nil {
		point = append(point, xi...)
	}
	point = append(point, c...)
	for i := range n {
		margin, bound := row(a, i), row(a, n+i)
		copy(margin, row(rows, i))
		margin[d+i], th[i] = 1, 1 // xi_i, or C_i where there is no xi
		bound[width-n+i], th[n+i] = 1, floor
		if xi != nil {
			below := row(a, 2*n+i)
			below[d+i], below[d+n+i] = -1, 1
		}
	}
	s, err := NewMinNorm(a)
	if err != nil {
		t.Fatal(err)
	}
	minus := make([]float64, width)
	for j, v := range point {
		minus[j] = -v
	}
	if err := s.SetLinear(minus); err != nil {
		t.Fatal(err)
	}
	mu := make([]float64, count)
	if _, err := s.Solve(point, mu, th); err != nil {
		t.Fatalf("reference: %v", err)
	}
	return point
}

func TestJointProjection(t *testing.T) {
	rng := rand.New(rand.NewPCG(51, 52))
	onKink := 0
	for k := range 150 {
		n, d := 1+rng.IntN(25), 1+rng.IntN(5)
		rows := random(rng, n, d)
		floor := []float64{math.Inf(-1), 1e-4, 0.5, 2}[k%4]
		s, err := NewJointProjection(rows, floor)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			y, xi, c := make([]float64, d), make([]float64, n), make([]float64, n)
			for j := range y {
				y[j] = 2 * rng.NormFloat64()
			}
			for i := range c {
				xi[i], c[i] = 2*rng.NormFloat64(), 2*rng.NormFloat64()
			}
			want := referenceProjection(t, rows, floor, y, xi, c)
			wantMargin := referenceProjection(t, rows, floor, y, nil, c)
			y2, c2 := append([]float64(nil), y...), append([]float64(nil), c...)
			point := append(append(append([]float64(nil), y...), xi...), c...)
			res, err := s.Project(y, xi, c)
			if err != nil {
				t.Fatalf("case %d, n %d, d %d, floor %g: %v (%+v)", k, n, d, floor, err, res)
			}
			got := append(append(append([]float64(nil), y...), xi...), c...)
			if diff := maxDiff(got, want); diff > 1e-10 {
				t.Errorf("case %d: projection off by %g (%+v)", k, diff, res)
			}
			blas64.Axpy(-1, vector(got), vector(point))
			if half := 0.5 * dot(point, point); math.Abs(res.Value-half) > 1e-12*(1+half) {
				t.Errorf("case %d: value %g, half the squared distance %g", k, res.Value, half)
			}
			res, err = s.ProjectMargin(y2, c2)
			if err != nil {
				t.Fatalf("case %d, margin: %v (%+v)", k, err, res)
			}
			if diff := maxDiff(append(y2, c2...), wantMargin); diff > 1e-10 {
				t.Errorf("case %d, margin: projection off by %g (%+v)", k, diff, res)
			}
			for i, l := range s.loss.lambda {
				if l > 0 && l < s.loss.jump[i] {
					onKink++
				}
			}
		}
	}
	if onKink < 20 {
		t.Errorf("only %d rows ended on a kink: the test is too easy", onKink)
	}
}

func TestJointProjectionDiabetes(t *testing.T) {
	rows, _ := diabetes(t)
	rng := rand.New(rand.NewPCG(53, 54))
	s, err := NewJointProjection(rows, 1e-4)
	if err != nil {
		t.Fatal(err)
	}
	y, xi, c := make([]float64, 46), make([]float64, 500), make([]float64, 500)
	for j := range y {
		y[j] = 1
	}
	y[45] = 0
	for i := range c {
		xi[i], c[i] = 1, 1+4*rng.Float64()
	}
	for range 5 {
		for i := range c {
			c[i] -= 0.5 * rng.Float64()
			xi[i] -= 0.1 * rng.NormFloat64()
		}
		res, err := s.Project(y, xi, c)
		if err != nil {
			t.Fatalf("%v (%+v)", err, res)
		}
		for i := range c {
			if low := math.Min(dot(row(rows, i), y)+xi[i]-1, math.Min(c[i]-xi[i], c[i]-1e-4)); low < -1e-13 {
				t.Fatalf("row %d is violated by %g", i, -low)
			}
		}
		// The projection of a projection is itself.
		y2, xi2, c2 := append([]float64(nil), y...), append([]float64(nil), xi...), append([]float64(nil), c...)
		if _, err := s.Project(y2, xi2, c2); err != nil {
			t.Fatal(err)
		}
		if diff := maxDiff(y, y2) + maxDiff(xi, xi2) + maxDiff(c, c2); diff > 1e-12 {
			t.Errorf("projecting again moves the point by %g", diff)
		}
	}
}

func TestJointProjectionWrongInput(t *testing.T) {
	rows := random(rand.New(rand.NewPCG(1, 1)), 4, 2)
	s, err := NewJointProjection(rows, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, nanFloor := NewJointProjection(rows, math.NaN())
	y, v := make([]float64, 2), make([]float64, 4)
	for name, err := range map[string]error{
		"NaN floor": nanFloor,
		"short y":   second(s.Project(y[:1], v, v)),
		"short xi":  second(s.Project(y, v[:3], v)),
		"NaN c":     second(s.ProjectMargin(y, []float64{1, 2, math.NaN(), 4})),
	} {
		if !errors.Is(err, ErrInput) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestJointProjectionAllocates(t *testing.T) {
	rng := rand.New(rand.NewPCG(55, 56))
	rows := random(rng, 100, 8)
	s, err := NewJointProjection(rows, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	y, xi, c := make([]float64, 8), make([]float64, 100), make([]float64, 100)
	if a := testing.AllocsPerRun(10, func() {
		for i := range c {
			xi[i], c[i] = rng.NormFloat64(), rng.NormFloat64()
		}
		if _, err := s.Project(y, xi, c); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ProjectMargin(y, c); err != nil {
			t.Fatal(err)
		}
	}); a != 0 {
		t.Errorf("%v allocations per projection", a)
	}
}

func BenchmarkJointProjection(b *testing.B) {
	rows, _ := diabetes(b)
	rng := rand.New(rand.NewPCG(57, 58))
	s, err := NewJointProjection(rows, 1e-4)
	if err != nil {
		b.Fatal(err)
	}
	y, xi, c := make([]float64, 46), make([]float64, 500), make([]float64, 500)
	y0, xi0, c0 := make([]float64, 46), make([]float64, 500), make([]float64, 500)
	for j := range y {
		y0[j] = rng.NormFloat64()
	}
	for i := range c {
		xi0[i], c0[i] = rng.Float64(), 2*rng.Float64()
	}
	steps := 0
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		copy(y, y0)
		copy(xi, xi0)
		copy(c, c0)
		y[k%46] += 1e-2
		res, err := s.Project(y, xi, c)
		if err != nil {
			b.Fatal(err)
		}
		steps += res.Steps
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/op")
}
