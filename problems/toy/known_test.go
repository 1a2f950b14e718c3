package toy_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/toy"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// residual is the largest violation of the first-order conditions of
// f/gamma + g over Y and h <= 0 at (y, mu), from the problem's functions alone.
func residual(p *bilevel.Problem, gamma float64, x, y, mu []float64) float64 {
	grad, part := make([]float64, p.NY), make([]float64, p.NY)
	p.Lower.GradY(grad, x, y)
	p.Upper.GradY(part, x, y)
	floats.AddScaled(grad, 1/gamma, part)
	worst := 0.0
	if h := p.Coupling; h != nil {
		h.JacYT(part, x, y, mu)
		floats.Add(grad, part)
		c := make([]float64, h.Rows)
		h.Value(c, x, y)
		for i, v := range c {
			if i < h.Equalities {
				worst = max(worst, math.Abs(v))
				continue
			}
			worst = max(worst, v, -mu[i], math.Abs(mu[i]*v))
		}
	}
	floats.Scale(-1, grad)
	floats.Add(grad, y)
	if p.Y != nil {
		p.Y.Project(grad, grad)
	}
	return max(worst, floats.Distance(grad, y, math.Inf(1)))
}

// respond is y_g(x) with its multipliers: the toy's oracle, which TestLowerSolvers
// checks, or an independent formula for the toys that have none.
func respond(t *testing.T, p *bilevel.Problem, x []float64) (y, mu []float64) {
	t.Helper()
	y = make([]float64, p.NY)
	if h := p.Coupling; h != nil {
		mu = make([]float64, h.Rows)
	}
	if o, ok := p.Oracle.(bilevel.LowerSolver); ok {
		if _, err := o.SolveLower(math.Inf(1), x, y, mu); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		return y, mu
	}
	switch p.Name {
	case "toy/llsc":
		// y - x + A'mu = 0, Ay = -Hx: (AA') mu = Ax + Hx, y = x - A'mu.
		h := p.Coupling
		var aat, a mat.Dense
		a.ReuseAs(h.Rows, p.NY)
		e, col := make([]float64, p.NY), make([]float64, h.Rows)
		for j := range e {
			e[j] = 1
			h.JacY(col, x, y, e)
			a.SetCol(j, col)
			e[j] = 0
		}
		aat.Mul(&a, a.T())
		rhs := make([]float64, h.Rows)
		h.Value(rhs, x, x)
		if err := mat.NewVecDense(h.Rows, mu).SolveVec(&aat, mat.NewVecDense(h.Rows, rhs)); err != nil {
			t.Fatal(err)
		}
		h.JacYT(y, x, y, mu)
		floats.SubTo(y, x, y)
	case "toy/infeasible":
		y[0] = max(x[0], 0)
		mu[0] = y[0]
	case "toy/unbounded":
		y[0] = 1 / x[0]
	default:
		t.Fatalf("no response known for %s", p.Name)
	}
	return y, mu
}

// point draws a point of X.
func point(p *bilevel.Problem, rng *rand.Rand) []float64 {
	x := make([]float64, p.NX)
	for i := range x {
		x[i] = 2 * rng.NormFloat64()
	}
	if p.X != nil {
		p.X.Project(x, x)
	}
	return x
}

// gapScale relaxes a tolerance for values far from 1.
func gapScale(v float64) float64 { return max(1, math.Abs(v)) }

// defined tells where the lower level of a toy has a solution.
func defined(name string, x []float64) bool {
	switch name {
	case "toy/infeasible":
		return x[0] <= 1
	case "toy/unbounded":
		return x[0] > 0.05
	}
	return true
}

// At every known optimum y is the lower solution, Upper is f, phi does not
// decrease along feasible directions, and no sampled point of X is better than a
// global one.
func TestKnownOptima(t *testing.T) {
	for _, e := range (toy.Family{}).Names() {
		for _, set := range []map[string]string{nil, {"n": "3"}} {
			inst, err := toy.Family{}.Open(problems.Request{Name: e.Name, Seed: 1, Set: set})
			if err != nil {
				continue // a toy of fixed size
			}
			checkKnown(t, inst)
		}
	}
}

