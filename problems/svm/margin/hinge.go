package margin

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// SquaredHinge solves
//
//	minimise 1/2 sum_j ridge_j y_j^2 + 1/2 sum_i weight_i [1 - rows_i.y]_+^2
//
// with ridge >= 0 (0 for an unregularised bias) and weight >= 0: GAM's lower
// level (arXiv 2302.01970) with the slack xi_i = [1 - rows_i.y]_+ eliminated, by
// the semismooth Newton method.
//
// With I = { i : xi_i > 0 } and H = diag(ridge) + sum_I weight_i r_i r_i', implicit
// differentiation of the optimality condition ridge y = sum_I weight_i xi_i r_i gives
//
//	dy/d log weight_i =  weight_i xi_i H^-1 r_i,     dy/d log ridge_j = -ridge_j y_j H^-1 e_j,
//
// the Schur complement of the KKT system that GAM inverts. Failure modes: the
// solution is differentiable only where no 1 - r_i.y is zero; H is singular where
// the rows of I and the ridge do not determine y.
type SquaredHinge struct {
	newton *newton
	hinge  hinge
	solved bool
	work   []float64
}

// NewSquaredHinge returns a solver for the n x d matrix rows.
func NewSquaredHinge(rows blas64.General) (*SquaredHinge, error) {
	if err := checkMatrix("rows", rows); err != nil {
		return nil, err
	}
	return &SquaredHinge{
		newton: newNewton(rows), hinge: hinge{weight: make([]float64, rows.Rows)},
		work: make([]float64, rows.Cols),
	}, nil
}

// Reset forgets the previous solution.
func (s *SquaredHinge) Reset() {
	clear(s.newton.y)
	s.newton.forget()
	s.solved = false
}

// Start makes the next Solve start from y (length d): after it, Solve depends
// on its arguments alone.
func (s *SquaredHinge) Start(y []float64) error {
	if err := checkLen("y", y, len(s.newton.y)); err != nil {
		return err
	}
	if err := checkFinite("y", y); err != nil {
		return err
	}
	s.Reset()
	copy(s.newton.y, y)
	return nil
}

// Solve writes the solution to y (length d) and xi = [1 - rows.y]_+ to xi
// (length n). The multiplier of row i is weight_i xi_i. The error is ErrInput
// for a wrong argument, ErrNumerical when the gradient exceeds 1e-10 relative to
// 1 + sum_i weight_i xi_i and the rounding of the margins, about 1e-16 sum_I weight_i.
func (s *SquaredHinge) Solve(y, xi, ridge, weight []float64) (Result, error) {
	nw := s.newton
	n, d := nw.rows.Rows, nw.rows.Cols
	if err := errors.Join(checkLen("y", y, d), checkLen("xi", xi, n), checkWeights("ridge", ridge, d), checkWeights("weight", weight, n)); err != nil {
		return Result{}, err
	}
	for j, v := range ridge {
		if nw.ridge[j] != v {
			nw.ridge[j] = v
			nw.forget()
		}
	}
	copy(s.hinge.weight, weight)
	steps, ok := nw.minimise(&s.hinge, 1e-12, 200)
	copy(y, nw.y)
	res := Result{Steps: steps}
	for i, m := range nw.m {
		xi[i] = math.Max(0, 1-m)
		res.Value += 0.5 * weight[i] * xi[i] * xi[i]
	}
	for j, v := range y {
		res.Value += 0.5 * ridge[j] * v * v
	}
	res.KKT.Stationarity = maxAbs(nw.grad)
	s.solved = ok && res.KKT.Stationarity <= nw.scale(1e-10)
	if !s.solved {
		s.Reset()
		return res, ErrNumerical
	}
	return res, nil
}

func checkWeights(name string, v []float64, n int) error {
	if err := checkLen(name, v, n); err != nil {
		return err
	}
	for i, x := range v {
		if !(x >= 0) || math.IsInf(x, 1) {
			return inputError("%s[%d] = %v: allowed is a number >= 0", name, i, x)
		}
	}
	return nil
}

// SolveHessian overwrites v (length d) with H^-1 v, H the generalised Hessian
// at the last solution.
func (s *SquaredHinge) SolveHessian(v []float64) error {
	if err := checkLen("v", v, len(s.newton.y)); err != nil {
		return err
	}
	if !s.solved {
		return inputError("SolveHessian before a successful Solve")
	}
	nw := s.newton
	nw.assemble() // nw.second is psi'' at the solution
	if !nw.factor() {
		return ErrNumerical
	}
	nw.gram.solve(v)
	return nil
}

// Sensitivity writes the derivatives of f(y) with respect to log ridge (length
// d) and log weight (length n), given gradient = df/dy at the last solution.
// Either destination may be nil.
func (s *SquaredHinge) Sensitivity(logRidge, logWeight, gradient []float64) error {
	nw := s.newton
	if logRidge != nil {
		if err := checkLen("logRidge", logRidge, nw.rows.Cols); err != nil {
			return err
		}
	}
	if logWeight != nil {
		if err := checkLen("logWeight", logWeight, nw.rows.Rows); err != nil {
			return err
		}
	}
	if err := checkLen("gradient", gradient, nw.rows.Cols); err != nil {
		return err
	}
	q := s.work
	copy(q, gradient)
	if err := s.SolveHessian(q); err != nil {
		return err
	}
	for j := range logRidge {
		logRidge[j] = -nw.ridge[j] * nw.y[j] * q[j]
	}
	if logWeight != nil {
		blas64.Gemv(blas.NoTrans, 1, nw.rows, vector(q), 0, vector(logWeight))
		for i, l := range nw.first { // psi_i' = -weight_i xi_i
			logWeight[i] *= -l
		}
	}
	return nil
}

// hinge is psi_i(m) = 1/2 weight_i [1 - m]_+^2.
type hinge struct{ weight []float64 }

func (h *hinge) derivatives(first, second, m []float64) {
	first, second, weight := first[:len(m)], second[:len(m)], h.weight[:len(m)]
	for i, v := range m {
		if v < 1 {
			first[i], second[i] = -weight[i]*(1-v), weight[i]
		} else {
			first[i], second[i] = 0, 0
		}
	}
}
