package bilevel_test

import (
	"math"
	"reflect"
	"testing"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// Derivatives left out are computed by differences of what is there: first ones
// to about 1e-9 relative, second ones from exact gradients likewise, and second
// ones from differenced gradients to about 1e-5.
func TestMissingDerivatives(t *testing.T) {
	exact := smooth()
	bare := func() *bilevel.Problem {
		p := smooth()
		p.Upper = bilevel.Objective{Value: p.Upper.Value}
		p.Lower = bilevel.Objective{Value: p.Lower.Value}
		p.Coupling = &bilevel.Coupling{Rows: 2, Value: p.Coupling.Value}
		return p
	}
	first := func() *bilevel.Problem {
		p := smooth()
		p.Upper = bilevel.Objective{Value: p.Upper.Value, GradX: p.Upper.GradX, GradY: p.Upper.GradY}
		p.Lower = bilevel.Objective{Value: p.Lower.Value, GradX: p.Lower.GradX, GradY: p.Lower.GradY}
		h := p.Coupling
		p.Coupling = &bilevel.Coupling{Rows: 2, Value: h.Value, JacXT: h.JacXT, JacYT: h.JacYT}
		return p
	}
	x, y := exact.X0, exact.Y0
	u, v, mu := []float64{0.3, -1.1}, []float64{1.2, 0.4, -0.7}, []float64{0.8, -0.5}
	type both struct {
		name      string
		n         int
		call      func(p *bilevel.Problem, dst []float64)
		second    bool
		tolerance [2]float64 // bare, first
	}
	var cases []both
	for name, of := range map[string]func(p *bilevel.Problem) *bilevel.Objective{
		"Upper": func(p *bilevel.Problem) *bilevel.Objective { return &p.Upper },
		"Lower": func(p *bilevel.Problem) *bilevel.Objective { return &p.Lower },
	} {
		one, two := [2]float64{1e-9, 0}, [2]float64{1e-5, 1e-9}
		cases = append(cases,
			both{name + ".GradX", 2, func(p *bilevel.Problem, d []float64) { of(p).GradX(d, x, y) }, false, one},
			both{name + ".GradY", 3, func(p *bilevel.Problem, d []float64) { of(p).GradY(d, x, y) }, false, one},
			both{name + ".HessXX", 2, func(p *bilevel.Problem, d []float64) { of(p).HessXX(d, x, y, u) }, true, two},
			both{name + ".HessXY", 2, func(p *bilevel.Problem, d []float64) { of(p).HessXY(d, x, y, v) }, true, two},
			both{name + ".HessYX", 3, func(p *bilevel.Problem, d []float64) { of(p).HessYX(d, x, y, u) }, true, two},
			both{name + ".HessYY", 3, func(p *bilevel.Problem, d []float64) { of(p).HessYY(d, x, y, v) }, true, two})
	}
	one, two := [2]float64{1e-9, 1e-9}, [2]float64{1e-5, 1e-9}
	cases = append(cases,
		both{"Coupling.JacX", 2, func(p *bilevel.Problem, d []float64) { p.Coupling.JacX(d, x, y, u) }, false, one},
		both{"Coupling.JacY", 2, func(p *bilevel.Problem, d []float64) { p.Coupling.JacY(d, x, y, v) }, false, one},
		both{"Coupling.JacXT", 2, func(p *bilevel.Problem, d []float64) { p.Coupling.JacXT(d, x, y, mu) }, false, one},
		both{"Coupling.JacYT", 3, func(p *bilevel.Problem, d []float64) { p.Coupling.JacYT(d, x, y, mu) }, false, one},
		both{"Coupling.HessYY", 3, func(p *bilevel.Problem, d []float64) { p.Coupling.HessYY(d, x, y, mu, v) }, true, two},
		both{"Coupling.HessXY", 2, func(p *bilevel.Problem, d []float64) { p.Coupling.HessXY(d, x, y, mu, v) }, true, two},
		both{"Coupling.HessYX", 3, func(p *bilevel.Problem, d []float64) { p.Coupling.HessYX(d, x, y, mu, u) }, true, two})
	for i, p := range []*bilevel.Problem{bare(), first()} {
		dense := bilevel.NewModel(p).Dense()
		for _, c := range cases {
			want, got := make([]float64, c.n), make([]float64, c.n)
			c.call(exact, want)
			c.call(dense, got)
			tol := c.tolerance[i] * math.Max(1, floats.Norm(want, math.Inf(1)))
			if d := floats.Distance(got, want, math.Inf(1)); !(d <= tol) {
				t.Errorf("%s: %v, exact %v, difference %.2g > %.2g", c.name, got, want, d, tol)
			}
			if n := testing.AllocsPerRun(10, func() { c.call(dense, got) }); n != 0 {
				t.Errorf("%s allocates %g times", c.name, n)
			}
		}
	}
}

func TestResultNamesDifferences(t *testing.T) {
	p := bowl()
	p.Upper.GradX, p.Lower.GradY = nil, nil
	p.Coupling = &bilevel.Coupling{Rows: 1, Value: func(dst, x, y []float64) { dst[0] = y[0] - x[0] - 50 }}
	r, err := bilevel.Solve(t.Context(), p, walker{}, bilevel.Settings{MaxIterations: 2})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"Upper.GradX", "Lower.GradY", "Coupling.JacX", "Coupling.JacY"}; !reflect.DeepEqual(r.Differences, want) {
		t.Errorf("differences %v, want %v", r.Differences, want)
	}
	if r.Counts.F < 8 { // two central differences in two variables
		t.Errorf("the evaluations of the differences are not counted: %+v", r.Counts)
	}
}

func TestCounts(t *testing.T) {
	m := bilevel.NewModel(smooth())
	p := m.Dense()
	x, y, d, e := p.X0, p.Y0, make([]float64, 2), make([]float64, 3)
	p.Upper.Value(x, y)
	p.Lower.Value(x, y)
	p.Lower.Value(x, y)
	p.Upper.GradX(d, x, y)
	p.Lower.GradX(d, x, y)
	p.Lower.GradY(e, x, y)
	p.Lower.HessYY(e, x, y, y)
	p.Upper.HessXY(d, x, y, y)
	p.Coupling.Value(d, x, y)
	if want := (bilevel.Counts{F: 1, G: 2, GradF: 1, GradG: 2, HessVec: 2, Coupling: 1}); *m.Counts() != want {
		t.Errorf("counts %+v, want %+v", *m.Counts(), want)
	}
}
