package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// tangent holds the first-order geometry of a lower solution (y, mu): the rows
// that are active with a positive multiplier, the face of Y, the directions that
// leave both unchanged, and the curvature of the Lagrangian on them.
//
// A lower solution moves with x as  dy = D (dy - H dy - J'dmu - L_yx dx),
// J dy + J_x dx = 0,  D the derivative of the projection on Y at y - grad L and
// J the strictly active rows. With D = Q Lambda Q' on its range and dy = Q b:
//
//	K b + (J Q)' dmu = -Q' L_yx dx,   J Q b = -J_x dx,   K = 1/Lambda - I + Q' H Q,
//
// a symmetric saddle system. It is solved in the null space of J Q, found by
// singular values, so that dependent rows (many multipliers) and singular K (many
// lower solutions) give the least-squares solution and a residual, not a failure.
type tangent struct {
	pr           *program
	sol          *solution
	strict, weak []int
	smooth       bool // Y's projection is differentiable at y - grad L
	q            *mat.Dense
	k            *mat.SymDense
	jq           *mat.Dense // nil without strict rows
	svd          mat.SVD
	rank         int
	null         *mat.Dense // basis of the null space of J Q; nil when it is {0}
	eig          mat.EigenSym
	curves       []float64 // eigenvalues of the reduced K
	size         float64   // magnitude of K
	sparse       *saddle   // the system beyond denseBelow variables, without singular values
	straight     bool      // of sparse: some tangent direction has no curvature
}

// activity splits the rows at a solution. A row counts as active when it is
// within 1e-7 of zero, as strictly active when its multiplier exceeds 1e-7 of
// the gradient: the solver's residuals are some 1e-12, so what falls between is
// a tie and not an error.
func (p *program) activity(sol *solution) (strict, weak []int) {
	if p.rows == 0 {
		return nil, nil
	}
	c, g := make([]float64, p.rows), make([]float64, p.n)
	p.cons(c, sol.z)
	p.grad(g, sol.z)
	near := 1e-7 * (1 + floats.Norm(sol.z, math.Inf(1)))
	price := 1e-7 * math.Max(1e-3, floats.Norm(g, math.Inf(1)))
	for i := range c {
		switch {
		case i < p.eq || sol.mu[i] > price && c[i] > -1e3*near:
			strict = append(strict, i)
		case c[i] > -near:
			weak = append(weak, i)
		}
	}
	return strict, weak
}

// newTangent returns nil when p is too large to factorise or a factorisation fails.
func newTangent(p *program, sol *solution) *tangent {
	n := p.n
	t := &tangent{pr: p, sol: sol}
	t.strict, t.weak = p.activity(sol)
	if t.factorSparse() {
		return t
	}
	if n > denseLimit {
		return nil
	}
	h := p.lagrangianHessian(sol)
	r, ok := t.face(h)
	if !ok {
		return nil
	}
	null := identity(r)
	if len(t.strict) > 0 && r > 0 {
		j := p.rowsAt(sol.z, t.strict)
		t.jq = j
		if t.q != nil {
			t.jq = new(mat.Dense)
			t.jq.Mul(j, t.q)
		}
		if !t.svd.Factorize(t.jq, mat.SVDThinU|mat.SVDFullV) {
			return nil
		}
		s := t.svd.Values(nil)
		for _, v := range s {
			if v > 1e-9*s[0] {
				t.rank++
			}
		}
		var v mat.Dense
		t.svd.VTo(&v)
		null = nil
		if t.rank < r {
			null = mat.DenseCopyOf(v.Slice(0, r, t.rank, r))
		}
	}
	t.null = null
	if null != nil {
		var kz, zkz mat.Dense
		kz.Mul(t.k, null)
		zkz.Mul(null.T(), &kz)
		_, d := null.Dims()
		reduced := mat.NewSymDense(d, nil)
		for i := range d {
			for j := i; j < d; j++ {
				reduced.SetSym(i, j, (zkz.At(i, j)+zkz.At(j, i))/2)
			}
		}
		if !t.eig.Factorize(reduced, true) {
			return nil
		}
		t.curves = t.eig.Values(nil)
	}
	return t
}

// face sets q (nil: the identity) to a basis of the range of D, k to K and size,
// and returns the dimension of the face.
func (t *tangent) face(h *mat.SymDense) (int, bool) {
	p, n := t.pr, t.pr.n
	t.k, t.smooth = h, true
	t.size = math.Max(mat.Norm(h, math.Inf(1)), 1e-300)
	if p.z == nil {
		return n, true
	}
	g, u := make([]float64, n), make([]float64, n)
	p.lagrangianGrad(g, t.sol.z, t.sol.mu, u)
	floats.SubTo(u, t.sol.z, g)
	d := symmetric(n, func(dst, v []float64) {
		if !p.projectDeriv(dst, u, v) {
			t.smooth = false
		}
	})
	var e mat.EigenSym
	if !e.Factorize(d, true) {
		return 0, false
	}
	values := e.Values(nil)
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	first := 0
	for first < n && values[first] < 1e-9 {
		first++
	}
	r := n - first
	if r == 0 {
		t.q, t.k = nil, nil
		return 0, true
	}
	t.q = mat.DenseCopyOf(vectors.Slice(0, n, first, n))
	var hq, qhq mat.Dense
	hq.Mul(h, t.q)
	qhq.Mul(t.q.T(), &hq)
	t.k = mat.NewSymDense(r, nil)
	for i := range r {
		for j := i; j < r; j++ {
			t.k.SetSym(i, j, (qhq.At(i, j)+qhq.At(j, i))/2)
		}
		if l := values[first+i]; math.Abs(l-1) > 1e-12 {
			t.k.SetSym(i, i, t.k.At(i, i)+1/l-1)
		}
	}
	return r, true
}

