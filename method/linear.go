package method

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/bilevel-go/bilevel/vec"
)

// denseLimit is the largest number of lower variables for which a Hessian is
// stored: at 1000 the factorisation takes about as long as 1000 products.
const denseLimit = 1000

// operator is a symmetric matrix that maps a subspace to itself.
type operator interface {
	// apply sets dst to the operator times v, projected on the subspace.
	apply(dst, v vec.Vector)
	// project projects v orthogonally on the subspace.
	project(v vec.Vector)
}

// linearSolver solves  op p = b  with b in op's subspace. p is overwritten; the
// residual is |b - op p|.
type linearSolver interface {
	solve(p, b vec.Vector, op operator) (residual float64)
}

// conjugateGradients is CG from 0, at most limit iterations, until
// |r| <= tolerance |b| or r·r < absolute. damping is added to the operator. The
// method stops at a direction of no or negative curvature.
type conjugateGradients struct {
	limit               int
	tolerance, absolute float64
	damping             float64
	r, d, q             vec.Vector
	iterations          int // of the last call
}

func (c *conjugateGradients) solve(p, b vec.Vector, op operator) float64 {
	if c.r == nil {
		c.r, c.d, c.q = b.New(), b.New(), b.New()
	}
	p.Zero()
	c.r.Copy(b)
	c.d.Copy(b)
	rr := c.r.Dot(c.r)
	stop := math.Max(c.absolute, c.tolerance*c.tolerance*rr)
	for c.iterations = 0; c.iterations < c.limit && rr > stop; c.iterations++ {
		op.apply(c.q, c.d)
		c.q.Add(c.damping, c.d)
		curvature := c.d.Dot(c.q)
		if !(curvature > 0) {
			break
		}
		a := rr / curvature
		p.Add(a, c.d)
		c.r.Add(-a, c.q)
		next := c.r.Dot(c.r)
		c.d.Scale(next / rr)
		c.d.Add(1, c.r)
		rr = next
	}
	return residualOf(p, b, op, c.q)
}

// residualOf measures |b - op p| afresh, with scratch q.
func residualOf(p, b vec.Vector, op operator, q vec.Vector) float64 {
	op.apply(q, p)
	q.Add(-1, b)
	return vec.Norm(q)
}

// neumann sums the series  p = rate sum_{k<=terms} (I - rate op)^k b, which
// converges for rate < 2 / (largest eigenvalue). With rng it returns instead one
// of two unbiased random terms of arXiv 2010.07962: with single, terms rate
// (I - rate op)^k b for k uniform in 0..terms-1.
type neumann struct {
	terms     int
	rate      float64 // 0: 1 / (largest eigenvalue), by power iteration
	tolerance float64 // > 0: stop when |term| <= tolerance |b|
	rng       *rand.Rand
	power     powerIteration
	t, q      vec.Vector
}

func (n *neumann) solve(p, b vec.Vector, op operator) float64 {
	if n.t == nil {
		n.t, n.q = b.New(), b.New()
	}
	rate := n.rate
	if rate == 0 {
		rate = 1 / n.power.largest(b, op)
		if math.IsInf(rate, 0) {
			rate = 1
		}
	}
	n.t.Copy(b)
	if n.rng != nil {
		for range n.rng.IntN(n.terms) {
			op.apply(n.q, n.t)
			n.t.Add(-rate, n.q)
		}
		p.Copy(n.t)
		p.Scale(rate * float64(n.terms))
		return residualOf(p, b, op, n.q)
	}
	p.Copy(n.t)
	size := vec.Norm(b)
	stop := n.tolerance * size
	for range n.terms {
		op.apply(n.q, n.t)
		n.t.Add(-rate, n.q)
		p.Add(1, n.t)
		if n.tolerance == 0 {
			continue
		}
		last := size
		if size = vec.Norm(n.t); size <= stop || size >= last { // not a contraction: the residual says so
			break
		}
	}
	p.Scale(rate)
	return residualOf(p, b, op, n.q)
}

// powerIteration estimates the largest eigenvalue of a positive semidefinite
// operator from below and returns it 5 % larger. It starts at the same vector
// every time, so that a resumed run repeats it.
type powerIteration struct{ start, v, w vec.Vector }

func (w *powerIteration) largest(like vec.Vector, op operator) float64 {
	if w.v == nil {
		w.start, w.v, w.w = like.New(), like.New(), like.New()
		scatter(w.start)
	}
	w.v.Copy(w.start)
	op.project(w.v)
	norm, largest := vec.Norm(w.v), 0.0
	for range 30 {
		if norm == 0 {
			break
		}
		w.v.Scale(1 / norm)
		op.apply(w.w, w.v)
		w.v.Copy(w.w)
		norm = vec.Norm(w.v)
		if norm <= largest*(1+1e-3) {
			break
		}
		largest = norm
	}
	return 1.05 * largest
}

