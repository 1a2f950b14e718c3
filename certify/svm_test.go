package certify

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/svm"
	"gonum.org/v1/gonum/floats"
)

// slackFree opens the corrected SVM problem on the compiled-in figures: 500
// slack bounds, 46 parameters, 500 rows. The relaxation's answer comes from the
// family's own solvers, of which the certificate shares nothing.
func slackFree(t testing.TB) (p *bilevel.Problem, x, y, mu []float64) {
	t.Helper()
	inst, err := svm.Family{}.Open(problems.Request{Name: "svm", Set: map[string]string{"formulation": "slack-free"}})
	if err != nil {
		t.Fatal(err)
	}
	p = inst.Problem
	x, y, mu = append([]float64(nil), p.X0...), make([]float64, p.NY), make([]float64, p.NX)
	if err := p.Oracle.(bilevel.Relaxer).SolveRelaxation(x, y); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(math.Inf(1), x, y, mu); err != nil {
		t.Fatal(err)
	}
	return p, x, y, mu
}

func TestSVM(t *testing.T) {
	p, x, y, mu := slackFree(t)
	plain := *p
	plain.Oracle = nil // the certificate's own relaxation must do
	c := measure(t, &plain, x, y, mu)
	if c.Verdict != VerifiedGlobally || c.Bound == nil || !strings.HasPrefix(c.Bound.By, "high-point relaxation") {
		t.Errorf("the relaxation's answer: %v, bound %+v: %s", c.Verdict, c.Bound, c.Message)
	}
	if !(c.LowerGap[1] <= 1e-9*(1+c.Lower)) {
		t.Errorf("lower gap %v at g = %v", c.LowerGap, c.Lower)
	}

	// The slacks of another classifier, a tenth off: in random directions the
	// lower level is infeasible next to them, and only the way to the
	// relaxation's solution shows that they are no minimum.
	near, yn, mun := append([]float64(nil), x...), append([]float64(nil), y...), append([]float64(nil), mu...)
	floats.Scale(1.1, yn)
	h := make([]float64, p.NX)
	p.Coupling.Value(h, x, yn)
	for i, v := range h {
		near[i] = math.Max(1e-4, v+x[i])
	}
	if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(math.Inf(1), near, yn, mun); err != nil {
		t.Fatal(err)
	}
	if c := measure(t, &plain, near, yn, mun); c.Verdict != Refuted || !strings.Contains(c.Message, "x is not a local minimum") {
		t.Errorf("a tenth off the optimum: %v: %s", c.Verdict, c.Message)
	}

	// At C = 3 the lower solution is 0 with no multiplier and the validation
	// loss is e per row: feasible, optimal below, and far from stationary above.
	three, zero := make([]float64, p.NX), make([]float64, p.NY)
	floats.AddConst(3, three)
	c = measure(t, &plain, three, zero, make([]float64, p.NX))
	if want := 150*math.E + 4.5*500; math.Abs(float64(c.Upper)-want) > 1e-9*want {
		t.Errorf("f(3, 0) = %v, want %v", c.Upper, want)
	}
	if c.LowerGap != (Interval{0, 0}) || c.Verdict != Refuted || !strings.Contains(c.Message, "x is not a local minimum") {
		t.Errorf("C = 3: gap %v, %v: %s", c.LowerGap, c.Verdict, c.Message)
	}
	// There the hypergradient is C itself; projected on C >= 1e-4 it is C - 1e-4.
	if d := math.Abs(float64(c.Hypergradient.Norm) - (3-1e-4)*math.Sqrt(500)); d > 1e-9 {
		t.Errorf("C = 3: the hypergradient's norm is off by %v", d)
	}

	// The published runs report the penalised solution at such a C.
	penalised, price := make([]float64, p.NY), make([]float64, p.NX)
	if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(15, three, penalised, price); err != nil {
		t.Fatal(err)
	}
	c = measure(t, &plain, three, penalised, price)
	if c.Verdict != Refuted || !strings.Contains(c.Message, "y is not a lower solution") {
		t.Errorf("penalised solution as y: %v: %s", c.Verdict, c.Message)
	}
}

func BenchmarkMeasureSVM(b *testing.B) {
	p, x, y, mu := slackFree(b)
	for b.Loop() {
		if _, err := Measure(context.Background(), p, x, y, mu, Settings{}); err != nil {
			b.Fatal(err)
		}
	}
}
