package toy

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
)

// The lower level projects x on the simplex D = { y >= 0, 1'y = 1 } of R^n:
//
//	f(x, y) = |y - t|^2/2 + |x|^2/2,   g(x, y) = |y - x|^2/2,   Y = D,
//	y_g(x) = Proj_D(x),   y_gamma(x) = Proj_D((x + t/gamma)/(1 + 1/gamma)).
//
// Closed form: the x that lead to a given y in D are y + c 1 - w with w >= 0 and
// w_i y_i = 0; the shortest has c = -1/n and w = 0, for with c < 0 every w_i > 0
// makes x longer, and c >= 0 gives a longer x too. So the optimum is
//
//	y = argmin over D of |y - t|^2 + |y - 1/n|^2 = Proj_D((t + 1/n)/2),   x = y - 1/n.
//
// In the interior toy t_i is proportional to i, and phi is smooth at the
// optimum. In the kink toy t is 2 in the first component and -1 in the others:
// there y = (1, 0, .., 0), and at x = y - 1/n, where components of y are zero
// with multiplier zero, phi is not differentiable.
func openSimplexInterior(r request) (*problems.Instance, error) {
	t := make([]float64, r.n)
	for i := range t {
		t[i] = 2 * float64(i+1) / float64(r.n*(r.n+1))
	}
	return openSimplex(t)
}

func openSimplexKink(r request) (*problems.Instance, error) {
	t := filled(r.n, -1)
	t[0] = 2
	return openSimplex(t)
}

func openSimplex(t []float64) (*problems.Instance, error) {
	n := len(t)
	d, err := set.Simplex(n, 1)
	if err != nil {
		return nil, err
	}
	known := problems.Known{X: make([]float64, n), Y: make([]float64, n), Global: true, Source: "closed form"}
	for i := range t {
		known.Y[i] = (t[i] + 1/float64(n)) / 2
	}
	d.Project(known.Y, known.Y)
	copy(known.X, known.Y)
	floats.AddConst(-1/float64(n), known.X)
	p := &bilevel.Problem{
		NX: n, NY: n, Y: d,
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				d := floats.Distance(y, t, 2)
				return (d*d + floats.Dot(x, x)) / 2
			},
			GradX:  func(dst, x, _ []float64) { copy(dst, x) },
			GradY:  func(dst, _, y []float64) { floats.SubTo(dst, y, t) },
			HessXX: func(dst, _, _, u []float64) { copy(dst, u) },
			HessYY: func(dst, _, _, v []float64) { copy(dst, v) },
			HessXY: zeroProduct, HessYX: zeroProduct,
		},
		Lower:     squaredDistance(),
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 1, LowerQuadratic: true, JointlyConvex: true},
		X0:        make([]float64, n), Y0: filled(n, 1/float64(n)),
		Oracle: simplexOracle{d, t},
	}
	known.Upper = p.Upper.Value(known.X, known.Y)
	return &problems.Instance{
		Doc:    "The follower projects x on the simplex; the leader wants the projection near a target and x short.",
		Source: "classic", Problem: p, Known: []problems.Known{known},
	}, nil
}

type simplexOracle struct {
	d set.Set
	t []float64
}

// SolveLower is the closed form above.
func (o simplexOracle) SolveLower(gamma float64, x, y, _ []float64) (float64, error) {
	inv := 1 / gamma
	for i := range y {
		y[i] = (x[i] + inv*o.t[i]) / (1 + inv)
	}
	o.d.Project(y, y)
	return 0, nil
}
