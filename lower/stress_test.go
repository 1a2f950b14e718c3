package lower

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// convexProgram is a random convex problem with exponentials in F, convex
// quadratic inequalities (the origin is strictly inside), one equation through a
// feasible point, and the set y, whose objective is scaled by size. ridge makes F
// strongly convex.
func convexProgram(rng *rand.Rand, n, rows int, size, ridge float64, y set.Set) *Problem {
	const terms = 12
	a, lin := mat.NewDense(terms, n, normal(rng, terms*n)), mat.NewDense(rows, n, normal(rng, rows*n))
	curve, shift := make([]float64, rows), normal(rng, terms)
	for i := 1; i < rows; i++ {
		curve[i] = rng.Float64() * float64(i%2)
	}
	row := func(i int) []float64 { return lin.RawRowView(i) }
	return &Problem{N: n, Rows: rows, Equalities: 1, Y: y,
		Value: func(y []float64) float64 {
			v := ridge * floats.Dot(y, y) / 2
			for i := range terms {
				v += math.Exp(floats.Dot(a.RawRowView(i), y) + shift[i])
			}
			return size * v
		},
		Grad: func(dst, y []float64) {
			floats.ScaleTo(dst, size*ridge, y)
			for i := range terms {
				floats.AddScaled(dst, size*math.Exp(floats.Dot(a.RawRowView(i), y)+shift[i]), a.RawRowView(i))
			}
		},
		HessVec: func(dst, y, v []float64) {
			floats.ScaleTo(dst, size*ridge, v)
			for i := range terms {
				r := a.RawRowView(i)
				floats.AddScaled(dst, size*math.Exp(floats.Dot(r, y)+shift[i])*floats.Dot(r, v), r)
			}
		},
		Constraint: func(dst, y []float64) {
			for i := range dst {
				dst[i] = floats.Dot(row(i), y) + curve[i]*floats.Dot(y, y)/2
				if i > 0 {
					dst[i] -= 0.3
				}
			}
		},
		Jac: func(dst, y, v []float64) {
			for i := range dst {
				dst[i] = floats.Dot(row(i), v) + curve[i]*floats.Dot(y, v)
			}
		},
		JacT: func(dst, y, mu []float64) {
			floats.ScaleTo(dst, floats.Dot(curve, mu), y)
			for i, m := range mu {
				floats.AddScaled(dst, m, row(i))
			}
		},
		CurveVec: func(dst, _, mu, v []float64) { floats.ScaleTo(dst, floats.Dot(curve, mu), v) },
	}
}

// TestConvexPrograms: smooth nonlinear problems on every described set, from near
// and far starts, with objectives of sizes 1e-4 to 1e4.
func TestConvexPrograms(t *testing.T) {
	rng := rand.New(rand.NewPCG(43, 1))
	in := mustSet(t)
	const n = 9
	third := func() set.Set {
		return in(set.Product(in(set.Interval(3, -0.5, 0.5)), in(set.Ball([]float64{0, 0, 0.2}, 0.4)), in(set.Halfspaces(mat.NewDense(2, 3, []float64{1, 1, 0, 0, 1, -1}), []float64{0.5, 0.1}))))
	}
	plane := in(set.Affine(mat.NewDense(1, n, constant(n, 1)), []float64{0}))
	for try := range 60 {
		var y set.Set
		switch try % 3 {
		case 1:
			y = third()
		case 2:
			y = plane
		}
		size := math.Pow(10, float64(try%5-2)*2)
		p := convexProgram(rng, n, 4+rng.IntN(12), size, 0.1, y)
		for _, scale := range []float64{0, 0.1, 3} {
			at, mu := normal(rng, n), normal(rng, p.Rows)
			floats.Scale(scale, at)
			tolerance := 1e-10 * math.Max(1, size)
			info, err := (&InteriorPoint{}).Solve(p, at, mu, tolerance, nil)
			if err != nil || !info.Converged {
				t.Errorf("%d, start %g, size %g, set %v: %v %+v", try, scale, size, y, err, info)
			}
		}
	}
}

// TestAgreement: solvers that share no code find the same point.
func TestAgreement(t *testing.T) {
	rng := rand.New(rand.NewPCG(47, 1))
	in := mustSet(t)
	for try := range 5 {
		p := convexProgram(rng, 5, 4, 1, 1, in(set.Interval(5, -1, 0.2)))
		a, b := make([]float64, 5), make([]float64, 5)
		am, bm := make([]float64, p.Rows), make([]float64, p.Rows)
		if _, err := (&InteriorPoint{}).Solve(p, a, am, 1e-10, nil); err != nil {
			t.Fatal(err)
		}
		info, err := (&MaxMin{}).Solve(p, b, bm, 1e-8, nil)
		if err != nil || !info.Converged {
			t.Fatal(err, info)
		}
		if d := floats.Distance(a, b, 2); d > 1e-7 {
			t.Errorf("%d: InteriorPoint and MaxMin are %g apart", try, d)
		}
	}
}

// TestNoisyDerivatives: with gradients from differences, known to nine digits,
// a solve ends near the solution, without an error and without claiming more.
func TestNoisyDerivatives(t *testing.T) {
	rng := rand.New(rand.NewPCG(53, 1))
	box := mustSet(t)(set.Interval(6, -1, 1))
	for try := range 20 {
		for _, p := range []*Problem{convexProgram(rng, 6, 5, 1, 0.1, box), logistic(6, 30)} {
			exact, grad := *p, p.Grad
			p.Grad = func(dst, y []float64) {
				grad(dst, y)
				for i := range dst {
					dst[i] *= 1 + 1e-9*math.Sin(1e9*y[i])
				}
			}
			p.HessVec = func(dst, y, v []float64) {
				up, down := make([]float64, p.N), make([]float64, p.N)
				h := 1e-4 / floats.Norm(v, 2)
				floats.AddScaledTo(up, y, h, v)
				floats.AddScaledTo(down, y, -h, v)
				hi, lo := make([]float64, p.N), make([]float64, p.N)
				p.Grad(hi, up)
				p.Grad(lo, down)
				floats.SubTo(dst, hi, lo)
				floats.Scale(1/(2*h), dst)
			}
			for _, s := range []Solver{New(p), &MaxMin{}} {
				y, mu := make([]float64, p.N), make([]float64, p.Rows)
				info, err := s.Solve(p, y, mu, 1e-12, nil)
				var meter Meter
				if r := meter.Measure(&exact, y, mu); err != nil || r.Max() > 2e-6 || info.Converged && info.Max() > 1e-12 {
					t.Errorf("%d: %T: %v, claims %+v, exactly measured %+v", try, s, err, info, r)
				}
			}
		}
	}
}
