package method_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/method"
)

// settled are methods with settings at which they stay finite on their problem
// and go on for ever.
var settled = []struct {
	method, problem string
	set             map[string]string
	mode            bilevel.Mode
}{
	{"pbgd-free", "toy/quadratic", map[string]string{"flatness_every": "3"}, bilevel.Corrected},
	{"pbgd-free", "toy/blocc-1", map[string]string{"flatness_every": "3", "floor": "1e-5", "inner_tol": "1e-9"}, bilevel.Corrected},
	{"pbgd-free", "toy/quadratic", map[string]string{"rule": "adam", "warm": "y_g"}, bilevel.Corrected},
	{"v-pbgd", "toy/pbgd-positive", map[string]string{"gamma_ramp": "30"}, bilevel.Corrected},
	{"v-pbgd", "toy/quadratic", map[string]string{"rule": "adam", "inner_tol": "1e-9"}, bilevel.Corrected},
	{"f2sa", "toy/pbgd-positive", nil, bilevel.Corrected},
	{"v-pbgd", "toy/quadratic", map[string]string{"gamma_end": "100"}, bilevel.Corrected},
	{"f2sa", "toy/pbgd-positive", nil, bilevel.Faithful},
	{"blocc", "toy/quadratic", nil, bilevel.Corrected},
	{"blocc", "toy/quadratic general", nil, bilevel.Corrected},
	{"blocc", "toy/llsc general", nil, bilevel.Corrected},
	{"blocc", "toy/blocc-2 general", map[string]string{"step": "fixed"}, bilevel.Corrected},
	{"pbgd-free", "toy/simplex general", map[string]string{"flatness_every": "1"}, bilevel.Corrected},
	{"blocc", "toy/quadratic", map[string]string{"step": "fixed", "eta": "1e-4"}, bilevel.Corrected},
	{"blocc", "toy/llsc", map[string]string{"inner": "maxmin", "dual_steps": "3", "stop": "never", "primal_step_g": "0.1", "dual_step_g": "0.001", "primal_step_f": "0.1", "dual_step_f": "0.001", "accelerated": "true"}, bilevel.Corrected},
	{"blocc", "toy/blocc-1", map[string]string{"scale": "f", "order": "simultaneous", "stop": "signed-sum", "warm": "y_g", "mu_g": "0.1", "mu_f": "1",
		"primal_step_g": "0.1", "dual_step_g": "0.1", "primal_step_f": "0.1", "dual_step_f": "0.1", "gamma": "5"}, bilevel.Faithful},
	{"implicit-cg", "toy/quadratic", nil, bilevel.Corrected},
	{"implicit-cg", "toy/quadratic general", map[string]string{"inner": "5"}, bilevel.Corrected},
	{"implicit-cg", "toy/llsc", nil, bilevel.Faithful},
	{"implicit-neumann", "toy/quadratic", nil, bilevel.Corrected},
	{"implicit-neumann", "toy/quadratic", map[string]string{"sample": "true", "eta": "1e-3"}, bilevel.Corrected},
	{"gam", "toy/quadratic", nil, bilevel.Corrected},
	{"gam", "toy/llsc", map[string]string{"alpha": "1e-3"}, bilevel.Faithful},
	{"unrolled", "toy/quadratic", nil, bilevel.Corrected},
	{"unrolled", "toy/simplex-kink", nil, bilevel.Corrected},
	{"unrolled", "toy/quadratic", map[string]string{"warm": "true", "last": "4", "eta": "1e-3"}, bilevel.Faithful},
	{"lv-hba", "toy/quadratic", nil, bilevel.Corrected},
	{"lv-hba", "toy/quadratic", map[string]string{"c": "100"}, bilevel.Corrected},
	{"lv-hba", "toy/llc", map[string]string{"c": "100"}, bilevel.Corrected},
	{"lv-hba", "toy/blocc-2", nil, bilevel.Faithful},
	{"lv-hba", "toy/blocc-2 general", map[string]string{"step": "fixed"}, bilevel.Corrected},
	{"bic-gaffa", "toy/quadratic", nil, bilevel.Corrected},
	{"bic-gaffa", "toy/blocc-1", map[string]string{"c": "100"}, bilevel.Corrected},
	{"bic-gaffa", "toy/blocc-2", nil, bilevel.Faithful},
	{"bome", "toy/pbgd-positive", nil, bilevel.Corrected},
	{"bome", "toy/pbgd-positive", map[string]string{"rule": "adam"}, bilevel.Faithful},
	{"alright", "toy/pbgd-positive", nil, bilevel.Corrected},
	{"alright", "toy/quadratic", map[string]string{"form": "generic", "rule": "adam", "beta": "0.001"}, bilevel.Corrected},
	{"switching", "toy/pbgd-negative", map[string]string{"flatness_every": "1", "patience": "1"}, bilevel.Corrected},
	{"sequential", "toy/pbgd-positive", map[string]string{"first": "2"}, bilevel.Corrected},
	{"sequential", "toy/quadratic", map[string]string{"order": "g-then-f", "first": "5", "gamma": "10", "form": "generic", "rule": "adam", "beta": "0.001"}, bilevel.Corrected},
}