func checkKnown(t *testing.T, inst *problems.Instance) {
	t.Helper()
	p := inst.Problem
	rng := rand.New(rand.NewPCG(5, 6))
	phi := func(x []float64) float64 {
		y, _ := respond(t, p, x)
		return p.Upper.Value(x, y)
	}
	for k, known := range inst.Known {
		y, mu := respond(t, p, known.X)
		if r := residual(p, math.Inf(1), known.X, known.Y, mu); r > 1e-11 {
			t.Errorf("%s, optimum %d: y is no lower solution: residual %g", inst.Name, k, r)
		}
		if d := floats.Distance(y, known.Y, math.Inf(1)); d > 1e-11 {
			t.Errorf("%s, optimum %d: y differs from the response by %g", inst.Name, k, d)
		}
		if u := p.Upper.Value(known.X, known.Y); math.Abs(u-known.Upper) > 1e-12*gapScale(u) {
			t.Errorf("%s, optimum %d: Upper %.15g, but f = %.15g", inst.Name, k, known.Upper, u)
		}
		x := make([]float64, p.NX)
		for range 20 {
			// A step of 1e-6 to a minimum changes phi by about 1e-12; a slope of
			// 1e-5 would show as 1e-11.
			for i := range x {
				x[i] = known.X[i] + 1e-6*rng.NormFloat64()
			}
			if p.X != nil {
				p.X.Project(x, x)
			}
			if !defined(inst.Name, x) {
				continue
			}
			if d := phi(x) - known.Upper; d < -1e-12*gapScale(known.Upper) {
				t.Errorf("%s, optimum %d: phi falls by %g nearby", inst.Name, k, -d)
			}
		}
		if k > 0 && (known.Global || known.Upper < inst.Known[0].Upper) {
			t.Errorf("%s: optima out of order", inst.Name)
		}
	}
	for range 300 {
		x := point(p, rng)
		if !defined(inst.Name, x) {
			continue
		}
		if v := phi(x); v < inst.Known[0].Upper-1e-12 {
			t.Errorf("%s: phi(%v) = %.15g is below the global optimum %.15g", inst.Name, x, v, inst.Known[0].Upper)
		}
	}
}

// The closed forms of the (penalised) lower level satisfy its first-order
// conditions at random points of X, for gamma = inf, 10, 1 and 1/10.
func TestLowerSolvers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	tested := 0
	for _, e := range (toy.Family{}).Names() {
		p := open(t, e.Name, nil).Problem
		o, ok := p.Oracle.(bilevel.LowerSolver)
		if !ok {
			continue
		}
		tested++
		y := make([]float64, p.NY)
		var mu []float64
		if h := p.Coupling; h != nil {
			mu = make([]float64, h.Rows)
		}
		for _, gamma := range []float64{math.Inf(1), 10, 1, 0.1} {
			for range 20 {
				x := point(p, rng)
				said, err := o.SolveLower(gamma, x, y, mu)
				if e.Name == "toy/llsc" && gamma <= 10 && err == bilevel.ErrNoClosedForm {
					continue // its penalised lower level is left to the general solvers
				}
				if err != nil {
					t.Fatalf("%s: %v", e.Name, err)
				}
				// Values are of the order of x/gamma; 1e-12 relative is rounding.
				tol := 1e-12 * max(1, 10/gamma) * gapScale(floats.Norm(x, math.Inf(1)))
				if r := residual(p, gamma, x, y, mu); r > tol || said > tol {
					t.Errorf("%s, gamma %g, x %v: residual %g, said %g", e.Name, gamma, x, r, said)
				}
			}
		}
	}
	if tested < 10 {
		t.Errorf("only %d toys have a closed form", tested)
	}
}

// The double well's oracle is the global minimiser: no point of a fine grid is lower.
func TestDoubleWellIsGlobal(t *testing.T) {
	p := open(t, "toy/double-well", nil).Problem
	o := p.Oracle.(bilevel.LowerSolver)
	y, at := make([]float64, 1), make([]float64, 1)
	for _, gamma := range []float64{math.Inf(1), 5, 0.2} {
		for _, x := range []float64{-1, -0.3, -0.01, 0, 0.01, 0.3, 1} {
			xs := []float64{x}
			o.SolveLower(gamma, xs, y, nil)
			value := func(y []float64) float64 { return p.Upper.Value(xs, y)/gamma + p.Lower.Value(xs, y) }
			for i := range 4001 {
				at[0] = -2 + 0.001*float64(i)
				if value(at) < value(y)-1e-14 {
					t.Errorf("gamma %g, x %g: g(%g) = %g below g(%g) = %g", gamma, x, at[0], value(at), y[0], value(y))
				}
			}
		}
	}
}

