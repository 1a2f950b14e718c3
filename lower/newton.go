package lower

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// Newton minimises F on the whole space by Newton's method with dense Hessians,
//
//	(H + tau I) p = -grad F,   y <- y + t p,
//
// where tau is 0 when H has a Cholesky factorization and else the first of
// 1e-12 |H|, 1e-11 |H|, ... that gives one, and t is halved until
// F(y + t p) <= F(y) + 1e-4 t <grad F, p>. Where differences of F drown in
// rounding, a step that reduces |grad F| is taken instead.
//
// Assumptions: F twice differentiable; N Hessian products and N^3/3 operations
// per iteration, so N up to some hundreds. Failure modes: for nonconvex F it
// finds a stationary point; a flat F (H = 0) is taken for unbounded.
//
// Source: Nocedal and Wright, Numerical Optimization, algorithm 3.2 and section 3.4.
type Newton struct {
	// MaxIterations limits one solve; 0 is 200.
	MaxIterations int

	meter                      Meter
	hess, chol                 []float64
	g, p, trial, gt, ei, start []float64
}

// Solve implements [Solver]. Problems with a set or constraints are refused.
func (s *Newton) Solve(p *Problem, y, mu []float64, tolerance float64, stop func() bool) (Info, error) {
	if p.Rows > 0 || !set.IsWhole(p.Y) {
		return Info{}, unsuited("Newton", "a problem on the whole space without constraints")
	}
	n := p.N
	for _, v := range [...]*[]float64{&s.g, &s.p, &s.trial, &s.gt, &s.ei, &s.start} {
		*v = resize(*v, n)
	}
	s.hess, s.chol = resize(s.hess, n*n), resize(s.chol, n*n)
	limit := s.MaxIterations
	if limit == 0 {
		limit = 200
	}
	far := escape * (1 + floats.Norm(y, 2))
	copy(s.start, y)
	f := p.Value(y)
	p.Grad(s.g, y)
	if !finite(s.g) || f-f != 0 {
		return Info{}, notFinite()
	}
	var info Info
	for ; info.Iterations < limit; info.Iterations++ {
		if floats.Norm(s.g, 2) <= tolerance || stop != nil && stop() {
			break
		}
		if err := s.direction(p, y); err != nil {
			return info, err
		}
		var moved bool
		if f, moved = s.search(p, y, f); !moved {
			break
		}
		if floats.Norm(y, 2) > far || math.IsInf(f, -1) {
			return info, unbounded(y)
		}
	}
	info.Residuals = s.meter.Measure(p, y, mu)
	info.Converged = info.Max() <= tolerance
	if !info.Converged && escapes(p, s.trial, s.start, y, far) {
		return info, unbounded(y)
	}
	return info, nil
}

// direction sets s.p to the Newton direction at y, where s.g is the gradient.
func (s *Newton) direction(p *Problem, y []float64) error {
	n := p.N
	size := denseHessian(s.hess, s.ei, p, y)
	if size-size != 0 {
		return &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: "the Hessian of the objective is not finite"}
	}
	if size == 0 {
		size = 1e-3
	}
	for tau := 0.0; tau <= 1e6*size; tau = math.Max(1e-12*size, 10*tau) {
		copy(s.chol, s.hess)
		for i := range n {
			s.chol[i*n+i] += tau
		}
		t, ok := lapack64.Potrf(blas64.Symmetric{Uplo: blas.Upper, N: n, Data: s.chol, Stride: n})
		if !ok || !wellPivoted(s.chol, s.hess, n) {
			continue
		}
		floats.ScaleTo(s.p, -1, s.g)
		lapack64.Potrs(t, blas64.General{Rows: n, Cols: 1, Data: s.p, Stride: 1})
		if finite(s.p) {
			return nil
		}
	}
	return &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: "the Hessian of the objective cannot be factorized"}
}

// search moves y along s.p, updates s.g and returns F there; moved is false when
// no step makes progress.
func (s *Newton) search(p *Problem, y []float64, f float64) (value float64, moved bool) {
	slope := floats.Dot(s.g, s.p)
	for t := 1.0; t > 1e-12; t /= 2 {
		floats.AddScaledTo(s.trial, y, t, s.p)
		v := p.Value(s.trial)
		if math.IsNaN(v) || math.IsInf(v, 1) {
			continue
		}
		rounding := math.Abs(t*slope) <= 1e-12*math.Abs(f)
		if v > f+1e-4*t*slope && !rounding {
			continue
		}
		p.Grad(s.gt, s.trial)
		if rounding && !(floats.Norm(s.gt, 2) < floats.Norm(s.g, 2)) || !finite(s.gt) {
			continue
		}
		copy(y, s.trial)
		s.g, s.gt = s.gt, s.g
		return v, true
	}
	return f, false
}

// denseHessian sets h (N x N, row-major) to the symmetrised Hessian of F at y
// and returns its largest absolute entry. e is scratch of length N.
func denseHessian(h, e []float64, p *Problem, y []float64) float64 {
	n := p.N
	clear(e)
	for i := range n {
		e[i] = 1
		p.HessVec(h[i*n:(i+1)*n], y, e)
		e[i] = 0
	}
	size := 0.0
	for i := range n {
		size = worst(size, math.Abs(h[i*n+i]))
		for j := range i {
			v := (h[i*n+j] + h[j*n+i]) / 2
			h[i*n+j], h[j*n+i] = v, v
			size = worst(size, math.Abs(v))
		}
	}
	return size
}

// wellPivoted reports whether no pivot of the Cholesky factor of h + tau I is
// lost in the rounding of the diagonal it came from.
func wellPivoted(chol, h []float64, n int) bool {
	for i := range n {
		if d := chol[i*n+i]; !(d*d > 0x1p-50*math.Abs(h[i*n+i])) {
			return false
		}
	}
	return true
}
