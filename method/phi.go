package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// phi is the hyper-objective f(x, y_g(x)) of a []float64 problem, by lower-level
// solves to exactTol that are warm-started along x, with its hypergradient. It
// is an spgObjective.
type phi struct {
	e         *bilevel.Env
	lvl       *level
	hyper     *hypergradient
	y, mu     vec.Vector // persistent blocks: the lower solution of the last value; mu nil without coupling
	goodY     vec.Vector // the last one that was found
	goodMu    vec.Vector
	inexact   *inexact
	lastSolve float64 // residual of the last lower-level solve
}

// newPhi keeps the lower solution in the blocks y and mu of e.
func newPhi(e *bilevel.Env, hyper *hypergradient) *phi {
	f := &phi{e: e, lvl: newLevel(e, nil), hyper: hyper, y: e.BlockFrom("y", e.StartY()), inexact: newInexact(e)}
	f.goodY = vec.Clone(f.y)
	if rows, _ := e.Rows(); rows > 0 {
		f.mu = e.Block("mu", e.NewMultiplier())
		f.goodMu = vec.Clone(f.mu)
	}
	return f
}

func (f *phi) value(x vec.Vector) (float64, error) {
	info, err := f.lvl.solve(math.Inf(1), x, f.y, f.mu, exactTol)
	if err != nil { // what a failed solve leaves is no start for the next one
		f.y.Copy(f.goodY)
		if f.mu != nil {
			f.mu.Copy(f.goodMu)
		}
		return 0, err
	}
	f.goodY.Copy(f.y)
	if f.mu != nil {
		f.goodMu.Copy(f.mu)
	}
	f.lastSolve = info.Max()
	if !f.e.Stopped() {
		f.inexact.lower(f.lastSolve)
	}
	return f.e.Upper(x, f.y), nil
}

func (f *phi) grad(dst, x vec.Vector) error {
	residual, err := f.hyper.at(dst, x, f.y, f.mu)
	f.inexact.linear(residual, f.hyper.v)
	return err
}

// inexact says once in a note that lower solves, or the linear systems of
// hypergradients, are left with residuals that bias the hypergradient.
type inexact struct {
	e                   *bilevel.Env
	saidLower, saidGrad *float64
}

// Residuals that are worth a note: of a lower solve, absolute, and of a linear
// system, relative to its right-hand side.
const (
	lowerWorthSaying  = 1e-7
	linearWorthSaying = 1e-6
)

func newInexact(e *bilevel.Env) *inexact {
	return &inexact{e, e.Scalar("said_lower", 0), e.Scalar("said_linear", 0)}
}

func (n *inexact) lower(residual float64) {
	if *n.saidLower == 0 && !(residual <= lowerWorthSaying) {
		*n.saidLower = 1
		n.e.Note("the lower level was solved to a residual of %.2g only, which biases the hypergradient by as much times the condition of its Hessian", residual)
	}
}

func (n *inexact) linear(residual float64, rhs vec.Vector) {
	if *n.saidGrad != 0 {
		return
	}
	size := vec.Norm(rhs)
	if size > 0 && !(residual <= linearWorthSaying*size) {
		*n.saidGrad = 1
		n.e.Note("the linear system of the hypergradient was solved to a relative residual of %.2g only: the hypergradient is inexact by as much", residual/size)
	}
}
