package set

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// activeSet projects on { y : <a_i, y> <= b_i }, |a_i| = 1, by the dual
// active-set method. With W the active rows, N the matrix of their normals
// (columns) and u >= 0 their multipliers, y = x - N u at every stage. The most
// violated row p enters with multiplier t:
//
//	r = N^+ a_p,  z = a_p - N r        (the part of a_p outside the span of N)
//	y <- y - t z,  u <- u - t r,  u_p = t
//	t = min( min{ u_j / r_j : r_j > 0 },  (<a_p, y> - b_p) / |z|^2 )
//
// In the first case row j leaves W and p goes on; in the second p joins W. If z
// = 0 and no r_j > 0 the set is empty. The dual objective grows with every
// joining row, so no W recurs and the method ends. N = Q R is kept by
// orthogonalisation and Givens rotations.
//
// Source: Goldfarb and Idnani, Math. Programming 27 (1983), with Hessian I.
type activeSet struct {
	rows   []int       // W, in the order of the columns of N
	active []bool      // row is in W
	u      []float64   // multipliers of W
	q      [][]float64 // orthonormal columns spanning N
	r      [][]float64 // r[k][i], i <= k: entry i of column k of R
	y      []float64
	z      []float64
	c      []float64 // Q^T a_p, then N^+ a_p
}

func newActiveSet(m, n int) *activeSet {
	k := min(m, n)
	w := &activeSet{rows: make([]int, 0, k), active: make([]bool, m), u: make([]float64, k+1),
		y: make([]float64, n), z: make([]float64, n), c: make([]float64, k+1)}
	for range k {
		w.q = append(w.q, make([]float64, n))
		w.r = append(w.r, make([]float64, k))
	}
	return w
}

// dependent is the length below which the part of a unit normal outside the span
// of the others counts as zero.
const dependent = 1e-10

// project sets w.y to the projection of x. It returns -1, or the row that cannot
// be satisfied together with the others.
func (w *activeSet) project(s *halfspaces, x []float64) (infeasible int) {
	copy(w.y, x)
	w.rows = w.rows[:0]
	clear(w.active)
	for range 50 * (len(s.a) + 1) { // the method ends long before; NaN and rounding must not hang it
		// What rounding alone may leave on a row is no violation.
		p, worst, rounding := -1, 0.0, 1e-14*floats.Norm(w.y, 2)
		for i, a := range s.a {
			if w.active[i] {
				continue
			}
			excess := floats.Dot(a, w.y) - s.b[i]
			if excess > worst && excess > rounding+1e-14*math.Abs(s.b[i]) {
				p, worst = i, excess
			}
		}
		if p < 0 {
			break
		}
		if !w.enter(s, p) {
			return p
		}
	}
	w.refine(s, x)
	return -1
}

// enter makes row p satisfied; false means that it cannot be.
func (w *activeSet) enter(s *halfspaces, p int) bool {
	up := 0.0
	for {
		k := len(w.rows)
		size := w.split(s.a[p])
		drop, t := -1, math.Inf(1)
		for j, rj := range w.c[:k] {
			if rj > 1e-14 && w.u[j]/rj < t {
				drop, t = j, w.u[j]/rj
			}
		}
		full := math.Inf(1)
		if size > dependent && k < len(w.q) {
			full = (floats.Dot(s.a[p], w.y) - s.b[p]) / (size * size)
		}
		if math.IsInf(t, 1) && math.IsInf(full, 1) {
			return false
		}
		joins := full <= t
		t = math.Min(t, full)
		floats.AddScaled(w.u[:k], -t, w.c[:k])
		up += t
		if !math.IsInf(full, 1) {
			floats.AddScaled(w.y, -t, w.z)
		}
		if joins {
			w.join(s, p, up, size)
			return true
		}
		w.leave(drop)
	}
}

// split sets z to the part of a outside span(Q), orthogonalised twice, and c to
// N^+ a; it returns |z|.
func (w *activeSet) split(a []float64) float64 {
	k := len(w.rows)
	copy(w.z, a)
	clear(w.c)
	for range 2 {
		for j, q := range w.q[:k] {
			d := floats.Dot(q, w.z)
			floats.AddScaled(w.z, -d, q)
			w.c[j] += d
		}
	}
	w.backsolve(w.c[:k])
	return floats.Norm(w.z, 2)
}

// backsolve overwrites c with R^-1 c.
func (w *activeSet) backsolve(c []float64) {
	for i := len(c) - 1; i >= 0; i-- {
		c[i] /= w.r[i][i]
		for j := range i {
			c[j] -= w.r[i][j] * c[i]
		}
	}
}

// join appends row p, whose split is in z.
func (w *activeSet) join(s *halfspaces, p int, up, size float64) {
	k := len(w.rows)
	floats.ScaleTo(w.q[k], 1/size, w.z)
	for j, q := range w.q[:k+1] {
		w.r[k][j] = floats.Dot(q, s.a[p])
	}
	w.u[k] = up
	w.rows = append(w.rows, p)
	w.active[p] = true
}

// leave removes the j-th active row and makes R triangular again.
func (w *activeSet) leave(j int) {
	k := len(w.rows)
	w.active[w.rows[j]] = false
	first := w.r[j]
	copy(w.rows[j:], w.rows[j+1:])
	copy(w.u[j:k-1], w.u[j+1:k])
	copy(w.r[j:k-1], w.r[j+1:k])
	w.r[k-1] = first
	w.rows = w.rows[:k-1]
	for i := j; i < k-1; i++ { // column i has an entry below the diagonal
		a, b := w.r[i][i], w.r[i][i+1]
		h := math.Hypot(a, b)
		c, sn := a/h, b/h
		for _, col := range w.r[i : k-1] {
			col[i], col[i+1] = c*col[i]+sn*col[i+1], c*col[i+1]-sn*col[i]
		}
		for m, qa := range w.q[i] {
			qb := w.q[i+1][m]
			w.q[i][m], w.q[i+1][m] = c*qa+sn*qb, c*qb-sn*qa
		}
	}
}

// refine recomputes y from x as the projection on the intersection of the active
// hyperplanes, y = x - Q (Q^T x - R^-T b_W), free of the rounding of the steps.
func (w *activeSet) refine(s *halfspaces, x []float64) {
	copy(w.y, x)
	for k, p := range w.rows {
		t := s.b[p]
		for j := range k {
			t -= w.r[k][j] * w.c[j]
		}
		w.c[k] = t / w.r[k][k]
	}
	for k := range w.rows {
		q := w.q[k]
		floats.AddScaled(w.y, w.c[k]-floats.Dot(q, w.y), q)
	}
}
