package toy

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// The strongly convex toy of LV-HBA (arXiv 2401.16164): x, y in R^100,
//
//	X = { Bx = 0 },   f(x, y) = sin(c'x + d'y) + ln(|x + y|^2 + 1),
//	g(x, y) = |x - y|^2/2,   h(x, y) = Ay + Hx = 0   (90 equations).
//
// The published matrices are not available; seeded ones of the same kind stand
// in: A (90 x 100), H (90 x 100) and the 45 rows of B that are not zero uniform
// on (0, 1), c and d uniform on (0, 1), so that A has rank 90, B rank 45 and
// [H A; B 0] rank 135. The published run, which also projects the proximal copy
// of y on the equations at every step, is therefore not repeated here.
//
// Closed form: y_g(x) = M x with M = I - A+A - A+H. With Z a basis of the null
// space of B, x = Zw, K = (I + M)Z and a = Z'(c + M'd),
//
//	phi = sin(t) + ln(|Kw|^2 + 1),  t = a'w,
//
// whose least value at a given t is sin t + ln(t^2/s + 1), s = a'(K'K)^-1 a, at
// w = t (K'K)^-1 a/s. Moving t into [-pi/2, 0] to the same |sin t| raises
// neither sin t nor |t|, so the optimum is the zero t of cos t + 2t/(t^2 + s) there, which
// is unique, for (t^2 + s) cos t + 2t increases there.
const (
	llscSize  = 100
	llscRows  = 90 // of A and H
	llscUpper = 45 // of B that are not zero
)

// llsc holds the data.
type llsc struct {
	a, h, b *mat.Dense
	c, d    *mat.VecDense
	null    *mat.Dense // I - A+A
	m       *mat.Dense // dy_g/dx
	pinv    *mat.Dense // A+
	joint   *mat.Dense // orthonormal basis of the rows of [H A; B 0], as columns
}

func newLLSC(r request) (*llsc, error) {
	rng := r.rng(streamData)
	uniform := func(n int) []float64 {
		s := make([]float64, n)
		for i := range s {
			s[i] = rng.Float64()
		}
		return s
	}
	n := llscSize
	t := &llsc{
		a: mat.NewDense(llscRows, n, uniform(llscRows*n)),
		b: mat.NewDense(llscUpper, n, uniform(llscUpper*n)),
		h: mat.NewDense(llscRows, n, uniform(llscRows*n)),
		c: mat.NewVecDense(n, uniform(n)),
		d: mat.NewVecDense(n, uniform(n)),
	}
	var pinv, ph mat.Dense
	if err := pinv.Solve(t.a, identity(llscRows)); err != nil {
		return nil, fmt.Errorf("toy/llsc, seed %d: A has not full rank: %w", r.seed, err)
	}
	t.pinv = &pinv
	t.null = identity(n)
	ph.Mul(&pinv, t.a)
	t.null.Sub(t.null, &ph)
	ph.Mul(&pinv, t.h)
	t.m = new(mat.Dense)
	t.m.Sub(t.null, &ph)
	rows := mat.NewDense(llscRows+llscUpper, 2*n, nil)
	rows.Slice(0, llscRows, 0, n).(*mat.Dense).Copy(t.h)
	rows.Slice(0, llscRows, n, 2*n).(*mat.Dense).Copy(t.a)
	rows.Slice(llscRows, llscRows+llscUpper, 0, n).(*mat.Dense).Copy(t.b)
	t.joint = columns(complete(rows), 0, llscRows+llscUpper)
	return t, nil
}

func identity(n int) *mat.Dense {
	m := mat.NewDense(n, n, nil)
	for i := range n {
		m.Set(i, i, 1)
	}
	return m
}

// complete returns an orthogonal matrix whose first columns span the rows of m,
// which has full row rank, and whose other columns its null space.
func complete(m *mat.Dense) *mat.Dense {
	var qr mat.QR
	var q mat.Dense
	qr.Factorize(m.T())
	qr.QTo(&q)
	return &q
}

