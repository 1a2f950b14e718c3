package margin

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// MinNorm solves
//
//	minimise 1/2 y'Dy + c'y   subject to   rows.y >= t
//
// with D diagonal and positive (the identity until SetDiagonal) and c = 0 until
// SetLinear, by the dual active-set method. With t = 1 - C it is the lower level
// of the slack-eliminated SVM (arXiv 2406.10148): y = (w, b), multipliers
// mu >= 0 with Dy + c = rows' mu, and dv/dC = -mu.
//
// Where more than d constraints are active the multipliers are not unique: the
// ones returned have at most d nonzero entries.
type MinNorm struct {
	set            *activeSet
	diag           *diagonal
	linear         []float64
	work           []float64
	want           []int
	cert           []float64
	cone, gradient []float64 // right-hand sides and linear term of Multipliers
	fresh          bool
	err            InfeasibleError
}

// NewMinNorm returns a solver for the n x d matrix rows.
func NewMinNorm(rows blas64.General) (*MinNorm, error) {
	if err := checkMatrix("rows", rows); err != nil {
		return nil, err
	}
	s := &MinNorm{
		set: newActiveSet(rows), diag: &diagonal{d: make([]float64, rows.Cols)},
		linear: make([]float64, rows.Cols), work: make([]float64, rows.Cols), want: make([]int, 0, rows.Cols), cert: make([]float64, rows.Rows), fresh: true,
		cone: make([]float64, rows.Rows), gradient: make([]float64, rows.Cols),
	}
	for j := range s.diag.d {
		s.diag.d[j] = 1
	}
	return s, nil
}

// SetDiagonal sets D, d positive numbers; the next solve starts afresh.
func (s *MinNorm) SetDiagonal(d []float64) error {
	if err := checkLen("diagonal", d, len(s.diag.d)); err != nil {
		return err
	}
	for j, v := range d {
		if !(v > 0) || math.IsInf(v, 0) {
			return inputError("diagonal[%d] = %v: allowed is a positive number", j, v)
		}
	}
	copy(s.diag.d, d)
	s.fresh = true
	return nil
}

// SetLinear sets c, d finite numbers.
func (s *MinNorm) SetLinear(c []float64) error {
	if err := checkLen("linear", c, len(s.linear)); err != nil {
		return err
	}
	if err := checkFinite("linear", c); err != nil {
		return err
	}
	copy(s.linear, c)
	return nil
}

// Reset forgets the previous solution.
func (s *MinNorm) Reset() { s.fresh = true }

// Start makes the support of mu (length n) the active set that the next Solve
// starts from, in the order of the rows: after it, Solve depends on its
// arguments alone.
func (s *MinNorm) Start(mu []float64) error {
	if err := checkLen("mu", mu, s.set.rows.Rows); err != nil {
		return err
	}
	want := s.want[:0]
	for i, m := range mu {
		if m > 0 && len(want) < cap(want) {
			want = append(want, i)
		}
	}
	s.set.load(s.diag, want)
	s.fresh = false
	return nil
}

// Solve writes the solution to y (length d) and its multipliers to mu (length
// n). An entry -Inf of t takes its constraint out. The error is an
// *InfeasibleError when no y satisfies the constraints, ErrInput for a wrong
// argument, ErrNumerical when the residual exceeds 1e-10 relative to
// 1 + max|t| + max mu.
func (s *MinNorm) Solve(y, mu, t []float64) (Result, error) {
	a := s.set
	if err := checkSizes(a.rows, y, mu, t); err != nil {
		return Result{}, err
	}
	big, err := checkBounds(t)
	if err != nil {
		return Result{}, err
	}
	if s.fresh {
		a.reset(s.diag)
	}
	s.fresh = false
	p, ok := a.solve(s.diag, s.linear, t, 1e-12*(1+big), 20*(a.rows.Rows+a.d))
	a.write(y, mu)
	res := Result{Steps: a.steps, KKT: s.measure(y, mu, t)}
	for j, v := range y {
		res.Value += v * (0.5*s.diag.d[j]*v + s.linear[j])
	}
	if p >= 0 {
		return res, a.farkas(&s.err, s.cert, s.work, p)
	}
	for _, m := range mu {
		big = math.Max(big, m)
	}
	if !ok || !(res.KKT.Max() <= 1e-10*(1+big)) {
		s.fresh = true
		return res, ErrNumerical
	}
	return res, nil
}

