package method

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// maxJacobian bounds the entries of a stored Jacobian of h (512 MiB).
const maxJacobian = 1 << 26

// rankTolerance is the relative size below which an active row counts as
// dependent on the others.
const rankTolerance = 1e-10

// kkt is the operator Pi S Pi of hypergradient.go on []float64, with the
// recovery of the multipliers' part q. Its slices and vectors share storage.
type kkt struct {
	p      *bilevel.Problem
	deriv  set.Differentiable // nil: no simple set, or one whose projection is differenced
	active []bool             // rows of h taken as equations
	x, y   []float64
	mu     []float64

	at                         []float64 // y - grad_y L, where the projection is differentiated
	flat                       bool      // D is a projector: D² = D
	m                          int       // active rows
	index                      []int     // their numbers
	rank                       int       // of D A_y'
	c                          []float64 // QR factors of D A_y' (n x m)
	r                          []float64 // the triangle R (rank x m)
	gram                       []float64 // R R' when rows are dependent
	q                          []float64 // orthonormal basis of the range of D A_y' (n x rank)
	pivot                      []int
	tau                        []float64
	work                       []float64
	rows, unit, full, coef, qm []float64
	t1, t2, t3, t4             []float64
	rhs, sol, row              vec.Vector
	gx                         []float64
}

func newKKT(p *bilevel.Problem) (*kkt, error) {
	n := p.NY
	k := &kkt{p: p, at: make([]float64, n), t1: make([]float64, n), t2: make([]float64, n), t3: make([]float64, n), t4: make([]float64, n),
		rhs: vec.NewDense(n), sol: vec.NewDense(n), row: vec.NewDense(n), gx: make([]float64, p.NX), flat: true}
	k.deriv, _ = p.Y.(set.Differentiable)
	if h := p.Coupling; h != nil {
		if h.Rows*n > maxJacobian {
			return nil, &bilevel.SettingError{Field: "Coupling.Rows x NY", Value: fmt.Sprintf("%d x %d", h.Rows, n),
				Allowed: fmt.Sprintf("at most %d entries for an implicit hypergradient without a Sensitivity oracle", maxJacobian)}
		}
		small := min(n, h.Rows)
		k.active, k.index, k.pivot = make([]bool, h.Rows), make([]int, 0, h.Rows), make([]int, h.Rows)
		k.c, k.r, k.q = make([]float64, n*h.Rows), make([]float64, small*h.Rows), make([]float64, n*small)
		k.gram, k.tau, k.coef = make([]float64, small*small), make([]float64, small), make([]float64, small)
		k.rows, k.unit, k.full, k.qm = make([]float64, h.Rows), make([]float64, max(n, h.Rows)), make([]float64, h.Rows), make([]float64, h.Rows)
		query := []float64{0}
		lapack64.Geqp3(blas64.General{Rows: n, Cols: h.Rows, Stride: h.Rows, Data: k.c}, k.pivot, k.tau, query, -1)
		size := int(query[0])
		lapack64.Orgqr(blas64.General{Rows: n, Cols: small, Stride: small, Data: k.q}, k.tau, query, -1)
		k.work = make([]float64, max(size, int(query[0])))
	}
	return k, nil
}

// classify takes as active the equations and the inequalities with mu_i > -h_i,
// and returns the number of weakly active inequalities.
func (k *kkt) classify(x, y, mu vec.Vector) (weak int) {
	h := k.p.Coupling
	if h == nil {
		return 0
	}
	ms := mu.(vec.Dense)
	h.Value(k.rows, x.(vec.Dense), y.(vec.Dense))
	for i, c := range k.rows {
		k.active[i] = i < h.Equalities || ms[i] > -c
		if i >= h.Equalities && math.Max(ms[i], -c) < weakTolerance {
			weak++
		}
	}
	return weak
}

// prepare fixes the point and factorises the active rows.
func (k *kkt) prepare(x, y, mu vec.Vector) (differentiable bool, err error) {
	k.x, k.y, k.mu = x.(vec.Dense), y.(vec.Dense), nil
	if mu != nil {
		k.mu = mu.(vec.Dense)
	}
	differentiable = true
	if k.p.Y != nil {
		k.p.Lower.GradY(k.t1, k.x, k.y)
		if k.p.Coupling != nil {
			k.p.Coupling.JacYT(k.t2, k.x, k.y, k.mu)
			floats.Add(k.t1, k.t2)
		}
		floats.SubTo(k.at, k.y, k.t1)
		for i := range k.t1 {
			k.t1[i] = math.Sin(float64(i + 1))
		}
		differentiable = k.d(k.t2, k.t1)
		k.d(k.t3, k.t2)
		k.flat = floats.Distance(k.t2, k.t3, 2) <= 1e-9*floats.Norm(k.t1, 2)
	}
	if k.p.Coupling != nil {
		k.factorise()
	}
	for _, v := range k.t1 {
		if v-v != 0 {
			return false, &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: "The lower gradient is not finite at the lower solution."}
		}
	}
	return differentiable, nil
}

