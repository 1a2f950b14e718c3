package response

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// sparse is a vector over links with its support.
type sparse struct {
	a, b    []float64
	mark    []bool
	support []int32
	path    []int32
}

func (v *sparse) init(links int) {
	v.a, v.b, v.mark = make([]float64, links), make([]float64, links), make([]bool, links)
}

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
	for _, k := range s.served {
		q, a := s.demand[k], s.alt[k]
		s.rho[k] = math.Log(q/a) + s.p[k] - s.utility[k]
		if s.rho[k] > 0 {
			s.base[k] = 1 / ((1+s.rho[k])/q + 1/a)
		} else {
			s.base[k] = 1 / (1/q + (1-s.rho[k])/a)
		}
	}
	for r, z := range s.z {
		s.ratio[r] = 0
		if z > 0 {
			s.ratio[r] = s.flow[r] / z
		}
	}
	for _, e := range s.open {
		s.diagonal[e] = s.slack[e] / s.lambda[e]
	}
	return s.decompose(s.open)
}

// benign is the Theta_k/h_k up to which cancellation in the bracket costs few digits.
const benign = 1e4

// decompose assembles the matrix over some links from base, ratio and diagonal and
// takes its Cholesky factor. Where prices are not unique (links in series that carry
// the same travellers) the matrix is singular up to rounding: its diagonal is then
// raised by as little as makes it positive definite.
//
// Pairs with one path are added up along the prefix trees. For the others, where theta
// is large, the bracket is written without cancellation as
//
//	kappa a a' + sum_r theta_r b_r b_r' - t t'/Theta,   b_r = a_r - a_1,  t = sum_r theta_r b_r,
//	a = a_1 + t/Theta,  kappa = Theta h/(Theta + h).
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
	if cap(s.matrix) < n*n {
		s.matrix = make([]float64, n*n)
	}
	s.matrix = s.matrix[:n*n]
	clear(s.matrix)
	if cap(s.rhs) < n {
		s.rhs = make([]float64, n)
	}
	s.rhs = s.rhs[:n]
	for i, e := range s.chosen {
		s.matrix[i*n+i] = s.diagonal[e]
	}
	clear(s.perNode)
	for _, k := range s.served {
		first := s.paths.first[k]
		if s.paths.number[k] == 1 {
			s.perNode[s.paths.node[first]] = s.base[k]
			continue
		}
		sum := 0.0
		for r := first; r >= 0; r = s.paths.next[r] {
			sum += s.ratio[r]
		}
		s.theta[k] = sum
		if sum <= benign*s.base[k] {
			s.plain(k)
		} else {
			s.several(k, sum*(s.base[k]/(sum+s.base[k])))
		}
	}
	p := s.paths
	for v := len(s.perNode) - 1; v >= 0; v-- {
		h := s.perNode[v]
		if p.link[v] < 0 || h == 0 {
			continue
		}
		up := p.parent[v]
		if p.link[up] >= 0 {
			s.perNode[up] += h
		}
		i := int(s.row[p.link[v]])
		if i < 0 {
			continue
		}
		for a := int32(v); p.link[a] >= 0; a = p.parent[a] {
			if j := int(s.row[p.link[a]]); i <= j {
				s.matrix[i*n+j] += h
			} else if j >= 0 {
				s.matrix[j*n+i] += h
			}
		}
	}
	for i := range n {
		s.matrix[i*n+i] *= 1 + shift
	}
	s.sym = blas64.Symmetric{Uplo: blas.Upper, N: n, Stride: n, Data: s.matrix}
	_, ok := lapack64.Potrf(s.sym)
	return ok
}

// solve overwrites rhs with the solution of the factorised system.
func (s *Solver) solve() {
	factor := blas64.Triangular{Uplo: blas.Upper, Diag: blas.NonUnit, N: s.sym.N, Stride: s.sym.Stride, Data: s.sym.Data}
	lapack64.Potrs(factor, blas64.General{Rows: s.sym.N, Cols: 1, Stride: 1, Data: s.rhs})
}

// plain adds the bracket of a pair as it is written: the first sum along the prefix
// tree, the second here.
func (s *Solver) plain(k int32) {
	v, p := &s.sparse, s.paths
	v.support = v.support[:0]
	for r := p.first[k]; r >= 0; r = p.next[r] {
		t := s.ratio[r]
		s.perNode[p.node[r]] = t
		for n := p.node[r]; p.link[n] >= 0; n = p.parent[n] {
			e := p.link[n]
			if !v.mark[e] {
				v.mark[e] = true
				v.support = append(v.support, e)
			}
			v.a[e] += t
		}
	}
	s.rankOne(v.support, v.a, -1/(s.theta[k]+s.base[k]))
	for _, e := range v.support {
		v.a[e], v.mark[e] = 0, false
	}
}

// several adds the bracket of a pair with more than one path.
func (s *Solver) several(k int32, kappa float64) {
	v, p := &s.sparse, s.paths
	ref, most := p.first[k], 0.0
	for r := ref; r >= 0; r = p.next[r] {
		if t := s.ratio[r]; t > most {
			ref, most = r, t
		}
	}
	theta := s.theta[k]
	// a = a_ref + t/Theta in v.a.
	v.support = v.support[:0]
	add := func(r int32, by float64) {
		v.path = p.links(v.path[:0], r)
		for _, e := range v.path {
			if !v.mark[e] {
				v.mark[e] = true
				v.support = append(v.support, e)
			}
			v.a[e] += by
		}
	}
	add(ref, 1)
	for r := p.first[k]; r >= 0; r = p.next[r] {
		if r != ref {
			t := s.ratio[r] / theta
			add(r, t)
			add(ref, -t)
		}
	}
	s.rankOne(v.support, v.a, kappa)
	for _, e := range v.support {
		v.a[e], v.mark[e] = 0, false
	}
	// b_r, and t in v.a.
	two := p.number[k] == 2
	v.support = v.support[:0]
	for r := p.first[k]; r >= 0; r = p.next[r] {
		if r == ref {
			continue
		}
		t := s.ratio[r]
		difference := func(r int32, sign float64) {
			v.path = p.links(v.path[:0], r)
			for _, e := range v.path {
				if !v.mark[e] {
					v.mark[e] = true
					v.support = append(v.support, e)
				}
				v.b[e] += sign
			}
		}
		difference(r, 1)
		difference(ref, -1)
		weight := t
		if two {
			weight = t * (most / theta)
		}
		s.rankOne(v.support, v.b, weight)
		for _, e := range v.support {
			v.a[e] += t * v.b[e]
			v.b[e] = 0
		}
	}
	if !two {
		s.rankOne(v.support, v.a, -1/theta)
	}
	for _, e := range v.support {
		v.a[e], v.mark[e] = 0, false
	}
}

// rankOne adds weight v v' over the links of the support, which it sorts.
func (s *Solver) rankOne(support []int32, v []float64, weight float64) {
	slices.Sort(support)
	n := len(s.chosen)
	for k, e := range support {
		i, c := int(s.row[e]), weight*v[e]
		if i < 0 || c == 0 {
			continue
		}
		row := s.matrix[i*n : (i+1)*n]
		for _, f := range support[k:] {
			if j := s.row[f]; j >= 0 {
				row[j] += c * v[f]
			}
		}
	}
}
