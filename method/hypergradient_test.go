package method

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// curvedProblem is a problem with a strongly convex lower level that is neither
// quadratic nor separable:
//
//	g = 1/2 y'Qy - y'Rx + sum_i log cosh(y_i - (Rx)_i),   f = 1/2 |y - 1|² + sum_i x_i y_1 / 2 + 1/4 |x|²
func curvedProblem(nx, ny int, seed uint64) *bilevel.Problem {
	rng := rand.New(rand.NewPCG(seed, 9))
	b, r := make([]float64, ny*ny), make([]float64, ny*nx)
	for i := range b {
		b[i] = rng.NormFloat64()
	}
	for i := range r {
		r[i] = rng.NormFloat64()
	}
	q := make([]float64, ny*ny)
	for i := range ny {
		for j := range ny {
			for k := range ny {
				q[i*ny+j] += b[k*ny+i] * b[k*ny+j] / float64(ny)
			}
		}
		q[i*ny+i] += 0.5
	}
	rx, t := make([]float64, ny), make([]float64, ny)
	mul := func(dst, a, v []float64) {
		for i := range dst {
			s := 0.0
			for j, c := range v {
				s += a[i*len(v)+j] * c
			}
			dst[i] = s
		}
	}
	mulT := func(dst, a, v []float64) {
		for j := range dst {
			s := 0.0
			for i, c := range v {
				s += a[i*len(dst)+j] * c
			}
			dst[j] = s
		}
	}
	sech2 := func(t float64) float64 { c := math.Cosh(t); return 1 / (c * c) }
	lower := bilevel.Objective{
		Value: func(x, y []float64) float64 {
			mul(rx, r, x)
			mul(t, q, y)
			s := 0.0
			for i := range y {
				s += 0.5*y[i]*t[i] - y[i]*rx[i] + math.Log(math.Cosh(y[i]-rx[i]))
			}
			return s
		},
		GradX: func(dst, x, y []float64) {
			mul(rx, r, x)
			for i := range t {
				t[i] = -y[i] - math.Tanh(y[i]-rx[i])
			}
			mulT(dst, r, t)
		},
		GradY: func(dst, x, y []float64) {
			mul(rx, r, x)
			mul(dst, q, y)
			for i := range dst {
				dst[i] += math.Tanh(y[i]-rx[i]) - rx[i]
			}
		},
		HessYY: func(dst, x, y, v []float64) {
			mul(rx, r, x)
			mul(dst, q, v)
			for i := range dst {
				dst[i] += sech2(y[i]-rx[i]) * v[i]
			}
		},
		HessXY: func(dst, x, y, v []float64) {
			mul(rx, r, x)
			for i := range t {
				t[i] = -v[i] * (1 + sech2(y[i]-rx[i]))
			}
			mulT(dst, r, t)
		},
		HessYX: func(dst, x, y, u []float64) {
			mul(rx, r, x)
			mul(dst, r, u)
			for i := range dst {
				dst[i] *= -(1 + sech2(y[i]-rx[i]))
			}
		},
	}
	upper := bilevel.Objective{
		Value: func(x, y []float64) float64 {
			s := 0.0
			for _, v := range y {
				s += 0.5 * (v - 1) * (v - 1)
			}
			for _, v := range x {
				s += 0.5*v*y[0] + 0.25*v*v
			}
			return s
		},
		GradX: func(dst, x, y []float64) {
			for i, v := range x {
				dst[i] = 0.5*y[0] + 0.5*v
			}
		},
		GradY: func(dst, x, y []float64) {
			for i, v := range y {
				dst[i] = v - 1
			}
			for _, v := range x {
				dst[0] += 0.5 * v
			}
		},
	}
	x0 := make([]float64, nx)
	for i := range x0 {
		x0[i] = rng.NormFloat64()
	}
	return &bilevel.Problem{Name: "curved", NX: nx, NY: ny, Upper: upper, Lower: lower, X0: x0,
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 0.5}}
}

