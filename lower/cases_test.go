package lower

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// known is a problem with a known answer. y or mu nil: not unique, only the
// residuals are compared.
type known struct {
	name   string
	p      *Problem
	start  []float64
	y, mu  []float64
	status bilevel.Status // of the error expected; Running: solvable
}

// quadratic is min y'Hy/2 + q'y subject to Ay = b (first equations rows) and Ay <= b.
func quadratic(h *mat.Dense, q []float64, a *mat.Dense, b []float64, equations int, y set.Set) *Problem {
	n := len(q)
	p := &Problem{N: n, Y: y, Quadratic: true, Affine: true}
	hy := make([]float64, n)
	apply := func(dst, v []float64) {
		if h == nil {
			clear(dst)
			return
		}
		for i := range n {
			dst[i] = floats.Dot(h.RawRowView(i), v)
		}
	}
	p.Value = func(y []float64) float64 {
		apply(hy, y)
		return floats.Dot(hy, y)/2 + floats.Dot(q, y)
	}
	p.Grad = func(dst, y []float64) {
		apply(dst, y)
		floats.Add(dst, q)
	}
	p.HessVec = func(dst, _, v []float64) { apply(dst, v) }
	if a != nil {
		p.Rows, p.Equalities = len(b), equations
		p.Constraint = func(dst, y []float64) {
			for i := range dst {
				dst[i] = floats.Dot(a.RawRowView(i), y) - b[i]
			}
		}
		p.Jac = func(dst, _, v []float64) {
			for i := range dst {
				dst[i] = floats.Dot(a.RawRowView(i), v)
			}
		}
		p.JacT = func(dst, _, mu []float64) {
			clear(dst)
			for i, m := range mu {
				floats.AddScaled(dst, m, a.RawRowView(i))
			}
		}
	}
	return p
}

func identity(n int) *mat.Dense {
	m := mat.NewDense(n, n, nil)
	for i := range n {
		m.Set(i, i, 1)
	}
	return m
}

func normal(rng *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = rng.NormFloat64()
	}
	return v
}

func constant(n int, c float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = c
	}
	return v
}

// nearTo is min |y - a|^2/2.
func nearTo(a []float64, rows *mat.Dense, b []float64, equations int, y set.Set) *Problem {
	q := make([]float64, len(a))
	floats.ScaleTo(q, -1, a)
	return quadratic(identity(len(a)), q, rows, b, equations, y)
}

// randomQP has the solution and the multipliers it returns: q and b are chosen
// to satisfy its optimality conditions with half of the inequalities active.
func randomQP(seed uint64, n, rows, equations int) (p *Problem, y, mu []float64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	g := mat.NewDense(n, n, normal(rng, n*n))
	h := mat.NewDense(n, n, nil)
	h.Mul(g, g.T())
	h.Scale(1/float64(n), h)
	for i := range n {
		h.Set(i, i, h.At(i, i)+0.1)
	}
	a := mat.NewDense(rows, n, normal(rng, rows*n))
	y, mu = normal(rng, n), make([]float64, rows)
	q, b := make([]float64, n), make([]float64, rows)
	active := equations
	for i := range rows {
		b[i] = floats.Dot(a.RawRowView(i), y)
		switch {
		case i < equations:
			mu[i] = rng.NormFloat64()
		case active < n/2:
			mu[i] = 0.1 + rng.Float64()
			active++
		default:
			b[i] += 0.1 + rng.Float64()
		}
		floats.AddScaled(q, -mu[i], a.RawRowView(i))
	}
	for i := range n {
		q[i] -= floats.Dot(h.RawRowView(i), y)
	}
	return quadratic(h, q, a, b, equations, nil), y, mu
}

