package method

import (
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/vec"
)

// proxLevel is the regularised lower level of LV-HBA and BiC-GAFFA at a fixed
// (x, y, z),
//
//	min over theta in Y of  g(x, theta) + |theta - y|²/(2 gamma1) + <multipliers>(h(x, theta)),
//
// where the multipliers' part is  max over lo <= l <= r of <l, h> - |l - z|²/(2 gamma2)
// with the maximiser  l = clip(z + gamma2 h, lo, r)  (LV-HBA), or <z, h> (BiC-GAFFA,
// held). lo is 0 for inequalities and -r for equations.
type proxLevel struct {
	p              *bilevel.Problem
	e              *bilevel.Env
	gamma1, gamma2 float64
	r              float64
	held           bool
	prob           lower.Problem
	solver         lower.Solver
	stop           func() bool
	x, y, z        []float64
	l, t, u        []float64 // multipliers, scratch of both lengths
	h, at          []float64 // values of h at theta = at
	part           float64   // the multipliers' part there
}

// proxTol is the residual to which theta is wanted: lambda carries gamma2 |grad h|
// times its error, and the gradient of the gap function, which is multiplied by
// c in the end, carries lambda.
const proxTol = 1e-13

func newProxLevel(e *bilevel.Env, gamma1, gamma2, r float64, held bool) *proxLevel {
	p := e.Dense()
	q := &proxLevel{p: p, e: e, gamma1: gamma1, gamma2: gamma2, r: r, held: held, stop: e.Stopped, t: make([]float64, p.NY)}
	if h := p.Coupling; h != nil {
		q.h, q.l, q.u, q.at = make([]float64, h.Rows), make([]float64, h.Rows), make([]float64, h.Rows), make([]float64, p.NY)
	}
	q.prob = lower.Problem{N: p.NY, Y: p.Y, Value: q.value, Grad: q.grad, HessVec: q.hess}
	q.solver = lower.New(&q.prob)
	return q
}

// evaluate sets h and l at theta, unless it was theirs already.
func (q *proxLevel) evaluate(theta []float64) {
	if floats.Equal(theta, q.at) {
		return
	}
	copy(q.at, theta)
	q.p.Coupling.Value(q.h, q.x, theta)
	if q.held {
		copy(q.l, q.z)
		q.part = floats.Dot(q.z, q.h)
	} else {
		q.part = maximiser(q.l, q.h, q.z, q.gamma2, q.r, q.p.Coupling.Equalities)
	}
}

// maximiser sets l to the maximiser of <l, h> - |l - z|²/(2 gamma2) over
// lo <= l <= r and returns the maximum.
func maximiser(l, h, z []float64, gamma2, r float64, equalities int) (part float64) {
	for i, c := range h {
		lo := 0.0
		if i < equalities {
			lo = -r
		}
		l[i] = math.Min(math.Max(z[i]+gamma2*c, lo), r)
		d := l[i] - z[i]
		part += l[i]*c - d*d/(2*gamma2)
	}
	return part
}

func (q *proxLevel) value(theta []float64) float64 {
	d := floats.Distance(theta, q.y, 2)
	v := q.p.Lower.Value(q.x, theta) + d*d/(2*q.gamma1)
	if q.h != nil {
		q.evaluate(theta)
		v += q.part
	}
	return v
}

func (q *proxLevel) grad(dst, theta []float64) {
	q.p.Lower.GradY(dst, q.x, theta)
	for i, v := range theta {
		dst[i] += (v - q.y[i]) / q.gamma1
	}
	if q.h != nil {
		q.evaluate(theta)
		q.p.Coupling.JacYT(q.t, q.x, theta, q.l)
		floats.Add(dst, q.t)
	}
}

func (q *proxLevel) hess(dst, theta, v []float64) {
	q.p.Lower.HessYY(dst, q.x, theta, v)
	floats.AddScaled(dst, 1/q.gamma1, v)
	if q.h == nil {
		return
	}
	h := q.p.Coupling
	q.evaluate(theta)
	if !h.Affine {
		h.HessYY(q.t, q.x, theta, q.l, v)
		floats.Add(dst, q.t)
	}
	if q.held {
		return
	}
	h.JacY(q.u, q.x, theta, v)
	for i, c := range q.h {
		if l := q.z[i] + q.gamma2*c; l >= q.r || l <= 0 && i >= h.Equalities || l <= -q.r {
			q.u[i] = 0
		}
	}
	h.JacYT(q.t, q.x, theta, q.u)
	floats.AddScaled(dst, q.gamma2, q.t)
}

// solve overwrites theta (warm start) with the minimiser, leaves the multipliers
// in l, and returns the minimum.
func (q *proxLevel) solve(x, y, z, theta vec.Vector) (float64, error) {
	q.x, q.y, q.z = x.(vec.Dense), y.(vec.Dense), nil
	if z != nil {
		q.z = z.(vec.Dense)
	}
	s := []float64(theta.(vec.Dense))
	if q.h != nil {
		q.at[0] = math.NaN() // equal to no theta
	}
	q.e.Counts().LowerSolves++
	info, err := q.solver.Solve(&q.prob, s, nil, proxTol, q.stop)
	q.e.Counts().Inner += int64(info.Iterations)
	if err != nil {
		return 0, err
	}
	return q.value(s), nil
}