// ridge is the problem people tune: one ridge weight exp(x_j) per feature,
// squared hinge below, validation log-loss above.
func ridge(features, rows int, seed uint64) *bilevel.Problem {
	rng := rand.New(rand.NewPCG(seed, 7))
	sample := func() ([]float64, []float64) {
		a, s := make([]float64, rows*features), make([]float64, rows)
		for i := range rows {
			m := 0.0
			for j := range features {
				a[i*features+j] = rng.NormFloat64()
				m += a[i*features+j] / float64(j+1)
			}
			s[i] = math.Copysign(1, m+0.7*rng.NormFloat64())
		}
		return a, s
	}
	a, sa := sample()
	b, sb := sample()
	margin := func(a, s, y []float64, i int) float64 {
		m := 0.0
		for j, v := range y {
			m += a[i*features+j] * v
		}
		return s[i] * m
	}
	n := float64(rows)
	return &bilevel.Problem{Name: "ridge", NX: features, NY: features,
		Upper: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				s := 0.0
				for i := range rows {
					s += math.Log1p(math.Exp(-margin(b, sb, y, i))) / n
				}
				return s
			},
			GradX: func(dst, x, y []float64) { clear(dst) },
			GradY: func(dst, x, y []float64) {
				clear(dst)
				for i := range rows {
					c := -sb[i] / (1 + math.Exp(margin(b, sb, y, i))) / n
					for j := range dst {
						dst[j] += c * b[i*features+j]
					}
				}
			}},
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 {
				s := 0.0
				for j, v := range y {
					s += 0.5 * math.Exp(x[j]) * v * v
				}
				for i := range rows {
					r := math.Max(0, 1-margin(a, sa, y, i))
					s += 0.5 * r * r / n
				}
				return s
			},
			GradX: func(dst, x, y []float64) {
				for j, v := range y {
					dst[j] = 0.5 * math.Exp(x[j]) * v * v
				}
			},
			GradY: func(dst, x, y []float64) {
				for j, v := range y {
					dst[j] = math.Exp(x[j]) * v
				}
				for i := range rows {
					r := math.Max(0, 1-margin(a, sa, y, i))
					for j := range dst {
						dst[j] -= r * sa[i] * a[i*features+j] / n
					}
				}
			},
			HessYY: func(dst, x, y, v []float64) {
				for j := range v {
					dst[j] = math.Exp(x[j]) * v[j]
				}
				for i := range rows {
					if margin(a, sa, y, i) < 1 {
						c := sa[i] * margin(a, sa, v, i) / n
						for j := range dst {
							dst[j] += c * a[i*features+j]
						}
					}
				}
			},
			HessXY: func(dst, x, y, v []float64) {
				for j := range dst {
					dst[j] = math.Exp(x[j]) * y[j] * v[j]
				}
			},
		},
		X0:        make([]float64, features),
		Structure: bilevel.Structure{LowerConvex: true},
	}
}

func must(s set.Set, err error) set.Set {
	if err != nil {
		panic(err)
	}
	return s
}

// with sets the lower set and the coupling of p.
func with(p *bilevel.Problem, name string, y set.Set, h *bilevel.Coupling) *bilevel.Problem {
	p.Name, p.Y, p.Coupling = name, y, h
	return p
}

// affineCoupling is h = A y + B x - c with rows rows, of which the first are equations.
func affineCoupling(nx, ny, rows, equalities int, shift float64, seed uint64) *bilevel.Coupling {
	rng := rand.New(rand.NewPCG(seed, 5))
	a, b := make([]float64, rows*ny), make([]float64, rows*nx)
	for i := range a {
		a[i] = rng.NormFloat64()
	}
	for i := range b {
		b[i] = 0.3 * rng.NormFloat64()
	}
	mul := func(dst, a, v []float64, add bool) {
		for i := range dst {
			if !add {
				dst[i] = 0
			}
			for j, c := range v {
				dst[i] += a[i*len(v)+j] * c
			}
		}
	}
	mulT := func(dst, a, v []float64) {
		clear(dst)
		for i, c := range v {
			for j := range dst {
				dst[j] += a[i*len(dst)+j] * c
			}
		}
	}
	return &bilevel.Coupling{Rows: rows, Equalities: equalities, Affine: true,
		Value: func(dst, x, y []float64) {
			mul(dst, a, y, false)
			mul(dst, b, x, true)
			for i := range dst {
				dst[i] -= shift
			}
		},
		JacX:  func(dst, _, _, v []float64) { mul(dst, b, v, false) },
		JacY:  func(dst, _, _, v []float64) { mul(dst, a, v, false) },
		JacXT: func(dst, _, _, mu []float64) { mulT(dst, b, mu) },
		JacYT: func(dst, _, _, mu []float64) { mulT(dst, a, mu) },
	}
}

