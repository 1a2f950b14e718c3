package margin

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// The lower bound of Relaxation. For any lambda >= 0, p > 0 and every y,
//
//	exp(u) >= p u - p log p + p,     1/2 max(floor, v)^2 >= lambda v - q(lambda),
//	q(lambda) = 1/2 lambda^2 where lambda >= floor, else lambda floor - 1/2 floor^2,
//
// so that, with u_j = 1 - v_j.y, v_i = 1 - r_i.y and g = sum lambda_i r_i + sum p_j v_j,
//
//	P(y) >= D - g.y,     D = sum (2 p_j - p_j log p_j) + sum (lambda_i - q(lambda_i)).
//
// This is weak duality where g = 0. Floating-point multipliers leave a g of the
// order of rounding, and -g.y is unbounded; but only y with P(y) <= P(y*) matter. For
// these, C_i <= sqrt(2 P(y*)) and u_j <= log P(y*), hence r_i.y >= -b and v_j.y >= -b
// with b = max(0, sqrt(2 P(y*)) - 1, log P(y*) - 1). Writing w = (lambda, p) and a_k for
// all rows, s_k = a_k.y + b >= 0 and
//
//	sum w_k s_k = g.y + b |w|_1 <= |g||y| + b |w|_1,
//	|(w_k a_k.y)_k|_2 <= sum w_k s_k + b |w|_2.
//
// With sigma^2 the smallest eigenvalue of G = sum w_k^2 a_k a_k',
//
//	sigma |y| <= |g||y| + b (|w|_1 + |w|_2),     |y| <= B = b (|w|_1 + |w|_2)/(sigma - |g|),
//
// and the bound is D - |g| B. To make |g| small, w first moves by w_k^2 a_k.x with
// G x = -g, which takes g to the rounding of w. What rounding can do to each quantity is put on the
// safe side: g is summed with error-free transformations, D loses the a-priori bound
// of its summation, sigma^2 loses that of forming and decomposing G. Where sigma^2 is
// not positive (the rows do not determine y) the bound falls back to
// 1/2 n floor^2, which holds because exp > 0.
//
// Source: Fenchel duality; error-free transformations after Ogita, Rump and Oishi,
// Accurate sum and dot product, SIAM J. Sci. Comput. 26 (2005) 1955-1988.

const unit = 0x1p-53 // unit roundoff

type boundWork struct {
	weight, scaled []float64      // w; the rows w_k a_k
	h, factor      blas64.General // G and room for its factors
	g, values      []float64
	work           []float64
}

func newBoundWork(a blas64.General) boundWork {
	d := a.Cols
	w := boundWork{
		weight: make([]float64, a.Rows), scaled: make([]float64, a.Rows*d),
		h: dense(d, d), factor: dense(d, d), g: make([]float64, d), values: make([]float64, d),
	}
	query := make([]float64, 1)
	lapack64.Syev(lapack.EVNone, w.symmetric(), w.values, query, -1)
	w.work = make([]float64, int(query[0]))
	return w
}

func (w *boundWork) symmetric() blas64.Symmetric {
	return blas64.Symmetric{N: w.factor.Rows, Stride: w.factor.Stride, Data: w.factor.Data, Uplo: blas.Lower}
}

// gram writes G to h and its trace.
func (w *boundWork) gram(rows blas64.General) (trace float64) {
	d := rows.Cols
	for k, v := range w.weight {
		for j, a := range row(rows, k) {
			w.scaled[k*d+j] = v * a
		}
	}
	b := blas64.General{Rows: rows.Rows, Cols: d, Stride: d, Data: w.scaled}
	blas64.Gemm(blas.Trans, blas.NoTrans, 1, b, b, 0, w.h)
	for j := range d {
		trace += w.h.Data[j*d+j]
	}
	return trace
}