func mustSet(t testing.TB) func(s set.Set, err error) set.Set {
	return func(s set.Set, err error) set.Set {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// scalar is a problem in one variable without constraints.
func scalar(f, d, d2 func(y float64) float64) *Problem {
	return &Problem{N: 1,
		Value:   func(y []float64) float64 { return f(y[0]) },
		Grad:    func(dst, y []float64) { dst[0] = d(y[0]) },
		HessVec: func(dst, y, v []float64) { dst[0] = d2(y[0]) * v[0] }}
}

// rosenbrock is nonconvex with the minimum 0 at (1, 1).
func rosenbrock() *Problem {
	return &Problem{N: 2,
		Value: func(y []float64) float64 {
			return 100*math.Pow(y[1]-y[0]*y[0], 2) + math.Pow(1-y[0], 2)
		},
		Grad: func(dst, y []float64) {
			d := y[1] - y[0]*y[0]
			dst[0], dst[1] = -400*y[0]*d-2*(1-y[0]), 200*d
		},
		HessVec: func(dst, y, v []float64) {
			d := y[1] - y[0]*y[0]
			dst[0] = (800*y[0]*y[0]-400*d+2)*v[0] - 400*y[0]*v[1]
			dst[1] = -400*y[0]*v[0] + 200*v[1]
		}}
}

// logistic is ridge-regularised logistic regression on random data.
func logistic(n, samples int) *Problem {
	rng := rand.New(rand.NewPCG(17, 1))
	a := mat.NewDense(samples, n, normal(rng, samples*n))
	sigma := func(t float64) float64 { return 1 / (1 + math.Exp(-t)) }
	return &Problem{N: n,
		Value: func(y []float64) float64 {
			v := 0.005 * floats.Dot(y, y)
			for i := range samples {
				t := floats.Dot(a.RawRowView(i), y)
				v += (math.Max(t, 0) + math.Log1p(math.Exp(-math.Abs(t))) - float64(i%2)*t) / float64(samples)
			}
			return v
		},
		Grad: func(dst, y []float64) {
			floats.ScaleTo(dst, 0.01, y)
			for i := range samples {
				row := a.RawRowView(i)
				floats.AddScaled(dst, (sigma(floats.Dot(row, y))-float64(i%2))/float64(samples), row)
			}
		},
		HessVec: func(dst, y, v []float64) {
			floats.ScaleTo(dst, 0.01, v)
			for i := range samples {
				row := a.RawRowView(i)
				p := sigma(floats.Dot(row, y))
				floats.AddScaled(dst, p*(1-p)*floats.Dot(row, v)/float64(samples), row)
			}
		}}
}

// exponentials is min e^y1 + e^y2 subject to y1 + y2 >= 1.
func exponentials() *Problem {
	return &Problem{N: 2, Rows: 1, Affine: true,
		Value:      func(y []float64) float64 { return math.Exp(y[0]) + math.Exp(y[1]) },
		Grad:       func(dst, y []float64) { dst[0], dst[1] = math.Exp(y[0]), math.Exp(y[1]) },
		HessVec:    func(dst, y, v []float64) { dst[0], dst[1] = math.Exp(y[0])*v[0], math.Exp(y[1])*v[1] },
		Constraint: func(dst, y []float64) { dst[0] = 1 - y[0] - y[1] },
		JacT:       func(dst, _, mu []float64) { dst[0], dst[1] = -mu[0], -mu[0] },
		Jac:        func(dst, _, v []float64) { dst[0] = -v[0] - v[1] }}
}

// disk adds |y|^2 <= square (times the row's factor) to the first row of p.
func disk(p *Problem, square float64) *Problem {
	p.Rows, p.Quadratic, p.Affine = 1, false, false
	p.Constraint = func(dst, y []float64) { dst[0] = floats.Dot(y, y) - square }
	p.Jac = func(dst, y, v []float64) { dst[0] = 2 * floats.Dot(y, v) }
	p.JacT = func(dst, y, mu []float64) { floats.ScaleTo(dst, 2*mu[0], y) }
	p.CurveVec = func(dst, _, mu, v []float64) { floats.ScaleTo(dst, 2*mu[0], v) }
	return p
}

// llc is the merely convex lower level of the LLC toy with x in R^n: y1 = x + 1,
// the sum of y2 is -sum(2x + 1), and the multiplier is -1.
func llc(x []float64) *Problem {
	n := len(x)
	h := mat.NewDense(2*n, 2*n, nil)
	q := make([]float64, 2*n)
	for i, c := range x {
		h.Set(i, i, 1)
		q[i], q[n+i] = -c, 1
	}
	return quadratic(h, q, mat.NewDense(1, 2*n, constant(2*n, 1)), []float64{-floats.Sum(x)}, 1, nil)
}

// projected is the LLSC lower level: min |x - y|^2/2 subject to A y = b, solved
// by the pseudoinverse.
func projected(rows, n int) known {
	rng := rand.New(rand.NewPCG(23, 1))
	a, x, b := mat.NewDense(rows, n, nil), normal(rng, n), normal(rng, rows)
	for i := range rows {
		for j := range n {
			a.Set(i, j, rng.Float64())
		}
	}
	var aat mat.SymDense
	aat.SymOuterK(1, a)
	var chol mat.Cholesky
	chol.Factorize(&aat)
	r := make([]float64, rows)
	for i := range r {
		r[i] = floats.Dot(a.RawRowView(i), x) - b[i]
	}
	var l mat.VecDense
	if err := chol.SolveVecTo(&l, mat.NewVecDense(rows, r)); err != nil {
		panic(err)
	}
	y := append([]float64(nil), x...)
	for i := range r {
		floats.AddScaled(y, -l.AtVec(i), a.RawRowView(i))
	}
	return known{name: "projection on equations", p: nearTo(x, a, b, rows, nil), y: y, mu: l.RawVector().Data}
}

// svm is the slack-free SVM lower level: min |w|^2/2 subject to s_i <a_i, w> >= 1
// - c_i, every row twice, so that the multipliers are not unique.
func svm(samples, n int) *Problem {
	rng := rand.New(rand.NewPCG(29, 1))
	a, b := mat.NewDense(2*samples, n, nil), make([]float64, 2*samples)
	for i := range samples {
		row := normal(rng, n)
		sign := 1.0
		if row[0]+0.5*rng.NormFloat64() < 0 {
			sign = -1
		}
		floats.Scale(-sign, row)
		a.SetRow(2*i, row)
		a.SetRow(2*i+1, row)
		b[2*i] = 4*rng.Float64() - 1
		b[2*i+1] = b[2*i]
	}
	return quadratic(identity(n), make([]float64, n), a, b, 0, nil)
}

func cases(t testing.TB) []known {
	in := mustSet(t)
	inf := math.Inf(1)
	rows := func(n int, v ...float64) *mat.Dense { return mat.NewDense(len(v)/n, n, v) }
	toyG := &bloccToy{k: 6, x: 0.7}
	toyF := &bloccToy{k: 6, x: 0.7, gamma: 5}
	qp, qy, qmu := randomQP(1, 30, 60, 5)
	scaled := quadratic(mat.NewDense(3, 3, []float64{1e4, 0, 0, 0, 1, 0, 0, 0, 1e-4}), []float64{-1e4, -1, -1e-4}, nil, nil, 0, nil)
	x := normal(rand.New(rand.NewPCG(5, 5)), 12)
	box := in(set.Box([]float64{0, 0, -inf, 2}, []float64{1, inf, 0, 2}))
	round := in(set.Func(2, func(dst, x []float64) {
		s := math.Max(1, math.Hypot(x[0], x[1]))
		dst[0], dst[1] = x[0]/s, x[1]/s
	}, "disk"))
	list := []known{
		{name: "parabola", p: nearTo([]float64{2, -3}, nil, nil, 0, nil), y: []float64{2, -3}},
		{name: "condition 1e8", p: scaled, y: []float64{1, 1, 1}},
		{name: "logistic", p: logistic(20, 100)},
		{name: "quartic-free valley", p: rosenbrock(), start: []float64{-1.2, 1}, y: []float64{1, 1}},
		{name: "singular", p: quadratic(rows(2, 1, 1, 1, 1), []float64{-2, -2}, nil, nil, 0, nil)},
		{name: "box", p: nearTo([]float64{5, -1, 3, 7}, nil, nil, 0, box), y: []float64{1, 0, 0, 2}},
		{name: "box, inside", p: nearTo([]float64{0.5, 3, -1, 2}, nil, nil, 0, box), y: []float64{0.5, 3, -1, 2}},
		{name: "simplex", p: nearTo([]float64{1, 0.5, -2}, nil, nil, 0, in(set.Simplex(3, 1))), y: []float64{0.75, 0.25, 0}},
		{name: "linear on a ball", p: quadratic(nil, []float64{3, 4}, nil, nil, 0, in(set.Ball([]float64{1, 1}, 5))), y: []float64{-2, -3}},
		{name: "linear on a simplex", p: quadratic(nil, []float64{3, 1, 2}, nil, nil, 0, in(set.Simplex(3, 2))), y: []float64{0, 2, 0}},
		{name: "equations and halfspace", p: nearTo([]float64{3, 0, 0}, nil, nil, 0, in(set.Affine(rows(3, 1, 1, 1), []float64{0}))), y: []float64{2, -1, -1}},
		{name: "product", p: nearTo([]float64{1, 0.5, -2, 9, 9}, nil, nil, 0, in(set.Product(in(set.Simplex(3, 1)), in(set.Halfspace([]float64{1, 1}, 2))))), y: []float64{0.75, 0.25, 0, 1, 1}},
		{name: "BLOCC toy g", p: toyG.problem(), y: []float64{0.7}, mu: []float64{1.4}},
		{name: "BLOCC toy f + gamma g", p: toyF.problem(), y: []float64{0.7}, mu: []float64{math.Exp(1.3)/(2+math.Cos(4.2)) + 7}},
		{name: "y <= sin x, active", p: quadratic(rows(1, 2), []float64{0}, rows(1, 1), []float64{math.Sin(-1)}, 0, nil), y: []float64{math.Sin(-1)}, mu: []float64{-2 * math.Sin(-1)}},
		{name: "y <= sin x, inactive", p: quadratic(rows(1, 2), []float64{0}, rows(1, 1), []float64{math.Sin(1)}, 0, nil), start: []float64{3}, y: []float64{0}, mu: []float64{0}},
		{name: "LLC", p: llc(x), mu: []float64{-1}},
		projected(9, 10),
		{name: "random QP", p: qp, y: qy, mu: qmu},
		{name: "every row twice", p: svm(40, 8)},
		{name: "weakly active", p: nearTo([]float64{1, 5}, rows(2, 1, 0, 0, 1), []float64{1, 2}, 0, nil), y: []float64{1, 2}, mu: []float64{0, 3}},
		{name: "redundant at the corner", p: nearTo([]float64{2, 2}, rows(2, 1, 0, 0, 1, 1, 1, 2, 1), []float64{1, 1, 2, 3}, 0, nil), y: []float64{1, 1}},
		{name: "linear programme", p: quadratic(nil, []float64{-1, -1}, rows(2, 1, 2, 3, 1), []float64{4, 6}, 0, set.NonNegative(2)), y: []float64{1.6, 1.2}, mu: []float64{0.4, 0.2}},
		{name: "equation twice", p: nearTo([]float64{3, 1}, rows(2, 1, 1, 2, 2), []float64{2, 4}, 2, nil), y: []float64{2, 0}},
		{name: "constraint and box", p: nearTo([]float64{3, 3}, rows(2, 1, 1), []float64{1.5}, 0, in(set.Interval(2, 0, 1))), y: []float64{0.75, 0.75}, mu: []float64{2.25}},
		{name: "constraint and fixed component", p: nearTo([]float64{3, 3}, rows(2, 1, 1), []float64{1.5}, 0, in(set.Box([]float64{1, -inf}, []float64{1, inf}))), y: []float64{1, 0.5}, mu: []float64{2.5}},
		{name: "constraint and simplex", p: nearTo([]float64{1, 0, 0}, rows(3, 1, 0, 0), []float64{0.5}, 0, in(set.Simplex(3, 1))), y: []float64{0.5, 0.25, 0.25}, mu: []float64{0.75}},
		{name: "constraint and ball", p: quadratic(nil, []float64{0, -1}, rows(2, 0, 1), []float64{0.5}, 0, in(set.Ball([]float64{0, 0}, 1))), mu: []float64{1}},
		{name: "disk", p: disk(nearTo([]float64{2, 0}, nil, nil, 0, nil), 1), y: []float64{1, 0}, mu: []float64{0.5}},
		{name: "exponentials", p: exponentials(), y: []float64{0.5, 0.5}, mu: []float64{math.Exp(0.5)}},

		{name: "user's disk", p: nearTo([]float64{2, 0}, nil, nil, 0, round), y: []float64{1, 0}},
		{name: "constraint and user's disk", p: nearTo([]float64{2, 1}, rows(2, 1, 0), []float64{0.5}, 0, round), y: []float64{0.5, math.Sqrt(0.75)}, mu: []float64{1.5 - (1-math.Sqrt(0.75))/math.Sqrt(3)}},

		{name: "contradicting bounds", p: nearTo([]float64{0}, rows(1, 1, -1), []float64{-1, -1}, 0, nil), status: bilevel.LowerInfeasible},
		{name: "constraint against the box", p: nearTo([]float64{0, 0}, rows(2, -1, -1), []float64{-3}, 0, in(set.Interval(2, 0, 1))), status: bilevel.LowerInfeasible},
		{name: "contradicting equations", p: nearTo([]float64{0, 0}, rows(2, 1, 1, 1, 1), []float64{1, 2}, 2, nil), status: bilevel.LowerInfeasible},
		{name: "nearly feasible", p: nearTo([]float64{0, 0}, rows(2, 1, 1, -1, -1), []float64{1, -1 - 1e-4}, 0, nil), status: bilevel.LowerInfeasible},
		{name: "empty disk", p: disk(nearTo([]float64{2, 0}, nil, nil, 0, nil), -1), status: bilevel.LowerInfeasible},
		{name: "disk outside the box", p: disk(nearTo([]float64{2, 2}, nil, nil, 0, in(set.Interval(2, 1, 2))), 1), status: bilevel.LowerInfeasible},
		{name: "slope", p: quadratic(nil, []float64{-1}, nil, nil, 0, nil), status: bilevel.LowerUnbounded},
		{name: "valley with a slope", p: quadratic(rows(2, 1, 0, 0, 0), []float64{1, -1}, nil, nil, 0, nil), status: bilevel.LowerUnbounded},
		{name: "slope on a halfline", p: quadratic(nil, []float64{-1, 1}, nil, nil, 0, set.NonNegative(2)), status: bilevel.LowerUnbounded},
		{name: "slope along a constraint", p: quadratic(nil, []float64{-1, -1}, rows(2, 1, -1, -1, 1), []float64{1, 1}, 0, nil), status: bilevel.LowerUnbounded},
		{name: "concave", p: quadratic(rows(1, -1), []float64{1}, nil, nil, 0, nil), status: bilevel.LowerUnbounded},
	}
	return list
}
