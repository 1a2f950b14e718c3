package set

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

func must(t testing.TB, s Set, err error) Set {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func random(rng *rand.Rand, n int, scale float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = scale * rng.NormFloat64()
	}
	return v
}

// table returns one set of every kind.
func table(t testing.TB) []Set {
	rng := rand.New(rand.NewPCG(3, 5))
	inf := math.Inf(1)
	box, err := Box([]float64{-1, 0, -inf, 2, -inf}, []float64{1, inf, 0.5, 2, inf})
	box = must(t, box, err)
	interval, err := Interval(4, -0.5, 0.25)
	interval = must(t, interval, err)
	least, err := AtLeast(3, 1e-4)
	least = must(t, least, err)
	ball, err := Ball([]float64{1, -2, 0.5}, 0.7)
	ball = must(t, ball, err)
	simplex, err := Simplex(6, 1.5)
	simplex = must(t, simplex, err)
	one, err := Simplex(1, 2)
	one = must(t, one, err)
	a := mat.NewDense(3, 5, random(rng, 15, 1))
	affine, err := Affine(a, []float64{1, -1, 0.3})
	affine = must(t, affine, err)
	// The third equation is the sum of the first two.
	dependent := mat.NewDense(3, 4, []float64{1, 2, 0, -1, 0, 1, 1, 1, 1, 3, 1, 0})
	degenerate, err := Affine(dependent, []float64{1, 2, 3})
	degenerate = must(t, degenerate, err)
	half, err := Halfspace([]float64{3, -4, 0, 1}, -2)
	half = must(t, half, err)
	b := make([]float64, 12)
	for i := range b {
		b[i] = rng.Float64()
	}
	polytope, err := Halfspaces(mat.NewDense(12, 5, random(rng, 60, 1)), b)
	polytope = must(t, polytope, err)
	// A square given by eight rows, four of them redundant at its corners.
	square, err := Halfspaces(mat.NewDense(8, 2, []float64{1, 0, -1, 0, 0, 1, 0, -1, 1, 1, -1, -1, 1, -1, -1, 1}), []float64{1, 1, 1, 1, 2, 2, 2, 2})
	square = must(t, square, err)
	// The line y1 = y2 as two opposite halfspaces, cut by a third.
	line, err := Halfspaces(mat.NewDense(3, 3, []float64{1, -1, 0, -1, 1, 0, 0, 0, 1}), []float64{0, 0, 1})
	line = must(t, line, err)
	product, err := Product(box, simplex, Whole(2), ball, half)
	product = must(t, product, err)
	disk, err := Func(2, func(dst, x []float64) {
		s := math.Max(1, math.Hypot(x[0], x[1]))
		dst[0], dst[1] = x[0]/s, x[1]/s
	}, "unit disk")
	disk = must(t, disk, err)
	mixed, err := Product(disk, interval)
	mixed = must(t, mixed, err)
	return []Set{Whole(3), NonNegative(4), box, interval, least, ball, simplex, one, affine, degenerate, half, polytope, square, line, product, disk, mixed}
}

// TestProjection checks what defines the projection on a closed convex set: the
// variational inequality <x - Px, z - Px> <= 0 for every z in the set, and with
// it idempotence and nonexpansiveness.
func TestProjection(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range table(t) {
		n := s.Dim()
		px, pz, again := make([]float64, n), make([]float64, n), make([]float64, n)
		for range 400 {
			x, z := random(rng, n, 3), random(rng, n, 3)
			s.Project(px, x)
			s.Project(pz, z)
			s.Project(again, px)
			if d := floats.Distance(px, again, 2); d > 1e-13*(1+floats.Norm(px, 2)) {
				t.Fatalf("%v: projection moves a projected point by %g", s, d)
			}
			if d, e := floats.Distance(px, pz, 2), floats.Distance(x, z, 2); d > e*(1+1e-12) {
				t.Fatalf("%v: expansive: %g > %g", s, d, e)
			}
			v := 0.0
			for i := range px {
				v += (x[i] - px[i]) * (pz[i] - px[i])
			}
			if v > 1e-11 {
				t.Fatalf("%v: <x - Px, z - Px> = %g > 0", s, v)
			}
			copy(again, x)
			s.Project(again, again)
			if !floats.Equal(again, px) {
				t.Fatalf("%v: projection in place differs", s)
			}
		}
	}
}