// columns copies columns from to to - 1 of m.
func columns(m *mat.Dense, from, to int) *mat.Dense {
	rows, _ := m.Dims()
	return mat.DenseCopyOf(m.Slice(0, rows, from, to))
}

// known is the optimum.
func (t *llsc) known() (problems.Known, error) {
	z := columns(complete(t.b), llscUpper, llscSize)
	var k, ktk mat.Dense
	k.Mul(t.m, z)
	k.Add(&k, z)
	var dm, a, p, x, y mat.VecDense
	dm.MulVec(t.m.T(), t.d)
	dm.AddVec(&dm, t.c)
	a.MulVec(z.T(), &dm)
	ktk.Mul(k.T(), &k)
	if err := p.SolveVec(&ktk, &a); err != nil {
		return problems.Known{}, fmt.Errorf("toy/llsc: K'K is singular: %w", err)
	}
	s := mat.Dot(&a, &p)
	at := bisect(func(t float64) float64 { return math.Cos(t) + 2*t/(t*t+s) }, -math.Pi/2, 0)
	p.ScaleVec(at/s, &p)
	x.MulVec(z, &p)
	y.MulVec(t.m, &x)
	return problems.Known{X: x.RawVector().Data, Y: y.RawVector().Data, Upper: math.Sin(at) + math.Log1p(at*at/s),
		Global: true, Source: "reduction to one variable, bisection"}, nil
}

func (t *llsc) upper() bilevel.Objective {
	n := llscSize
	c, d := t.c.RawVector().Data, t.d.RawVector().Data
	angle := func(x, y []float64) float64 { return floats.Dot(c, x) + floats.Dot(d, y) }
	square := func(x, y []float64) float64 {
		s := 1.0
		for i := range n {
			s += (x[i] + y[i]) * (x[i] + y[i])
		}
		return s
	}
	// Both gradients are cos(angle) times c or d plus 2(x + y)/square.
	grad := func(weight []float64) func(dst, x, y []float64) {
		return func(dst, x, y []float64) {
			cosine, q := math.Cos(angle(x, y)), square(x, y)
			for i := range n {
				dst[i] = cosine*weight[i] + 2*(x[i]+y[i])/q
			}
		}
	}
	// hess is the derivative of grad(left) along v in the block of right.
	hess := func(left, right []float64) func(dst, x, y, v []float64) {
		return func(dst, x, y, v []float64) {
			sine, q := math.Sin(angle(x, y)), square(x, y)
			along, inner := floats.Dot(right, v), 0.0
			for i := range n {
				inner += (x[i] + y[i]) * v[i]
			}
			for i := range n {
				dst[i] = -sine*along*left[i] + 2*v[i]/q - 4*inner*(x[i]+y[i])/(q*q)
			}
		}
	}
	return bilevel.Objective{
		Value: func(x, y []float64) float64 { return math.Sin(angle(x, y)) + math.Log(square(x, y)) },
		GradX: grad(c), GradY: grad(d),
		HessXX: hess(c, c), HessXY: hess(c, d), HessYX: hess(d, c), HessYY: hess(d, d),
	}
}

func (t *llsc) coupling() *bilevel.Coupling {
	apply := func(m *mat.Dense) func(dst, x, y, v []float64) {
		return func(dst, _, _, v []float64) { multiply(dst, m, v) }
	}
	applyT := func(m *mat.Dense) func(dst, x, y, v []float64) {
		return func(dst, _, _, v []float64) { multiplyT(dst, m, v) }
	}
	tmp := make([]float64, llscRows)
	return &bilevel.Coupling{
		Rows: llscRows, Equalities: llscRows, Affine: true,
		Value: func(dst, x, y []float64) {
			multiply(dst, t.a, y)
			multiply(tmp, t.h, x)
			floats.Add(dst, tmp)
		},
		JacX: apply(t.h), JacY: apply(t.a), JacXT: applyT(t.h), JacYT: applyT(t.a),
	}
}