func (p *program) lagrangianHessian(sol *solution) *mat.SymDense {
	if p.hessian != nil && p.curve == nil {
		return p.hessian.dense()
	}
	tmp := make([]float64, p.n)
	return symmetric(p.n, func(dst, v []float64) {
		p.hess(dst, sol.z, v)
		if p.curve != nil {
			p.curve(tmp, sol.z, sol.mu, v)
			floats.Add(dst, tmp)
		}
	})
}

func identity(n int) *mat.Dense {
	if n == 0 {
		return nil
	}
	m := mat.NewDense(n, n, nil)
	for i := range n {
		m.Set(i, i, 1)
	}
	return m
}

// flatBelow is the curvature under which a direction counts as flat. Hessians by
// differences are good to about 1e-6 of their size.
const flatBelow = 1e-7

// leastCurvature is the smallest eigenvalue on the tangent directions, +Inf when
// there are none.
func (t *tangent) leastCurvature() float64 {
	if len(t.curves) == 0 {
		return math.Inf(1)
	}
	return t.curves[0]
}

// flat reports whether some tangent direction has no positive curvature.
func (t *tangent) flat() bool {
	if t.sparse != nil {
		return t.straight
	}
	return t.leastCurvature() <= flatBelow*t.size
}

// adjoint solves the saddle system for the right-hand side v (NY): it sets a to
// the tangent part (NY) and q to the multiplier part (all rows). left is the part
// of v that no solution accounts for: it is zero when the lower solution is
// unique to first order, and elsewhere when y is optimal for v among the lower
// solutions. residual is the linear system's own, relative to |v|.
func (t *tangent) adjoint(a, q, v []float64) (left, residual float64) {
	clear(a)
	clear(q)
	if t.sparse != nil {
		return t.adjointSparse(a, q, v)
	}
	qv := mat.NewVecDense(len(v), append([]float64(nil), v...))
	if t.pr.z != nil && t.k == nil {
		return 0, 0 // y is a vertex that does not move
	}
	if t.q != nil {
		_, r := t.q.Dims()
		reduced := mat.NewVecDense(r, nil)
		reduced.MulVec(t.q.T(), qv)
		qv = reduced
	}
	r := qv.Len()
	b := mat.NewVecDense(r, nil)
	if t.null != nil {
		_, d := t.null.Dims()
		zv, e, s := mat.NewVecDense(d, nil), mat.NewVecDense(d, nil), mat.NewVecDense(d, nil)
		zv.MulVec(t.null.T(), qv)
		var vectors mat.Dense
		t.eig.VectorsTo(&vectors)
		e.MulVec(vectors.T(), zv)
		for i, c := range t.curves {
			if math.Abs(c) > flatBelow*t.size {
				e.SetVec(i, e.AtVec(i)/c)
			} else {
				left += e.AtVec(i) * e.AtVec(i)
				e.SetVec(i, 0)
			}
		}
		s.MulVec(&vectors, e)
		b.MulVec(t.null, s)
	}
	rest := mat.NewVecDense(r, nil)
	rest.MulVec(t.k, b)
	rest.SubVec(qv, rest)
	if t.jq != nil {
		var dm mat.VecDense
		t.transposeSolve(&dm, rest)
		for i, row := range t.strict {
			q[row] = dm.AtVec(i)
		}
		back := mat.NewVecDense(r, nil)
		back.MulVec(t.jq.T(), &dm)
		rest.SubVec(rest, back)
	}
	residual = math.Sqrt(math.Max(0, floats.Dot(rest.RawVector().Data, rest.RawVector().Data)-left))
	left = math.Sqrt(left)
	if t.q != nil {
		mat.NewVecDense(len(a), a).MulVec(t.q, b)
	} else {
		copy(a, b.RawVector().Data)
	}
	if size := floats.Norm(v, 2); size > 0 {
		residual /= size
	}
	return left, residual
}

// transposeSolve sets dst to the shortest least-squares solution of (J Q)' dst = v.
func (t *tangent) transposeSolve(dst *mat.VecDense, v *mat.VecDense) {
	var u, w mat.Dense
	t.svd.UTo(&u)
	t.svd.VTo(&w)
	s := t.svd.Values(nil)
	coeff := make([]float64, len(s))
	for i := range t.rank {
		coeff[i] = mat.Dot(w.ColView(i), v) / s[i]
	}
	dst.MulVec(&u, mat.NewVecDense(len(s), coeff))
}