// d sets dst to D v. The derivative of a projection that does not know its own
// is a central difference.
func (k *kkt) d(dst, v []float64) (differentiable bool) {
	switch {
	case k.p.Y == nil:
		copy(dst, v)
		return true
	case k.deriv != nil:
		return k.deriv.ProjectDeriv(dst, k.at, v)
	}
	size := floats.Norm(v, math.Inf(1))
	if size == 0 {
		clear(dst)
		return true
	}
	t := 1e-6 * math.Max(1, floats.Norm(k.at, math.Inf(1))) / size
	floats.AddScaledTo(dst, k.at, t, v)
	k.p.Y.Project(dst, dst)
	floats.AddScaledTo(k.t4, k.at, -t, v)
	k.p.Y.Project(k.t4, k.t4)
	floats.Sub(dst, k.t4)
	floats.Scale(1/(2*t), dst)
	return true
}

// factorise computes D A_y' P = Q R with column pivoting.
func (k *kkt) factorise() {
	h, n := k.p.Coupling, k.p.NY
	k.index = k.index[:0]
	for i, a := range k.active {
		if a {
			k.index = append(k.index, i)
		}
	}
	k.m, k.rank = len(k.index), 0
	m := k.m
	if m == 0 {
		return
	}
	unit := k.unit[:h.Rows]
	if m <= n {
		clear(unit)
		for j, i := range k.index {
			unit[i] = 1
			h.JacYT(k.t1, k.x, k.y, unit)
			unit[i] = 0
			k.d(k.t2, k.t1)
			for l, v := range k.t2 {
				k.c[l*m+j] = v
			}
		}
	} else { // fewer products by columns of A_y
		e := k.unit[:n]
		clear(e)
		for l := range n {
			e[l] = 1
			h.JacY(k.rows, k.x, k.y, e)
			e[l] = 0
			for j, i := range k.index {
				k.c[l*m+j] = k.rows[i]
			}
		}
		if k.p.Y != nil {
			for j := range m {
				for l := range n {
					k.t1[l] = k.c[l*m+j]
				}
				k.d(k.t2, k.t1)
				for l, v := range k.t2 {
					k.c[l*m+j] = v
				}
			}
		}
	}
	small := min(n, m)
	a := blas64.General{Rows: n, Cols: m, Stride: m, Data: k.c[:n*m]}
	for j := range m {
		k.pivot[j] = -1
	}
	lapack64.Geqp3(a, k.pivot[:m], k.tau[:small], k.work, len(k.work))
	first := math.Abs(k.c[0])
	for k.rank < small && math.Abs(k.c[k.rank*m+k.rank]) > rankTolerance*first {
		k.rank++
	}
	rank := k.rank
	for i := range rank {
		row := k.r[i*m : (i+1)*m]
		clear(row[:i])
		copy(row[i:], k.c[i*m+i:(i+1)*m])
	}
	for l := range n {
		copy(k.q[l*rank:(l+1)*rank], k.c[l*m:l*m+rank])
	}
	if rank == 0 {
		return
	}
	lapack64.Orgqr(blas64.General{Rows: n, Cols: rank, Stride: rank, Data: k.q[:n*rank]}, k.tau[:rank], k.work, len(k.work))
	if rank < m {
		g := blas64.Symmetric{Uplo: blas.Upper, N: rank, Stride: rank, Data: k.gram[:rank*rank]}
		blas64.Syrk(blas.NoTrans, 1, blas64.General{Rows: rank, Cols: m, Stride: m, Data: k.r[:rank*m]}, 0, g)
		lapack64.Potrf(g)
	}
}

// cross projects v on the complement of the range of D A_y'.
func (k *kkt) cross(v []float64) {
	if k.rank == 0 {
		return
	}
	q := blas64.General{Rows: len(v), Cols: k.rank, Stride: k.rank, Data: k.q[:len(v)*k.rank]}
	c := blas64.Vector{N: k.rank, Inc: 1, Data: k.coef}
	w := blas64.Vector{N: len(v), Inc: 1, Data: v}
	blas64.Gemv(blas.Trans, 1, q, w, 0, c)
	blas64.Gemv(blas.NoTrans, -1, q, c, 1, w)
}

