package certify

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// answered is a random bilevel problem with a known answer: a strongly convex
// quadratic g, affine h with some rows strictly active and the others inactive,
// and f = |x-a|²/2 + |y-b|²/2 whose a makes x stationary. On the smooth piece of
// x the lower solution is affine, so phi is strictly convex there and x a strict
// local minimum.
type answered struct {
	p        *bilevel.Problem
	x, y, mu []float64
	active   int
}

// newAnswered solves the sensitivity system by one LU factorisation of the KKT
// matrix, a computation that the certificate does not share.
func newAnswered(rng *rand.Rand) answered {
	nx, ny := 1+rng.IntN(4), 2+rng.IntN(5)
	active, rows := rng.IntN(ny), 0
	rows = active + 1 + rng.IntN(4)
	normal := func(r, c int) *mat.Dense {
		m := mat.NewDense(r, c, nil)
		for i := range r {
			for j := range c {
				m.Set(i, j, rng.NormFloat64())
			}
		}
		return m
	}
	vector := func(n int) []float64 { return mat.Col(nil, 0, normal(n, 1)) }
	root := normal(ny, ny)
	q := mat.NewDense(ny, ny, nil)
	q.Mul(root.T(), root)
	for i := range ny {
		q.Set(i, i, q.At(i, i)+1)
	}
	cross, ja, jb := normal(ny, nx), normal(rows, ny), normal(rows, nx)
	a := answered{x: vector(nx), y: vector(ny), mu: make([]float64, rows), active: active}
	shift := mul(ja, a.y)
	floats.Add(shift, mul(jb, a.x))
	for i := range rows {
		if i < active {
			a.mu[i] = 0.5 + rng.Float64()
		} else {
			shift[i] += 0.5 + rng.Float64()
		}
	}
	// c makes (y, mu) a KKT point: Q y + M x + c + J'mu = 0.
	c := mul(q, a.y)
	floats.Add(c, mul(cross, a.x))
	floats.Add(c, mulT(ja, a.mu))
	floats.Scale(-1, c)
	b := vector(ny)
	kkt := mat.NewDense(ny+active, ny+active, nil)
	kkt.Slice(0, ny, 0, ny).(*mat.Dense).Copy(q)
	right := mat.NewDense(ny+active, nx, nil)
	right.Slice(0, ny, 0, nx).(*mat.Dense).Scale(-1, cross)
	for i := range active {
		for j := range ny {
			kkt.Set(ny+i, j, ja.At(i, j))
			kkt.Set(j, ny+i, ja.At(i, j))
		}
		for j := range nx {
			right.Set(ny+i, j, -jb.At(i, j))
		}
	}
	var dy mat.Dense
	if err := dy.Solve(kkt, right); err != nil {
		return newAnswered(rng)
	}
	centre := append([]float64(nil), a.x...)
	fy := floats.SubTo(make([]float64, ny), a.y, b)
	floats.Add(centre, mulT(dy.Slice(0, ny, 0, nx).(*mat.Dense), fy))
	a.p = &bilevel.Problem{
		NX: nx, NY: ny,
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				u, v := floats.Distance(x, centre, 2), floats.Distance(y, b, 2)
				return (u*u + v*v) / 2
			},
			GradX: func(dst, x, _ []float64) { floats.SubTo(dst, x, centre) },
			GradY: func(dst, _, y []float64) { floats.SubTo(dst, y, b) },
		},
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				return floats.Dot(y, mul(q, y))/2 + floats.Dot(y, mul(cross, x)) + floats.Dot(c, y)
			},
			GradX: func(dst, _, y []float64) { copy(dst, mulT(cross, y)) },
			GradY: func(dst, x, y []float64) {
				floats.AddTo(dst, mul(q, y), c)
				floats.Add(dst, mul(cross, x))
			},
			HessYY: func(dst, _, _, v []float64) { copy(dst, mul(q, v)) },
		},
		Coupling: &bilevel.Coupling{Rows: rows, Affine: true,
			Value: func(dst, x, y []float64) {
				floats.AddTo(dst, mul(ja, y), mul(jb, x))
				floats.Sub(dst, shift)
			},
			JacX: func(dst, _, _, v []float64) { copy(dst, mul(jb, v)) }, JacY: func(dst, _, _, v []float64) { copy(dst, mul(ja, v)) },
			JacXT: func(dst, _, _, v []float64) { copy(dst, mulT(jb, v)) }, JacYT: func(dst, _, _, v []float64) { copy(dst, mulT(ja, v)) },
		},
		Structure: bilevel.Structure{LowerConvex: true, LowerQuadratic: true},
	}
	return a
}

func mul(m mat.Matrix, v []float64) []float64 {
	r, _ := m.Dims()
	dst := make([]float64, r)
	mat.NewVecDense(r, dst).MulVec(m, mat.NewVecDense(len(v), v))
	return dst
}

func mulT(m mat.Matrix, v []float64) []float64 { return mul(m.T(), v) }

// TestRandomProblems accepts the answers of random problems and refuses them
// once x, y or a multiplier is moved.
func TestRandomProblems(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for trial := range 60 {
		a := newAnswered(rng)
		right := measure(t, a.p, a.x, a.y, a.mu)
		if right.Verdict != Verified || !right.Hypergradient.Differentiable || !right.Unique {
			t.Errorf("trial %d: %v, differentiable %v, unique %v: %s", trial, right.Verdict, right.Hypergradient.Differentiable, right.Unique, right.Message)
		}
		if v := right.LowerGap[1]; !(v <= 1e-9*(1+Number(math.Abs(float64(right.Lower))))) {
			t.Errorf("trial %d: lower gap at most %v", trial, v)
		}
		if p := right.Hypergradient.Probe; !(p < 1e-4) {
			t.Errorf("trial %d: measured slopes differ from the hypergradient by %v", trial, p)
		}
		size := math.Pow(10, -2*rng.Float64()) // 0.01 to 1
		push := func(v []float64) []float64 { return moved(v, rng.IntN(len(v)), size) }
		wrong := map[string]*Certificate{
			"x (y solved again)": measure(t, a.p, push(a.x), nil, nil),
			"y":                  measure(t, a.p, a.x, push(a.y), nil),
			"x and not y":        measure(t, a.p, push(a.x), a.y, nil),
		}
		if a.active > 0 {
			wrong["a multiplier"] = measure(t, a.p, a.x, a.y, moved(a.mu, rng.IntN(a.active), size))
		}
		for what, c := range wrong {
			if c.Verdict.OK() {
				t.Errorf("trial %d: %s moved by %.2g: %v: %s", trial, what, size, c.Verdict, c.Message)
			}
		}
	}
}
