package margin

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// The dual active-set method for a strictly convex quadratic program
//
//	minimise 1/2 y'Hy + c'y   subject to   r_i.y >= t_i,  i = 1..n.
//
// It keeps a set A of linearly independent constraints and the minimiser y of
// the objective on { r_i.y = t_i, i in A }, with multipliers mu_A >= 0. While
// some r_p.y < t_p it moves along
//
//	z = B2' d2,   r = R^-1 d1,   d = B r_p = (d1, d2),
//	y += s z,  mu_A -= s r,  mu_p += s,
//
// with B H B' = I and B r_A' = (R; 0), R upper triangular: s is the step that
// closes constraint p, or the shorter one at which a mu_j reaches zero, in which
// case j leaves A and the move goes on. The dual objective grows at every step
// of positive length, so a set A never comes back.
//
// B and R are updated, never recomputed: a new constraint costs one Householder
// reflection of B2, a dropped one a chain of Givens rotations. At the end mu and
// y are recomputed from R by iterative refinement, so that what is returned does
// not carry the rounding of the updates.
//
// Assumptions: H positive definite. Dependent constraints are handled: where
// r_p lies in the span of A (|d2| <= dependent |d|) only mu moves.
// Failure modes: without a feasible point the search ends at r <= 0, d2 = 0,
// which is a Farkas certificate. Where the active normals are nearly dependent,
// multipliers grow like the inverse square of the angle between them; the residual
// that is measured at the end tells. Dual degeneracy (mu_j = 0 in A) gives
// steps of length zero; each one shrinks A, so they cannot go on.
//
// Source: Goldfarb and Idnani, A numerically stable dual method for solving
// strictly convex quadratic programs, Mathematical Programming 27 (1983) 1-33.
type activeSet struct {
	rows  blas64.General
	scale []float64 // 1/|r_i|: violations are compared as distances

	d, q int
	b    blas64.General // B, d x d
	r    blas64.General // R in the leading q x q
	free []float64      // unconstrained minimiser -H^-1 c

	act []int     // A, in the order of R's columns
	mu  []float64 // mu_A
	in  []bool    // membership in A
	y   []float64

	t     []float64
	slack []float64 // r_i.y - t_i at the last full pricing
	cand  []int     // the most violated constraints of that pricing
	block []float64 // their rows, contiguous

	dv, z, step, tmp []float64
	steps            int
}

const (
	dependent  = 1e-10 // |d2|/|d| below which r_p counts as in the span of A
	candidates = 16    // constraints repriced between full pricings
)

func newActiveSet(rows blas64.General) *activeSet {
	n, d := rows.Rows, rows.Cols
	s := &activeSet{
		rows: rows, scale: make([]float64, n), d: d,
		b: dense(d, d), r: dense(d, d), free: make([]float64, d),
		act: make([]int, 0, d), mu: make([]float64, 0, d), in: make([]bool, n), y: make([]float64, d),
		slack: make([]float64, n), cand: make([]int, 0, candidates), block: make([]float64, candidates*(d+1)),
		dv: make([]float64, d), z: make([]float64, d), step: make([]float64, d), tmp: make([]float64, d),
	}
	for i := range n {
		if norm := blas64.Nrm2(vector(row(rows, i))); norm > 0 {
			s.scale[i] = 1 / norm
		} else {
			s.scale[i] = 1
		}
	}
	return s
}

// quadratic is the metric of a program: H^-1 v, and its factor.
type quadratic interface {
	// solve overwrites v with H^-1 v.
	solve(v []float64)
	// factor writes a B with B H B' = I.
	factor(b blas64.General)
}

// reset empties A and takes a new metric.
func (s *activeSet) reset(h quadratic) {
	for _, i := range s.act {
		s.in[i] = false
	}
	s.q, s.act, s.mu = 0, s.act[:0], s.mu[:0]
	h.factor(s.b)
}