// curvedCoupling is |y|² - 0.3 - |x|²/8 <= 0 and exp(y_1 + x_1/2) - 4 <= 0, of
// which the first is active.
func curvedCoupling(nx, ny int) *bilevel.Coupling {
	return &bilevel.Coupling{Rows: 2,
		Value: func(dst, x, y []float64) {
			yy, xx := 0.0, 0.0
			for _, v := range y {
				yy += v * v
			}
			for _, v := range x {
				xx += v * v
			}
			dst[0] = yy - 0.3 - xx/8
			dst[1] = math.Exp(y[0]+x[0]/2) - 4
		},
		JacXT: func(dst, x, y, mu []float64) {
			for i, v := range x {
				dst[i] = -mu[0] * v / 4
			}
			dst[0] += mu[1] * math.Exp(y[0]+x[0]/2) / 2
		},
		JacYT: func(dst, x, y, mu []float64) {
			for i, v := range y {
				dst[i] = 2 * mu[0] * v
			}
			dst[0] += mu[1] * math.Exp(y[0]+x[0]/2)
		},
		JacX: func(dst, x, y, u []float64) {
			dst[0] = 0
			for i, v := range x {
				dst[0] -= v * u[i] / 4
			}
			dst[1] = math.Exp(y[0]+x[0]/2) / 2 * u[0]
		},
		JacY: func(dst, x, y, u []float64) {
			dst[0] = 0
			for i, v := range y {
				dst[0] += 2 * v * u[i]
			}
			dst[1] = math.Exp(y[0]+x[0]/2) * u[0]
		},
		HessYY: func(dst, x, y, mu, v []float64) {
			for i := range dst {
				dst[i] = 2 * mu[0] * v[i]
			}
			dst[0] += mu[1] * math.Exp(y[0]+x[0]/2) * v[0]
		},
		HessXY: func(dst, x, y, mu, v []float64) {
			clear(dst)
			dst[0] = mu[1] * math.Exp(y[0]+x[0]/2) / 2 * v[0]
		},
		HessYX: func(dst, x, y, mu, u []float64) {
			clear(dst)
			dst[0] = mu[1] * math.Exp(y[0]+x[0]/2) / 2 * u[0]
		},
	}
}

// smoothProblems are the problems on which every implicit hypergradient is
// compared with differences of phi. Their lower levels satisfy strict
// complementarity at the start.
func smoothProblems() []*bilevel.Problem {
	return []*bilevel.Problem{
		curvedProblem(3, 5, 1),
		ridge(6, 40, 2),
		with(curvedProblem(3, 5, 3), "box", must(set.Interval(5, -0.3, 0.4)), nil),
		with(curvedProblem(3, 5, 4), "ball", must(set.Ball(make([]float64, 5), 0.6)), nil),
		with(curvedProblem(3, 5, 5), "simplex", must(set.Simplex(5, 1)), nil),
		with(curvedProblem(3, 5, 6), "inequalities", nil, affineCoupling(3, 5, 4, 0, 0.1, 6)),
		with(curvedProblem(3, 5, 7), "equations", nil, affineCoupling(3, 5, 2, 2, 0.2, 7)),
		with(curvedProblem(3, 5, 8), "mixed", nil, affineCoupling(3, 5, 4, 1, 0.2, 8)),
		with(curvedProblem(3, 5, 9), "curved coupling", nil, curvedCoupling(3, 5)),
		with(curvedProblem(3, 5, 10), "box and rows", must(set.Interval(5, -0.5, 0.5)), affineCoupling(3, 5, 3, 0, -0.1, 11)),
		with(curvedProblem(3, 5, 12), "ball and rows", must(set.Ball(make([]float64, 5), 0.8)), affineCoupling(3, 5, 2, 0, 0.1, 12)),
	}
}

