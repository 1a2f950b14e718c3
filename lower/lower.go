// Package lower solves one level of a bilevel problem on []float64: it minimises
// a function of y over a simple set under smooth constraints. Its solvers know
// nothing of bilevel problems; package method builds their problems at a fixed x.
package lower

import (
	"github.com/bilevel-go/bilevel/set"
)

// Problem is  min over y in Y of F(y)  subject to  c_i(y) = 0 for the first
// Equalities rows and c_i(y) <= 0 for the others. The Lagrangian is
// F + <mu, c> with mu_i >= 0 on the inequalities. Value, Grad and HessVec are
// required, and with Rows > 0 Constraint, JacT and Jac. Destinations come first
// and are overwritten; the functions must not keep their arguments.
type Problem struct {
	N       int
	Y       set.Set // nil: the whole space
	Value   func(y []float64) float64
	Grad    func(dst, y []float64)
	HessVec func(dst, y, v []float64) // Hessian of F times v

	Rows, Equalities int
	Constraint       func(dst, y []float64)
	JacT             func(dst, y, mu []float64)    // transposed Jacobian (N) of mu (Rows)
	Jac              func(dst, y, v []float64)     // Jacobian (Rows) of v (N)
	CurveVec         func(dst, y, mu, v []float64) // sum_i mu_i (Hessian of c_i) v; nil: affine
	Affine           bool                          // c is affine
	Quadratic        bool                          // F is quadratic and c affine
}

// Residuals measure a primal-dual point. All are absolute.
type Residuals struct {
	Stationarity    float64 // |y - Proj_Y(y - grad L)|, Euclidean
	Primal          float64 // largest violation of the constraints
	Complementarity float64 // largest |mu_i c_i| over the inequalities
	Dual            float64 // largest violation of mu >= 0
}

// Max is the largest of the residuals.
func (r Residuals) Max() float64 {
	return max(r.Stationarity, r.Primal, r.Complementarity, r.Dual)
}

// Info is what a solver says of its last run.
type Info struct {
	Residuals
	Converged  bool
	Iterations int
}

// Solver solves a Problem. y (N) and mu (Rows) hold a warm start and are
// overwritten. stop, when not nil, is polled in every iteration; a stopped solve
// returns what it has. Converged says that every residual, measured at the point
// returned, is at most the tolerance; a solve that got less far is no error.
//
// Errors are *bilevel.LevelError: no feasible y, no minimum, divergence or a
// numerical failure; and *bilevel.SettingError for a problem that the solver does
// not accept or a setting that is not allowed.
//
// A Solver keeps nothing but scratch: the result depends on the arguments alone,
// so that a resumed run repeats an uninterrupted one bit for bit. Repeated solves
// with problems of the same shape allocate nothing, except by [LBFGS]. A Solver
// is used by one goroutine at a time.
type Solver interface {
	Solve(p *Problem, y, mu []float64, tolerance float64, stop func() bool) (Info, error)
}
