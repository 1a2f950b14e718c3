package method

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// Unrolled differentiates through K steps of projected gradient descent on the
// lower level (iterative differentiation, reverse mode). Forward,
//
//	z_k = y_k - beta grad_y g(x, y_k),   y_{k+1} = Proj_Y(z_k),   k = 0..K-1,
//
// and for phi_K(x) = f(x, y_K(x)), backward over the last s steps (all by default),
//
//	d = grad_x f(x, y_K),  p = grad_y f(x, y_K)
//	p <- DProj_Y(z_k) p,   d <- d - beta Hess_xy g(x,y_k) p,   p <- p - beta Hess_yy g(x,y_k) p,   k = K-1..K-s.
//
// Inner = K takes K steps and the fixed outer step x <- Proj_X(x - eta d), with
// y_0 the start, or with Warm the last y_K, whose dependence on x is then left
// out. Inner = 0, the default of corrected mode, takes as many steps from the start, at most
// Limit, as bring |y - Proj_Y(y - beta grad_y g)|/beta below 1e-11, with beta = 1/|Hess_yy g|
// at y_0 unless it is given; phi_K and its gradient are then phi and dphi/dx up to
// what is left of p, and x takes spectral projected gradient steps (spg.go).
//
// Assumptions: no coupling constraint; I - beta Hess_yy g a contraction.
//
// Failure modes: memory of K copies of y; beta above 2/|Hess_yy g| makes the
// inner loop diverge; truncation, and warm starts, bias the gradient by what is left of p,
// which a note says when it exceeds 1e-6 of grad_y f. At kinks of the
// projection an element of its generalised Jacobian is taken.
//
// Stationarity is |x - Proj_X(x - d)|, with fixed steps |(x+ - x, y+ - y)| / eta.
//
// Source: arXiv 1703.01785 (reverse mode); arXiv 2006.16218 (ITD).
type Unrolled struct {
	Inner int     `opt:"inner" range:"[0,inf)" doc:"inner steps K; 0: 10 in faithful mode, as many as it takes in corrected mode"`
	Last  int     `opt:"last" range:"[0,inf)" doc:"steps differentiated, from the last one; 0: all"`
	Warm  bool    `opt:"warm" doc:"start the inner loop at its last end, where K is fixed"`
	Beta  float64 `opt:"beta" range:"[0,inf)" doc:"inner step; 0: 0.01 where K is fixed, else 1/|Hess_yy g|"`
	Eta   float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"outer step, where it is fixed"`
	Rule  string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of x, where steps are fixed"`
	Limit int     `opt:"limit" default:"20000" range:"[1,inf)" doc:"largest number of inner steps where it is not fixed"`
}

// unrolledTol is the residual of the inner loop where its length is not fixed.
const unrolledTol = 1e-11

// pathStorage is the number of components that the path begins with where its
// length is not fixed.
const pathStorage = 1 << 20

// Name is "unrolled".
func (m *Unrolled) Name() string { return "unrolled" }

// Defaults are 10,000 iterations and tolerance 1e-8.
func (m *Unrolled) Defaults(bilevel.Mode) (int, float64) { return 10000, 1e-8 }

type unrolled struct {
	e           *bilevel.Env
	o           Unrolled
	deriv       set.Differentiable // nil: Y is the whole space
	x, y        vec.Vector
	start       vec.Vector
	path        []vec.Vector // begins with y_0 .. y_K
	betas       []float64    // the step taken from each
	steps       int          // K of the last forward pass
	beta        float64
	g, p, hp    vec.Vector
	dp, z       []float64
	dx, hx      vec.Vector
	oldY        vec.Vector
	power       powerIteration
	op          *unconstrained
	saidShort   *float64
	saidInexact *inexact
	outer       *mover
	spg         *spg
	answer
}

// Start checks the parameters and prepares the iteration at the start.
func (m *Unrolled) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	it := &unrolled{e: e, o: *m, answer: answer{e: e}}
	o := &it.o
	if err := option.Fill(o); err != nil {
		return nil, err
	}
	if rows, _ := e.Rows(); rows > 0 {
		return nil, &bilevel.SettingError{Field: "Coupling", Value: fmt.Sprintf("%d rows", rows), Allowed: "no coupling constraint for unrolled; use gam or implicit-cg"}
	}
	if p := e.Dense(); p != nil && !set.IsWhole(p.Y) {
		var ok bool
		if it.deriv, ok = p.Y.(set.Differentiable); !ok {
			return nil, &bilevel.SettingError{Field: "Y", Value: p.Y.String(), Allowed: "a set.Differentiable for unrolled"}
		}
		it.dp, it.z = make([]float64, p.NY), make([]float64, p.NY)
	}
	it.x, it.y, it.start = e.BlockFrom("x", e.StartX()), e.BlockFrom("y", e.StartY()), e.StartY()
	it.g, it.p, it.hp, it.oldY = it.y.New(), it.y.New(), it.y.New(), it.y.New()
	it.dx, it.hx = it.x.New(), it.x.New()
	it.op = &unconstrained{m: e.Model}
	it.saidShort, it.saidInexact = e.Scalar("said_short", 0), newInexact(e)
	if o.Inner == 0 && e.Settings.Mode == bilevel.Faithful {
		o.Inner = 10
	}
	if it.beta = o.Beta; o.Inner > 0 && it.beta == 0 {
		it.beta = 0.01
	}
	if o.Inner == 0 {
		it.keep(min(max(pathStorage/it.y.Len(), 64), 1024))
		it.spg = newSPG(e, it.x, it)
	} else {
		it.keep(o.Inner)
		it.outer = newMover(e, "x", e.ProjectX, ruleOf(o.Rule), o.Eta, it.x)
	}
	return it, nil
}

