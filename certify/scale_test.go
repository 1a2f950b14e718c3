package certify

import (
	"context"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/svm"
	"github.com/bilevel-go/bilevel/problems/toy"
	"gonum.org/v1/gonum/floats"
)

// slack opens the SVM problem whose slacks are lower variables: n upper
// variables, n + 46 lower, 2n rows. The relaxation's answer comes from the family's own solvers.
func slack(t testing.TB, n int) (p *bilevel.Problem, x, y, mu []float64) {
	t.Helper()
	inst, err := svm.Family{}.Open(problems.Request{Name: "svm", Set: map[string]string{"formulation": "slack", "train": strconv.Itoa(n)}})
	if err != nil {
		t.Fatal(err)
	}
	p = inst.Problem
	x, y, mu = append([]float64(nil), p.X0...), make([]float64, p.NY), make([]float64, p.Coupling.Rows)
	if err := p.Oracle.(bilevel.Relaxer).SolveRelaxation(x, y); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Oracle.(bilevel.LowerSolver).SolveLower(math.Inf(1), x, y, mu); err != nil {
		t.Fatal(err)
	}
	plain := *p
	plain.Oracle = nil
	return &plain, x, y, mu
}

func llc(t testing.TB, n int) *problems.Instance {
	t.Helper()
	inst, err := toy.Family{}.Open(problems.Request{Name: "toy/llc", Seed: 1, Set: map[string]string{"n": strconv.Itoa(n)}})
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

// TestManyVariables accepts right answers of problems with hundreds and
// thousands of lower variables and refuses wrong ones, each for its reason.
func TestManyVariables(t *testing.T) {
	p, x, y, mu := slack(t, 500)
	q, xq, yq, muq := slack(t, 200)
	big := llc(t, 300)
	kb := big.Known[0]
	for _, c := range []struct {
		name     string
		p        *bilevel.Problem
		x, y, mu []float64
		want     Verdict
		reason   string
	}{
		{"slack", p, x, y, mu, VerifiedGlobally, "high-point relaxation"},
		{"slack, multipliers fitted", q, xq, yq, nil, VerifiedGlobally, "high-point relaxation"},
		{"slack, a slack above its bound", q, xq, moved(yq, q.NY-3, 0.1), muq, Refuted, "coupling constraint is violated"},
		{"slack, every bound larger", q, scaled(xq, 1.5), nil, nil, Refuted, "x is not a local minimum"},
		{"llc", big.Problem, kb.X, kb.Y, nil, Verified, "proven by duality"},
		{"llc, pessimistic y", big.Problem, kb.X, pessimistic(kb.Y), nil, Refuted, "not the optimistic one"},
		{"llc, wrong y", big.Problem, kb.X, moved(moved(kb.Y, 0, 0.05), 1, -0.05), nil, Refuted, "y is not a lower solution"},
		{"llc, x moved", big.Problem, moved(kb.X, 7, 0.1), nil, nil, Refuted, "x is not a local minimum"},
	} {
		got := measure(t, c.p, c.x, c.y, c.mu)
		if got.Verdict != c.want || !strings.Contains(got.Message, c.reason) {
			t.Errorf("%s: %v, want %v with %q: %s", c.name, got.Verdict, c.want, c.reason, got.Message)
		}
	}
}

func scaled(v []float64, by float64) []float64 {
	w := append([]float64(nil), v...)
	floats.Scale(by, w)
	return w
}

func BenchmarkMeasureSlack(b *testing.B) {
	p, x, y, mu := slack(b, 500)
	for b.Loop() {
		if _, err := Measure(context.Background(), p, x, y, mu, Settings{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMeasureLLC(b *testing.B) {
	for _, n := range []int{100, 8000} {
		inst := llc(b, n)
		k := inst.Known[0]
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Measure(context.Background(), inst.Problem, k.X, k.Y, nil, Settings{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