// defect writes g and returns a bound of its norm.
func (w *boundWork) defect(rows blas64.General) float64 {
	terms, norm := float64(rows.Rows+8), 0.0
	for k := range w.g {
		sum, size := w.accurate(rows, k)
		w.g[k] = sum
		// The doubled precision leaves a relative error of one rounding and
		// an absolute one of terms^2 unit^2.
		e := math.Abs(sum)*(1+4*unit) + 2*terms*terms*unit*unit*size
		norm += e * e
	}
	return math.Sqrt(norm) * (1 + terms*unit)
}

// correct moves w towards g = 0. The result is a dual point whatever the
// rounding, since w stays non-negative.
func (w *boundWork) correct(rows blas64.General) {
	w.defect(rows)
	w.gram(rows)
	copy(w.factor.Data, w.h.Data)
	l, ok := lapack64.Potrf(w.symmetric())
	if !ok {
		return
	}
	blas64.Trsv(blas.NoTrans, l, vector(w.g))
	blas64.Trsv(blas.Trans, l, vector(w.g))
	for k, v := range w.weight {
		w.weight[k] = math.Max(0, v-v*v*blas64.Dot(vector(row(rows, k)), vector(w.g)))
	}
}

// lower returns the bound at the dual point w = -(psi') of the Newton iterate; value
// is an upper bound of the optimum.
func (s *Relaxation) lower(value float64) float64 {
	w, rows := &s.bound, s.newton.rows
	trivial := 0.5 * float64(s.n) * s.floor * s.floor * (1 - 4*unit)
	for k, v := range s.newton.first {
		w.weight[k] = math.Max(0, -v)
	}
	for range 2 {
		w.correct(rows)
	}
	d, magnitude := 0.0, 0.0
	add := func(x float64) {
		d += x
		magnitude += math.Abs(x)
	}
	for _, l := range w.weight[:s.n] {
		switch {
		case l >= s.floor:
			add(l - 0.5*l*l)
		default:
			add(l - l*s.floor + 0.5*s.floor*s.floor)
		}
	}
	for _, p := range w.weight[s.n:] {
		if p > 0 { // p = 0 contributes inf exp = 0
			add(2*p - p*math.Log(p))
		}
	}
	terms := float64(rows.Rows + 8)
	// Every term carries a few roundings of its own: p log p and lambda^2 can cancel
	// against p and lambda, which are at most the sum of the weights.
	one, two := blas64.Asum(vector(w.weight)), blas64.Nrm2(vector(w.weight))
	d -= 2 * terms * unit * (magnitude + 4*one + 2*two*two)

	g := w.defect(rows)
	trace := w.gram(rows)
	copy(w.factor.Data, w.h.Data)
	if !lapack64.Syev(lapack.EVNone, w.symmetric(), w.values, w.work, len(w.work)) {
		return trivial
	}
	sigma2 := minimum(w.values) - 8*terms*unit*trace
	if !(sigma2 > 0) {
		return trivial
	}
	sigma := math.Sqrt(sigma2) * (1 - 4*unit)
	if !(g < sigma/2 && d > trivial && value < math.Inf(1)) {
		return trivial
	}
	b := math.Max(0, math.Max(math.Sqrt(2*value), math.Log(value))-1) * (1 + terms*unit)
	far := b * (one + two) / (sigma - g) * (1 + 2*terms*unit)
	return math.Max(trivial, d-g*far*(1+4*unit)-unit*d)
}

// accurate returns sum_i w_i a_ik in doubled precision, and sum_i |w_i a_ik|.
func (w *boundWork) accurate(rows blas64.General, k int) (sum, size float64) {
	low := 0.0
	for i, v := range w.weight {
		a := rows.Data[i*rows.Stride+k]
		p := v * a
		e := math.FMA(v, a, -p)
		t := sum + p
		z := t - sum
		e += (sum - (t - z)) + (p - z)
		sum, low = t, low+e
		size += math.Abs(p)
	}
	return sum + low, size
}
