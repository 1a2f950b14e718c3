package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// newton minimises the augmented Lagrangian A over Z from the natural residual
//
//	R(z) = z - P(u),  u = z - t grad A(z),
//
// by semismooth Newton steps d with z + d = P(u) + D(d - t H d), D = DP(u), H
// the generalised Hessian of A. With d = -R + D w this is the symmetric system
//
//	( D - D² + t D H D ) w = D( t H - I ) R,
//
// positive semidefinite for convex A; elsewhere H is shifted until it is.
// Steps are projected and accepted by Armijo's rule on A, with a projected
// gradient step in reserve. t = 1/curvature along the gradient keeps the faces
// that D predicts honest when rho is large.
type newton struct {
	p          *program
	s          *solver
	rho, rho0  float64
	g, plain   []float64 // grad A (or grad L), grad F
	tmp, u, pu []float64
	next, dir  []float64
	r, w, rhs  []float64
	c, act     []float64 // constraint values, active weights (rho or 0)
	lam, jv    []float64
}

func newNewton(p *program, s *solver) *newton {
	v := func(n int) []float64 { return make([]float64, n) }
	return &newton{p: p, s: s, rho: 1, rho0: 1,
		g: v(p.n), plain: v(p.n), tmp: v(p.n), u: v(p.n), pu: v(p.n), next: v(p.n), dir: v(p.n),
		r: v(p.n), w: v(p.n), rhs: v(p.n), c: v(p.rows), act: v(p.rows), lam: v(p.rows), jv: v(p.rows)}
}

// scaleRho makes rho J'J ten times as stiff as F along a typical direction.
func (w *newton) scaleRho(z []float64) {
	p := w.p
	if p.rows == 0 {
		return
	}
	v := make([]float64, p.n)
	for i := range v {
		v[i] = 1 + 0.5*math.Sin(float64(i+1)) // no special direction
	}
	p.hess(w.tmp, z, v)
	p.jac(w.jv, z, v)
	h, j := floats.Norm(w.tmp, 2)/floats.Norm(v, 2), floats.Dot(w.jv, w.jv)/floats.Dot(v, v)
	if p.n > denseBelow && (p.hessian != nil || p.shape != nil) {
		if m := p.hessianAt(z); m != nil {
			h = math.Min(h, m.lowCurvature()) // nor few stiff variables all rows
		}
	}
	if !(h > 1e-3) || math.IsInf(h, 0) {
		h = 1e-3
	}
	if p.jacobian != nil {
		j = math.Min(j, p.jacobian.typicalRow()) // rows of many entries must not make the others soft
	}
	if !(j > 1e-12) || math.IsInf(j, 0) {
		j = 1
	}
	w.rho0 = 10 * h / j
	w.rho = w.rho0
}

// augmented returns A(z).
func (w *newton) augmented(z, mu []float64) float64 {
	a := w.p.value(z)
	if w.p.rows == 0 {
		return a
	}
	w.p.cons(w.c, z)
	for i, c := range w.c {
		l := mu[i] + w.rho*c
		if i >= w.p.eq && l < 0 {
			l = 0
		}
		a += (l*l - mu[i]*mu[i]) / (2 * w.rho)
	}
	return a
}

// augmentedGrad sets w.g to grad A(z), w.lam to the multipliers it implies and
// w.act to the weights of J'J in H.
func (w *newton) augmentedGrad(z, mu []float64) {
	p := w.p
	p.grad(w.g, z)
	if p.rows == 0 {
		return
	}
	p.cons(w.c, z)
	for i, c := range w.c {
		w.lam[i], w.act[i] = mu[i]+w.rho*c, w.rho
		if i >= p.eq && !(w.lam[i] > 0) {
			w.lam[i], w.act[i] = 0, 0
		}
	}
	p.jacT(w.tmp, z, w.lam)
	floats.Add(w.g, w.tmp)
}

// hessVec sets dst to H v at the last augmentedGrad point z.
func (w *newton) hessVec(dst, z, v []float64) {
	p := w.p
	p.hess(dst, z, v)
	if p.rows == 0 {
		return
	}
	p.jac(w.jv, z, v)
	for i := range w.jv {
		w.jv[i] *= w.act[i]
	}
	p.jacT(w.tmp, z, w.jv)
	floats.Add(dst, w.tmp)
	if p.curve != nil {
		p.curve(w.tmp, z, w.lam, v)
		floats.Add(dst, w.tmp)
	}
}