// Step does one outer iteration.
func (it *unrolled) Step(p *bilevel.Progress) (bilevel.Status, error) {
	p.X, p.Y = it.x, it.y
	if it.spg != nil {
		return it.spg.report(p)
	}
	e := it.e
	it.oldY.Copy(it.y)
	from := it.start
	if it.o.Warm {
		from = it.y
	}
	it.forward(it.x, from)
	it.y.Copy(it.path[it.steps])
	if e.Stopped() {
		return bilevel.Running, nil
	}
	it.backward(it.dx, it.x)
	observe(e, p, false)
	p.Step, p.Stationarity = it.outer.move(it.x, it.dx, 1)
	it.oldY.Add(-1, it.y)
	p.Stationarity = math.Hypot(p.Stationarity, vec.Norm(it.oldY)/it.o.Eta)
	if p.Stationarity <= e.Settings.Tolerance {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}

// value is phi_K with a K that suffices.
func (it *unrolled) value(x vec.Vector) (float64, error) {
	if it.o.Beta == 0 {
		it.op.x, it.op.y = x, it.start
		it.beta = 1
		if l := it.power.largest(it.start, it.op); l > 0 {
			it.beta = 1 / l
		}
	}
	residual := it.forward(x, it.start)
	it.y.Copy(it.path[it.steps])
	if !it.e.Stopped() {
		it.saidInexact.lower(residual)
	}
	return it.e.Upper(x, it.y), nil
}

// grad is the gradient of phi_K at the point of the last value.
func (it *unrolled) grad(dst, x vec.Vector) error {
	it.backward(dst, x)
	return nil
}

// forward keeps y_0 .. y_K in path and returns the residual of the last step.
func (it *unrolled) forward(x, from vec.Vector) (residual float64) {
	limit := it.o.Inner
	if limit == 0 {
		limit = it.o.Limit
	}
	it.keep(0).Copy(from)
	beta, adaptive := it.beta, it.o.Inner == 0 && it.o.Beta == 0
	var g float64
	if adaptive {
		g = it.e.Lower(x, from)
	}
	for it.steps = 0; it.steps < limit && !it.e.Stopped(); {
		y := it.path[it.steps]
		next := it.keep(it.steps + 1)
		it.e.LowerGradY(it.g, x, y)
		for {
			next.Copy(y)
			next.Add(-beta, it.g)
			it.e.ProjectY(next)
			if !adaptive {
				break
			}
			it.hp.Copy(next)
			it.hp.Add(-1, y)
			square := it.hp.Dot(it.hp) / (2 * beta)
			after := it.e.Lower(x, next)
			if after <= g+it.g.Dot(it.hp)+square || square <= valueAccuracy*math.Max(1, math.Abs(g)) || beta < 1e-15 {
				g = after
				break
			}
			beta /= 2
		}
		it.betas[it.steps] = beta
		it.steps++
		it.e.Counts().Inner++
		if it.o.Inner == 0 {
			it.g.Copy(next)
			it.g.Add(-1, y)
			if residual = vec.Norm(it.g) / beta; !(residual > unrolledTol) {
				break
			}
		}
	}
	return residual
}

// keep returns path[k]. A path that is too short doubles, so that a run whose K
// varies soon allocates no more.
func (it *unrolled) keep(k int) vec.Vector {
	if k >= len(it.path) {
		for range max(k+1, 2*len(it.path)) - len(it.path) {
			it.path = append(it.path, it.y.New())
			it.betas = append(it.betas, 0)
		}
	}
	return it.path[k]
}

// backward sets d to the gradient of f(x, y_K(x)) over the last steps.
func (it *unrolled) backward(d, x vec.Vector) {
	e := it.e
	last := it.path[it.steps]
	e.UpperGradX(d, x, last)
	e.UpperGradY(it.p, x, last)
	size := vec.Norm(it.p)
	to := 0
	if it.o.Last > 0 {
		to = max(0, it.steps-it.o.Last)
	}
	if it.o.Inner == 0 && it.o.Last == 0 {
		for k := 0; k < it.o.Limit && vec.Norm(it.p) > 1e-12*size && !e.Stopped(); k++ {
			it.back(d, x, last, it.betas[it.steps-1])
		}
	}
	for k := it.steps - 1; k >= to && !e.Stopped(); k-- {
		it.back(d, x, it.path[k], it.betas[k])
	}
	truncated := to > 0 || it.o.Inner == 0 || it.o.Warm
	if left := vec.Norm(it.p); truncated && *it.saidShort == 0 && !(left <= linearWorthSaying*size) && !e.Stopped() {
		*it.saidShort = 1
		e.Note("after the differentiated steps %.2g of grad_y f is left: the gradient is that of a truncated loop, not of phi, by about as much", left/size)
	}
}

// back takes one step back, at y.
func (it *unrolled) back(d, x, y vec.Vector, beta float64) {
	e := it.e
	if it.deriv != nil {
		e.LowerGradY(it.g, x, y)
		floats.AddScaledTo(it.z, y.(vec.Dense), -beta, it.g.(vec.Dense))
		it.deriv.ProjectDeriv(it.dp, it.z, it.p.(vec.Dense))
		copy(it.p.(vec.Dense), it.dp)
	}
	e.LowerHessXY(it.hx, x, y, it.p)
	d.Add(-beta, it.hx)
	e.LowerHessYY(it.hp, x, y, it.p)
	it.p.Add(-beta, it.hp)
}