// Multipliers writes to mu (length n) the multipliers that come nearest to
// proving y (length d) the solution: mu >= 0, zero where rows_i.y exceeds t_i by
// more than 1e-9 (1 + |t_i|), minimising |Dy + c - rows' mu| in the metric of
// D^-1. The result's KKT residual is that of (y, mu): within rounding it is zero
// exactly if y solves the problem. This is the non-negative least-squares problem
//
//	minimise 1/2 z'Dz + (Dy + c)'z   subject to   rows_i.z >= 0, i active,
//
// with Dz = rows' mu - (Dy + c). The next Solve starts afresh.
func (s *MinNorm) Multipliers(mu, y, t []float64) (Result, error) {
	a := s.set
	if err := checkSizes(a.rows, y, mu, t); err != nil {
		return Result{}, err
	}
	if err := checkFinite("y", y); err != nil {
		return Result{}, err
	}
	if _, err := checkBounds(t); err != nil {
		return Result{}, err
	}
	blas64.Gemv(blas.NoTrans, 1, a.rows, vector(y), 0, vector(a.slack))
	for i, v := range a.slack {
		if v-t[i] <= 1e-9*(1+math.Abs(t[i])) {
			s.cone[i] = 0
		} else {
			s.cone[i] = math.Inf(-1)
		}
	}
	g, big := s.gradient, 1.0
	for j, v := range y {
		g[j] = s.diag.d[j]*v + s.linear[j]
		big = math.Max(big, math.Abs(g[j]))
	}
	a.reset(s.diag)
	s.fresh = true
	_, ok := a.solve(s.diag, g, s.cone, 1e-13*big, 20*(a.rows.Rows+a.d))
	a.write(nil, mu)
	res := Result{Steps: a.steps, KKT: s.measure(y, mu, t)}
	for j, v := range y {
		res.Value += v * (0.5*s.diag.d[j]*v + s.linear[j])
	}
	if !ok {
		return res, ErrNumerical
	}
	return res, nil
}

func checkSizes(rows blas64.General, y, mu, t []float64) error {
	if err := checkLen("y", y, rows.Cols); err != nil {
		return err
	}
	if err := checkLen("mu", mu, rows.Rows); err != nil {
		return err
	}
	return checkLen("t", t, rows.Rows)
}

// measure returns the KKT residual of (y, mu).
func (s *MinNorm) measure(y, mu, t []float64) KKT {
	g := s.work
	for j, v := range y {
		g[j] = s.diag.d[j]*v + s.linear[j]
	}
	return measure(s.set.rows, s.set.slack, g, y, mu, t)
}

// measure returns the KKT residual of rows.y >= t with objective gradient g,
// which it overwrites, as it does slack (length n).
func measure(rows blas64.General, slack, g, y, mu, t []float64) KKT {
	var k KKT
	blas64.Gemv(blas.Trans, -1, rows, vector(mu), 1, vector(g))
	for _, v := range g {
		k.Stationarity = math.Max(k.Stationarity, math.Abs(v))
	}
	blas64.Gemv(blas.NoTrans, 1, rows, vector(y), 0, vector(slack))
	for i, v := range slack {
		v -= t[i]
		k.Feasibility = math.Max(k.Feasibility, math.Max(-v, -mu[i]))
		if mu[i] != 0 {
			k.Complementarity = math.Max(k.Complementarity, math.Abs(mu[i]*v))
		}
	}
	return k
}

// write copies the solution out.
func (s *activeSet) write(y, mu []float64) {
	copy(y, s.y)
	clear(mu)
	for j, i := range s.act {
		mu[i] = math.Max(s.mu[j], 0)
	}
}

// farkas fills e with the certificate that constraint p cannot be met.
func (s *activeSet) farkas(e *InfeasibleError, cert, sum []float64, p int) error {
	clear(cert)
	cert[p] = 1
	copy(sum, row(s.rows, p))
	e.Value = s.t[p]
	for j, i := range s.act {
		if r := s.step[j]; r < 0 {
			cert[i] = -r
			e.Value -= r * s.t[i]
			blas64.Axpy(-r, vector(row(s.rows, i)), vector(sum))
		}
	}
	e.Row, e.Certificate, e.Residual = p, cert, blas64.Nrm2(vector(sum))
	return e
}

// diagonal is the metric diag(d).
type diagonal struct{ d []float64 }

func (h *diagonal) solve(v []float64) {
	for j, d := range h.d {
		v[j] /= d
	}
}

func (h *diagonal) factor(b blas64.General) {
	for i, d := range h.d {
		line := row(b, i)
		clear(line)
		line[i] = 1 / math.Sqrt(d)
	}
}
