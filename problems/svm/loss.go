package svm

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
)

// signed returns the matrix whose row k is the signed augmented sample
// s_i (a_i, 1) of i = ids[k], so that row.y is the signed margin
// s_i (w'a_i + b) of y = (w, b).
func signed(d *Data, s []float64, ids []int) blas64.General {
	p := d.features
	m := blas64.General{Rows: len(ids), Cols: p + 1, Stride: p + 1, Data: make([]float64, 0, len(ids)*(p+1))}
	for _, i := range ids {
		for _, v := range d.Row(i) {
			m.Data = append(m.Data, s[i]*v)
		}
		m.Data = append(m.Data, s[i])
	}
	return m
}

func vector(v []float64) blas64.Vector { return blas64.Vector{N: len(v), Inc: 1, Data: v} }

// mul sets dst to r y, and mulT to r' u.
func mul(dst []float64, r blas64.General, y []float64) {
	blas64.Gemv(blas.NoTrans, 1, r, vector(y), 0, vector(dst))
}

func mulT(dst []float64, r blas64.General, u []float64) {
	blas64.Gemv(blas.Trans, 1, r, vector(u), 0, vector(dst))
}

// shape is a scalar loss of one margin with its first two derivatives.
type shape func(m float64) (value, first, second float64)

// exponential is exp(1 - m), the upper loss of arXiv 2406.10148.
func exponential(m float64) (value, first, second float64) {
	e := math.Exp(1 - m)
	return e, -e, e
}

// logistic is ln(1 + exp(-m)).
func logistic(m float64) (value, first, second float64) {
	if m > 0 {
		e := math.Exp(-m)
		q := e / (1 + e)
		return math.Log1p(e), -q, q * (1 - q)
	}
	e := math.Exp(m)
	q := 1 / (1 + e)
	return -m + math.Log1p(e), -q, q * (1 - q)
}

// marginLoss is scale times the sum of a shape over the signed margins r y. Its
// methods use one workspace: one goroutine at a time.
type marginLoss struct {
	r     blas64.General
	shape shape
	scale float64
	m, v  []float64
}

func newMarginLoss(r blas64.General, s shape, scale float64) *marginLoss {
	return &marginLoss{r: r, shape: s, scale: scale, m: make([]float64, r.Rows), v: make([]float64, r.Rows)}
}

func (l *marginLoss) value(y []float64) float64 {
	mul(l.m, l.r, y)
	sum := 0.0
	for _, m := range l.m {
		v, _, _ := l.shape(m)
		sum += v
	}
	return l.scale * sum
}

func (l *marginLoss) grad(dst, y []float64) {
	mul(l.m, l.r, y)
	for i, m := range l.m {
		_, d, _ := l.shape(m)
		l.m[i] = l.scale * d
	}
	mulT(dst, l.r, l.m)
}

func (l *marginLoss) hess(dst, y, v []float64) {
	mul(l.m, l.r, y)
	mul(l.v, l.r, v)
	for i, m := range l.m {
		_, _, d := l.shape(m)
		l.v[i] *= l.scale * d
	}
	mulT(dst, l.r, l.v)
}

// normalisedLoss is the sum of exp(1 - s (w'a + b)/|w|) over the signed rows,
// the upper loss of published SVM codes of LV-HBA and BiC-GAFFA. Undefined at w = 0.
type normalisedLoss struct {
	r blas64.General
	m []float64
}

func newNormalisedLoss(r blas64.General) *normalisedLoss {
	return &normalisedLoss{r, make([]float64, r.Rows)}
}

func (l *normalisedLoss) value(y []float64) float64 {
	mul(l.m, l.r, y)
	n := floats.Norm(y[:len(y)-1], 2)
	sum := 0.0
	for _, q := range l.m {
		sum += math.Exp(1 - q/n)
	}
	return sum
}

// grad: with q = r y and e_i = exp(1 - q_i/|w|) it is
// -r'e/|w| + (sum_i e_i q_i) w/|w|^3 in w, and the first term alone in b.
func (l *normalisedLoss) grad(dst, y []float64) {
	mul(l.m, l.r, y)
	w := y[:len(y)-1]
	n := floats.Norm(w, 2)
	along := 0.0
	for i, q := range l.m {
		e := math.Exp(1 - q/n)
		along += e * q
		l.m[i] = -e / n
	}
	mulT(dst, l.r, l.m)
	floats.AddScaled(dst[:len(w)], along/(n*n*n), w)
}