// Adjoint is the transposed derivative of the response.
func TestSensitivities(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, e := range (toy.Family{}).Names() {
		p := open(t, e.Name, nil).Problem
		o, ok := p.Oracle.(bilevel.Sensitivity)
		if !ok {
			continue
		}
		for range 5 {
			x := point(p, rng)
			y, mu := respond(t, p, x)
			v := make([]float64, p.NY)
			for i := range v {
				v[i] = rng.NormFloat64()
			}
			dst := make([]float64, p.NX)
			if err := o.Adjoint(dst, x, y, mu, v); err != nil {
				t.Fatal(err)
			}
			u := make([]float64, p.NX)
			for i := range u {
				u[i] = rng.NormFloat64()
			}
			const h = 1e-6
			up, down := append([]float64(nil), x...), append([]float64(nil), x...)
			floats.AddScaled(up, h, u)
			floats.AddScaled(down, -h, u)
			if p.NX == 1 && (floats.Distance(up, clipped(p, up), 2) > 0 || floats.Distance(down, clipped(p, down), 2) > 0) {
				continue // at the end of X
			}
			yu, _ := respond(t, p, up)
			yd, _ := respond(t, p, down)
			floats.Sub(yu, yd)
			want, got := floats.Dot(yu, v)/(2*h), floats.Dot(dst, u)
			if math.Abs(want-got) > 1e-6*gapScale(want)*float64(p.NX) {
				t.Errorf("%s at %v: <u, Adjoint v> = %g, differences give %g", e.Name, x, got, want)
			}
		}
	}
}

func clipped(p *bilevel.Problem, x []float64) []float64 {
	c := append([]float64(nil), x...)
	if p.X != nil {
		p.X.Project(c, c)
	}
	return c
}

// ProjectJoint returns a feasible point z with <q - z, w - z> <= 0 for feasible w.
func TestJointProjections(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	tested := 0
	for _, e := range (toy.Family{}).Names() {
		p := open(t, e.Name, nil).Problem
		o, ok := p.Oracle.(bilevel.JointProjector)
		if !ok {
			continue
		}
		tested++
		draw := func() (x, y []float64) {
			x, y = make([]float64, p.NX), make([]float64, p.NY)
			for i := range x {
				x[i] = 3 * rng.NormFloat64()
			}
			for i := range y {
				y[i] = 3 * rng.NormFloat64()
			}
			return x, y
		}
		c := make([]float64, p.Coupling.Rows)
		for range 20 {
			qx, qy := draw()
			zx, zy := append([]float64(nil), qx...), append([]float64(nil), qy...)
			if err := o.ProjectJoint(zx, zy); err != nil {
				t.Fatal(err)
			}
			p.Coupling.Value(c, zx, zy)
			for i, v := range c {
				if v > 1e-11 || i < p.Coupling.Equalities && v < -1e-11 {
					t.Errorf("%s: h[%d] = %g after projection", e.Name, i, v)
				}
			}
			if d := floats.Distance(zx, clipped(p, zx), math.Inf(1)); d > 1e-11 {
				t.Errorf("%s: x is %g outside X after projection", e.Name, d)
			}
			wx, wy := draw()
			o.ProjectJoint(wx, wy)
			s := 0.0
			for i := range zx {
				s += (qx[i] - zx[i]) * (wx[i] - zx[i])
			}
			for i := range zy {
				s += (qy[i] - zy[i]) * (wy[i] - zy[i])
			}
			if s > 1e-9 {
				t.Errorf("%s: the projection is not the nearest point (%g)", e.Name, s)
			}
		}
	}
	if tested < 4 {
		t.Errorf("only %d joint projectors", tested)
	}
}

// The proven bounds are below the optimum and within 1e-8 of it.
func TestBounds(t *testing.T) {
	for _, name := range []string{"toy/blocc-1", "toy/blocc-2"} {
		inst := open(t, name, nil)
		v, by, err := inst.Problem.Oracle.(bilevel.Bounder).LowerBound()
		if err != nil || by == "" {
			t.Fatalf("%s: %v, %q", name, err, by)
		}
		if d := inst.Known[0].Upper - v; d < 0 || d > 1e-8 {
			t.Errorf("%s: bound %.12g, optimum %.12g", name, v, inst.Known[0].Upper)
		}
	}
}
