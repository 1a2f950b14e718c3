package svm

import (
	"math"

	"gonum.org/v1/gonum/blas/blas64"
)

// rowsMatrix holds signed augmented rows s_i (a_i, 1).
type rowsMatrix = blas64.General

// task holds the rows that a formulation is made of.
type task struct {
	train, validation, test rowsMatrix
	d                       int // p + 1, the length of (w, b)
}

func (t *task) n() int { return t.train.Rows }

// accuracy is the share of rows with a positive signed margin.
func accuracy(r rowsMatrix, y []float64) float64 {
	m := make([]float64, r.Rows)
	mul(m, r, y)
	right := 0
	for _, v := range m {
		if v > 0 {
			right++
		}
	}
	return float64(right) / float64(len(m))
}

// mean is the mean of a shape over the signed margins.
func mean(r rowsMatrix, s shape, y []float64) float64 {
	return newMarginLoss(r, s, 1/float64(r.Rows)).value(y)
}

// hinge sets slack to max(1 - r y, floor), the slacks that (w, b) needs.
func hinge(slack []float64, r rowsMatrix, y []float64, floor float64) {
	mul(slack, r, y)
	for i, m := range slack {
		slack[i] = math.Max(1-m, floor)
	}
}