const never = 1e-300 // a tolerance that no stopping test meets

// Resuming from a checkpoint must give the bits of the uninterrupted run.
func TestResume(t *testing.T) {
	for _, c := range settled {
		t.Run(c.method+" "+c.problem+" "+c.mode.String(), func(t *testing.T) {
			s := bilevel.Settings{Mode: c.mode, Tolerance: never, MaxIterations: 8}
			p := open(t, c.problem, c.mode).Problem
			whole := solve(t, p, with(t, c.method, c.set), s)
			s.MaxIterations = 3
			part := solve(t, p, with(t, c.method, c.set), s)
			if part.State == nil || part.State.Iteration != 3 {
				t.Fatalf("%v after 3 iterations, state %v", part.Status, part.State)
			}
			s.MaxIterations, s.Resume = 8, part.State
			rest := solve(t, p, with(t, c.method, c.set), s)
			if !reflect.DeepEqual(whole.X, rest.X) || !reflect.DeepEqual(whole.Y, rest.Y) || !reflect.DeepEqual(whole.PenalisedY, rest.PenalisedY) || whole.Iterations != rest.Iterations {
				t.Errorf("resumed: x = %v, y = %v after %d; uninterrupted: x = %v, y = %v after %d", rest.X, rest.Y, rest.Iterations, whole.X, whole.Y, whole.Iterations)
			}
			if whole.Counts != rest.Counts {
				t.Errorf("resumed: counts %+v, uninterrupted %+v", rest.Counts, whole.Counts)
			}
		})
	}
}

// So must resuming in any stage of a continuation, and at its end.
func TestResumeInStages(t *testing.T) {
	for _, c := range []run{
		{method: "blocc", problem: "toy/ridge", set: map[string]string{"gamma_end": "1e6"}},
		{method: "f2sa", problem: "toy/pbgd-negative", set: map[string]string{"gamma_end": "1e6", "rho": "0.1"}},
		{method: "lv-hba", problem: "toy/blocc-1"},
		{method: "bic-gaffa", problem: "toy/llc"},
	} {
		t.Run(c.method+" "+c.problem, func(t *testing.T) {
			p := open(t, c.problem, bilevel.Corrected).Problem
			stages := 0
			last := math.NaN()
			solve(t, p, with(t, c.method, c.set), bilevel.Settings{Recorder: watch(func(p *bilevel.Progress) {
				if p.Gamma != last {
					last = p.Gamma
					stages++
				}
			})})
			whole := solve(t, p, with(t, c.method, c.set), bilevel.Settings{})
			if stages < 3 || whole.Status != bilevel.Converged {
				t.Fatalf("%v after %d stages", whole.Status, stages)
			}
			s := bilevel.Settings{}
			var r *bilevel.Result
			for _, part := range []int{whole.Iterations / 2, whole.Iterations * 3 / 4, whole.Iterations - 1, whole.Iterations} {
				s.MaxIterations = part
				r = solve(t, p, with(t, c.method, c.set), s)
				s.Resume = r.State
			}
			if !reflect.DeepEqual(whole.X, r.X) || !reflect.DeepEqual(whole.Y, r.Y) || r.Status != whole.Status || whole.Counts != r.Counts {
				t.Errorf("resumed: %v, x = %v, %+v; uninterrupted: %v, x = %v, %+v", r.Status, r.X, r.Counts, whole.Status, whole.X, whole.Counts)
			}
		})
	}
}

