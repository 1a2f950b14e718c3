package margin

import "gonum.org/v1/gonum/blas/blas64"

// Penalised solves the penalised lower level
//
//	minimise 1/gamma sum_j exp(1 - v_j.y) + 1/2 |y|^2   subject to   rows.y >= t.
//
// Its multipliers are in the scale of the lower objective:
// y - 1/gamma sum_j exp(1 - v_j.y) v_j = rows' mu.
type Penalised struct{}

// NewPenalised returns a solver for n x d training rows and m x d validation rows.
func NewPenalised(rows, validation blas64.General) (*Penalised, error) { return nil, ErrNumerical }

// Reset forgets the previous solution.
func (s *Penalised) Reset() {}

// Start makes the next Solve start from y (length d) and the support of mu (length n).
func (s *Penalised) Start(y, mu []float64) error { return ErrNumerical }

// Solve writes the solution to y (length d) and its multipliers to mu (length
// n); errors are those of MinNorm.Solve. gamma > 0.
func (s *Penalised) Solve(y, mu, t []float64, gamma float64) (Result, error) {
	return Result{}, ErrNumerical
}