// TestProjectDeriv compares the derivative with central differences and checks
// that it is symmetric and between 0 and the identity.
func TestProjectDeriv(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	for _, s := range table(t) {
		d, ok := s.(Differentiable)
		if !ok {
			t.Fatalf("%v is not Differentiable", s)
		}
		n, compared := s.Dim(), 0
		du, dv, up, down := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for range 300 {
			x, u, v := random(rng, n, 3), random(rng, n, 1), random(rng, n, 1)
			d.ProjectDeriv(du, x, u)
			smooth := d.ProjectDeriv(dv, x, v)
			uv, vv := floats.Dot(u, dv), floats.Dot(v, dv)
			const h = 1e-6
			floats.AddScaledTo(up, x, h, v)
			floats.AddScaledTo(down, x, -h, v)
			s.Project(up, up)
			s.Project(down, down)
			// A kink within h of x shows as a difference of one-sided slopes.
			s.Project(x, x)
			kink := 0.0
			for i := range x {
				kink = math.Max(kink, math.Abs(up[i]-2*x[i]+down[i])/h)
			}
			if !smooth || kink > 1e-3 {
				continue
			}
			compared++
			if a := floats.Dot(v, du); math.Abs(a-uv) > 1e-6*floats.Norm(u, 2)*floats.Norm(v, 2) {
				t.Fatalf("%v: derivative is not symmetric: %g and %g", s, a, uv)
			}
			if size := floats.Dot(v, v); vv < -1e-6*size || vv > (1+1e-6)*size {
				t.Fatalf("%v: <v, DP v> = %g with |v|^2 = %g", s, vv, size)
			}
			for i := range dv {
				if diff := (up[i] - down[i]) / (2 * h); math.Abs(diff-dv[i]) > 1e-6*math.Max(1, floats.Norm(v, 2)) {
					t.Fatalf("%v: derivative component %d is %g, differences give %g", s, i, dv[i], diff)
				}
			}
		}
		if compared < 100 {
			t.Errorf("%v: only %d of 300 points were smooth enough to compare", s, compared)
		}
	}
}

// TestKinks: points on the boundary are reported as not differentiable.
func TestKinks(t *testing.T) {
	sets := table(t)
	for _, c := range []struct {
		set int
		x   []float64
	}{
		{1, []float64{1, 0, 2, -1}},
		{2, []float64{1, 1, 0, 2, 3}},
		{5, []float64{1.7, -2, 0.5}},
		{6, []float64{1, 1, 0.25, 0, 0, -1}}, // threshold 0.25
		{10, []float64{0, 0.5, 7, 0}},
		{12, []float64{1, 0}},
		{15, []float64{0.6, 0.8}},
	} {
		s := sets[c.set].(Differentiable)
		if s.ProjectDeriv(make([]float64, s.Dim()), c.x, fill(s.Dim(), 1)) {
			t.Errorf("%v: reported differentiable at the kink %v", s, c.x)
		}
	}
}

// TestDescription: a point is in the set if and only if the description says so.
func TestDescription(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for _, s := range table(t) {
		d := Describe(s, s.Dim())
		if d == nil {
			if name := s.String(); !strings.Contains(name, "disk") {
				t.Errorf("%s has no description", name)
			}
			continue
		}
		p := make([]float64, s.Dim())
		for range 200 {
			x := random(rng, s.Dim(), 2)
			s.Project(p, x)
			if v := violation(d, p); v > 1e-13 {
				t.Fatalf("%v: the description puts a projected point outside by %g", s, v)
			}
			if moved, v := floats.Distance(x, p, 2), violation(d, x); (moved > 1e-12) != (v > 1e-13) {
				t.Fatalf("%v: projection moves %v by %g, the description puts it outside by %g", s, x, moved, v)
			}
		}
	}
	if d := Describe(nil, 2); d == nil || violation(d, []float64{1e9, -1e9}) > 0 {
		t.Error("nil is not described as the whole space")
	}
}

