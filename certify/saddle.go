package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// saddle is the sparse symmetric system of Newton's method on the optimality
// conditions of a program whose projection fixes some variables and leaves the
// others free,
//
//	[ H_ff   J_f'  ] [ d ]   [ a ]
//	[ J_f   -slack ] [ q ] = [ b ],
//
// f the free variables and J the active rows: slack = 1/rho is the augmented
// Lagrangian's Newton step (its H + rho J'J without the products of J), slack = 0
// the KKT system. It is factorised with H + shift I and slack + floor and solved by
// iterative refinement, which removes both again as far as the system is regular.
type saddle struct {
	p       *program
	h       *csr
	at      []int // elimination place of variable i, or n+r of row r; -1: not in the system
	active  []int
	slack   float64
	size    float64 // largest entry of H
	row     float64 // largest squared norm of an active row
	free    int
	factors *ldl
}

// denseBelow is the number of variables up to which dense factorisations are used.
const denseBelow = 64

// hessianAt is the sparse Hessian of F at z where it can be had, else nil.
func (p *program) hessianAt(z []float64) *csr {
	switch {
	case p.hessian != nil:
		return p.hessian
	case p.shape == nil:
		return nil
	}
	return p.shape.hessian(p.n, func(dst, v []float64) { p.hess(dst, z, v) })
}

// sparseAt returns the Hessian of F at z and the variables that the projection
// leaves free at u; ok is false where dense factorisations serve better, the
// projection is no choice of coordinates or the matrices are not at hand.
func (p *program) sparseAt(z, u []float64) (h *csr, free []bool, ok bool) {
	if p.n <= denseBelow || p.curve != nil || p.rows > 0 && p.jacobian == nil {
		return nil, nil, false
	}
	if free = p.freeAt(u); free == nil {
		return nil, nil, false
	}
	h = p.hessianAt(z)
	return h, free, h != nil
}

// freeAt returns which coordinates the derivative D of the projection at u
// keeps, nil when D is not a diagonal matrix of zeros and ones.
func (p *program) freeAt(u []float64) []bool {
	free := make([]bool, p.n)
	v, dv := make([]float64, p.n), make([]float64, p.n)
	for i := range v {
		v[i] = 1 + 0.5*math.Sin(float64(3*i+1)) // no special direction
	}
	p.projectDeriv(dv, u, v)
	for i := range v {
		switch free[i] = dv[i] == v[i]; {
		case !free[i] && dv[i] != 0:
			return nil
		}
	}
	return free
}

// elimination orders the variables and rows of p for factorisation.
func (p *program) elimination(h *csr) []int {
	if p.order != nil && *p.order != nil {
		return *p.order
	}
	graph := make([][]int, p.n+p.rows)
	for i := range p.n {
		ind, _ := h.row(i)
		for _, j := range ind {
			if j != i {
				graph[i] = append(graph[i], j)
			}
		}
	}
	for r := range p.rows {
		ind, _ := p.jacobian.row(r)
		graph[p.n+r] = append(graph[p.n+r], ind...)
		for _, j := range ind {
			graph[j] = append(graph[j], p.n+r)
		}
	}
	order := minimumDegree(graph)
	if p.order != nil {
		*p.order = order
	}
	return order
}

func newSaddle(p *program, h *csr, free []bool, active []int, slack float64) *saddle {
	s := &saddle{p: p, h: h, active: active, slack: slack, at: make([]int, p.n+p.rows)}
	in := make([]bool, p.n+p.rows)
	copy(in, free)
	for _, r := range active {
		in[p.n+r] = true
		_, val := p.jacobian.row(r)
		s.row = math.Max(s.row, floats.Dot(val, val))
	}
	k := 0
	for _, v := range p.elimination(h) {
		s.at[v] = -1
		if in[v] {
			s.at[v] = k
			k++
		}
	}
	s.free = k - len(active)
	s.size = h.maxAbs()
	if s.size == 0 {
		s.size = 1
		if slack > 0 {
			s.size = s.row / slack
		}
	}
	return s
}

