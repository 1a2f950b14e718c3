package margin

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// Penalised solves the penalised lower level
//
//	minimise 1/gamma sum_j exp(1 - v_j.y) + 1/2 |y|^2   subject to   rows.y >= t.
//
// Its multipliers are in the scale of the lower objective:
// y - 1/gamma sum_j exp(1 - v_j.y) v_j = rows' mu. With t = 1 - C it is the
// penalised solution of arXiv 2406.10148 for f = sum exp + 1/2 |C|^2.
//
// Newton's method: at a feasible y the next point is y + s (y+ - y), where y+
// minimises the second-order model under the constraints (the dual active-set
// method in the metric H = I + 1/gamma sum_j exp(u_j) v_j v_j', u_j = 1 - v_j.y,
// started from the previous active set) and s in (0, 1] minimises the objective
// along the step.
//
// Above a level, exp(u) is continued by its second-order Taylor polynomial, which
// is convex and cannot overflow; the level rises until the solution lies below it,
// where the two problems are the same. Newton's method thus crosses in one step
// the region where exp(u) would let it advance by one unit of u per step.
//
// Assumptions: gamma > 0; the strong convexity of 1/2 |y|^2 makes the solution
// unique. Failure modes: no feasible point (a certificate is returned); constraints
// that force some u_j above 690, where exp overflows.
type Penalised struct {
	set        *activeSet
	validation blas64.General
	metric     *gram
	unit       diagonal
	ones       []float64

	y, step      []float64
	warm         bool
	want         []int
	m, mNext, dm []float64 // v.y, v.y+, v.(y+ - y)
	w, b         []float64 // weights of the Gram matrix and of gradients
	linear, work []float64
	cert         []float64
	err          InfeasibleError
}

const (
	startLevel = 4.0 // where the continuation of exp begins at first
	overflow   = 690.0
	newtonMax  = 200
)

// NewPenalised returns a solver for n x d training rows and m x d validation rows.
func NewPenalised(rows, validation blas64.General) (*Penalised, error) {
	if err := checkMatrix("rows", rows); err != nil {
		return nil, err
	}
	if err := checkMatrix("validation", validation); err != nil {
		return nil, err
	}
	n, d, m := rows.Rows, rows.Cols, validation.Rows
	if validation.Cols != d {
		return nil, inputError("validation has %d columns: allowed is %d, as rows", validation.Cols, d)
	}
	s := &Penalised{
		set: newActiveSet(rows), validation: validation, metric: newGram(validation),
		ones: make([]float64, d),
		y:    make([]float64, d), step: make([]float64, d), want: make([]int, 0, d),
		m: make([]float64, m), mNext: make([]float64, m), dm: make([]float64, m), w: make([]float64, m), b: make([]float64, m),
		linear: make([]float64, d), work: make([]float64, d), cert: make([]float64, n),
	}
	for j := range s.ones {
		s.ones[j] = 1
	}
	s.unit.d = s.ones
	return s, nil
}

// Reset forgets the previous solution.
func (s *Penalised) Reset() {
	s.warm = false
	s.want = s.want[:0]
}

// Start makes the next Solve start from y (length d) and the support of mu
// (length n): after it, Solve depends on its arguments alone.
func (s *Penalised) Start(y, mu []float64) error {
	if err := checkLen("y", y, len(s.y)); err != nil {
		return err
	}
	if err := checkLen("mu", mu, s.set.rows.Rows); err != nil {
		return err
	}
	if err := checkFinite("y", y); err != nil {
		return err
	}
	copy(s.y, y)
	s.want, s.warm = s.want[:0], true
	for i, v := range mu {
		if v > 0 && len(s.want) < cap(s.want) {
			s.want = append(s.want, i)
		}
	}
	return nil
}

