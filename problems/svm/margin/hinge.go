package margin

import "gonum.org/v1/gonum/blas/blas64"

// SquaredHinge solves
//
//	minimise 1/2 sum_j ridge_j y_j^2 + 1/2 sum_i weight_i [1 - rows_i.y]_+^2
//
// with ridge >= 0 (0 for an unregularised bias) and weight >= 0: GAM's lower
// level (arXiv 2302.01970) with xi_i = [1 - rows_i.y]_+ eliminated.
type SquaredHinge struct{}

// NewSquaredHinge returns a solver for the n x d matrix rows.
func NewSquaredHinge(rows blas64.General) (*SquaredHinge, error) { return nil, ErrNumerical }

// Reset forgets the previous solution.
func (s *SquaredHinge) Reset() {}

// Start makes the next Solve start from y (length d).
func (s *SquaredHinge) Start(y []float64) error { return ErrNumerical }

// Solve writes the solution to y (length d) and xi = [1 - rows.y]_+ to xi
// (length n). The multiplier of row i is weight_i xi_i.
func (s *SquaredHinge) Solve(y, xi, ridge, weight []float64) (Result, error) {
	return Result{}, ErrNumerical
}

// SolveHessian overwrites v (length d) with H^-1 v, H the generalised Hessian
// diag(ridge) + sum over xi_i > 0 of weight_i rows_i rows_i' at the last solution.
func (s *SquaredHinge) SolveHessian(v []float64) error { return ErrNumerical }

// Sensitivity writes the derivatives of f(y(ridge, weight)) with respect to
// log ridge (length d) and log weight (length n), given gradient = df/dy at the
// last solution. Either destination may be nil.
func (s *SquaredHinge) Sensitivity(logRidge, logWeight, gradient []float64) error {
	return ErrNumerical
}