// counting runs a method's Step many times inside one of its own and counts the
// allocations.
type counting struct {
	bilevel.Method
	t *testing.T
}

type countingIteration struct {
	bilevel.Iteration
	t *testing.T
}

func (c counting) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	it, err := c.Method.Start(e)
	return &countingIteration{it, c.t}, err
}

func (c *countingIteration) Step(p *bilevel.Progress) (bilevel.Status, error) {
	if n := testing.AllocsPerRun(10, func() {
		if status, err := c.Iteration.Step(p); err != nil || status > bilevel.Converged {
			c.t.Fatal(status, err)
		}
	}); n != 0 {
		c.t.Errorf("%v allocations per outer iteration", n)
	}
	return bilevel.Converged, nil
}

// A steady-state outer iteration allocates nothing.
func TestStepAllocatesNothing(t *testing.T) {
	for _, c := range settled {
		t.Run(c.method+" "+c.problem+" "+c.mode.String(), func(t *testing.T) {
			p := open(t, c.problem, c.mode).Problem
			solve(t, p, counting{with(t, c.method, c.set), t}, bilevel.Settings{Mode: c.mode, Tolerance: never, Recorder: watch(func(*bilevel.Progress) {})})
		})
	}
}

// A cancelled run stops within one inner iteration, takes the unfinished outer
// iteration back and can be resumed.
func TestCancel(t *testing.T) {
	for _, c := range settled {
		t.Run(c.method+" "+c.problem+" "+c.mode.String(), func(t *testing.T) {
			p := *open(t, c.problem, c.mode).Problem
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			calls := 0
			for _, grad := range [...]*func(dst, x, y []float64){&p.Upper.GradX, &p.Upper.GradY, &p.Lower.GradX, &p.Lower.GradY} {
				call := *grad
				*grad = func(dst, x, y []float64) {
					if calls++; calls == 60 {
						cancel()
					}
					call(dst, x, y)
				}
			}
			r, err := bilevel.Solve(ctx, &p, with(t, c.method, c.set), bilevel.Settings{Mode: c.mode, Tolerance: never})
			if err != nil || r.Status != bilevel.Interrupted || r.State == nil || r.State.Iteration != r.Iterations {
				t.Fatalf("%v, %v, %d iterations", err, r.Status, r.Iterations)
			}
			// The loop itself may go on until context.AfterFunc has run.
			if calls > 100000 {
				t.Errorf("%d gradients after the cancellation", calls-60)
			}
			for _, v := range append(append([]float64(nil), r.X...), r.Y...) {
				if math.IsNaN(v) {
					t.Errorf("x = %v, y = %v", r.X, r.Y)
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		method, problem string
		set             map[string]string
	}{
		{"v-pbgd", "toy/blocc-1", nil}, {"f2sa", "toy/blocc-1", nil}, {"bome", "toy/blocc-1", nil}, {"alright", "toy/blocc-1", nil},
		{"blocc", "toy/blocc-1", map[string]string{"inner": "maxmin", "step": "spectral"}},
	} {
		r, err := bilevel.Solve(context.Background(), open(t, c.problem, bilevel.Corrected).Problem, with(t, c.method, c.set), bilevel.Settings{})
		if !errors.Is(err, bilevel.ErrInvalid) || r.Status != bilevel.InvalidProblem {
			t.Errorf("%s on %s: %v, %v", c.method, c.problem, r.Status, err)
		}
	}
	if _, err := method.Lookup("v-pgbd"); err == nil || !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("Lookup of a misspelt name: %v", err)
	}
}