func openLLSC(r request) (*problems.Instance, error) {
	t, err := newLLSC(r)
	if err != nil {
		return nil, err
	}
	known, err := t.known()
	if err != nil {
		return nil, err
	}
	x, err := set.Affine(t.b, make([]float64, llscUpper))
	if err != nil {
		return nil, err
	}
	n := llscSize
	p := &bilevel.Problem{
		NX: n, NY: n, X: x, Upper: t.upper(), Lower: squaredDistance(), Coupling: t.coupling(),
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 1, LowerQuadratic: true},
		X0:        filled(n, 10), Y0: make([]float64, n),
		Oracle: &llscOracle{m: t.m, joint: t.joint, a: t.a, pinv: t.pinv, coef: make([]float64, llscRows+llscUpper), z: make([]float64, 2*n), d: make([]float64, 2*n)},
	}
	p.X.Project(p.X0, p.X0)
	// The published start: the point of Ay + Hx = 0 nearest to 10 in every component.
	q, d := make([]float64, n), filled(n, 10)
	floats.Sub(d, p.X0)
	multiply(q, t.null, d)
	multiply(p.Y0, t.m, p.X0)
	floats.Add(p.Y0, q)
	return &problems.Instance{
		Doc:     "The follower returns the point nearest to x on a plane that moves with x; the leader's cost is not convex.",
		Source:  "LV-HBA, arXiv 2401.16164; seeded matrices of the published ranks",
		Problem: p,
		Known:   []problems.Known{known},
	}, nil
}

// squaredDistance is |x - y|^2/2.
func squaredDistance() bilevel.Objective {
	same := func(dst, _, _, v []float64) { copy(dst, v) }
	opposite := func(dst, _, _, v []float64) { floats.ScaleTo(dst, -1, v) }
	return bilevel.Objective{
		Value:  func(x, y []float64) float64 { d := floats.Distance(x, y, 2); return d * d / 2 },
		GradX:  func(dst, x, y []float64) { floats.SubTo(dst, x, y) },
		GradY:  func(dst, x, y []float64) { floats.SubTo(dst, y, x) },
		HessXX: same, HessYY: same, HessXY: opposite, HessYX: opposite,
	}
}

// llscOracle knows y_g and its derivative, and projects on the joint constraints.
// The penalised lower level has no closed form and is left to the general solvers.
type llscOracle struct {
	m, joint   *mat.Dense
	a, pinv    *mat.Dense
	coef, z, d []float64
}

// SolveLower is y = Mx, with multipliers mu = (A+)'(x - y), for y - x + A'mu = 0.
func (o *llscOracle) SolveLower(gamma float64, x, y, mu []float64) (residual float64, err error) {
	if !math.IsInf(gamma, 1) {
		return math.NaN(), bilevel.ErrNoClosedForm
	}
	multiply(y, o.m, x)
	pull, back := o.z[:len(x)], o.d[:len(x)]
	floats.SubTo(pull, x, y)
	multiplyT(mu, o.pinv, pull)
	multiplyT(back, o.a, mu)
	return floats.Distance(pull, back, 2), nil
}

// Adjoint is M'v.
func (o *llscOracle) Adjoint(dst, _, _, _, v []float64) error {
	multiplyT(dst, o.m, v)
	return nil
}

// ProjectJoint removes the components along the rows of [H A; B 0].
func (o *llscOracle) ProjectJoint(x, y []float64) error {
	n := copy(o.z, x)
	copy(o.z[n:], y)
	multiplyT(o.coef, o.joint, o.z)
	multiply(o.d, o.joint, o.coef)
	floats.Sub(o.z, o.d)
	copy(x, o.z)
	copy(y, o.z[n:])
	return nil
}