// load makes A the given constraints, leaving out dependent ones, in a new
// metric. want must not alias s.act.
func (s *activeSet) load(h quadratic, want []int) {
	s.reset(h)
	for _, i := range want {
		if s.q == s.d {
			return
		}
		if s.enter(row(s.rows, i)) {
			s.direction()
			s.add(i, 0)
		}
	}
}

// solve runs the method for right-hand sides t and linear term c, from the
// present A. It returns -1, or the constraint that cannot be met, in which case
// s.step holds r of the Farkas certificate. tol is the violation allowed.
func (s *activeSet) solve(h quadratic, c, t []float64, tol float64, limit int) (infeasible int, ok bool) {
	s.t, s.steps = t, 0
	for j := range s.free {
		s.free[j] = -c[j]
	}
	h.solve(s.free)
	for range 4 {
		s.restore(h)
		if p, done := s.search(tol, limit); !done || p >= 0 {
			return p, done
		}
		if s.polish(h, tol) {
			return -1, true
		}
	}
	return -1, true
}

// search adds violated constraints until none is left.
func (s *activeSet) search(tol float64, limit int) (infeasible int, ok bool) {
	s.cand = s.cand[:0]
	for {
		p, violation := s.price(tol)
		if p < 0 {
			return -1, true
		}
		n := row(s.rows, p)
		mup := 0.0
		for {
			if s.steps++; s.steps > limit {
				return -1, false
			}
			independent := s.enter(n)
			zn := s.direction()
			size, leave := math.Inf(1), -1
			for j, r := range s.step[:s.q] {
				if r > 0 && s.mu[j] < size*r {
					size, leave = s.mu[j]/r, j
				}
			}
			full := math.Inf(1)
			if independent {
				full = violation / zn
			}
			if leave < 0 && !independent {
				return p, true
			}
			size = math.Min(size, full)
			mup += size
			for j, r := range s.step[:s.q] {
				s.mu[j] -= size * r
			}
			if independent {
				blas64.Axpy(size, vector(s.z), vector(s.y))
			}
			if size == full {
				s.add(p, mup)
				break
			}
			s.drop(leave)
			violation = s.t[p] - blas64.Dot(vector(n), vector(s.y))
			if violation <= 0 {
				// Rounding closed the constraint before its full step.
				violation = 0
			}
		}
	}
}

// price returns the most violated constraint, as a distance in the Euclidean
// metric, and its violation; -1 when none exceeds tol.
func (s *activeSet) price(tol float64) (int, float64) {
	if k := len(s.cand); k > 0 {
		out := s.block[candidates*s.d:][:k]
		blas64.Gemv(blas.NoTrans, 1, blas64.General{Rows: k, Cols: s.d, Stride: s.d, Data: s.block}, vector(s.y), 0, vector(out))
		best, p, violation := 0.0, -1, 0.0
		for m, i := range s.cand {
			if v := s.t[i] - out[m]; v > tol && !s.in[i] && v*s.scale[i] > best {
				best, p, violation = v*s.scale[i], i, v
			}
		}
		if p >= 0 {
			return p, violation
		}
	}
	blas64.Gemv(blas.NoTrans, 1, s.rows, vector(s.y), 0, vector(s.slack))
	s.cand = s.cand[:0]
	var depth [candidates]float64
	for i, ry := range s.slack {
		v := s.t[i] - ry
		s.slack[i] = -v
		if v <= tol || s.in[i] {
			continue
		}
		// Insertion into a short list sorted by distance.
		v *= s.scale[i]
		k := len(s.cand)
		if k == candidates {
			if v <= depth[k-1] {
				continue
			}
			k--
		} else {
			s.cand = s.cand[:k+1]
		}
		for ; k > 0 && depth[k-1] < v; k-- {
			depth[k], s.cand[k] = depth[k-1], s.cand[k-1]
		}
		depth[k], s.cand[k] = v, i
	}
	for m, i := range s.cand {
		copy(s.block[m*s.d:(m+1)*s.d], row(s.rows, i))
	}
	if len(s.cand) == 0 {
		return -1, 0
	}
	return s.cand[0], -s.slack[s.cand[0]]
}
