package margin

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
)

// Relaxation solves the high-point relaxation of the slack-eliminated SVM,
//
//	minimise sum_j exp(1 - v_j.y) + 1/2 |C|^2   subject to   rows_i.y >= 1 - C_i,  C_i >= floor.
//
// It forgets that y must be the min-norm answer to C, so that its optimum is a
// lower bound of the bilevel problem's; where the y found is that answer
// (MinNorm.Multipliers) the pair (C, y) is globally optimal.
//
// C_i = max(floor, 1 - rows_i.y) leaves
//
//	P(y) = sum_j exp(1 - v_j.y) + 1/2 sum_i max(floor, 1 - rows_i.y)^2,
//
// convex in d unknowns, minimised by the semismooth Newton method; exp is continued
// by a parabola above a level that rises until it no longer matters. Columns that
// are equal in all rows are merged: y enters through their sum, and the solution
// shares the sum equally, which is the minimiser of least norm.
//
// Failure mode: where the data are separable the infimum is not attained and the
// iteration ends with ErrNumerical.
type Relaxation struct {
	floor       float64
	n           int
	group, size []int // column j of the input is column group[j]; size columns share it
	newton      *newton
	loss        relaxationLoss
	bound       boundWork
}

// Bound is what Relaxation.Solve found.
type Bound struct {
	Value float64 // objective at (C, y): an upper bound of the relaxation's optimum
	Lower float64 // rigorous lower bound of it, hence of the bilevel optimum
	Steps int     // Newton steps
	KKT   KKT     // measured at (C, y)
}

// NewRelaxation returns a solver for n x d training rows and m x d validation
// rows; floor >= 0.
func NewRelaxation(rows, validation blas64.General, floor float64) (*Relaxation, error) {
	if err := errors.Join(checkMatrix("rows", rows), checkMatrix("validation", validation)); err != nil {
		return nil, err
	}
	if validation.Cols != rows.Cols {
		return nil, inputError("validation has %d columns: allowed is %d, as rows", validation.Cols, rows.Cols)
	}
	if !(floor >= 0) || math.IsInf(floor, 1) {
		return nil, inputError("floor = %v: allowed is a number >= 0", floor)
	}
	n := rows.Rows
	s := &Relaxation{floor: floor, n: n}
	all := s.merge(rows, validation)
	s.newton = newNewton(all)
	s.loss = relaxationLoss{slack: newSlackLoss(n)}
	for i := range n {
		s.loss.slack.set(i, floor, 1, math.Inf(1), floor, floor)
	}
	s.bound = newBoundWork(all)
	return s, nil
}

// merge stacks the two matrices and keeps one of equal columns.
func (s *Relaxation) merge(rows, validation blas64.General) blas64.General {
	n, d := rows.Rows, rows.Cols
	at := func(i, j int) float64 {
		if i < n {
			return row(rows, i)[j]
		}
		return row(validation, i-n)[j]
	}
	count := n + validation.Rows
	var first []int
	s.group = make([]int, d)
	for j := range d {
		s.group[j] = len(first)
		for k, f := range first {
			equal := true
			for i := 0; i < count && equal; i++ {
				equal = at(i, j) == at(i, f)
			}
			if equal {
				s.group[j] = k
				break
			}
		}
		if s.group[j] == len(first) {
			first, s.size = append(first, j), append(s.size, 0)
		}
		s.size[s.group[j]]++
	}
	all := dense(count, len(first))
	for i := range count {
		for k, f := range first {
			row(all, i)[k] = at(i, f)
		}
	}
	return all
}

// Reset forgets the previous solution.
func (s *Relaxation) Reset() {
	clear(s.newton.y)
	clear(s.loss.slack.lambda)
	s.newton.forget()
}

// Solve writes the solution to c (length n) and y (length d); among the
// minimisers y is the one of least norm. The KKT residual is that of (C, y) with
// multipliers C_i of the margin constraints: Stationarity in y, Complementarity
// the distance of rows from the kink 1 - rows_i.y = floor that they should be on.
// The error is ErrInput for a wrong argument, ErrNumerical for a residual above
// 1e-11 relative to 1 + sum C + sum exp; Lower is valid in either case.
func (s *Relaxation) Solve(c, y []float64) (Bound, error) {
	nw := s.newton
	if err := errors.Join(checkLen("c", c, s.n), checkLen("y", y, len(s.group))); err != nil {
		return Bound{}, err
	}
	var res Bound
	ok := false
	s.loss.level = startLevel
	for {
		steps, off, good := s.loss.slack.settle(nw, &s.loss, 1e-13)
		ok = good
		res.Steps += steps
		res.KKT.Complementarity = off
		top := 1 - minimum(nw.m[s.n:])
		if !ok || top <= s.loss.level || s.loss.level == overflow {
			break
		}
		s.loss.level = math.Min(top+1, overflow)
	}
	for j, g := range s.group {
		y[j] = nw.y[g] / float64(s.size[g])
	}
	for i := range c {
		c[i] = math.Max(s.floor, 1-nw.m[i])
		res.Value += 0.5 * c[i] * c[i]
	}
	for j, m := range nw.m[s.n:] {
		p := math.Exp(1 - m)
		res.Value += p
		nw.first[s.n+j] = -p
	}
	nw.gradient()
	res.KKT.Stationarity = maxAbs(nw.grad)
	res.Lower = s.lower(res.Value)
	if !ok || !(res.KKT.Max() <= nw.scale(1e-11)) {
		s.Reset()
		return res, ErrNumerical
	}
	return res, nil
}

// relaxationLoss is the sum over training rows, then validation rows.
type relaxationLoss struct {
	slack slackLoss
	level float64
}

func (l *relaxationLoss) derivatives(first, second, m []float64) {
	l.slack.derivatives(first, second, m)
	for i := len(l.slack.from); i < len(m); i++ {
		e1, e2 := exponential(1-m[i], l.level)
		first[i], second[i] = -e1, e2
	}
}
