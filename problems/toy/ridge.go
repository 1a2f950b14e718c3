package toy

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Ridge regression whose weight is chosen on validation data, x in [-10, 10] the
// logarithm of the weight, y in R^n the coefficients:
//
//	f(x, y) = |Vy - v|^2/2,   g(x, y) = |Ay - a|^2/2 + e^x |y|^2/2,
//
// A and V seeded with orthonormal columns (2n rows), a = A w + noise,
// v = V w + noise for the same coefficients w. Closed form: with c = A'a and
// t = V'v,
//
//	y_g(x) = c s(x),  s = 1/(1 + e^x),   phi = |c s - t|^2/2 + constant,
//
// so the optimum is s = c't/c'c, x = ln(1/s - 1), moved into [-10, 10].
// y_gamma(x) = (c + t/gamma)/(1 + e^x + 1/gamma).
type ridge struct{ c, t []float64 }

const ridgeRange = 10

func openRidge(r request) (*problems.Instance, error) {
	n := r.n
	rng := r.rng(streamData)
	w := normal(rng, n)
	design := func() (m *mat.Dense, target, moment []float64) {
		m = orthogonal(rng, 2*n, n)
		target, moment = make([]float64, 2*n), make([]float64, n)
		multiply(target, m, w)
		floats.Add(target, normal(rng, 2*n))
		multiplyT(moment, m, target)
		return m, target, moment
	}
	o := new(ridge)
	a, at, c := design()
	v, vt, t := design()
	o.c, o.t = c, t
	tmp := make([]float64, 2*n)
	loss := func(m *mat.Dense, target, y []float64) float64 {
		multiply(tmp, m, y)
		d := floats.Distance(tmp, target, 2)
		return d * d / 2
	}
	p := &bilevel.Problem{
		NX: 1, NY: n, X: interval(-ridgeRange, ridgeRange),
		Upper: bilevel.Objective{
			Value:  func(_, y []float64) float64 { return loss(v, vt, y) },
			GradX:  func(dst, _, _ []float64) { dst[0] = 0 },
			GradY:  func(dst, _, y []float64) { floats.SubTo(dst, y, t) },
			HessYY: func(dst, _, _, v []float64) { copy(dst, v) },
			HessXX: zeroProduct, HessXY: zeroProduct, HessYX: zeroProduct,
		},
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 { return loss(a, at, y) + math.Exp(x[0])*floats.Dot(y, y)/2 },
			GradX: func(dst, x, y []float64) { dst[0] = math.Exp(x[0]) * floats.Dot(y, y) / 2 },
			GradY: func(dst, x, y []float64) {
				floats.ScaleTo(dst, 1+math.Exp(x[0]), y)
				floats.Sub(dst, c)
			},
			HessXX: func(dst, x, y, u []float64) { dst[0] = u[0] * math.Exp(x[0]) * floats.Dot(y, y) / 2 },
			HessYY: func(dst, x, _, v []float64) { floats.ScaleTo(dst, 1+math.Exp(x[0]), v) },
			HessXY: func(dst, x, y, v []float64) { dst[0] = math.Exp(x[0]) * floats.Dot(y, v) },
			HessYX: func(dst, x, y, u []float64) { floats.ScaleTo(dst, u[0]*math.Exp(x[0]), y) },
		},
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 1, LowerQuadratic: true, JointlyConvex: true},
		X0:        []float64{0}, Y0: make([]float64, n),
		Oracle: o,
	}
	s := floats.Dot(c, t) / floats.Dot(c, c)
	x := float64(ridgeRange)
	if s > 0 {
		x = math.Min(math.Max(math.Log(math.Max(1/s-1, 0)), -ridgeRange), ridgeRange)
	}
	known := problems.Known{X: []float64{x}, Y: make([]float64, n), Global: true, Source: "closed form"}
	o.SolveLower(inf, known.X, known.Y, nil) // never fails
	known.Upper = p.Upper.Value(known.X, known.Y)
	return &problems.Instance{
		Doc:    "The follower fits ridge regression on training data; the leader chooses the ridge weight that does best on validation data.",
		Source: "classic; seeded data", Problem: p, Known: []problems.Known{known},
	}, nil
}

// SolveLower is the closed form above.
func (o *ridge) SolveLower(gamma float64, x, y, _ []float64) (float64, error) {
	inv, e := 1/gamma, 1+math.Exp(x[0])
	for i := range y {
		y[i] = (o.c[i] + inv*o.t[i]) / (e + inv)
	}
	return 0, nil
}

// Adjoint is -e^x y'v/(1 + e^x).
func (o *ridge) Adjoint(dst, x, y, _, v []float64) error {
	dst[0] = -sigmoid(x[0]) * floats.Dot(y, v)
	return nil
}
