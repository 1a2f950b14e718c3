package margin

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
)

// JointProjection projects onto the joint feasible sets of the SVM formulations,
//
//	{ (y, xi, C) : rows_i.y + xi_i >= 1, xi_i <= C_i, C_i >= floor }   (Project),
//	{ (y, C) : rows_i.y >= 1 - C_i, C_i >= floor }                     (ProjectMargin).
//
// With y fixed the rows separate. Put v = 1 - rows_i.y and c = max(C0_i, floor).
// Without xi, C_i = max(c, v), whose cost has the derivative [v > c] (v - C0_i). With
// xi, where xi0_i <= c,
//
//	xi_i = max(xi0_i, v),  C_i = max(c, v),  derivative [v - xi0_i]_+ + [v > c] (v - C0_i),
//
// and otherwise, z = max((xi0_i + C0_i)/2, floor),
//
//	xi_i = C_i = max(z, v),                  derivative [v > z] (2v - xi0_i - C0_i).
//
// What is left is min 1/2 |y - y0|^2 + sum_i psi_i(v_i) in d unknowns, strongly
// convex and piecewise quadratic, with kinks in the rows where C0_i < floor; it is
// solved by the semismooth Newton method, the kinks by the method of multipliers.
//
// Failure mode: many dependent rows at their kink slow the method of multipliers.
type JointProjection struct {
	newton *newton
	loss   slackLoss
	floor  float64
}

// NewJointProjection returns a projector for the n x d matrix rows and C >= floor
// (math.Inf(-1) for none).
func NewJointProjection(rows blas64.General, floor float64) (*JointProjection, error) {
	if err := checkMatrix("rows", rows); err != nil {
		return nil, err
	}
	if math.IsNaN(floor) || math.IsInf(floor, 1) {
		return nil, inputError("floor = %v: allowed is a finite number or -Inf", floor)
	}
	s := &JointProjection{newton: newNewton(rows), loss: newSlackLoss(rows.Rows), floor: floor}
	for j := range s.newton.ridge {
		s.newton.ridge[j] = 1
	}
	return s, nil
}

// Reset forgets the previous projection.
func (s *JointProjection) Reset() {
	s.newton.forget()
	clear(s.loss.lambda)
}

// Project overwrites (y, xi, c), of lengths d, n, n, with its projection. The
// result's Value is half the squared distance, its Stationarity that of y, its
// Complementarity the distance of rows from a kink they should be on. The point
// written is feasible to rounding. The error is ErrInput for a wrong argument, in
// which case nothing is written, ErrNumerical for a residual above 1e-12 relative
// to 1 + the sum of the multipliers.
func (s *JointProjection) Project(y, xi, c []float64) (Result, error) {
	if err := s.check(y, c); err != nil {
		return Result{}, err
	}
	if err := errors.Join(checkLen("xi", xi, len(c)), checkFinite("xi", xi)); err != nil {
		return Result{}, err
	}
	s.loss.kinks = false
	for i, x := range xi {
		low := math.Max(c[i], s.floor)
		if x <= low {
			s.loss.set(i, x, 1, low, low, low-c[i])
			continue
		}
		z := math.Max((x+c[i])/2, s.floor)
		s.loss.set(i, z, 2, math.Inf(1), z, math.Max(0, 2*z-x-c[i]))
	}
	res, err := s.solve(y)
	for i, m := range s.newton.m {
		x, old := xi[i], c[i]
		low := math.Max(old, s.floor)
		if x > low {
			x = math.Max((x+old)/2, s.floor)
		}
		x = math.Max(x, 1-m)
		low = math.Max(low, x)
		res.Value += 0.5 * ((x-xi[i])*(x-xi[i]) + (low-old)*(low-old))
		xi[i], c[i] = x, low
	}
	return res, err
}

// ProjectMargin overwrites (y, c), of lengths d, n, with its projection; the
// result and the errors are those of Project.
func (s *JointProjection) ProjectMargin(y, c []float64) (Result, error) {
	if err := s.check(y, c); err != nil {
		return Result{}, err
	}
	s.loss.kinks = false
	for i, v := range c {
		low := math.Max(v, s.floor)
		s.loss.set(i, low, 1, math.Inf(1), low, low-v)
	}
	res, err := s.solve(y)
	for i, m := range s.newton.m {
		low := math.Max(math.Max(c[i], s.floor), 1-m)
		res.Value += 0.5 * (low - c[i]) * (low - c[i])
		c[i] = low
	}
	return res, err
}

func (s *JointProjection) check(y, c []float64) error {
	n, d := s.newton.rows.Rows, s.newton.rows.Cols
	if err := errors.Join(checkLen("y", y, d), checkLen("c", c, n)); err != nil {
		return err
	}
	return errors.Join(checkFinite("y", y), checkFinite("c", c))
}

// solve minimises over y from y itself.
func (s *JointProjection) solve(y []float64) (Result, error) {
	nw := s.newton
	copy(nw.a, y)
	copy(nw.y, y)
	steps, off, ok := s.loss.settle(nw, &s.loss, 1e-13)
	res := Result{Steps: steps, KKT: KKT{Stationarity: maxAbs(nw.grad), Complementarity: off}}
	for j, v := range nw.y {
		res.Value += 0.5 * (v - y[j]) * (v - y[j])
	}
	copy(y, nw.y)
	if !ok || !(res.KKT.Max() <= nw.scale(1e-12)) {
		s.Reset()
		return res, ErrNumerical
	}
	return res, nil
}
