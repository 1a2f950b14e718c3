package method_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/method"
)

// exact: the methods that follow the exact hypergradient reach a known optimum
// of every toy that they accept. Where phi is smooth they end when its gradient
// is 1e-8, on toy/ridge, where phi's curvature is 0.1 and less, at a distance of
// 1e-6; at a kink (toy/simplex-kink) when the hull of gradients is within 1e-6 of 0.
func TestExactMethodsReachKnownOptima(t *testing.T) {
	smooth := []string{"toy/pbgd-negative", "toy/pbgd-positive", "toy/quadratic", "toy/quadratic general", "toy/ridge", "toy/simplex", "toy/simplex general", "toy/simplex-kink"}
	coupled := []string{"toy/blocc-1", "toy/blocc-2", "toy/blocc-2 general", "toy/reformulation", "toy/reformulation general"}
	for _, m := range []bilevel.Method{new(method.ImplicitCG), new(method.ImplicitNeumann), new(method.GAM), new(method.Unrolled)} {
		names := smooth
		if m.Name() != "unrolled" {
			names = append(append([]string(nil), smooth...), coupled...)
		}
		for _, name := range names {
			t.Run(m.Name()+" "+name, func(t *testing.T) {
				inst := open(t, name, bilevel.Corrected)
				r := solve(t, inst.Problem, m, bilevel.Settings{})
				if d := inst.Metrics(r.X, r.Y, nil)["distance_to_optimum"]; r.Status != bilevel.Converged || !(d <= 1e-6) {
					t.Errorf("%v after %d iterations, %g from the nearest known optimum: %s %v", r.Status, r.Iterations, d, r.Message, r.Notes)
				}
			})
		}
	}
}

// The lower level of toy/llsc has 90 equations, and its phi other stationary
// points than the known global optimum, near which the run starts therefore.
func TestExactMethodsUnderEquations(t *testing.T) {
	for _, m := range []bilevel.Method{new(method.ImplicitCG), new(method.GAM)} {
		inst := open(t, "toy/llsc", bilevel.Corrected)
		for i, v := range inst.Known[0].X {
			inst.Problem.X0[i] = 0.9 * v
		}
		r := solve(t, inst.Problem, m, bilevel.Settings{})
		if d := inst.Metrics(r.X, r.Y, nil)["distance_to_optimum"]; r.Status != bilevel.Converged || !(d <= 1e-6) {
			t.Errorf("%s: %v after %d iterations, %g from the optimum, f = %g, want %g", m.Name(), r.Status, r.Iterations, d, r.Upper, inst.Known[0].Upper)
		}
	}
}

// A truncated linear solve or loop is said in a note, with its size.
func TestInexactnessIsSaid(t *testing.T) {
	for _, c := range []struct {
		method bilevel.Method
		said   string
	}{
		{&method.ImplicitCG{Iterations: 1}, "linear system of the hypergradient"},
		{&method.ImplicitNeumann{Terms: 3}, "linear system of the hypergradient"},
		{&method.Unrolled{Inner: 20, Last: 2, Eta: 1e-3, Beta: 0.05}, "is left"},
	} {
		r := solve(t, open(t, "toy/quadratic", bilevel.Corrected).Problem, c.method, bilevel.Settings{MaxIterations: 3})
		found := false
		for _, n := range r.Notes {
			found = found || strings.Contains(n.Text, c.said)
		}
		if !found {
			t.Errorf("%s: notes %v, want one on %q", c.method.Name(), r.Notes, c.said)
		}
	}
}

// What a method cannot do is refused with the field's name.
func TestImplicitRefuses(t *testing.T) {
	coupled := open(t, "toy/blocc-1", bilevel.Corrected).Problem
	for _, m := range []bilevel.Method{new(method.Unrolled), &method.ImplicitCG{Inner: 5}, &method.GAM{Alpha: -1}, &method.LVHBA{P: 2}} {
		_, err := bilevel.Solve(t.Context(), coupled, m, bilevel.Settings{})
		var setting *bilevel.SettingError
		if !errors.As(err, &setting) || !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%s: error %v, want a SettingError", m.Name(), err)
		}
	}
}
