package margin

import "gonum.org/v1/gonum/blas/blas64"

// JointProjection projects onto the joint feasible sets of the SVM formulations.
type JointProjection struct{}

// NewJointProjection returns a projector for the n x d matrix rows and C >= floor
// (math.Inf(-1) for none).
func NewJointProjection(rows blas64.General, floor float64) (*JointProjection, error) {
	return nil, ErrNumerical
}

// Reset forgets the previous solution.
func (s *JointProjection) Reset() {}

// Project overwrites (y, xi, c), of lengths d, n, n, with its Euclidean
// projection onto { rows_i.y + xi_i >= 1, xi_i <= c_i, c_i >= floor }.
func (s *JointProjection) Project(y, xi, c []float64) (Result, error) {
	return Result{}, ErrNumerical
}

// ProjectMargin overwrites (y, c), of lengths d, n, with its Euclidean
// projection onto { rows_i.y >= 1 - c_i, c_i >= floor }.
func (s *JointProjection) ProjectMargin(y, c []float64) (Result, error) {
	return Result{}, ErrNumerical
}
