package svm

import (
	"math"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/problems"
	"gonum.org/v1/gonum/floats"
)

// Figures of arXiv 2507.20400's settings on the seed-0 split of the published
// diabetes file with C_0 = 3, computed independently: validation accuracy, test
// accuracy, validation loss, test loss, 1/2 |w|^2 at the penalised solution after
// so many epochs, rounded to six digits.
func TestPublishedEpochs(t *testing.T) {
	for _, c := range []struct {
		dual, primal int
		lower        bool
		want         map[int][5]float64
	}{
		{10, 5, false, map[int][5]float64{
			0: {.640000, .686441, 3.300060, 3.003348, 0},
			1: {.733333, .771186, 2.077553, 2.074480, .495795},
			2: {.740000, .762712, 2.007984, 2.065896, .748094},
			5: {.766667, .788136, 1.953475, 2.076388, 1.053837},
		}},
		{20, 20, true, map[int][5]float64{
			1: {.766667, .779661, 1.941310, 2.079395, 1.143001},
			5: {.773333, .779661, 1.935536, 2.080722, 1.188088},
		}},
	} {
		in := openRequest(t, problems.Request{Name: "svm/diabetes", Mode: bilevel.Faithful, Set: settings("start=3"), Data: external(t)})
		p := in.Problem
		const gamma, eta = 15, .005
		x, y, yg := slices.Clone(p.X0), slices.Clone(p.Y0), slices.Clone(p.Y0)
		mu, mug := make([]float64, p.NX), make([]float64, p.NX)
		grad, inv := make([]float64, p.NY), 0.0
		h := p.Coupling
		level := &lower.Problem{N: p.NY, Rows: h.Rows,
			Value: func(y []float64) float64 { return p.Lower.Value(x, y) + inv*p.Upper.Value(x, y) },
			Grad: func(dst, y []float64) {
				p.Lower.GradY(dst, x, y)
				p.Upper.GradY(grad, x, y)
				floats.AddScaled(dst, inv, grad)
			},
			Constraint: func(dst, y []float64) { h.Value(dst, x, y) },
			JacT:       func(dst, y, mu []float64) { h.JacYT(dst, x, y, mu) },
		}
		solver := &lower.MaxMin{Eta1: .005, Eta2: .001, T: c.dual, Ty: c.primal, Floor: 1e-5, Stop: lower.StopGradients,
			GradientNorm: func(g []float64) float64 { return floats.Norm(g[:p.NY-1], 2) + math.Abs(g[p.NY-1]) }}
		dx := make([]float64, p.NX)
		for epoch := 0; epoch <= 5; epoch++ {
			if want, ok := c.want[epoch]; ok {
				m := in.Metrics(x, y, nil)
				got := [5]float64{m["validation_accuracy"], m["test_accuracy"], m["validation_loss"], m["test_loss"], m["half_norm2"]}
				for i := range got {
					if math.Abs(got[i]-want[i]) > 1e-6 {
						t.Errorf("T = %d, epoch %d, figure %d: %.7f, want %.6f", c.dual, epoch, i, got[i], want[i])
					}
				}
			}
			inv = 1.0 / gamma
			if _, err := solver.Solve(level, y, mu, 1e-4, nil); err != nil {
				t.Fatal(err)
			}
			p.Upper.GradX(dx, x, y)
			if c.lower {
				inv = 0
				if _, err := solver.Solve(level, yg, mug, 1e-4, nil); err != nil {
					t.Fatal(err)
				}
				floats.AddScaled(dx, gamma, mug)
				floats.AddScaled(dx, -gamma, mu)
			}
			floats.AddScaled(x, -eta, dx)
			p.X.Project(x, x)
			if c.lower && epoch == 0 {
				if v := p.Lower.Value(x, yg) - yg[p.NY-1]*yg[p.NY-1]/2; math.Abs(v-9e-6) > 5e-7 {
					t.Errorf("1/2 |w_g|^2 = %.3g after one epoch, want 9e-6", v)
				}
			}
		}
	}
}
