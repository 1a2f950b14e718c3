package toy

import (
	"container/heap"
	"math"
	"strconv"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
)

// The toys of BLOCC (arXiv 2406.10148): x in [0, 3], y real,
//
//	g(x, y) = (y - 2x)^2,   h(x, y) = y - x <= 0,
//	f(x, y) = E w(x) + L(x) [+ x^2 in toy 1],
//	E = e^(2-y),  w = 1/(2 + cos kx),  L = ln((4x-2)^2 + 1)/2,  k = 4 (toy 1) or 6 (toy 2).
//
// Closed form: for x >= 0 the constraint is active, y_g(x) = x, mu = 2x, v = x^2.
// As f decreases in y the penalised solution is y_gamma(x) = x too, with
// mu_gamma = 2x - f_y(x, x)/gamma: the penalised value is phi(x) = f(x, x) for
// every gamma. The local minima of phi are the zeros of
//
//	phi'(x) = E (w' - w) + L' [+ 2x]
//
// where it grows, bracketed on a grid of 3000 cells and bisected.
//
// As f decreases in y, min f over x in [0, 3], y <= x is min phi: the high-point
// relaxation is attained. It is one-dimensional and is bounded from below by
// branch and bound with
//
//	phi(x) >= phi(c) - |phi'(c)| r - M r^2/2 for |x - c| <= r,   M = e^2 (1+k)^2 + 18 >= |phi''|
//
// (|w| <= 1, |w'| <= k, |w”| <= k^2, |L”| <= 16).
type blocc struct {
	k      float64
	square float64 // coefficient of x^2
	x0     float64
	doc    string
}

var (
	blocc1 = blocc{4, 1, 0.1, "The upper level weighs a decaying, oscillating cost; the lower level wants y = 2x and may not exceed x."}
	blocc2 = blocc{6, 0, 0.7, "As toy 1 with a faster oscillation and without the term x^2, so that phi has four local minima on [0, 3]."}
)

// w is 1/(2 + cos kx) with its first two derivatives.
func (t blocc) w(x float64) (w, w1, w2 float64) {
	s, c := math.Sincos(t.k * x)
	w = 1 / (2 + c)
	return w, t.k * s * w * w, t.k * t.k * (c*w*w + 2*s*s*w*w*w)
}

// l is the part of f that depends on x alone, with its first two derivatives.
func (t blocc) l(x float64) (l, l1, l2 float64) {
	s := 4*x - 2
	q := s*s + 1
	return math.Log(q)/2 + t.square*x*x, 4*s/q + 2*t.square*x, 16*(1-s*s)/(q*q) + 2*t.square
}

func (t blocc) upper() bilevel.Objective {
	e := func(y float64) float64 { return math.Exp(2 - y) }
	return scalar(
		func(x, y float64) float64 { w, _, _ := t.w(x); l, _, _ := t.l(x); return e(y)*w + l },
		func(x, y float64) float64 { _, w1, _ := t.w(x); _, l1, _ := t.l(x); return e(y)*w1 + l1 },
		func(x, y float64) float64 { w, _, _ := t.w(x); return -e(y) * w },
		func(x, y float64) float64 { _, _, w2 := t.w(x); _, _, l2 := t.l(x); return e(y)*w2 + l2 },
		func(x, y float64) float64 { _, w1, _ := t.w(x); return -e(y) * w1 },
		func(x, y float64) float64 { w, _, _ := t.w(x); return e(y) * w },
	)
}

// phi is f(x, x) and dphi its derivative.
func (t blocc) phi(x float64) float64 {
	w, _, _ := t.w(x)
	l, _, _ := t.l(x)
	return math.Exp(2-x)*w + l
}

func (t blocc) dphi(x float64) float64 {
	w, w1, _ := t.w(x)
	_, l1, _ := t.l(x)
	return math.Exp(2-x)*(w1-w) + l1
}

