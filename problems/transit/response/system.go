package response

import (
	"math"

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

// shift keeps the matrix positive definite where prices are not unique (links in
// series that carry the same travellers), relative to its diagonal.
const shift = 1e-13

// factorise assembles the matrix of the Newton system in the open links' prices,
//
//	diag(s/lambda) + sum_k [ sum_r theta_r a_r a_r' - (sum_r theta_r a_r)(...)'/(Theta_k + h_k) ],
//
// and its Cholesky factor. Pairs with one path are added up along the prefix
// trees. For the others the bracket is written without cancellation as
//
//	kappa a a' + sum_r theta_r b_r b_r' - t t'/Theta,   b_r = a_r - a_1,  t = sum_r theta_r b_r,
//	a = a_1 + t/Theta,  kappa = Theta h/(Theta + h).
func (s *Solver) factorise() bool {
	n := len(s.open)
	if cap(s.matrix) < n*n {
		s.matrix = make([]float64, n*n)
	}
	s.matrix = s.matrix[:n*n]
	clear(s.matrix)
	if cap(s.rhs) < n {
		s.rhs = make([]float64, n)
	}
	s.rhs = s.rhs[:n]
	for i, e := range s.open {
		s.matrix[i*n+i] = s.slack[e] / s.lambda[e]
	}
	clear(s.perNode)
	for _, k := range s.served {
		q, a := s.demand[k], s.alt[k]
		s.rho[k] = math.Log(q/a) + s.p[k] - s.utility[k]
		s.base[k] = q * a / s.m.Trips[k]
		first := s.paths.first[k]
		sum := 0.0
		for r := first; r >= 0; r = s.paths.next[r] {
			sum += s.flow[r] / s.z[r]
		}
		s.theta[k] = sum
		kappa := sum * (s.base[k] / (sum + s.base[k]))
		if s.paths.number[k] == 1 {
			s.perNode[s.paths.node[first]] = kappa
		} else {
			s.several(k, kappa)
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
		for a := int32(v); p.link[a] >= 0; a = p.parent[a] {
			if j := int(s.row[p.link[a]]); i <= j {
				s.matrix[i*n+j] += h
			} else {
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

// several adds the bracket of a pair with more than one path.
func (s *Solver) several(k int32, kappa float64) {
	v, p := &s.sparse, s.paths
	ref, most := p.first[k], 0.0
	for r := ref; r >= 0; r = p.next[r] {
		if t := s.flow[r] / s.z[r]; t > most {
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
			t := s.flow[r] / s.z[r] / theta
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
		t := s.flow[r] / s.z[r]
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

// rankOne adds weight v v' over the links of the support.
func (s *Solver) rankOne(support []int32, v []float64, weight float64) {
	n := len(s.open)
	for _, e := range support {
		if v[e] == 0 {
			continue
		}
		i, c := int(s.row[e]), weight*v[e]
		for _, f := range support {
			if j := int(s.row[f]); i <= j {
				s.matrix[i*n+j] += c * v[f]
			}
		}
	}
}
