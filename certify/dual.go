package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// dualBound bounds the least value of p over its feasible points from below, for
// convex p and any multipliers mu, by weak duality:
//
//	d(mu) = min over Z of L(., mu),  L = F + <mu, c>,
//
// with negative inequality multipliers set to 0. L is minimised from start, and
// at the point z reached, with G = grad L(z), q = P(z - t G) and r = (z - q)/t,
// every z' in Z has
//
//	L(z') >= L(z) + <G, z'-z> + m/2 |z'-z|² >= L(z) + t|r|² - t<G,r> + <r, z'-z> + m/2 |z'-z|²
//
// (the second step is the projection's inequality <z - tG - q, z' - q> <= 0). The
// last two terms are at least -|r|²/(2m) when L is m-strongly convex, and at
// least -|r| radius for |z'-z| <= radius.
func (s *solver) dualBound(p *program, mu, start []float64, modulus, radius float64) float64 {
	clipped := append([]float64(nil), mu...)
	for i := p.eq; i < len(clipped); i++ {
		if !(clipped[i] > 0) {
			clipped[i] = 0
		}
	}
	if modulus == 0 && p.rows > 0 {
		start = append([]float64(nil), start...)
		p.refine(clipped, start)
	}
	l := p.lagrangian(clipped)
	sol := s.solve(l, start, nil)
	if sol.status == stopped || sol.status == unbounded {
		return math.Inf(-1)
	}
	z, n := sol.z, p.n
	g, q := make([]float64, n), make([]float64, n)
	l.grad(g, z)
	best := math.Inf(-1)
	// The bound holds for every t; small t helps far from, large t near a face.
	for _, t := range []float64{1, 1e-3, 1e3} {
		floats.AddScaledTo(q, z, -t, g)
		p.project(q, q)
		floats.SubTo(q, z, q)
		floats.Scale(1/t, q)
		rr := floats.Dot(q, q)
		b := sol.value + t*rr - t*floats.Dot(g, q)
		if modulus > 0 {
			b -= math.Min(rr/(2*modulus), math.Sqrt(rr)*radius)
		} else {
			b -= math.Sqrt(rr) * radius
		}
		best = math.Max(best, b)
	}
	return best
}

// refine moves the positive multipliers and those of equations by the least change
// that cancels D grad L at z, D the face of Z. Where L has directions without
// curvature, d(mu) is finite only for multipliers that cancel its slope along
// them. A multiplier that would turn negative becomes 0, and the rest try again.
// With a sparse Hessian H of F, z moves too, and both changes w and delta are the least with
// D (grad L + H w + J'delta) = 0 in the sense of w'Hw + |delta|².
func (p *program) refine(mu, z []float64) {
	n := p.n
	g, u, r := make([]float64, n), make([]float64, n), make([]float64, n)
	full, dv, back := make([]float64, p.rows), make([]float64, n), make([]float64, n)
	p.lagrangianGrad(g, z, mu, u)
	floats.SubTo(u, z, g)
	for range 6 {
		var on []int
		for i, m := range mu {
			if i < p.eq || m > 0 {
				on = append(on, i)
			}
		}
		// forward sets dst (rows on) to J D v, backward sets back to D J' w.
		forward := func(dst, v []float64) {
			p.projectDeriv(dv, u, v)
			p.jac(full, z, dv)
			for k, i := range on {
				dst[k] = full[i]
			}
		}
		backward := func(w []float64) {
			clear(full)
			for k, i := range on {
				full[i] = w[k]
			}
			p.jacT(dv, z, full)
			p.projectDeriv(back, u, dv)
		}
		rhs, delta := make([]float64, len(on)), make([]float64, len(on))
		p.lagrangianGrad(g, z, mu, back)
		p.projectDeriv(r, u, g)
		floats.Scale(-1, r)
		if h, free, ok := p.sparseAt(z, u); ok {
			s := newSaddle(p, h, free, on, 1)
			if !s.factorise(shiftShare*s.size, 0) {
				return
			}
			s.solve(dv, delta, r, rhs, 0)
			floats.Add(z, dv)
		} else {
			forward(rhs, r)
			conjugateGradients(delta, rhs, func(dst, w []float64) {
				backward(w)
				copy(r, back)
				forward(dst, r)
			}, nil, 1e-8, 200, nil)
		}
		again := false
		for k, i := range on {
			mu[i] += delta[k]
			if i >= p.eq && mu[i] < 0 {
				mu[i], again = 0, true
			}
		}
		if !again {
			return
		}
	}
}

// lagrangian is min over Z of F + <mu, c>, without rows.
func (p *program) lagrangian(mu []float64) *program {
	l := *p
	l.rows, l.eq, l.jacobian, l.order = 0, 0, nil, new([]int)
	if p.rows == 0 {
		return &l
	}
	c, tmp := make([]float64, p.rows), make([]float64, p.n)
	l.value = func(z []float64) float64 {
		p.cons(c, z)
		return p.value(z) + floats.Dot(mu, c)
	}
	l.grad = func(dst, z []float64) {
		p.grad(dst, z)
		p.jacT(tmp, z, mu)
		floats.Add(dst, tmp)
	}
	if p.curve != nil {
		l.hessian, l.shape = nil, nil
		l.hess = func(dst, z, v []float64) {
			p.hess(dst, z, v)
			p.curve(tmp, z, mu, v)
			floats.Add(dst, tmp)
		}
	}
	return &l
}

// leastEigenvalue is the smallest eigenvalue of h, NaN when the decomposition
// fails. Beyond denseBelow variables it is bounded from below by factorising h
// less multiples of the identity: to a factor of two when positive, and as one of 0,
// -1e-10 and -Inf, relative to the size of h, when not.
func leastEigenvalue(h *csr) float64 {
	if h.rows <= denseBelow {
		var e mat.EigenSym
		if !e.Factorize(h.dense(), false) {
			return math.NaN()
		}
		return floats.Min(e.Values(nil))
	}
	p, free := &program{n: h.rows}, make([]bool, h.rows)
	for i := range free {
		free[i] = true
	}
	s := newSaddle(p, h, free, nil, 0)
	size := h.maxAbs()
	switch {
	case size == 0:
		return 0
	case !s.factorise(1e-8*size, 0):
		return math.Inf(-1)
	case !s.factorise(1e-12*size, 0):
		return -1e-10 * size
	}
	for share := 1.0; share > 1e-8; share /= 2 {
		if s.factorise(-share*size, 0) {
			return share * size
		}
	}
	return 0
}

// extentLimit is the largest dimension in which the extent of a set is measured.
const extentLimit = 5000

// extent returns the ranges of the coordinates of a bounded set, and false when
// some coordinate has none. A projection of a far point lands within
// diameter²/distance of the extreme one, which at this distance is below rounding.
func (p *program) extent() (lo, hi []float64, bounded bool) {
	if p.z == nil || p.n > extentLimit {
		return nil, nil, false
	}
	const far = 1e12
	lo, hi = make([]float64, p.n), make([]float64, p.n)
	e, q := make([]float64, p.n), make([]float64, p.n)
	for i := range p.n {
		e[i] = far
		p.project(q, e)
		hi[i] = q[i]
		e[i] = -far
		p.project(q, e)
		lo[i] = q[i]
		e[i] = 0
		if math.Abs(hi[i]) > 1e-3*far || math.Abs(lo[i]) > 1e-3*far {
			return nil, nil, false
		}
	}
	return lo, hi, true
}
