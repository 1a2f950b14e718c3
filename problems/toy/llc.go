package toy

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"gonum.org/v1/gonum/floats"
)

// The merely convex toy of LV-HBA (arXiv 2401.16164): x in R^n, y = (y1, y2) in
// R^2n, 1 the vector of ones,
//
//	f(x, y) = |x - y2|^2/2 + |y1 - 1|^2/2
//	g(x, y) = |y1|^2/2 - x'y1 + 1'y2
//	h(x, y) = 1'x + 1'y1 + 1'y2 = 0     (one equation)
//
// y2 enters g linearly: the lower solutions are y1 = x + 1 and every y2 with
// 1'y2 = -1'(2x + 1), with multiplier -1. The best of them for f is
// y2 = x - c 1, c = (1'(3x + 1))/n. The penalised solution is
//
//	y1 = (x + 1/gamma - mu)/(1 + 1/gamma),   y2 = x - gamma (1 + mu) 1,
//
// with mu from h = 0, and tends to that best one. Optimum (optimistic):
// x = -0.3, y1 = 0.7, y2 = -0.4 in every component, f = n/20. (For equal
// components phi/n = (3x + 1)^2/2 + x^2/2.)
func openLLC(r request) (*problems.Instance, error) {
	n := r.n
	// The published start: 10 in every component of x and y, from which the
	// script subtracts (1'x + 1'y)/n in x and then, with the new x, (1'x + 1'y)/(2n)
	// in y, which is 0.
	p := &bilevel.Problem{
		NX: n, NY: 2 * n,
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				s := 0.0
				for i := range n {
					a, b := x[i]-y[n+i], y[i]-1
					s += a*a + b*b
				}
				return s / 2
			},
			GradX: func(dst, x, y []float64) { floats.SubTo(dst, x, y[n:]) },
			GradY: func(dst, x, y []float64) {
				for i := range n {
					dst[i], dst[n+i] = y[i]-1, y[n+i]-x[i]
				}
			},
			HessXX: func(dst, _, _, u []float64) { copy(dst, u) },
			HessYY: func(dst, _, _, v []float64) { copy(dst, v) },
			HessXY: func(dst, _, _, v []float64) { floats.ScaleTo(dst, -1, v[n:]) },
			HessYX: func(dst, _, _, u []float64) { clear(dst[:n]); floats.ScaleTo(dst[n:], -1, u) },
		},
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				return floats.Dot(y[:n], y[:n])/2 - floats.Dot(x, y[:n]) + floats.Sum(y[n:])
			},
			GradX: func(dst, _, y []float64) { floats.ScaleTo(dst, -1, y[:n]) },
			GradY: func(dst, x, y []float64) {
				for i := range n {
					dst[i], dst[n+i] = y[i]-x[i], 1
				}
			},
			HessXX: func(dst, _, _, _ []float64) { clear(dst) },
			HessYY: func(dst, _, _, v []float64) { copy(dst[:n], v[:n]); clear(dst[n:]) },
			HessXY: func(dst, _, _, v []float64) { floats.ScaleTo(dst, -1, v[:n]) },
			HessYX: func(dst, _, _, u []float64) { floats.ScaleTo(dst[:n], -1, u); clear(dst[n:]) },
		},
		Coupling: &bilevel.Coupling{
			Rows: 1, Equalities: 1, Affine: true,
			Value: func(dst, x, y []float64) { dst[0] = floats.Sum(x) + floats.Sum(y) },
			JacXT: spread, JacYT: spread,
			JacX: total, JacY: total,
		},
		Structure: bilevel.Structure{LowerConvex: true, LowerQuadratic: true, JointlyConvex: true},
		X0:        filled(n, -20), Y0: filled(2*n, 10),
		Oracle: llcOracle{n},
	}
	known := problems.Known{X: filled(n, -0.3), Y: filled(2*n, 0.7), Upper: float64(n) / 20, Global: true, Source: "closed form (optimistic)"}
	copy(known.Y[n:], filled(n, -0.4))
	return &problems.Instance{
		Doc:     "The follower's cost is linear in half of its variables, so its solution is a plane and the leader may pick the point on it.",
		Source:  "LV-HBA, arXiv 2401.16164",
		Problem: p,
		Known:   []problems.Known{known},
		Published: map[string]map[string]string{"lv-hba": {
			"alpha": "0.008", "beta": "0.02", "eta": "0.01", "gamma1": "10", "gamma2": "10", "c": "0.025", "p": "0.3", "r": "1000",
			"lambda0": "1", "z0": "-1", "max_iterations": "1500", "tolerance": "1e-300",
		}},
	}, nil
}

// spread and total are the products with the row of ones.
func spread(dst, _, _, mu []float64) {
	for i := range dst {
		dst[i] = mu[0]
	}
}

func total(dst, _, _, v []float64) { dst[0] = floats.Sum(v) }

type llcOracle struct{ n int }

// SolveLower is the closed form above; of the lower solutions it returns the
// best for f, the limit of the penalised ones.
func (o llcOracle) SolveLower(gamma float64, x, y, mu []float64) (float64, error) {
	n, s := float64(o.n), floats.Sum(x)
	inv := 1 / gamma
	// h = 0 with t = gamma (1 + mu): s + (s + n/gamma - n mu)/(1 + 1/gamma) + s - n t = 0, mu = t/gamma - 1.
	t := (2*s + (s+n*inv+n)/(1+inv)) / (n + n*inv/(1+inv))
	mu[0] = t*inv - 1
	for i, xi := range x {
		y[i], y[o.n+i] = (xi+inv-mu[0])/(1+inv), xi-t
	}
	return 0, nil
}

// ProjectJoint subtracts the mean of all components.
func (o llcOracle) ProjectJoint(x, y []float64) error {
	m := (floats.Sum(x) + floats.Sum(y)) / float64(3*o.n)
	floats.AddConst(-m, x)
	floats.AddConst(-m, y)
	return nil
}
