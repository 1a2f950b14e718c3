package toy

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

// The positive toy of PBGD-Free (arXiv 2507.20400): fine-tuning of a model with
// two weights (x, y), a convolution of kernel and stride 2 on inputs of length
// 4, whose two logits are the products of (x, y) with the input's halves.
// Supervised samples: (1,1,.5,.5) labelled 0 and (1,.5,0,.5) labelled 1;
// preference samples: (.5,1,1,1) won by 0 and (1,.5,.5,.5) won by 1. With s the
// logistic function,
//
//	g(x, y) = [ softplus(-(x+y)/2) + softplus(x) ]/2 + 0.01 (x^2 + y^2)   supervised loss
//	f(x, y) = softplus((x - x_ref)/2) + 0.01 (x^2 + y^2)                  preference loss
//	f_x = s((x - x_ref)/2)/2 + 0.02x,  f_y = 0.02y
//	g_x = -s(-(x+y)/2)/4 + s(x)/2 + 0.02x,  g_y = -s(-(x+y)/2)/4 + 0.02y.
//
// x_ref is the weight of the published reference model. g is 0.02-strongly
// convex in y: y_g and y_gamma are zeros of increasing functions. The optimum is
// the zero of phi'(x) = f_x - f_y g_xy/g_yy at y_g(x) in [-8, -4], bisected. f is
// separable, so the x-iteration of PBGD-Free never sees the lower level: it ends
// at the zero of f_x.
const positiveReference = -5.3395834

func positiveUpper() bilevel.Objective {
	arg := func(x float64) float64 { return (x - positiveReference) / 2 }
	return scalar(
		func(x, y float64) float64 { return softplus(arg(x)) + 0.01*(x*x+y*y) },
		func(x, y float64) float64 { return sigmoid(arg(x))/2 + 0.02*x },
		func(x, y float64) float64 { return 0.02 * y },
		func(x, y float64) float64 { s := sigmoid(arg(x)); return s*(1-s)/4 + 0.02 },
		constant(0), constant(0.02),
	)
}

func positiveLower() bilevel.Objective {
	slope := func(x, y float64) float64 { s := sigmoid(-(x + y) / 2); return s * (1 - s) / 8 }
	return scalar(
		func(x, y float64) float64 { return (softplus(-(x+y)/2)+softplus(x))/2 + 0.01*(x*x+y*y) },
		func(x, y float64) float64 { return -sigmoid(-(x+y)/2)/4 + sigmoid(x)/2 + 0.02*x },
		func(x, y float64) float64 { return -sigmoid(-(x+y)/2)/4 + 0.02*y },
		func(x, y float64) float64 { s := sigmoid(x); return slope(x, y) + s*(1-s)/2 + 0.02 },
		slope,
		func(x, y float64) float64 { return slope(x, y) + 0.02 },
	)
}

func openPositive(request) (*problems.Instance, error) {
	p := &bilevel.Problem{
		NX: 1, NY: 1, Upper: positiveUpper(), Lower: positiveLower(),
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 0.02, JointlyConvex: true},
		X0:        []float64{5}, Y0: []float64{-9.9},
	}
	o := &monotone{p: p}
	p.Oracle = o
	x := bisect(o.dphi, -8, -4)
	y := o.response(x)
	return &problems.Instance{
		Doc:     "The leader minimises the preference loss of a two-weight model whose second weight is trained on the supervised loss.",
		Source:  "PBGD-Free, arXiv 2507.20400",
		Problem: p,
		Known:   []problems.Known{{X: []float64{x}, Y: []float64{y}, Upper: p.Upper.Value([]float64{x}, []float64{y}), Global: true, Source: "zero of phi' by bisection"}},
		Published: map[string]map[string]string{
			// The published loops have no stopping test.
			"v-pbgd":    {"gamma": "16", "eta": "0.01", "beta": "0.01", "inner": "10", "max_iterations": "5000", "tolerance": "1e-300"},
			"pbgd-free": {"gamma": "16", "eta": "0.01", "beta": "0.01", "inner": "2", "max_iterations": "40000", "tolerance": "1e-300"},
		},
	}, nil
}