// Solve writes the solution to y (length d) and its multipliers to mu (length
// n); t and the errors are those of MinNorm.Solve, with the residual relative
// to 1 + max|t| + max mu + 1/gamma sum_j exp(1 - v_j.y). gamma > 0.
func (s *Penalised) Solve(y, mu, t []float64, gamma float64) (Result, error) {
	a := s.set
	if err := checkSizes(a.rows, y, mu, t); err != nil {
		return Result{}, err
	}
	big, err := checkBounds(t)
	if err != nil {
		return Result{}, err
	}
	if !(gamma > 0) || math.IsInf(gamma, 0) {
		return Result{}, inputError("gamma = %v: allowed is a positive number", gamma)
	}
	tol, limit := 1e-12*(1+big), 20*(a.rows.Rows+a.d)
	var res Result

	// A feasible start: the previous solution where it still is one, otherwise
	// the feasible point nearest to it.
	blas64.Gemv(blas.NoTrans, 1, a.rows, vector(s.start()), 0, vector(a.slack))
	if violation(a.slack, t) > tol {
		for j, v := range s.y {
			s.linear[j] = -v
		}
		a.load(&s.unit, s.want)
		p, ok := a.solve(&s.unit, s.linear, t, tol, limit)
		res.Steps += a.steps
		if p >= 0 {
			a.write(y, mu)
			return res, a.farkas(&s.err, s.cert, s.work, p)
		}
		if !ok {
			return res, ErrNumerical
		}
		copy(s.y, a.y)
		s.want = append(s.want[:0], a.act...)
	}
	blas64.Gemv(blas.NoTrans, 1, s.validation, vector(s.y), 0, vector(s.m))

	level := startLevel
	for {
		steps, ok := s.newton(t, gamma, level, tol, big, limit)
		res.Steps += steps
		top := 1 - minimum(s.m)
		if !ok || top <= level || level == overflow {
			break
		}
		level = math.Min(top+1, overflow)
	}
	s.warm = true
	copy(a.y, s.y)
	a.write(y, mu)
	res.KKT, res.Value = s.measure(y, mu, t, gamma)
	if !(res.KKT.Max() <= 1e-10*s.scale(big)) {
		s.Reset()
		return res, ErrNumerical
	}
	return res, nil
}

// newton iterates at one level until the residual is at rounding. It leaves the
// solution in s.y, its margins in s.m, the multipliers in s.set.
func (s *Penalised) newton(t []float64, gamma, level, tol, big float64, limit int) (steps int, ok bool) {
	a, before := s.set, math.Inf(1)
	for steps = 1; steps <= newtonMax; steps++ {
		s.model(gamma, level)
		if !s.metric.cholesky(0) {
			return steps, false
		}
		a.load(s.metric, s.want)
		if p, ok := a.solve(s.metric, s.linear, t, tol, limit); p >= 0 || !ok {
			return steps, false
		}
		s.want = append(s.want[:0], a.act...)
		s.advance(gamma, level, s.scale(big))
		r, scale := s.residual(gamma, level), s.scale(big)
		// Convergence is quadratic: a residual that is small and no longer
		// falls has reached rounding.
		if r <= 1e-14*scale || r <= 1e-11*scale && r >= before/2 {
			return steps, true
		}
		before = r
	}
	return steps, false
}

// model writes the second-order model at s.y: its Hessian to s.metric and its
// linear term -1/gamma sum_j (E' + E” v_j.y) v_j to s.linear.
func (s *Penalised) model(gamma, level float64) {
	for j, m := range s.m {
		first, second := exponential(1-m, level)
		s.w[j] = second / gamma
		s.b[j] = (first + second*m) / gamma
	}
	s.metric.build(s.ones, s.w)
	blas64.Gemv(blas.Trans, -1, s.validation, vector(s.b), 0, vector(s.linear))
}

