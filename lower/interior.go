package lower

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
)

// InteriorPoint is a primal-dual interior-point method with a predictor and a
// corrector step. With all constraints, those of Y included, written as e(y) = 0
// and r(y) + s = 0, s >= 0, it follows
//
//	r_d = grad F + E^T w + J^T z = 0,   e = 0,   r_p = r + s = 0,   s_i z_i = sigma mu
//
// to mu = 0. Each step solves, with H the Hessian of F + <w, e> + <z, r>,
//
//	[ H  E^T  J^T    ] [dy]   [ -r_d            ]
//	[ E  0    0      ] [dw] = [ -e              ]         ds = -r_p - J dy
//	[ J  0   -S Z^-1 ] [dz]   [ -r_p + Z^-1 r_c ]
//
// first with r_c = s z (predictor; it gives sigma = (mu_aff/mu)^3), then with r_c
// = s z + ds_aff dz_aff - sigma mu (corrector), and goes a common fraction of the
// way to the boundary of s, z >= 0, halved while the residuals grow. When the
// iterate is close to a solution, and at the start from the given point,
// activeSetNewton takes over and ends at full precision.
//
// Assumptions: F and r convex, e affine; strict convexity, a Slater point and
// independent constraints are not needed (system regularises). N Hessian products
// and about N^3/3 + Rows N^2 operations per step: N to about 600. For nonconvex F
// it finds a stationary point. Failure modes: residuals stay near rounding times
// the size of F; problems scaled far from 1.
//
// Source: Mehrotra, SIAM J. Optim. 2 (1992); Nocedal and Wright, Numerical
// Optimization, algorithm 19.1 for the nonlinear form.
//
// The result depends on the problem, the given point and the tolerance alone.
// Solves allocate nothing after the first, up to about 300 variables, beyond
// which gonum's matrix products start goroutines.
type InteriorPoint struct {
	// MaxIterations limits the interior-point steps of one solve; 0 is 200.
	MaxIterations int

	meter  Meter
	cert   certificate
	rows   rows
	system system
	newton activeSetNewton

	p          *Problem
	tolerance  float64
	stop       func() bool
	stopped    bool
	iterations int
	scale, far float64    // size of the multipliers expected; distance that counts as infinite
	mu         float64    // mean of s_i z_i
	recent     [5]float64 // largest residuals of the last steps

	y, z, s          []float64 // iterate; z holds w and z, s only slacks
	rd, rp           []float64 // r_d; e and r_p
	a, b, ds         []float64 // step dy, (dw, dz), ds
	yTry, zTry, sTry []float64
	best             Residuals // of (bestY, bestMu)
	bestY, bestMu    []float64
	tryY, tryMu      []float64
}

// Solve implements [Solver] for problems whose set has a Description (package set).
func (s *InteriorPoint) Solve(p *Problem, y, mu []float64, tolerance float64, stop func() bool) (Info, error) {
	if !s.rows.load(p) {
		return Info{}, unsuited("InteriorPoint", fmt.Sprintf("a problem on a set with a description, not on %v", p.Y))
	}
	s.load(p, tolerance, stop)
	if p.Y != nil {
		p.Y.Project(y, y)
	}
	for i := p.Equalities; i < p.Rows; i++ {
		mu[i] = math.Max(mu[i], 0)
	}
	s.best = s.meter.Measure(p, y, mu)
	copy(s.bestY, y)
	copy(s.bestMu, mu)
	err := s.run(y, mu)
	copy(y, s.bestY)
	copy(mu, s.bestMu)
	info := Info{Residuals: s.best, Converged: s.best.Max() <= tolerance, Iterations: s.iterations}
	if info.Converged {
		err = nil
	}
	return info, err
}

func (s *InteriorPoint) load(p *Problem, tolerance float64, stop func() bool) {
	r := &s.rows
	s.p, s.tolerance, s.stop, s.stopped, s.iterations = p, tolerance, stop, false, 0
	s.system.load(r)
	s.system.fixedHessian, s.system.haveHessian = p.Quadratic && len(r.desc.Balls) == 0, false
	for _, v := range [...]*[]float64{&s.y, &s.rd, &s.a, &s.yTry, &s.bestY, &s.tryY} {
		*v = resize(*v, r.n)
	}
	for _, v := range [...]*[]float64{&s.z, &s.rp, &s.b, &s.zTry} {
		*v = resize(*v, r.m)
	}
	for _, v := range [...]*[]float64{&s.s, &s.ds, &s.sTry} {
		*v = resize(*v, r.m-r.equal)
	}
	s.bestMu, s.tryMu = resize(s.bestMu, p.Rows), resize(s.tryMu, p.Rows)
}

