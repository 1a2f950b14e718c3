package margin

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// gram builds H = diag(ridge) + A' diag(w) A from the transpose of A, one row of
// the lower triangle at a time as a matrix-vector product, and factors it. It is
// a metric of the dual active-set method.
type gram struct {
	at   blas64.General // A', d x n
	h    blas64.General // H, lower triangle
	l    blas64.General // its Cholesky factor, lower triangle
	work []float64
}

func newGram(a blas64.General) *gram {
	g := &gram{at: dense(a.Cols, a.Rows), h: dense(a.Cols, a.Cols), l: dense(a.Cols, a.Cols), work: make([]float64, a.Rows)}
	for i := range a.Rows {
		for j, v := range row(a, i) {
			g.at.Data[j*a.Rows+i] = v
		}
	}
	return g
}

// build writes the lower triangle of H.
func (g *gram) build(ridge, w []float64) {
	d, n := g.at.Rows, g.at.Cols
	for j := range d {
		for i, v := range row(g.at, j) {
			g.work[i] = w[i] * v
		}
		line := g.h.Data[j*d : j*d+j+1]
		blas64.Gemv(blas.NoTrans, 1, blas64.General{Rows: j + 1, Cols: n, Stride: n, Data: g.at.Data}, vector(g.work), 0, vector(line))
		line[j] += ridge[j]
	}
}

// update adds w a a' to H.
func (g *gram) update(w float64, a []float64) {
	blas64.Ger(w, vector(a), vector(a), g.h)
}

// cholesky factors H + shift I.
func (g *gram) cholesky(shift float64) bool {
	copy(g.l.Data, g.h.Data)
	if shift > 0 {
		for j := range g.l.Rows {
			g.l.Data[j*g.l.Stride+j] += shift
		}
	}
	_, ok := lapack64.Potrf(blas64.Symmetric{N: g.l.Rows, Stride: g.l.Stride, Data: g.l.Data, Uplo: blas.Lower})
	return ok
}

func (g *gram) triangle() blas64.Triangular {
	return blas64.Triangular{N: g.l.Rows, Stride: g.l.Stride, Data: g.l.Data, Uplo: blas.Lower, Diag: blas.NonUnit}
}

// solve overwrites v with H^-1 v.
func (g *gram) solve(v []float64) {
	l := g.triangle()
	blas64.Trsv(blas.NoTrans, l, vector(v))
	blas64.Trsv(blas.Trans, l, vector(v))
}

// factor writes B = L^-1, row by row: row i is (e_i - sum_k<i L_ik B_k)/L_ii.
func (g *gram) factor(b blas64.General) {
	for i := range b.Rows {
		line, l := row(b, i), row(g.l, i)
		clear(line)
		if i > 0 {
			blas64.Gemv(blas.Trans, -1, blas64.General{Rows: i, Cols: i, Stride: b.Stride, Data: b.Data}, vector(l[:i]), 0, vector(line[:i]))
		}
		line[i] = 1
		blas64.Scal(1/l[i], vector(line[:i+1]))
	}
}

func maxAbs(v []float64) float64 {
	worst := 0.0
	for _, x := range v {
		worst = math.Max(worst, math.Abs(x))
	}
	return worst
}