// advance moves s.y towards the model's solution by the step in (0, 1] that
// minimises the objective to one digit.
func (s *Penalised) advance(gamma, level, scale float64) {
	next := s.set.y
	blas64.Gemv(blas.NoTrans, 1, s.validation, vector(next), 0, vector(s.mNext))
	for j, v := range next {
		s.step[j] = v - s.y[j]
	}
	yp, pp := blas64.Dot(vector(s.y), vector(s.step)), blas64.Dot(vector(s.step), vector(s.step))
	slope := func(x float64) (first, second float64) {
		for j, m := range s.m {
			dm := s.mNext[j] - m
			e1, e2 := exponential(1-m-x*dm, level)
			first -= e1 * dm
			second += e2 * dm * dm
		}
		return first/gamma + yp + x*pp, second/gamma + pp
	}
	at0, _ := slope(0)
	at1, _ := slope(1)
	// The active constraints hold along the step to rounding only, and with
	// them the slope: below that the full step is taken.
	noise := 1e-12 * scale
	if at1 <= 0.1*math.Abs(at0)+noise {
		copy(s.y, next)
		copy(s.m, s.mNext)
		return
	}
	lo, hi, x := 0.0, 1.0, 0.5
	for range 60 {
		first, second := slope(x)
		if math.Abs(first) <= 0.1*math.Abs(at0)+noise {
			break
		}
		if first > 0 {
			hi = x
		} else {
			lo = x
		}
		if x -= first / second; !(x > lo && x < hi) {
			x = (lo + hi) / 2
		}
	}
	blas64.Axpy(x, vector(s.step), vector(s.y))
	for j, m := range s.m {
		s.m[j] = m + x*(s.mNext[j]-m)
	}
}

// residual returns the stationarity residual at s.y with the multipliers of s.set.
func (s *Penalised) residual(gamma, level float64) float64 {
	for j, m := range s.m {
		first, _ := exponential(1-m, level)
		s.b[j] = first / gamma
	}
	copy(s.work, s.y)
	blas64.Gemv(blas.Trans, -1, s.validation, vector(s.b), 1, vector(s.work))
	for k, i := range s.set.act {
		blas64.Axpy(-s.set.mu[k], vector(row(s.set.rows, i)), vector(s.work))
	}
	return maxAbs(s.work)
}

// measure returns the KKT residual of (y, mu) and the objective, from the data.
func (s *Penalised) measure(y, mu, t []float64, gamma float64) (KKT, float64) {
	blas64.Gemv(blas.NoTrans, 1, s.validation, vector(y), 0, vector(s.m))
	value := 0.5 * blas64.Dot(vector(y), vector(y))
	for j, m := range s.m {
		e := math.Exp(1-m) / gamma
		s.b[j] = e
		value += e
	}
	copy(s.work, y)
	blas64.Gemv(blas.Trans, -1, s.validation, vector(s.b), 1, vector(s.work))
	return measure(s.set.rows, s.set.slack, s.work, y, mu, t), value
}

// scale is what a residual is compared with; s.b holds the weights exp(u)/gamma.
func (s *Penalised) scale(big float64) float64 {
	for _, m := range s.set.mu {
		big = math.Max(big, m)
	}
	return 1 + big + blas64.Asum(vector(s.b))
}

// start returns the point the solver starts from: zero when it has none.
func (s *Penalised) start() []float64 {
	if !s.warm {
		clear(s.y)
	}
	return s.y
}

// exponential returns the first and second derivatives of exp(u), continued
// above the level by its second-order Taylor polynomial.
func exponential(u, level float64) (first, second float64) {
	if u <= level {
		e := math.Exp(u)
		return e, e
	}
	e := math.Exp(level)
	return e * (1 + u - level), e
}

// violation returns the largest t_i - slack_i, or 0.
func violation(ry, t []float64) float64 {
	worst := 0.0
	for i, v := range ry {
		worst = math.Max(worst, t[i]-v)
	}
	return worst
}

func minimum(v []float64) float64 {
	least := v[0]
	for _, x := range v[1:] {
		least = math.Min(least, x)
	}
	return least
}
