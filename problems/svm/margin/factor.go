package margin

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// enter writes d = B n and reports whether n is independent of the active
// constraints.
func (s *activeSet) enter(n []float64) bool {
	blas64.Gemv(blas.NoTrans, 1, s.b, vector(n), 0, vector(s.dv))
	if s.q == s.d {
		return false
	}
	return blas64.Nrm2(vector(s.dv[s.q:])) > dependent*blas64.Nrm2(vector(s.dv))
}

// direction writes r = R^-1 d1 to step and z = B2' d2, and returns |d2|^2.
func (s *activeSet) direction() float64 {
	r := s.step[:s.q]
	copy(r, s.dv)
	s.upper(blas.NoTrans, r)
	if s.q == s.d {
		return 0
	}
	d2 := vector(s.dv[s.q:])
	blas64.Gemv(blas.Trans, 1, s.tail(), d2, 0, vector(s.z))
	return blas64.Dot(d2, d2)
}

// add appends constraint i, whose d and z enter and direction have written, with
// multiplier mu: R gains the column (d1; a), a = -+|d2|, and B2 the reflection
// that sends d2 to a e_1.
func (s *activeSet) add(i int, mu float64) {
	q := s.q
	for k := range q {
		s.r.Data[k*s.r.Stride+q] = s.dv[k]
	}
	d2 := s.dv[q:]
	a := blas64.Nrm2(vector(d2))
	if d2[0] > 0 {
		a = -a
	}
	s.r.Data[q*s.r.Stride+q] = a
	if half := a * (a - d2[0]); half > 0 {
		tail := s.tail()
		// v = d2 - a e_1, |v|^2 = 2 half, B2'v = z - a B2'e_1.
		blas64.Axpy(-a, vector(tail.Data[:s.d]), vector(s.z))
		d2[0] -= a
		blas64.Ger(-1/half, vector(d2), vector(s.z), tail)
	}
	s.act, s.mu, s.in[i] = append(s.act, i), append(s.mu, mu), true
	s.q++
}

// drop takes column l out of R and restores the triangle by Givens rotations.
func (s *activeSet) drop(l int) {
	q, ld := s.q, s.r.Stride
	s.in[s.act[l]] = false
	s.act = append(s.act[:l], s.act[l+1:]...)
	s.mu = append(s.mu[:l], s.mu[l+1:]...)
	for k := range q {
		line := s.r.Data[k*ld : k*ld+q]
		copy(line[l:], line[l+1:])
		line[q-1] = 0
	}
	for k := l; k < q-1; k++ {
		upper, lower := s.r.Data[k*ld:k*ld+q-1], s.r.Data[(k+1)*ld:(k+1)*ld+q-1]
		x, y := upper[k], lower[k]
		if y == 0 {
			continue
		}
		h := math.Hypot(x, y)
		c, sn := x/h, y/h
		rotate(upper[k:], lower[k:], c, sn)
		upper[k], lower[k] = h, 0
		rotate(row(s.b, k), row(s.b, k+1), c, sn)
		s.dv[k], s.dv[k+1] = c*s.dv[k]+sn*s.dv[k+1], c*s.dv[k+1]-sn*s.dv[k]
	}
	s.q--
}

func rotate(x, y []float64, c, s float64) {
	y = y[:len(x)]
	for i, xi := range x {
		yi := y[i]
		x[i] = c*xi + s*yi
		y[i] = c*yi - s*xi
	}
}

// restore recomputes mu_A and y for the present A and drops constraints until
// mu_A >= 0, which makes (y, A) a valid start of the method.
func (s *activeSet) restore(h quadratic) {
	for {
		worst, at := 0.0, -1
		g, mu := s.step[:s.q], s.mu
		for j, i := range s.act {
			g[j] = s.t[i] - blas64.Dot(vector(row(s.rows, i)), vector(s.free))
		}
		s.upper(blas.Trans, g)
		copy(mu, g)
		s.upper(blas.NoTrans, mu)
		for j, m := range mu {
			if m < worst {
				worst, at = m, j
			}
		}
		if at >= 0 {
			s.drop(at)
			continue
		}
		copy(s.y, s.free)
		s.within(g)
		return
	}
}

// polish makes y = free + H^-1 R_A' mu exactly and refines mu so that the active
// constraints hold. It reports whether the pair is optimal to tol; where it is
// not, the search has to go on from restore.
func (s *activeSet) polish(h quadratic, tol float64) bool {
	before := math.Inf(1)
	for {
		clear(s.tmp)
		for j, i := range s.act {
			blas64.Axpy(s.mu[j], vector(row(s.rows, i)), vector(s.tmp))
		}
		h.solve(s.tmp)
		for j, f := range s.free {
			s.y[j] = f + s.tmp[j]
		}
		e, worst := s.defect()
		if worst == 0 || worst > before/2 {
			break
		}
		before = worst
		s.upper(blas.Trans, e)
		s.upper(blas.NoTrans, e)
		blas64.Axpy(1, vector(e), vector(s.mu))
	}
	// The rounding of H^-1 is left in y; the same correction applied to y itself
	// takes it out.
	if e, worst := s.defect(); worst > 0 {
		s.upper(blas.Trans, e)
		s.within(e)
	}
	for _, m := range s.mu {
		if m < 0 {
			return false
		}
	}
	s.cand = s.cand[:0]
	p, _ := s.price(tol)
	return p < 0
}

// defect writes t_A - r_A.y to step and returns it with its largest entry.
func (s *activeSet) defect() (e []float64, worst float64) {
	e = s.step[:s.q]
	for j, i := range s.act {
		e[j] = s.t[i] - blas64.Dot(vector(row(s.rows, i)), vector(s.y))
		worst = math.Max(worst, math.Abs(e[j]))
	}
	return e, worst
}

// within adds B1'g to y.
func (s *activeSet) within(g []float64) {
	if s.q > 0 {
		blas64.Gemv(blas.Trans, 1, blas64.General{Rows: s.q, Cols: s.d, Stride: s.b.Stride, Data: s.b.Data}, vector(g), 1, vector(s.y))
	}
}

// upper solves with R in place.
func (s *activeSet) upper(t blas.Transpose, x []float64) {
	if s.q == 0 {
		return
	}
	blas64.Trsv(t, blas64.Triangular{N: s.q, Stride: s.r.Stride, Data: s.r.Data, Uplo: blas.Upper, Diag: blas.NonUnit}, vector(x))
}

// tail is B2, the rows of B that are free.
func (s *activeSet) tail() blas64.General {
	return blas64.General{Rows: s.d - s.q, Cols: s.d, Stride: s.b.Stride, Data: s.b.Data[s.q*s.b.Stride:]}
}

func vector(x []float64) blas64.Vector {
	return blas64.Vector{N: len(x), Inc: 1, Data: x}
}

func dense(r, c int) blas64.General {
	return blas64.General{Rows: r, Cols: c, Stride: c, Data: make([]float64, r*c)}
}
