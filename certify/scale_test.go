package certify

import (
	"context"
	"math"
	"strconv"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/svm"
	"github.com/bilevel-go/bilevel/problems/toy"
)

// slack opens the SVM problem whose slacks are lower variables: 500 upper
// variables, 546 lower, 1000 rows. The relaxation's answer comes from the family's own solvers.
func slack(t testing.TB) (p *bilevel.Problem, x, y, mu []float64) {
	t.Helper()
	inst, err := svm.Family{}.Open(problems.Request{Name: "svm", Set: map[string]string{"formulation": "slack"}})
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

func BenchmarkMeasureSlack(b *testing.B) {
	p, x, y, mu := slack(b)
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