func (t blocc) open(r request) (*problems.Instance, error) {
	p := &bilevel.Problem{
		NX: 1, NY: 1, X: interval(0, 3),
		Upper: t.upper(),
		Lower: scalar(
			func(x, y float64) float64 { return (y - 2*x) * (y - 2*x) },
			func(x, y float64) float64 { return -4 * (y - 2*x) },
			func(x, y float64) float64 { return 2 * (y - 2*x) },
			constant(8), constant(-4), constant(2),
		),
		Coupling:  below(func(x float64) float64 { return x }, constant1(1)),
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 2, LowerQuadratic: true},
		X0:        []float64{t.x0}, Y0: []float64{0},
		Oracle: &bloccOracle{t: t},
	}
	p.Coupling.Affine = true
	// The published steps are those of the Lagrangian f + gamma g + mu h; both
	// multipliers restart in every outer iteration, mu_gamma at a random number.
	published := map[string]string{
		"gamma": "5", "eta": "0.01", "max_iterations": "500", "tolerance": "1e-4",
		"scale": "f", "order": "simultaneous", "stop": "signed-sum", "inner_tol": "1e-4", "warm": "y_g",
		"primal_step_g": "0.1", "dual_step_g": "0.1", "primal_step_f": "0.1", "dual_step_f": "0.1",
		"mu_g": "0.1", "mu_f": "1",
	}
	if r.random {
		rng := r.rng(streamStart)
		p.X0[0], p.Y0[0] = math.Min(3.5*rng.Float64(), 3), -5+13.5*rng.Float64()
		published["mu_f"] = strconv.FormatFloat(10*rng.Float64(), 'g', -1, 64)
	}
	return &problems.Instance{
		Doc: t.doc, Source: "BLOCC, arXiv 2406.10148", Problem: p, Known: t.minima(),
		Published: map[string]map[string]string{"blocc": published},
	}, nil
}

// minima are the local minima of phi on [0, 3], best first.
func (t blocc) minima() []problems.Known {
	var known []problems.Known
	at, grows := zeros(t.dphi, 0, 3, 3000)
	for i, x := range at {
		if grows[i] {
			known = append(known, problems.Known{X: []float64{x}, Y: []float64{x}, Upper: t.phi(x), Source: "zero of phi' by bisection"})
		}
	}
	return bestFirst(known)
}

// bloccOracle is the closed form of the lower level and the bound.
type bloccOracle struct {
	t     blocc
	bound float64
}

// SolveLower returns y = x with mu = 2x - f_y(x, x)/gamma where that is not
// negative (all of X), else the unconstrained minimiser.
func (o *bloccOracle) SolveLower(gamma float64, x, y, mu []float64) (float64, error) {
	w, _, _ := o.t.w(x[0])
	slope := func(y float64) float64 { return 2*(y-2*x[0]) - math.Exp(2-y)*w/gamma }
	if d := slope(x[0]); d <= 0 {
		y[0], mu[0] = x[0], -d
		return 0, nil
	}
	y[0], mu[0] = minimise(slope, 2*x[0]), 0
	return math.Abs(slope(y[0])), nil
}

// Adjoint is dy_g/dx = 1 where the constraint is active, 2 where it is not.
func (o *bloccOracle) Adjoint(dst, _, _, mu, v []float64) error {
	dst[0] = v[0]
	if mu[0] <= 0 {
		dst[0] = 2 * v[0]
	}
	return nil
}

// ProjectJoint projects on { 0 <= x <= 3, y <= x }.
func (o *bloccOracle) ProjectJoint(x, y []float64) error {
	clipped := math.Min(math.Max(x[0], 0), 3)
	if y[0] <= clipped {
		x[0] = clipped
		return nil
	}
	t := math.Min(math.Max((x[0]+y[0])/2, 0), 3)
	x[0], y[0] = t, t
	return nil
}

// LowerBound is within 1e-9 of min phi, from below.
func (o *bloccOracle) LowerBound() (float64, string, error) {
	if o.bound == 0 {
		o.bound = o.t.lowerBound(1e-9)
	}
	return o.bound, "high-point relaxation (one-dimensional, branch and bound)", nil
}

// cell is an interval with its lower bound of phi.
type cell struct{ centre, radius, bound float64 }

// cells is a heap with the smallest bound on top.
type cells []cell

func (h cells) Len() int           { return len(h) }
func (h cells) Less(i, j int) bool { return h[i].bound < h[j].bound }
func (h cells) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cells) Push(v any)        { *h = append(*h, v.(cell)) }
func (h *cells) Pop() any {
	old := *h
	v := old[len(old)-1]
	*h = old[:len(old)-1]
	return v
}

// lowerBound bounds phi on [0, 3] from below by branch and bound, to within width.
func (t blocc) lowerBound(width float64) float64 {
	m := math.E*math.E*(1+t.k)*(1+t.k) + 18
	best := math.Inf(1)
	at := func(c, r float64) cell {
		best = math.Min(best, t.phi(c))
		return cell{c, r, t.phi(c) - math.Abs(t.dphi(c))*r - m*r*r/2}
	}
	h := &cells{at(1.5, 1.5)}
	for (*h)[0].bound < best-width {
		c := heap.Pop(h).(cell)
		r := c.radius / 2
		heap.Push(h, at(c.centre-r, r))
		heap.Push(h, at(c.centre+r, r))
	}
	return (*h)[0].bound
}