// project is the projector on the tangent space where D is a projector; where
// it is not, only the active rows are projected out.
func (k *kkt) project(v vec.Vector) {
	s := v.(vec.Dense)
	if k.flat && k.p.Y != nil {
		k.d(k.t3, s)
		copy(s, k.t3)
	}
	k.cross(s)
}

// apply sets dst to Pi S Pi v.
func (k *kkt) apply(dst, v vec.Vector) {
	out, in := dst.(vec.Dense), v.(vec.Dense)
	copy(k.t1, in)
	k.cross(k.t1)
	k.d(k.t2, k.t1)
	k.hess(out, k.t2)
	if !k.flat { // D (H D t + t - D t)
		floats.Add(out, k.t1)
		floats.Sub(out, k.t2)
	}
	k.d(k.t3, out)
	copy(out, k.t3)
	k.cross(out)
}

// hess sets dst to Hess_yy L times v.
func (k *kkt) hess(dst, v []float64) {
	k.p.Lower.HessYY(dst, k.x, k.y, v)
	if h := k.p.Coupling; h != nil && !h.Affine {
		h.HessYY(k.t4, k.x, k.y, k.mu, v)
		floats.Add(dst, k.t4)
	}
}

// adjoint adds -G' s - A_x' q to dst for the right-hand side v and returns the
// norm of what the full system is left with.
func (k *kkt) adjoint(dst, v vec.Vector, solver linearSolver) (residual float64) {
	b := k.rhs.(vec.Dense)
	k.d(b, v.(vec.Dense))
	k.cross(b)
	solver.solve(k.sol, k.rhs, k)
	k.cross(k.sol.(vec.Dense))
	return k.collect(dst, v.(vec.Dense))
}

// collect adds -G' s - A_x' q to dst for the p in sol and the right-hand side v
// (nil: 0), where q is what v leaves to the active rows.
func (k *kkt) collect(dst vec.Vector, v []float64) (residual float64) {
	sol, s := k.sol.(vec.Dense), k.rhs.(vec.Dense)
	k.d(s, sol)
	// t1 = H s - v + (p - D p where D is curved), of which D, up to D A_y' q, is left.
	k.hess(k.t1, s)
	if v != nil {
		floats.Sub(k.t1, v)
	}
	if !k.flat {
		floats.Add(k.t1, sol)
		floats.Sub(k.t1, s)
	}
	k.d(k.t2, k.t1)
	if k.p.Coupling != nil {
		k.multipliers(k.t2)
		k.p.Coupling.JacYT(k.t1, k.x, k.y, k.full)
		k.d(k.t3, k.t1)
		floats.Add(k.t2, k.t3)
		k.p.Coupling.JacY(k.rows, k.x, k.y, s)
		for _, i := range k.index {
			residual += k.rows[i] * k.rows[i]
		}
	}
	residual = math.Sqrt(residual + floats.Dot(k.t2, k.t2))
	out := dst.(vec.Dense)
	k.p.Lower.HessXY(k.gx, k.x, k.y, s)
	floats.Sub(out, k.gx)
	if h := k.p.Coupling; h != nil {
		if !h.Affine {
			h.HessXY(k.gx, k.x, k.y, k.mu, s)
			floats.Sub(out, k.gx)
		}
		h.JacXT(k.gx, k.x, k.y, k.full)
		floats.Sub(out, k.gx)
	}
	return residual
}

// multipliers sets full to the q of least norm with D A_y' q = -r in the sense
// of least squares.
func (k *kkt) multipliers(r []float64) {
	clear(k.full)
	if k.rank == 0 {
		return
	}
	n, m, rank := k.p.NY, k.m, k.rank
	q := blas64.General{Rows: n, Cols: rank, Stride: rank, Data: k.q[:n*rank]}
	c := blas64.Vector{N: rank, Inc: 1, Data: k.coef}
	blas64.Gemv(blas.Trans, -1, q, blas64.Vector{N: n, Inc: 1, Data: r}, 0, c)
	tri := blas64.General{Rows: rank, Cols: m, Stride: m, Data: k.r[:rank*m]}
	if rank == m {
		lapack64.Trtrs(blas.NoTrans, blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: m, Stride: m, Data: tri.Data},
			blas64.General{Rows: m, Cols: 1, Stride: 1, Data: c.Data})
		copy(k.qm, c.Data[:m])
	} else {
		t := blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: rank, Stride: rank, Data: k.gram[:rank*rank]}
		lapack64.Potrs(t, blas64.General{Rows: rank, Cols: 1, Stride: 1, Data: c.Data})
		blas64.Gemv(blas.Trans, 1, tri, c, 0, blas64.Vector{N: m, Inc: 1, Data: k.qm[:m]})
	}
	for j := range m {
		k.full[k.index[k.pivot[j]]] = k.qm[j]
	}
}