// probe is a method whose Start hands its environment to a test and then ends the run.
type probe struct{ use func(e *bilevel.Env) error }

func (probe) Name() string                         { return "probe" }
func (probe) Defaults(bilevel.Mode) (int, float64) { return 1, 1e-8 }
func (m probe) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	return probed{e}, m.use(e)
}

type probed struct{ e *bilevel.Env }

func (probed) Step(*bilevel.Progress) (bilevel.Status, error) { return bilevel.Converged, nil }

func withEnv(t *testing.T, p *bilevel.Problem, mode bilevel.Mode, use func(e *bilevel.Env) error) {
	t.Helper()
	if _, err := bilevel.Solve(context.Background(), p, probe{use}, bilevel.Settings{Mode: mode}); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
}

// phiAt solves the lower level at x to high accuracy and returns f there.
func phiAt(t *testing.T, e *bilevel.Env, l *level, x, y, mu vec.Vector) float64 {
	t.Helper()
	info, err := l.solve(math.Inf(1), x, y, mu, 1e-11)
	if err != nil {
		t.Fatal(err)
	}
	if info.Max() > 1e-9 {
		t.Fatalf("lower level solved to %+v only", info)
	}
	return e.Upper(x, y)
}

// differences is the central-difference gradient of phi.
func differences(t *testing.T, e *bilevel.Env, l *level, x vec.Vector) []float64 {
	t.Helper()
	y := e.StartY()
	var mu vec.Vector
	if rows, _ := e.Rows(); rows > 0 {
		mu = e.NewMultiplier()
	}
	g := make([]float64, x.Len())
	d := x.(vec.Dense)
	const h = 1e-5
	for i := range d {
		c := d[i]
		d[i] = c + h
		up := phiAt(t, e, l, x, y, mu)
		d[i] = c - h
		down := phiAt(t, e, l, x, y, mu)
		d[i] = c
		g[i] = (up - down) / (2 * h)
	}
	return g
}

func distance(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s = math.Max(s, math.Abs(a[i]-b[i]))
	}
	return s
}

// TestHypergradient compares the implicit hypergradient, by every linear solver,
// with differences of phi. With h = 1e-5 the differences are good to about
// 1e-10 + 1e-10/1e-5.
func TestHypergradient(t *testing.T) {
	for _, p := range smoothProblems() {
		t.Run(p.Name, func(t *testing.T) {
			if err := p.CheckDerivatives(); err != nil {
				t.Fatal(err)
			}
			withEnv(t, p, bilevel.Corrected, func(e *bilevel.Env) error {
				l := newLevel(e, nil)
				x, y := e.StartX(), e.StartY()
				want := differences(t, e, l, x)
				var mu vec.Vector
				if rows, _ := e.Rows(); rows > 0 {
					mu = e.NewMultiplier()
				}
				phiAt(t, e, l, x, y, mu)
				for _, s := range []struct {
					name   string
					solver linearSolver
				}{
					{"direct", new(direct)},
					{"cg", &conjugateGradients{limit: 100, tolerance: 1e-13}},
					{"neumann", &neumann{terms: 20000, tolerance: 1e-13}},
				} {
					h, err := newHypergradientBy(e, s.solver)
					if err != nil {
						return err
					}
					g := x.New()
					r, err := h.at(g, x, y, mu)
					if err != nil {
						return err
					}
					if r > 1e-9 || !h.differentiable {
						t.Errorf("%s: residual %g, differentiable %v, %d weakly active rows", s.name, r, h.differentiable, h.weak)
					}
					if d := distance(g.(vec.Dense), want); d > 1e-5 {
						t.Errorf("%s: hypergradient %v, differences %v", s.name, g, want)
					}
					if n := testing.AllocsPerRun(5, func() { h.at(g, x, y, mu) }); n != 0 {
						t.Errorf("%s: %g allocations", s.name, n)
					}
				}
				return nil
			})
		})
	}
}
