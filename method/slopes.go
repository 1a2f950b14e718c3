package method

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/bilevel-go/bilevel/vec"
)

// rowSlope sets dst to dh_i/dx along the lower solution, of a row i that is not active.
func (k *kkt) rowSlope(dst vec.Vector, i int, solver linearSolver) {
	h, unit := k.p.Coupling, k.unit[:k.p.Coupling.Rows]
	clear(unit)
	unit[i] = 1
	h.JacXT(dst.(vec.Dense), k.x, k.y, unit)
	h.JacYT(k.row.(vec.Dense), k.x, k.y, unit)
	k.adjoint(dst, k.row, solver)
}

// multiplierSlope sets dst to dmu_i/dx of an active row i: the transposed system
// with right-hand side 0 and A_y D p = e_i, whose part p0 in the range of D A_y'
// is found first.
func (k *kkt) multiplierSlope(dst vec.Vector, i int, solver linearSolver) {
	dst.Zero()
	if k.rank == 0 {
		return
	}
	k.leastNorm(k.row.(vec.Dense), i)
	k.sol.Copy(k.row)
	s := k.sol.(vec.Dense)
	k.d(k.t2, s)
	b := k.rhs.(vec.Dense)
	k.hess(b, k.t2)
	if !k.flat {
		floats.Add(b, s)
		floats.Sub(b, k.t2)
	}
	k.d(k.t3, b)
	copy(b, k.t3)
	k.cross(b)
	k.rhs.Scale(-1)
	solver.solve(k.sol, k.rhs, k)
	k.cross(s)
	k.sol.Add(1, k.row)
	k.collect(dst, nil)
}

// leastNorm sets v to the shortest v with (D A_y')' v = e_i, in the sense of least squares.
func (k *kkt) leastNorm(v []float64, i int) {
	n, m, rank := k.p.NY, k.m, k.rank
	j := 0
	for k.index[k.pivot[j]] != i {
		j++
	}
	c := blas64.General{Rows: rank, Cols: 1, Stride: 1, Data: k.coef[:rank]}
	clear(c.Data)
	if rank == m { // R' c = P'e_i
		c.Data[j] = 1
		lapack64.Trtrs(blas.Trans, blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: m, Stride: m, Data: k.r[:rank*m]}, c)
	} else { // R R' c = R P'e_i
		for l := range rank {
			c.Data[l] = k.r[l*m+j]
		}
		lapack64.Potrs(blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: rank, Stride: rank, Data: k.gram[:rank*rank]}, c)
	}
	q := blas64.General{Rows: n, Cols: rank, Stride: rank, Data: k.q[:n*rank]}
	blas64.Gemv(blas.NoTrans, 1, q, blas64.Vector{N: rank, Inc: 1, Data: c.Data}, 0, blas64.Vector{N: n, Inc: 1, Data: v})
}
