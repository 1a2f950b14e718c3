package toy_test

import (
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/toy"
)

func open(t *testing.T, name string, set map[string]string) *problems.Instance {
	t.Helper()
	inst, err := toy.Family{}.Open(problems.Request{Name: name, Seed: 1, Set: set})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return inst
}

func TestEveryToyIsValid(t *testing.T) {
	for _, e := range (toy.Family{}).Names() {
		inst := open(t, e.Name, nil)
		p := inst.Problem
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		if inst.Name != e.Name || p.Name != e.Name || inst.Title != e.Title || inst.Doc == "" || inst.Source == "" {
			t.Errorf("%s: incomplete description %+v", e.Name, inst)
		}
		if len(inst.Known) == 0 || !inst.Known[0].Global {
			t.Errorf("%s: no global optimum known", e.Name)
		}
		off := open(t, e.Name, map[string]string{"oracle": "false"})
		if off.Problem.Oracle != nil {
			t.Errorf("%s: oracle=false left an oracle", e.Name)
		}
	}
}

// Exact derivatives are present and agree with differences at the start, at the
// known optima and at random points.
func TestDerivatives(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, e := range (toy.Family{}).Names() {
		inst := open(t, e.Name, nil)
		p := inst.Problem
		for _, o := range []bilevel.Objective{p.Upper, p.Lower} {
			if o.GradX == nil || o.GradY == nil || o.HessXX == nil || o.HessXY == nil || o.HessYX == nil || o.HessYY == nil {
				t.Errorf("%s: a derivative is missing", e.Name)
			}
		}
		if err := p.CheckDerivatives(); err != nil {
			t.Errorf("%s at the start: %v", e.Name, err)
		}
		for _, k := range inst.Known {
			if err := p.CheckDerivativesAt(k.X, k.Y); err != nil {
				t.Errorf("%s at an optimum: %v", e.Name, err)
			}
		}
		x, y := make([]float64, p.NX), make([]float64, p.NY)
		for range 5 {
			for i := range x {
				x[i] = 1.5 * rng.NormFloat64()
			}
			for i := range y {
				y[i] = 1.5 * rng.NormFloat64()
			}
			if p.X != nil {
				p.X.Project(x, x)
			}
			if err := p.CheckDerivativesAt(x, y); err != nil {
				t.Errorf("%s at %v, %v: %v", e.Name, x, y, err)
			}
		}
	}
}