// run improves s.best from (y, mu) until it meets the tolerance.
func (s *InteriorPoint) run(y, mu []float64) error {
	r := &s.rows
	copy(s.y, y)
	r.setMultipliers(s.z, mu)
	r.eval(s.y)
	if !finite(r.grad) || !finite(r.value) {
		return notFinite()
	}
	if s.best.Max() <= s.tolerance {
		return nil
	}
	if s.best.Max() <= 0.1*(1+largest(r.grad)) {
		s.newton.guess(r, s.y, s.z)
		if s.polish(6) || s.stopped {
			return nil
		}
		r.eval(s.y)
	}
	s.start()
	limit := s.MaxIterations
	if limit == 0 {
		limit = 200
	}
	tried, worse := math.Inf(1), 0
	for k := range limit {
		if s.halt() {
			return nil
		}
		s.iterations++
		err := s.residual(s.y, s.z, s.s)
		s.recent[k%len(s.recent)] = err
		if s.offer(s.y, s.z) || err <= 1e-15*s.scale {
			break
		}
		if err <= 1e-3*s.scale && err <= 1e-2*tried {
			tried = err
			s.newton.guessFrom(r, s.y, s.z, s.s, math.Max(1, largest(s.z))/math.Max(1, largest(s.s)))
			if s.polish(8) {
				return nil
			}
			s.residual(s.y, s.z, s.s)
		}
		t, ok := s.step()
		if !ok {
			break
		}
		if t < 1e-8 {
			if worse++; worse == 5 {
				break
			}
		}
		if gone := s.noSolution(t); gone != nil {
			return gone
		}
	}
	if s.best.Max() <= s.tolerance {
		return nil
	}
	s.newton.guessFrom(r, s.y, s.z, s.s, 1)
	if s.polish(30) || s.stopped {
		return nil
	}
	if v, yes := s.cert.search(s.p, s.bestY, s.best.Primal, s.stop); yes {
		return infeasible(v)
	}
	if s.p.Rows == 0 && escapes(s.p, s.tryY, y, s.y, s.far) {
		return unbounded(s.y)
	}
	return nil
}

func (s *InteriorPoint) halt() bool {
	s.stopped = s.stopped || s.stop != nil && s.stop()
	return s.stopped
}

// start puts slacks and multipliers into the interior.
func (s *InteriorPoint) start() {
	r := &s.rows
	s.scale = math.Min(math.Max(largest(r.grad), 1), 1e4)
	s.far = escape * (1 + floats.Norm(s.y, 2))
	for i := range s.s {
		s.s[i] = math.Max(-r.value[r.equal+i], 1)
		s.z[r.equal+i] = math.Max(s.z[r.equal+i], s.scale/s.s[i])
	}
	for i := range s.recent {
		s.recent[i] = 0
	}
}

// residual evaluates the rows at y and sets rd, rp and mu; it returns the largest
// residual, the complementarity included.
func (s *InteriorPoint) residual(y, z, slack []float64) float64 {
	r := &s.rows
	r.eval(y)
	r.jacobian(y)
	copy(s.rd, r.grad)
	r.addT(s.rd, z)
	copy(s.rp, r.value)
	floats.Add(s.rp[r.equal:], slack)
	s.mu = 0
	gap := 0.0
	for i, v := range slack {
		s.mu += v * z[r.equal+i]
		gap = math.Max(gap, v*z[r.equal+i])
	}
	s.mu /= float64(max(len(slack), 1))
	return worst(worst(largest(s.rd), largest(s.rp)), gap)
}

