package response

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// factorise assembles the matrix of the Newton system in the open links' prices,
//
//	diag(s/lambda) + sum_k [ sum_r theta_r a_r a_r' - (sum_r theta_r a_r)(...)'/(Theta_k + h_k) ],
//
// and its Cholesky factor. h_k is the derivative of demand in the price. Newton's
// method for the logit, dq (1/q + 1/a) = -rho - dp with rho = ln(q/a) + p - u', would
// let whichever of q and a is to become tiny bar the way by its sign. Its
// logarithm therefore has a slack v >= 0, v = |rho|, and v q or v a goes to a target:
//
//	dq (1/q + 1/a + v/q) = -(v - target q/q) - dp   where rho > 0,
//	dq (1/q + 1/a + v/a) =  (v - target w/a) - dp   where rho < 0.
//
// The target is the larger one for a: a tiny a makes demand look fixed, which is
// wrong for as long as prices may still rise a lot.
func (s *Solver) factorise() bool {
	s.eachPair((*Solver).weigh)
	for _, e := range s.open {
		s.diagonal[e] = s.slack[e] / s.lambda[e]
	}
	return s.decompose(s.open)
}

// weigh sets rho, base and the ratios of pair k.
func (s *Solver) weigh(k int32) {
	q, a := s.demand[k], s.alt[k]
	s.rho[k] = math.Log(q/a) + s.p[k] - s.utility[k]
	if s.rho[k] > 0 {
		s.base[k] = 1 / ((1+s.rho[k])/q + 1/a)
	} else {
		s.base[k] = 1 / (1/q + (1-s.rho[k])/a)
	}
	for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
		s.ratio[r] = 0
		if z := s.z[r]; z > 0 {
			s.ratio[r] = s.flow[r] / z
		}
	}
}

// decompose assembles the matrix over some links from base, ratio and diagonal and
// takes its Cholesky factor. Where prices are not unique (links in series that carry
// the same travellers) the matrix is singular up to rounding: its diagonal is then
// raised by as little as makes it positive definite.
//
// The bracket is written without the difference of large numbers, as
//
//	sum_r h theta_r/(Theta + h) a_r a_r' + sum_{r<s} theta_r theta_s/(Theta + h) (a_r - a_s)(a_r - a_s)'.
//
// The first sum, of all pairs, is added up along the prefix trees. The vectors of the
// second have only the links in which two paths differ, and are the same for many pairs:
// their weights are added up first (differences.go).
func (s *Solver) decompose(links []int32) bool {
	s.chosen = links
	for i := range s.row {
		s.row[i] = -1
	}
	for i, e := range links {
		s.row[e] = int32(i)
	}
	for _, shift := range []float64{0, 1e-15, 1e-14, 1e-13, 1e-12, 1e-10} {
		if s.assemble(shift) {
			return true
		}
	}
	return false
}

func (s *Solver) assemble(shift float64) bool {
	n := len(s.chosen)
	if cap(s.rhs) < n {
		s.rhs = make([]float64, n)
	}
	s.rhs = s.rhs[:n]
	s.add()
	matrix := s.newton.matrix
	for i, e := range s.chosen {
		matrix[i*n+i] = (matrix[i*n+i] + s.diagonal[e]) * (1 + shift)
	}
	return cholesky(matrix, n)
}

// solve overwrites rhs with the solution of the factorised system.
func (s *Solver) solve() {
	n := len(s.rhs)
	factor := blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: n, Stride: max(1, n), Data: s.newton.matrix}
	x := blas64.Vector{N: n, Inc: 1, Data: s.rhs}
	blas64.Trsv(blas.Trans, factor, x)
	blas64.Trsv(blas.NoTrans, factor, x)
}