// scatter fills v with fixed numbers in [-1, 1] without a pattern.
func scatter(v vec.Vector) {
	rng := rand.New(rand.NewPCG(3, uint64(v.Len())))
	s := make([]float64, v.Len())
	for i := range s {
		s[i] = 2*rng.Float64() - 1
	}
	v.Write(s)
}

// direct forms the operator as a matrix and solves by Cholesky factorisation, or,
// where the matrix is not safely positive definite, by its pseudo-inverse.
type direct struct {
	keep            bool // the operator is that of the last call
	factorised      blas64.Triangular
	definite        bool
	m, f, eig, work []float64
	col, e          vec.Vector
}

// Relative sizes below which a pivot, or an eigenvalue, counts as zero.
const (
	smallPivot      = 1e-10
	smallEigenvalue = 1e-9
)

func (d *direct) solve(p, b vec.Vector, op operator) float64 {
	n := b.Len()
	if len(d.m) != n*n {
		d.m, d.f, d.eig = make([]float64, n*n), make([]float64, n*n), make([]float64, n)
		d.col, d.e = b.New(), b.New()
		query := []float64{0}
		lapack64.Syev(lapack.EVCompute, d.sym(d.f), d.eig, query, -1)
		d.work = make([]float64, int(query[0]))
	}
	if !d.keep {
		d.form(op)
		d.factorise()
	}
	p.Copy(b)
	x := p.(vec.Dense)
	if d.definite {
		lapack64.Potrs(d.factorised, blas64.General{Rows: n, Cols: 1, Stride: 1, Data: x})
	} else {
		d.pseudo(x)
	}
	return residualOf(p, b, op, d.col)
}

// factorise stores the Cholesky factor in f, or the eigenvectors.
func (d *direct) factorise() {
	n := len(d.eig)
	copy(d.f, d.m)
	d.factorised, d.definite = lapack64.Potrf(d.sym(d.f))
	if d.definite {
		lo, hi := math.Inf(1), 0.0
		for i := range n {
			v := d.f[i*n+i]
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
		d.definite = lo*lo > smallPivot*hi*hi
	}
	if d.definite {
		return
	}
	copy(d.f, d.m)
	if !lapack64.Syev(lapack.EVCompute, d.sym(d.f), d.eig, d.work, len(d.work)) {
		for i := range d.eig {
			d.eig[i] = math.NaN()
		}
	}
}

func (d *direct) sym(a []float64) blas64.Symmetric {
	return blas64.Symmetric{Uplo: blas.Upper, N: len(d.eig), Stride: len(d.eig), Data: a}
}

// form stores op + c (I - projector) with c the mean diagonal of op, so that the
// complement of op's subspace does not make the matrix singular.
func (d *direct) form(op operator) {
	n := len(d.eig)
	col, e := d.col.(vec.Dense), d.e.(vec.Dense)
	trace, dim := 0.0, 0.0
	for j := range n {
		clear(e)
		e[j] = 1
		op.apply(d.col, d.e)
		for i := range n {
			d.m[i*n+j] = col[i]
		}
		op.project(d.e)
		for i := range n { // f keeps I - projector
			d.f[i*n+j] = -e[i]
		}
		d.f[j*n+j]++
		trace += math.Abs(col[j])
		dim += e[j]
	}
	c := 1.0
	if dim > 0.5 && trace > 0 {
		c = trace / dim
	}
	for i := range n {
		for j := i; j < n; j++ {
			s := (d.m[i*n+j]+d.m[j*n+i])/2 + c*d.f[i*n+j]
			d.m[i*n+j], d.m[j*n+i] = s, s
		}
	}
}

// pseudo sets x to the least-squares solution of least norm.
func (d *direct) pseudo(x []float64) {
	n := len(d.eig)
	largest := math.Max(math.Abs(d.eig[0]), math.Abs(d.eig[n-1]))
	c := d.col.(vec.Dense)
	v := blas64.General{Rows: n, Cols: n, Stride: n, Data: d.f}
	blas64.Gemv(blas.Trans, 1, v, blas64.Vector{N: n, Inc: 1, Data: x}, 0, blas64.Vector{N: n, Inc: 1, Data: c})
	for i, l := range d.eig {
		if math.Abs(l) <= smallEigenvalue*largest {
			c[i] = 0
		} else {
			c[i] /= l
		}
	}
	blas64.Gemv(blas.NoTrans, 1, v, blas64.Vector{N: n, Inc: 1, Data: c}, 0, blas64.Vector{N: n, Inc: 1, Data: x})
}