// minimise improves sol.z until |z - P(z - grad A)| <= tol; inaccurate says that
// the steps did not suffice.
func (w *newton) minimise(sol *solution, tol float64) solveStatus {
	p, z := w.p, sol.z
	a := w.augmented(z, sol.mu)
	w.augmentedGrad(z, sol.mu)
	hv := make([]float64, p.n)
	stalled := 0
	for range w.s.maxNewton {
		if w.s.stop != nil && w.s.stop() {
			return stopped
		}
		floats.SubTo(w.u, z, w.g)
		p.project(w.pu, w.u)
		res := floats.Distance(z, w.pu, 2)
		if res <= tol*(1+floats.Norm(w.g, math.Inf(1))) || math.IsNaN(res) {
			return solved
		}
		if a < -1e18 || floats.Norm(z, math.Inf(1)) > 1e12 {
			return unbounded
		}
		sol.steps++
		w.hessVec(hv, z, w.g)
		t := floats.Dot(w.g, w.g) / floats.Dot(w.g, hv)
		if !(t > 0) || math.IsInf(t, 0) {
			t = 1 / math.Max(1, floats.Norm(w.g, 2))
		}
		floats.AddScaledTo(w.u, z, -t, w.g)
		p.project(w.pu, w.u)
		floats.SubTo(w.r, z, w.pu)
		next, ok := math.NaN(), false
		if w.direction(z, t) {
			next, ok = w.search(z, sol.mu, a, res, w.dir, 30)
		}
		if !ok {
			floats.ScaleTo(w.dir, -1, w.r)
			next, ok = w.search(z, sol.mu, a, res, w.dir, 60)
		}
		if !ok {
			return solved // no step lowers A: the rounding floor
		}
		if next >= a-1e-15*math.Abs(a) {
			stalled++
		} else {
			stalled = 0
		}
		copy(z, w.next)
		a = next
		w.augmentedGrad(z, sol.mu)
		if stalled >= 4 {
			return solved
		}
	}
	return inaccurate
}

// search backtracks along d from z with projection. It leaves the point in
// w.next and returns A there.
func (w *newton) search(z, mu []float64, a, res float64, d []float64, tries int) (float64, bool) {
	p := w.p
	s := 1.0
	for range tries {
		floats.AddScaledTo(w.next, z, s, d)
		p.project(w.next, w.next)
		slope := 0.0
		for i, g := range w.g {
			slope += g * (w.next[i] - z[i])
		}
		if !(slope < 0) {
			s /= 2
			continue
		}
		next := w.augmented(w.next, mu)
		if next <= a+1e-4*slope {
			return next, true
		}
		// Below the rounding floor of A the residual decides.
		if math.Abs(next-a) <= 1e-13*(1+math.Abs(a)) && w.residualAt(w.next, mu) < 0.9*res {
			return next, true
		}
		s /= 2
	}
	return a, false
}

// residualAt is |z - P(z - grad A(z))|; it keeps w.g and w.act.
func (w *newton) residualAt(z, mu []float64) float64 {
	g, act, lam := append([]float64(nil), w.g...), append([]float64(nil), w.act...), append([]float64(nil), w.lam...)
	w.augmentedGrad(z, mu)
	floats.SubTo(w.tmp, z, w.g)
	w.p.project(w.tmp, w.tmp)
	res := floats.Distance(z, w.tmp, 2)
	copy(w.g, g)
	copy(w.act, act)
	copy(w.lam, lam)
	return res
}

