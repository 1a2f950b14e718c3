package response

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"github.com/bilevel-go/bilevel/internal/parallel"
)

const (
	// block is the number of rows that are factorised together, and columns that of
	// columns that are updated together.
	block = 48
	// manyRows is the number of rows from which on blocks are updated side by side.
	manyRows = 400
)

// cholesky overwrites the upper triangle of the n x n matrix a with U, A = U'U, and the
// lower one with U', and reports whether A is positive definite. Block row by block row,
//
//	U_IJ = U_II^-T (A_IJ - sum_{K<I} U_KI' U_KJ),
//
// row after row of U_IJ as products of a vector and a matrix: gonum's, which keep four rows
// in registers, are twice as fast as its products of matrices.
func cholesky(a []float64, n int) bool {
	for i := 0; i < n; i += block {
		if !cholesky1(a, n, i) {
			return false
		}
		if n < manyRows {
			for j := i + block; j < n; j += block {
				choleskyBlock(a, n, i, j)
			}
			continue
		}
		_ = parallel.Do(0, (n-1)/block-i/block, func(k int) error { // the jobs return no error
			choleskyBlock(a, n, i, i+(k+1)*block)
			return nil
		})
	}
	return true
}

// cholesky1 factorises the diagonal block from row from on, which the rows before have
// been taken from.
func cholesky1(a []float64, n, from int) bool {
	to := min(from+block, n)
	for i := from; i < to; i++ {
		row := a[i*n+i : i*n+to]
		reduce(a, n, from, i, a[i*n:], row, i)
		if !(row[0] > 0) {
			return false
		}
		scale := 1 / math.Sqrt(row[0])
		for j := range row {
			row[j] *= scale
			a[(i+j)*n+i] = row[j]
		}
	}
	return true
}

// choleskyBlock computes the block of rows from i and columns from j on, j > i, and takes it
// from the diagonal block of its columns.
func choleskyBlock(a []float64, n, i, j int) {
	top, to := i+block, min(j+block, n)
	for k := 0; k < i; k += block {
		for r := i; r < top; r++ {
			reduce(a, n, k, k+block, a[r*n:], a[r*n+j:r*n+to], j)
		}
	}
	for r := i; r < top; r++ {
		row := a[r*n+j : r*n+to]
		reduce(a, n, i, r, a[r*n:], row, j)
		scale := 1 / a[r*n+r]
		for c := range row {
			row[c] *= scale
			a[(j+c)*n+r] = row[c]
		}
	}
	for r := j; r < to; r++ {
		reduce(a, n, i, top, a[r*n:], a[r*n+r:r*n+to], r)
	}
}

// reduce subtracts from y, entries of a row from column j on, the sum over the rows k in
// [from, to) of x[k] times the same entries of row k.
func reduce(a []float64, n, from, to int, x, y []float64, j int) {
	if from == to {
		return
	}
	rows := blas64.General{Rows: to - from, Cols: len(y), Stride: n, Data: a[from*n+j : (to-1)*n+j+len(y)]}
	blas64.Gemv(blas.Trans, -1, rows, blas64.Vector{N: to - from, Inc: 1, Data: x[from:to]}, 1, blas64.Vector{N: len(y), Inc: 1, Data: y})
}