// step does a predictor-corrector step from the present point, where residual
// was evaluated last, and returns its length; false when none can be computed.
func (s *InteriorPoint) step() (t float64, ok bool) {
	r, k := &s.rows, &s.system
	if !k.fixedHessian || !k.haveHessian {
		k.size = r.hessian(k.h, s.y, s.z)
		k.haveHessian = true
	}
	for i := range k.q {
		k.q[i] = 0
		if i >= r.equal {
			k.q[i] = s.s[i-r.equal] / s.z[i]
		}
	}
	if k.size-k.size != 0 || !k.factor() {
		return 0, false
	}
	s.direction(0, false)
	sigma := 0.0
	if len(s.s) > 0 {
		t = s.boundary(1)
		affine := 0.0
		for i, v := range s.s {
			affine += (v + t*s.ds[i]) * (s.z[r.equal+i] + t*s.b[r.equal+i])
		}
		ratio := math.Max(affine/float64(len(s.s))/s.mu, 0)
		sigma = math.Min(ratio*ratio*ratio, 1)
		s.direction(sigma, true)
		if s.boundary(1) < 0.1 { // the second-order term misleads
			s.direction(math.Max(sigma, 0.5), false)
		}
	}
	t = s.boundary(math.Max(0.995, 1-s.mu))
	bar := 0.0
	for _, v := range s.recent {
		bar = math.Max(bar, v)
	}
	for ; t > 1e-14; t /= 2 {
		floats.AddScaledTo(s.yTry, s.y, t, s.a)
		floats.AddScaledTo(s.zTry, s.z, t, s.b)
		floats.AddScaledTo(s.sTry, s.s, t, s.ds)
		err := s.residual(s.yTry, s.zTry, s.sTry)
		if err <= 10*bar || r.flat && s.p.Quadratic && err-err == 0 {
			s.y, s.yTry = s.yTry, s.y
			s.z, s.zTry = s.zTry, s.z
			s.s, s.sTry = s.sTry, s.s
			return t, true
		}
	}
	return 0, false
}

// direction sets a = dy, b = (dw, dz) and ds for the centring sigma; with second
// the present ds and dz are the predictor's and enter r_c.
func (s *InteriorPoint) direction(sigma float64, second bool) {
	r := &s.rows
	for i, v := range s.s {
		j := r.equal + i
		rc := v*s.z[j] - sigma*s.mu
		if second {
			rc += s.ds[i] * s.b[j]
		}
		s.b[j] = -s.rp[j] + rc/s.z[j]
	}
	for i := range r.equal {
		s.b[i] = -s.rp[i]
	}
	floats.ScaleTo(s.a, -1, s.rd)
	s.system.solve(s.a, s.b, 3)
	r.mul(s.system.t, s.a)
	for i := range s.ds {
		s.ds[i] = -s.rp[r.equal+i] - s.system.t[r.equal+i]
	}
}

// boundary is the largest step in (0, 1] that keeps the fraction f of the way to
// the boundary.
func (s *InteriorPoint) boundary(f float64) float64 {
	t := 1 / f
	for i, v := range s.s {
		if d := s.ds[i]; d < 0 {
			t = math.Min(t, -v/d)
		}
		j := s.rows.equal + i
		if d := s.b[j]; d < 0 {
			t = math.Min(t, -s.z[j]/d)
		}
	}
	return math.Min(1, f*t)
}

// polish runs the active-set Newton method from its guess; true when the
// tolerance is met.
func (s *InteriorPoint) polish(steps int) bool {
	for range steps {
		if s.halt() || !s.newton.step(&s.rows, &s.system) {
			break
		}
		s.iterations++
		if s.offer(s.newton.y, s.newton.z) {
			return true
		}
		changed := s.newton.update(&s.rows)
		if !changed && s.system.fixedHessian {
			break // a second step would repeat the first
		}
	}
	return false
}

// offer measures a point, keeps it if it is the best so far, and reports whether
// the best meets the tolerance.
func (s *InteriorPoint) offer(y, z []float64) bool {
	copy(s.tryY, y)
	s.rows.multipliers(s.tryMu, z)
	if s.p.Y != nil {
		s.p.Y.Project(s.tryY, s.tryY)
	}
	for i := s.p.Equalities; i < s.p.Rows; i++ {
		s.tryMu[i] = math.Max(s.tryMu[i], 0)
	}
	if r := s.meter.Measure(s.p, s.tryY, s.tryMu); r.Max() < s.best.Max() || math.IsNaN(s.best.Max()) {
		s.best = r
		copy(s.bestY, s.tryY)
		copy(s.bestMu, s.tryMu)
	}
	return s.best.Max() <= s.tolerance
}

// noSolution looks for proofs of infeasibility and for an escape to infinity.
func (s *InteriorPoint) noSolution(t float64) error {
	r := &s.rows
	size := floats.Norm(s.y, 2)
	if s.p.Rows > 0 && (t < 1e-2 || size > s.far || largest(s.z) > 1e6*s.scale) {
		r.multipliers(s.tryMu, s.z)
		copy(s.tryY, s.y)
		if s.p.Y != nil {
			s.p.Y.Project(s.tryY, s.tryY)
		}
		if s.cert.infeasible(s.p, s.tryY, s.tryMu) {
			return infeasible(largest(s.rp))
		}
	}
	if size > s.far {
		if v, yes := s.cert.search(s.p, s.bestY, largest(s.rp), s.stop); yes {
			return infeasible(v)
		}
		return unbounded(s.y)
	}
	return nil
}