// direction sets w.dir to the Newton step at z, or reports failure.
func (w *newton) direction(z []float64, t float64) bool {
	if h, free, ok := w.p.sparseAt(z, w.u); ok {
		return w.directionSparse(t, h, free)
	}
	if w.p.n > denseLimit {
		return w.directionCG(z, t)
	}
	n := w.p.n
	h := w.hessian(z)
	free := w.p.z == nil
	var d *mat.Dense
	m := mat.NewSymDense(n, nil)
	hr := make([]float64, n)
	mat.NewVecDense(n, hr).MulVec(h, mat.NewVecDense(n, w.r))
	for i := range hr {
		w.rhs[i] = t*hr[i] - w.r[i]
	}
	if free {
		m.ScaleSym(t, h)
	} else {
		d = matrix(n, n, func(dst, v []float64) { w.p.projectDeriv(dst, w.u, v) })
		rhs := mat.NewVecDense(n, append([]float64(nil), w.rhs...))
		mat.NewVecDense(n, w.rhs).MulVec(d, rhs)
		var hd, dhd, dd mat.Dense
		hd.Mul(h, d)
		dhd.Mul(d, &hd)
		dd.Mul(d, d)
		for i := range n {
			for j := i; j < n; j++ {
				m.SetSym(i, j, (d.At(i, j)+d.At(j, i)-dd.At(i, j)-dd.At(j, i)+t*(dhd.At(i, j)+dhd.At(j, i)))/2)
			}
		}
	}
	largest := 0.0
	for i := range n {
		largest = math.Max(largest, math.Abs(m.At(i, i)))
	}
	if !(largest > 0) || math.IsInf(largest, 0) {
		return false
	}
	var chol mat.Cholesky
	for shift := 1e-14 * largest; shift <= 10*largest; shift = math.Max(shift*100, 1e-8*largest) {
		for i := range n {
			m.SetSym(i, i, m.At(i, i)+shift)
		}
		if !chol.Factorize(m) {
			continue
		}
		sol := mat.NewVecDense(n, w.w)
		if err := chol.SolveVecTo(sol, mat.NewVecDense(n, w.rhs)); err != nil {
			if _, conditioned := err.(mat.Condition); !conditioned {
				return false
			}
		}
		if free {
			floats.SubTo(w.dir, w.w, w.r)
		} else {
			mat.NewVecDense(n, w.dir).MulVec(d, sol)
			floats.Sub(w.dir, w.r)
		}
		return !floats.HasNaN(w.dir)
	}
	return false
}

// directionSparse is direction where D keeps the free coordinates and fixes the
// others: with d = -R off the free ones, the step there solves
//
//	(F'' + rho J'J)_ff d_f = -R_f/t - (F'' + rho J'J)_fn d_n
//
// as the saddle system of F” and the active rows J.
func (w *newton) directionSparse(t float64, h *csr, free []bool) bool {
	var active []int
	for i, a := range w.act {
		if a > 0 {
			active = append(active, i)
		}
	}
	s := newSaddle(w.p, h, free, active, 1/w.rho)
	return s.step(w.dir, nil, func(i int) float64 { return -w.r[i] / t }, func(i int) float64 { return -w.r[i] }, nil, true)
}

// step solves for the step dir of all variables, known off the free ones, and q
// of the active rows, nil if not wanted: the right-hand sides are right(i) at a free variable i and
// rows[k] at the k-th active row, nil for zero. With convexify H is shifted
// until the step is one of descent.
func (s *saddle) step(dir, q []float64, right, fixed func(i int) float64, rows []float64, convexify bool) bool {
	n, k := s.p.n, len(s.active)
	a, b := make([]float64, n), make([]float64, k)
	copy(b, rows)
	for i := range n {
		dir[i] = 0
		if s.at[i] < 0 {
			dir[i] = fixed(i)
		} else {
			a[i] = right(i)
		}
	}
	for i := range n {
		if s.at[i] >= 0 {
			ind, val := s.h.row(i)
			for x, j := range ind {
				a[i] -= val[x] * dir[j]
			}
		}
	}
	for m, r := range s.active {
		ind, val := s.p.jacobian.row(r)
		for x, j := range ind {
			b[m] -= val[x] * dir[j]
		}
	}
	if q == nil {
		q = make([]float64, k)
	}
	d := make([]float64, n)
	for shift := shiftShare * s.size; shift <= 10*s.size; shift *= 100 {
		if definite := s.factorise(shift, s.floor()); s.factors == nil || convexify && !definite {
			continue
		}
		exact := 0.0
		if shift > shiftShare*s.size {
			exact = shift
		}
		if left := s.solve(d, q, a, b, exact); left > 1e-3 || floats.HasNaN(d) {
			continue
		}
		for i := range n {
			if s.at[i] >= 0 {
				dir[i] = d[i]
			}
		}
		return true
	}
	return false
}

// hessian assembles H at the last augmentedGrad point z.
func (w *newton) hessian(z []float64) *mat.SymDense {
	p := w.p
	h := mat.NewSymDense(p.n, nil)
	h.CopySym(p.lagrangianHessian(&solution{z: z, mu: w.lam}))
	var active []int
	for i, a := range w.act {
		if a > 0 {
			active = append(active, i)
		}
	}
	if len(active) > 0 {
		var jj mat.SymDense
		jj.SymOuterK(w.rho, p.rowsAt(z, active).T())
		h.AddSym(h, &jj)
	}
	return h
}
