package method

// The exact hypergradient by implicit differentiation of the lower level's
// optimality conditions.
//
// At a lower solution y with multipliers mu, with L = g + <mu, h>, P the
// projection on Y and A the rows of h that are active,
//
//	y = P(y - grad_y L),   h_A(x, y) = 0.
//
// With D = DP(y - grad_y L), H = Hess_yy L, A_y and A_x the Jacobians of h_A, the
// derivative of (y, mu_A) along x solves
//
//	(I - D + D H) dy + D A_y' dmu = -D G dx,   A_y dy = -A_x dx,   G = Hess_yx L,
//
// and for v = grad_y f the transposed system, multiplied by D, is
//
//	S p + D A_y' q = D v,   A_y D p = 0,   S = D - D² + D H D  (symmetric),   s = D p,
//	dphi/dx = grad_x f - G' s - A_x' q.
//
// On the tangent space { D A_y' }-perpendicular, with orthogonal projector Pi,
// this is Pi S Pi p = Pi D v, which any solver of symmetric systems may solve,
// and q is the least-squares solution of least norm of D A_y' q = D v - S p.
//
// Assumptions: y and mu solve the lower level to high accuracy, strict
// complementarity, second derivatives. Failure modes: weakly active constraints
// (phi has a kink; the count is in weak), a singular S (the solution of least
// norm is taken, and the residual tells whether it is one) and dependent active
// rows (q of least norm; dphi/dx is then one element of several).
// Sources: arXiv 2006.16218, equation 2 (unconstrained); arXiv 2302.01970,
// equations 9-11 (active constraints); arXiv 2105.15183 (projections).

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// weakTolerance bounds max(mu_i, -h_i) of a constraint that counts as weakly active.
const weakTolerance = 1e-6

// hypergradient computes dphi/dx at a lower solution. It allocates nothing after
// its first use on []float64 problems.
type hypergradient struct {
	m      bilevel.Model
	oracle bilevel.Sensitivity
	kkt    *kkt // nil when the lower level is unconstrained
	solver linearSolver
	op     operator

	v, b, p, s, gx vec.Vector

	// Of the last call of at:
	weak           int  // weakly active inequality constraints
	differentiable bool // nothing speaks against phi being differentiable there
}

// newHypergradient returns the exact hypergradient of the problem of e: by the
// problem's own Sensitivity where there is one, else by the direct solution of
// the system above up to denseLimit variables and by conjugate gradients beyond.
func newHypergradient(e *bilevel.Env) (*hypergradient, error) {
	var s linearSolver = &conjugateGradients{limit: 10000, tolerance: 1e-12}
	if p := e.Dense(); p != nil && p.NY <= denseLimit {
		s = new(direct)
	}
	h, err := newHypergradientBy(e, s)
	if err == nil && e.Dense() != nil {
		h.oracle, _ = e.Dense().Oracle.(bilevel.Sensitivity)
	}
	return h, err
}

// newHypergradientBy uses the linear solver s and no oracle.
func newHypergradientBy(e *bilevel.Env, s linearSolver) (*hypergradient, error) {
	x, y := e.StartX(), e.StartY()
	h := &hypergradient{m: e.Model, solver: s, v: y.New(), b: y.New(), p: y.New(), s: y.New(), gx: x}
	free := &unconstrained{m: e.Model}
	h.op = free
	if p := e.Dense(); p != nil && (!set.IsWhole(p.Y) || p.Coupling != nil) {
		k, err := newKKT(p)
		if err != nil {
			return nil, err
		}
		h.kkt, h.op = k, k
	} else if rows, _ := e.Rows(); p == nil && rows > 0 {
		return nil, &bilevel.SettingError{Field: "Coupling", Value: rows, Allowed: "no coupling constraint for an implicit hypergradient away from []float64"}
	}
	return h, nil
}

// at sets dst to dphi/dx at x, where y and mu (nil without coupling) solve the
// lower level. The residual is the Euclidean norm of what the linear system is
// left with, 0 where the problem's own Sensitivity was used.
func (h *hypergradient) at(dst, x, y, mu vec.Vector) (residual float64, err error) {
	h.weak, h.differentiable = 0, true
	if h.kkt != nil {
		h.weak = h.kkt.classify(x, y, mu)
	}
	return h.atActive(dst, x, y, mu)
}

// atActive is at with the active set that kkt.active holds.
func (h *hypergradient) atActive(dst, x, y, mu vec.Vector) (residual float64, err error) {
	h.m.UpperGradX(dst, x, y)
	h.m.UpperGradY(h.v, x, y)
	if h.oracle != nil {
		var ms []float64
		if mu != nil {
			ms = mu.(vec.Dense)
		}
		if err := h.oracle.Adjoint(h.gx.(vec.Dense), x.(vec.Dense), y.(vec.Dense), ms, h.v.(vec.Dense)); err != nil {
			return math.NaN(), err
		}
		dst.Add(1, h.gx)
		h.differentiable = h.weak == 0
		return 0, nil
	}
	if h.kkt != nil {
		differentiable, err := h.kkt.prepare(x, y, mu)
		if err != nil {
			return math.NaN(), err
		}
		h.differentiable = differentiable && h.weak == 0
		return h.kkt.adjoint(dst, h.v, h.solver), nil
	}
	free := h.op.(*unconstrained)
	free.x, free.y = x, y
	residual = h.solver.solve(h.p, h.v, free)
	h.m.LowerHessXY(h.gx, x, y, h.p)
	dst.Add(-1, h.gx)
	return residual, nil
}

// unconstrained is the operator Hess_yy g.
type unconstrained struct {
	m    bilevel.Model
	x, y vec.Vector
}

func (o *unconstrained) apply(dst, v vec.Vector) { o.m.LowerHessYY(dst, o.x, o.y, v) }
func (o *unconstrained) project(vec.Vector)      {}
