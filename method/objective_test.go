package method

import (
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// checkObjective compares an objective's gradient at x with central differences
// of its values, to a tolerance relative to the gradient's size.
func checkObjective(t *testing.T, name string, o spgObjective, x vec.Vector, tolerance float64) {
	t.Helper()
	value := func() float64 {
		v, err := o.value(x)
		if err != nil {
			t.Fatal(name, err)
		}
		return v
	}
	value()
	g := x.New()
	if err := o.grad(g, x); err != nil {
		t.Fatal(name, err)
	}
	want := make([]float64, x.Len())
	const h = 1e-5
	size := 0.0
	for i, c := range x.(vec.Dense) {
		x.(vec.Dense)[i] = c + h
		up := value()
		x.(vec.Dense)[i] = c - h
		want[i] = (up - value()) / (2 * h)
		x.(vec.Dense)[i] = c
		size = math.Max(size, math.Abs(want[i]))
	}
	if d := distance(g.(vec.Dense), want); !(d <= tolerance*size) {
		t.Errorf("%s: gradient %v, differences %v", name, g, want)
	}
}

// startOn starts a method on p and hands its iteration to use.
func startOn(t *testing.T, p *bilevel.Problem, mode bilevel.Mode, m bilevel.Method, use func(it bilevel.Iteration)) {
	t.Helper()
	withEnv(t, p, mode, func(e *bilevel.Env) error {
		it, err := m.Start(e)
		if err == nil {
			use(it)
		}
		return err
	})
}

// The gradients that the methods step along, each against differences of what it
// is said to be the gradient of: phi (gam, implicit), phi_K (unrolled, all steps
// differentiated), f/c + G (lv-hba, bic-gaffa).
func TestMethodGradients(t *testing.T) {
	for _, p := range smoothProblems() {
		t.Run(p.Name, func(t *testing.T) {
			startOn(t, p, bilevel.Corrected, new(ImplicitCG), func(it bilevel.Iteration) {
				checkObjective(t, "implicit-cg", it.(*implicit).f, it.(*implicit).x, 1e-5)
			})
			startOn(t, p, bilevel.Corrected, new(ImplicitNeumann), func(it bilevel.Iteration) {
				checkObjective(t, "implicit-neumann", it.(*implicit).f, it.(*implicit).x, 1e-5)
			})
			startOn(t, p, bilevel.Corrected, new(GAM), func(it bilevel.Iteration) {
				checkObjective(t, "gam", it.(*gam), it.(*gam).x, 1e-5)
			})
			if p.Coupling == nil {
				startOn(t, p, bilevel.Corrected, new(Unrolled), func(it bilevel.Iteration) {
					checkObjective(t, "unrolled", it.(*unrolled), it.(*unrolled).x, 1e-5)
				})
				startOn(t, p, bilevel.Faithful, &Unrolled{Inner: 7, Beta: 0.1}, func(it bilevel.Iteration) {
					u := it.(*unrolled)
					checkObjective(t, "unrolled, 7 steps", u, u.x, 1e-5)
				})
			}
			// From u at the start of the methods, which is in C and a little off kinks of G.
			startOn(t, p, bilevel.Corrected, &LVHBA{Gamma1: 0.7, Gamma2: 0.4, Lambda0: 0.3, Z0: 0.2, C: 2}, func(it bilevel.Iteration) {
				d := it.(*lvhba).gap
				checkObjective(t, "lv-hba", d, d.u, 1e-5)
			})
			startOn(t, p, bilevel.Corrected, &BiCGAFFA{Gamma1: 0.7, Gamma2: 0.4, Lambda0: 0.3, Z0: 0.2, C: 2}, func(it bilevel.Iteration) {
				d := it.(*bicGaffa).gap
				checkObjective(t, "bic-gaffa", d, d.u, 1e-5)
			})
		})
	}
}

// Steps left out of the backward pass are those that matter least: the error of
// the truncated gradient falls with the number of steps kept.
func TestTruncation(t *testing.T) {
	p := curvedProblem(3, 5, 1)
	var full []float64
	last := math.Inf(1)
	for _, keep := range []int{0, 2, 5, 20, 60} {
		startOn(t, p, bilevel.Faithful, &Unrolled{Inner: 80, Last: keep, Beta: 0.1}, func(it bilevel.Iteration) {
			u := it.(*unrolled)
			if _, err := u.value(u.x); err != nil {
				t.Fatal(err)
			}
			u.backward(u.dx, u.x)
			if keep == 0 {
				full = append([]float64(nil), u.dx.(vec.Dense)...)
				return
			}
			d := distance(u.dx.(vec.Dense), full)
			if d >= last || d == 0 {
				t.Errorf("%d steps kept: error %g, after %g with fewer", keep, d, last)
			}
			last = d
		})
	}
	// What is left out has been contracted 60 times by 1 - 0.1 modulus.
	if last > math.Pow(1-0.1*p.Structure.LowerModulus, 60) {
		t.Errorf("60 of 80 steps kept: error %g", last)
	}
}

// The general joint projection is feasible, and nearer to the point projected
// than other feasible points: <q - z, w - z> <= 0 for feasible w.
func TestJointProjection(t *testing.T) {
	for _, p := range []*bilevel.Problem{
		with(curvedProblem(3, 5, 6), "inequalities", nil, affineCoupling(3, 5, 4, 0, 0.1, 6)),
		with(curvedProblem(3, 5, 8), "mixed", must(set.Interval(5, -1, 1)), affineCoupling(3, 5, 4, 1, 0.2, 8)),
		with(curvedProblem(3, 5, 13), "convex", nil, &bilevel.Coupling{Rows: 1,
			Value: func(dst, x, y []float64) { dst[0] = x[0]*x[0] + y[0]*y[0] + math.Exp(x[1]+y[1]) - 2 },
			JacXT: func(dst, x, y, mu []float64) {
				dst[0], dst[1], dst[2] = 2*x[0]*mu[0], math.Exp(x[1]+y[1])*mu[0], 0
			},
			JacYT: func(dst, x, y, mu []float64) {
				clear(dst)
				dst[0], dst[1] = 2*y[0]*mu[0], math.Exp(x[1]+y[1])*mu[0]
			},
			JacX: func(dst, x, y, v []float64) { dst[0] = 2*x[0]*v[0] + math.Exp(x[1]+y[1])*v[1] },
			JacY: func(dst, x, y, v []float64) { dst[0] = 2*y[0]*v[0] + math.Exp(x[1]+y[1])*v[1] },
			HessYY: func(dst, x, y, mu, v []float64) {
				clear(dst)
				dst[0], dst[1] = 2*mu[0]*v[0], math.Exp(x[1]+y[1])*mu[0]*v[1]
			},
			HessXY: func(dst, x, y, mu, v []float64) { dst[0], dst[1], dst[2] = 0, math.Exp(x[1]+y[1])*mu[0]*v[1], 0 },
			HessYX: func(dst, x, y, mu, v []float64) { clear(dst); dst[1] = math.Exp(x[1]+y[1]) * mu[0] * v[1] },
		}),
	} {
		t.Run(p.Name, func(t *testing.T) {
			if err := p.CheckDerivatives(); err != nil {
				t.Fatal(err)
			}
			withEnv(t, p, bilevel.Corrected, func(e *bilevel.Env) error {
				j, err := newJointSet(e)
				if err != nil {
					return err
				}
				n := p.NX + p.NY
				project := func(phase float64) (from, to []float64) {
					x, y := vec.NewDense(p.NX), vec.NewDense(p.NY)
					for i := range p.NX {
						x.(vec.Dense)[i] = 2 * math.Sin(phase+float64(i))
					}
					for i := range p.NY {
						y.(vec.Dense)[i] = 2 * math.Cos(2*phase+float64(i))
					}
					from = append(append(from, x.(vec.Dense)...), y.(vec.Dense)...)
					if err := j.project(x, y); err != nil {
						t.Fatal(err)
					}
					return from, append(append(to, x.(vec.Dense)...), y.(vec.Dense)...)
				}
				moved := false
				for k := range 5 {
					q, z := project(float64(k))
					moved = moved || distance(q, z) > 1e-3
					h := make([]float64, p.Coupling.Rows)
					p.Coupling.Value(h, z[:p.NX], z[p.NX:])
					for i, c := range h {
						if c > 1e-9 || i < p.Coupling.Equalities && c < -1e-9 {
							t.Errorf("h_%d = %g at the projection", i, c)
						}
					}
					_, w := project(float64(k) + 0.5)
					inner := 0.0
					for i := range n {
						inner += (q[i] - z[i]) * (w[i] - z[i])
					}
					if inner > 1e-8 {
						t.Errorf("<q - z, w - z> = %g > 0: not the nearest point", inner)
					}
				}
				if !moved {
					t.Error("every point was feasible: the test tests nothing")
				}
				return nil
			})
		})
	}
}
