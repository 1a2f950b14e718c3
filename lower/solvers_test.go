package lower

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
)

// contender is a solver with the problems it accepts and the accuracy asked of it.
type contender struct {
	name      string
	make      func(p *Problem) Solver
	accepts   func(p *Problem) bool
	tolerance float64 // of the residuals
	accuracy  float64 // of y and mu
}

func contenders() []contender {
	free := func(p *Problem) bool { return p.Rows == 0 && set.IsWhole(p.Y) }
	simple := func(p *Problem) bool { return p.Rows == 0 }
	all := func(*Problem) bool { return true }
	described := func(p *Problem) bool { return set.Describe(p.Y, p.N) != nil }
	return []contender{
		{"Newton", func(*Problem) Solver { return &Newton{} }, free, 1e-12, 1e-11},
		{"LBFGS", func(*Problem) Solver { return &LBFGS{} }, free, 1e-10, 1e-5},
		{"APG", func(*Problem) Solver { return &APG{} }, simple, 1e-9, 1e-4},
		{"MaxMin", func(*Problem) Solver { return &MaxMin{} }, all, 1e-8, 1e-3},
		{"InteriorPoint", func(*Problem) Solver { return &InteriorPoint{} }, described, 1e-10, 1e-10},
		{"New", New, all, 1e-10, 1e-10},
	}
}

// TestSolvers runs every solver on every problem it accepts. Residuals are
// measured anew; the accuracy of first-order solvers is the residual divided by
// the smallest curvature (1e-4) of the problems.
func TestSolvers(t *testing.T) {
	for _, k := range cases(t) {
		for _, c := range contenders() {
			if !c.accepts(k.p) {
				continue
			}
			t.Run(k.name+"/"+c.name, func(t *testing.T) {
				y, mu := make([]float64, k.p.N), make([]float64, k.p.Rows)
				copy(y, k.start)
				info, err := c.make(k.p).Solve(k.p, y, mu, c.tolerance, nil)
				if k.status != bilevel.Running {
					var level *bilevel.LevelError
					if !errors.As(err, &level) || level.Status != k.status {
						t.Fatalf("error is %v, want status %q (info %+v, y %v, mu %v)", err, k.status, info, y, mu)
					}
					return
				}
				if err != nil || !info.Converged {
					t.Fatalf("%v, %+v\ny %v\nmu %v", err, info, y, mu)
				}
				var meter Meter
				if r := meter.Measure(k.p, y, mu); r != info.Residuals || r.Max() > c.tolerance {
					t.Fatalf("residuals %+v, claimed %+v", r, info.Residuals)
				}
				if k.p.Y != nil {
					on := make([]float64, k.p.N)
					k.p.Y.Project(on, y)
					if d := floats.Distance(on, y, 2); d > 1e-13*(1+floats.Norm(y, 2)) {
						t.Errorf("y is %g away from Y", d)
					}
				}
				if k.y != nil {
					if d := floats.Distance(y, k.y, math.Inf(1)); !(d <= c.accuracy) {
						t.Errorf("y is off by %g: %v, want %v", d, y, k.y)
					}
				}
				if k.mu != nil {
					if d := floats.Distance(mu, k.mu, math.Inf(1)); !(d <= c.accuracy) {
						t.Errorf("mu is off by %g: %v, want %v", d, mu, k.mu)
					}
				}
			})
		}
	}
}

// TestNew: the choice of a solver follows the shape.
func TestNew(t *testing.T) {
	ball, err := set.Ball(make([]float64, 700), 1)
	if err != nil {
		t.Fatal(err)
	}
	user, err := set.Func(2, func(dst, x []float64) { copy(dst, x) }, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p    *Problem
		want string
	}{
		{&Problem{N: 600}, "*lower.Newton"},
		{&Problem{N: 601, Y: set.Whole(601)}, "*lower.LBFGS"},
		{&Problem{N: 2, Y: set.NonNegative(2)}, "*lower.InteriorPoint"},
		{&Problem{N: 2, Rows: 3}, "*lower.InteriorPoint"},
		{&Problem{N: 700, Y: ball}, "*lower.APG"},
		{&Problem{N: 2, Y: user}, "*lower.APG"},
		{&Problem{N: 2, Y: user, Rows: 1}, "*lower.MaxMin"},
		{&Problem{N: 700, Y: ball, Rows: 1}, "*lower.MaxMin"},
		{&Problem{N: 2, Rows: 5000}, "*lower.MaxMin"},
	} {
		if got := fmt.Sprintf("%T", New(c.p)); got != c.want {
			t.Errorf("N = %d, Y = %v, Rows = %d: %s, want %s", c.p.N, c.p.Y, c.p.Rows, got, c.want)
		}
	}
}
