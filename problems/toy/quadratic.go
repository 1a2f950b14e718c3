package toy

import (
	"fmt"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Unconstrained quadratic levels with seeded data, x in R^n, y in R^2n:
//
//	f(x, y) = |y - t|^2/2 + |x|^2/2,   g(x, y) = y'Ay/2 - y'(Bx + b),
//
// A = Q diag(1..10) Q' with Q orthogonal, B, b and t normal. Closed form:
// y_g(x) = A^-1 (Bx + b), y_gamma(x) = (A + I/gamma)^-1 (Bx + b + t/gamma), and
// phi is strictly convex with the minimiser
//
//	(I + G'G) x = G'(t - A^-1 b),   G = A^-1 B.
type quadratic struct {
	a, b *mat.Dense
	c, t []float64 // b and t of the formulas
	q    *mat.Dense
	eig  []float64
	r, s []float64
}

func openQuadratic(r request) (*problems.Instance, error) {
	nx, ny := r.n, 2*r.n
	rng := r.rng(streamData)
	o := &quadratic{
		b: mat.NewDense(ny, nx, normal(rng, nx*ny)), c: normal(rng, ny), t: normal(rng, ny),
		q: orthogonal(rng, ny, ny), eig: make([]float64, ny), r: make([]float64, ny), s: make([]float64, ny),
	}
	floats.Span(o.eig, 1, 10)
	o.a = new(mat.Dense)
	o.a.Product(o.q, mat.NewDiagDense(ny, o.eig), o.q.T())
	known, err := o.known()
	if err != nil {
		return nil, fmt.Errorf("toy/quadratic, seed %d: %w", r.seed, err)
	}
	tmp := make([]float64, ny)
	p := &bilevel.Problem{
		NX: nx, NY: ny,
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				d := floats.Distance(y, o.t, 2)
				return (d*d + floats.Dot(x, x)) / 2
			},
			GradX:  func(dst, x, _ []float64) { copy(dst, x) },
			GradY:  func(dst, _, y []float64) { floats.SubTo(dst, y, o.t) },
			HessXX: func(dst, _, _, u []float64) { copy(dst, u) },
			HessYY: func(dst, _, _, v []float64) { copy(dst, v) },
			HessXY: zeroProduct, HessYX: zeroProduct,
		},
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				multiply(tmp, o.a, y)
				v := floats.Dot(y, tmp)/2 - floats.Dot(y, o.c)
				multiply(tmp, o.b, x)
				return v - floats.Dot(y, tmp)
			},
			GradX: func(dst, _, y []float64) { multiplyT(dst, o.b, y); floats.Scale(-1, dst) },
			GradY: func(dst, x, y []float64) {
				multiply(dst, o.a, y)
				multiply(tmp, o.b, x)
				for i := range dst {
					dst[i] -= tmp[i] + o.c[i]
				}
			},
			HessXX: zeroProduct,
			HessYY: func(dst, _, _, v []float64) { multiply(dst, o.a, v) },
			HessXY: func(dst, _, _, v []float64) { multiplyT(dst, o.b, v); floats.Scale(-1, dst) },
			HessYX: func(dst, _, _, u []float64) { multiply(dst, o.b, u); floats.Scale(-1, dst) },
		},
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 1, LowerQuadratic: true, JointlyConvex: true},
		X0:        filled(nx, 1), Y0: make([]float64, ny),
		Oracle: o,
	}
	known.Upper = p.Upper.Value(known.X, known.Y)
	return &problems.Instance{
		Doc:    "The follower solves a linear system that depends on x; the leader steers its solution to a target.",
		Source: "classic; seeded data", Problem: p, Known: []problems.Known{known},
	}, nil
}

func (o *quadratic) known() (problems.Known, error) {
	ny, nx := o.b.Dims()
	var g, gg mat.Dense
	if err := g.Solve(o.a, o.b); err != nil {
		return problems.Known{}, err
	}
	y0, x, rhs := make([]float64, ny), mat.NewVecDense(nx, nil), make([]float64, nx)
	o.inverse(y0, o.c, 0)
	d := make([]float64, ny)
	floats.SubTo(d, o.t, y0)
	multiplyT(rhs, &g, d)
	gg.Mul(g.T(), &g)
	gg.Add(&gg, identity(nx))
	if err := x.SolveVec(&gg, mat.NewVecDense(nx, rhs)); err != nil {
		return problems.Known{}, err
	}
	y := make([]float64, ny)
	o.solve(y, x.RawVector().Data, 0)
	return problems.Known{X: x.RawVector().Data, Y: y, Global: true, Source: "closed form"}, nil
}

// inverse sets dst to (A + inv I)^-1 v.
func (o *quadratic) inverse(dst, v []float64, inv float64) {
	multiplyT(o.s, o.q, v)
	for i, e := range o.eig {
		o.s[i] /= e + inv
	}
	multiply(dst, o.q, o.s)
}

func (o *quadratic) solve(y, x []float64, inv float64) {
	multiply(o.r, o.b, x)
	for i := range o.r {
		o.r[i] += o.c[i] + inv*o.t[i]
	}
	o.inverse(y, o.r, inv)
}

// SolveLower is the closed form above.
func (o *quadratic) SolveLower(gamma float64, x, y, _ []float64) (float64, error) {
	inv := 1 / gamma
	o.solve(y, x, inv)
	multiply(o.s, o.a, y)
	worst := 0.0
	for i := range o.s {
		worst = max(worst, abs(o.s[i]+inv*y[i]-o.r[i]))
	}
	return worst, nil
}

// Adjoint is B'A^-1 v.
func (o *quadratic) Adjoint(dst, _, _, _, v []float64) error {
	o.inverse(o.r, v, 0)
	multiplyT(dst, o.b, o.r)
	return nil
}

func zeroProduct(dst, _, _, _ []float64) { clear(dst) }

func abs(v float64) float64 { return max(v, -v) }

func normal(rng *rand.Rand, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = rng.NormFloat64()
	}
	return s
}

// orthogonal is a random rows x cols matrix with orthonormal columns.
func orthogonal(rng *rand.Rand, rows, cols int) *mat.Dense {
	return columns(complete(mat.NewDense(cols, rows, normal(rng, rows*cols))), 0, cols)
}