func violation(d *Description, y []float64) float64 {
	v := 0.0
	for i, c := range y {
		v = math.Max(v, math.Max(d.Lo[i]-c, c-d.Hi[i]))
	}
	excess := func(r Row) float64 {
		sum, size := -r.Bound, 0.0
		for k, j := range r.Index {
			sum += r.Coef[k] * y[j]
			size += r.Coef[k] * r.Coef[k]
		}
		return sum / math.Sqrt(size)
	}
	for _, r := range d.Equal {
		v = math.Max(v, math.Abs(excess(r)))
	}
	for _, r := range d.Below {
		v = math.Max(v, excess(r))
	}
	for _, b := range d.Balls {
		v = math.Max(v, floats.Distance(y[b.First:b.First+len(b.Center)], b.Center, 2)-b.Radius)
	}
	return v
}

// TestKnown holds projections that can be done by hand.
func TestKnown(t *testing.T) {
	sets := table(t)
	for _, c := range []struct {
		set     int
		x, want []float64
	}{
		{2, []float64{5, -1, 3, 0, 9}, []float64{1, 0, 0.5, 2, 9}},
		{6, []float64{1e9, 0, 0, 0, 0, 0}, []float64{1.5, 0, 0, 0, 0, 0}},
		{6, []float64{0, 0, 0, 0, 0, 0}, []float64{0.25, 0.25, 0.25, 0.25, 0.25, 0.25}},
		{7, []float64{-4}, []float64{2}},
		{12, []float64{5, 5}, []float64{1, 1}},
		{12, []float64{5, 0.25}, []float64{1, 0.25}},
		{13, []float64{2, 0, 3}, []float64{1, 1, 1}},
	} {
		got := make([]float64, len(c.x))
		sets[c.set].Project(got, c.x)
		if !floats.EqualApprox(got, c.want, 1e-14) {
			t.Errorf("%v: projection of %v is %v, want %v", sets[c.set], c.x, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	two := mat.NewDense(2, 2, []float64{1, 1, 2, 2})
	for _, c := range []struct {
		make func() (Set, error)
		want string
	}{
		{func() (Set, error) { return Box([]float64{0}, []float64{1, 2}) }, "len(hi) = 2"},
		{func() (Set, error) { return Box([]float64{0, 3}, []float64{1, 2}) }, "[lo[1], hi[1]] = [3, 2]"},
		{func() (Set, error) { return Box([]float64{nan}, []float64{1}) }, "lo <= hi"},
		{func() (Set, error) { return Box([]float64{inf}, []float64{inf}) }, "lo < +Inf"},
		{func() (Set, error) { return Interval(-1, 0, 1) }, "n = -1"},
		{func() (Set, error) { return AtLeast(2, nan) }, "lo <= hi"},
		{func() (Set, error) { return Ball([]float64{0, nan}, 1) }, "center[1] = NaN"},
		{func() (Set, error) { return Ball([]float64{0}, -1) }, "radius = -1"},
		{func() (Set, error) { return Simplex(0, 1) }, "n = 0"},
		{func() (Set, error) { return Simplex(2, 0) }, "total = 0"},
		{func() (Set, error) { return Affine(nil, nil) }, "a = <nil>"},
		{func() (Set, error) { return Affine(two, []float64{1}) }, "len(b) = 1"},
		{func() (Set, error) { return Affine(two, []float64{1, nan}) }, "b[1] = NaN"},
		{func() (Set, error) { return Affine(mat.NewDense(1, 2, []float64{1, inf}), []float64{1}) }, "a[0,1] = +Inf"},
		{func() (Set, error) { return Affine(two, []float64{1, 3}) }, "contradict"},
		{func() (Set, error) { return Halfspace([]float64{0, 0}, 1) }, "not zero"},
		{func() (Set, error) { return Halfspace([]float64{1}, nan) }, "b = NaN"},
		{func() (Set, error) { return Halfspaces(mat.NewDense(2, 1, []float64{1, 0}), []float64{1, 1}) }, "row 1 of a"},
		{func() (Set, error) { return Halfspaces(mat.NewDense(2, 1, []float64{1, -1}), []float64{-1, -1}) }, "non-empty"},
		{func() (Set, error) {
			return Halfspaces(mat.NewDense(3, 2, []float64{-1, 0, 0, -1, 1, 1}), []float64{0, 0, -1e-6})
		}, "non-empty"},
		{func() (Set, error) { return Product(Whole(1), nil) }, "sets[1] = <nil>"},
		{func() (Set, error) { return Product(Whole(-1)) }, "sets[0].Dim() = -1"},
		{func() (Set, error) { return Func(1, nil, "") }, "project = <nil>"},
		{func() (Set, error) { return Func(-1, func(_, _ []float64) {}, "") }, "dim = -1"},
		{func() (Set, error) { return Func(1, func(dst, x []float64) { dst[0] = x[0] + 1 }, "") }, "moves no point"},
	} {
		s, err := c.make()
		var e *Error
		if s != nil || !errors.As(err, &e) || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, %v; want an *Error with %q", s, err, c.want)
		}
	}
}

func TestIsWhole(t *testing.T) {
	both, err := Product(Whole(1), Whole(2))
	half, err2 := Product(Whole(1), NonNegative(2))
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if !IsWhole(nil) || !IsWhole(Whole(2)) || !IsWhole(both) || IsWhole(half) || IsWhole(NonNegative(1)) {
		t.Error("IsWhole is wrong")
	}
}

func TestAllocations(t *testing.T) {
	for _, s := range table(t) {
		n := s.Dim()
		rng := rand.New(rand.NewPCG(7, 1))
		x, v, dst := random(rng, n, 3), random(rng, n, 1), make([]float64, n)
		d := s.(Differentiable)
		s.Project(dst, x)
		d.ProjectDeriv(dst, x, v)
		if a := testing.AllocsPerRun(20, func() { s.Project(dst, x); d.ProjectDeriv(dst, x, v) }); a != 0 {
			t.Errorf("%v: %v allocations per projection and derivative", s, a)
		}
	}
}

// TestLargePolytope exercises rows that leave the active set again and normals
// that depend on each other.
func TestLargePolytope(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 1))
	const m, n = 120, 20
	a := mat.NewDense(m, n, random(rng, m*n, 1))
	for i := m / 2; i < m; i++ { // repeated rows
		a.SetRow(i, mat.Row(nil, i-m/2, a))
	}
	b := fill(m, 0.5)
	s, err := Halfspaces(a, b)
	if err != nil {
		t.Fatal(err)
	}
	p, q := make([]float64, n), make([]float64, n)
	for range 50 {
		x, z := random(rng, n, 10), random(rng, n, 1)
		s.Project(p, x)
		if v := violation(s.(Described).Describe(), p); v > 1e-12 {
			t.Fatalf("projection violates a row by %g", v)
		}
		s.Project(q, z)
		v := 0.0
		for i := range p {
			v += (x[i] - p[i]) * (q[i] - p[i])
		}
		if v > 1e-10 {
			t.Fatalf("<x - Px, z - Px> = %g > 0", v)
		}
	}
}

func BenchmarkProject(b *testing.B) {
	rng := rand.New(rand.NewPCG(13, 1))
	rows, n := 200, 50
	rhs := fill(rows, 1)
	poly, err := Halfspaces(mat.NewDense(rows, n, random(rng, rows*n, 1)), rhs)
	if err != nil {
		b.Fatal(err)
	}
	simplex, err := Simplex(1000, 1)
	if err != nil {
		b.Fatal(err)
	}
	affine, err := Affine(mat.NewDense(20, 200, random(rng, 4000, 1)), fill(20, 1))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		s    Set
	}{{"halfspaces-200x50", poly}, {"simplex-1000", simplex}, {"affine-20x200", affine}} {
		b.Run(c.name, func(b *testing.B) {
			x, dst := random(rng, c.s.Dim(), 1), make([]float64, c.s.Dim())
			b.ReportAllocs()
			for b.Loop() {
				c.s.Project(dst, x)
			}
		})
	}
}
