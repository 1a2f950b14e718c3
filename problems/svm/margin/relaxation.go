package margin

import "gonum.org/v1/gonum/blas/blas64"

// Relaxation solves the high-point relaxation of the slack-eliminated SVM,
//
//	minimise sum_j exp(1 - v_j.y) + 1/2 |C|^2   subject to   rows_i.y >= 1 - C_i,  C_i >= floor.
//
// It forgets that y must be the min-norm answer to C.
type Relaxation struct{}

// Bound is what Relaxation.Solve found.
type Bound struct {
	Value float64 // objective at (C, y): an upper bound of the relaxation's optimum
	Lower float64 // rigorous lower bound of it, hence of the bilevel optimum
	Steps int     // Newton steps
	KKT   KKT     // measured at (C, y)
}

// NewRelaxation returns a solver; floor >= 0.
func NewRelaxation(rows, validation blas64.General, floor float64) (*Relaxation, error) {
	return nil, ErrNumerical
}

// Solve writes the solution to c (length n) and y (length d); among the
// minimisers y is the one of least norm.
func (s *Relaxation) Solve(c, y []float64) (Bound, error) { return Bound{}, ErrNumerical }

// MinNormMultipliers writes mu >= 0 (length n) minimising |y - rows' mu| over
// multipliers of the constraints active in rows.y >= t, and returns that norm
// (max norm): 0 proves that y is the point of least norm on { rows.y >= t }.
func (s *Relaxation) MinNormMultipliers(mu, y, t []float64) (float64, error) { return 0, ErrNumerical }