// factorise factorises with the given shift of H and floor of slack. It reports
// whether H + J'J/slack, so regularised, is positive definite on the free variables.
func (s *saddle) factorise(shift, floor float64) bool {
	p, n := s.p, s.p.n
	k := s.free + len(s.active)
	ap := make([]int, k+1)
	each := func(put func(column, row int, v float64)) {
		for i := range n {
			c := s.at[i]
			if c < 0 {
				continue
			}
			put(c, c, shift)
			ind, val := s.h.row(i)
			for x, j := range ind {
				if r := s.at[j]; r >= 0 && r <= c {
					put(c, r, val[x])
				}
			}
		}
		for _, r := range s.active {
			c := s.at[n+r]
			put(c, c, -s.slack-floor)
			ind, val := p.jacobian.row(r)
			for x, j := range ind {
				if o := s.at[j]; o >= 0 {
					put(max(c, o), min(c, o), val[x])
				}
			}
		}
	}
	each(func(c, _ int, _ float64) { ap[c+1]++ })
	for c := range k {
		ap[c+1] += ap[c]
	}
	ai, ax, next := make([]int, ap[k]), make([]float64, ap[k]), append([]int(nil), ap...)
	each(func(c, r int, v float64) {
		ai[next[c]], ax[next[c]] = r, v
		next[c]++
	})
	var ok bool
	s.factors, ok = factorise(k, ap, ai, ax)
	return ok && s.factors.negative == len(s.active)
}

// The regularisation of the factorised matrix, relative to H and to J'J/H: small
// enough for refinement to remove in a few steps, large enough for pivots to keep digits.
const (
	shiftShare = 1e-9
	floorShare = 1e-8
)

func (s *saddle) floor() float64 { return floorShare * s.row / s.size }

// residual sets ra and rb to (a, b) less the system, with H + shift I, at (d, q),
// and returns its size.
func (s *saddle) residual(ra, rb, a, b, d, q []float64, shift float64) float64 {
	n := s.p.n
	for i := range n {
		ra[i] = 0
		if s.at[i] < 0 {
			continue
		}
		ind, val := s.h.row(i)
		sum := a[i] - shift*d[i]
		for x, j := range ind {
			sum -= val[x] * d[j] // d is zero off the free variables
		}
		ra[i] = sum
	}
	size := 0.0
	for k, r := range s.active {
		ind, val := s.p.jacobian.row(r)
		sum := b[k] + s.slack*q[k]
		for x, j := range ind {
			if s.at[j] >= 0 {
				sum -= val[x] * d[j]
				ra[j] -= val[x] * q[k]
			}
		}
		rb[k] = sum
		size += sum * sum
	}
	return math.Sqrt(size + floats.Dot(ra, ra))
}

// apply adds the factorised system's solution for (ra, rb) to (d, q).
func (s *saddle) apply(d, q, ra, rb, work []float64) {
	n := s.p.n
	for i := range n {
		if c := s.at[i]; c >= 0 {
			work[c] = ra[i]
		}
	}
	for k, r := range s.active {
		work[s.at[n+r]] = rb[k]
	}
	s.factors.solve(work)
	for i := range n {
		if c := s.at[i]; c >= 0 {
			d[i] += work[c]
		}
	}
	for k, r := range s.active {
		q[k] += work[s.at[n+r]]
	}
}

// solve sets d (all variables; zero off the free ones) and q (active rows) to the
// solution with H + shift I for the right-hand side (a, b), of which the entries
// of a that are not free do not count. It returns the residual relative to the
// right-hand side.
func (s *saddle) solve(d, q, a, b []float64, shift float64) float64 {
	n, k := s.p.n, len(s.active)
	clear(d)
	clear(q)
	ra, rb, work := make([]float64, n), make([]float64, k), make([]float64, s.free+k)
	bestD, bestQ := make([]float64, n), make([]float64, k)
	size := s.residual(ra, rb, a, b, d, q, shift)
	if size == 0 {
		return 0
	}
	best := size
	for range 30 {
		s.apply(d, q, ra, rb, work)
		r := s.residual(ra, rb, a, b, d, q, shift)
		if !(r < best) {
			break
		}
		slow := r > 0.5*best
		best = r
		copy(bestD, d)
		copy(bestQ, q)
		if r <= 1e-15*size || slow {
			break
		}
	}
	copy(d, bestD)
	copy(q, bestQ)
	return best / size
}
