package lower

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// APG is the accelerated projected gradient method with backtracking and
// adaptive restart,
//
//	y+     = Proj_Y( z - s grad F(z) )
//	t+     = ( 1 + sqrt(1 + 4 t^2) ) / 2
//	z+     = y+ + (t - 1)/t+ (y+ - y)
//
// where s is halved until F(y+) <= F(z) + <grad F(z), y+ - z> + |y+ - z|^2/(2s)
// and grows by a tenth per iteration, and the momentum is dropped (t = 1, z = y)
// when <z - y+, y+ - y> > 0. Where differences of F drown in rounding, the
// inequality of the gradients <grad F(y+) - grad F(z), y+ - z> <= |y+ - z|^2/s
// stands in for it.
//
// Assumptions: F convex with a locally Lipschitz gradient on Y, no constraints
// besides Y. Failure modes: slow (square root of the condition number) on badly
// scaled F; for nonconvex F it finds a stationary point only.
//
// Source: Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009); adaptive restart by
// the gradient rule of arXiv 1204.3982, section 3.2.
type APG struct {
	// MaxIterations limits one solve; 0 is 100000.
	MaxIterations int

	meter       Meter
	z, gz, next []float64
	gn, start   []float64
}

// escape is the distance, relative to 1 + |start|, beyond which a minimiser is
// taken to be at infinity.
const escape = 1e10

// Solve implements [Solver]. Problems with Rows > 0 are refused.
func (a *APG) Solve(p *Problem, y, mu []float64, tolerance float64, stop func() bool) (Info, error) {
	if p.Rows > 0 {
		return Info{}, unsuited("APG", "a problem without constraints besides Y")
	}
	n := p.N
	for _, v := range [...]*[]float64{&a.z, &a.gz, &a.next, &a.gn, &a.start} {
		*v = resize(*v, n)
	}
	limit := a.MaxIterations
	if limit == 0 {
		limit = 100000
	}
	if p.Y != nil {
		p.Y.Project(y, y)
	}
	far := escape * (1 + floats.Norm(y, 2))
	copy(a.start, y)
	copy(a.z, y)
	fz := p.Value(a.z)
	p.Grad(a.gz, a.z)
	if !finite(a.gz) || fz-fz != 0 {
		return Info{}, notFinite()
	}
	s := a.firstStep(p)
	t := 1.0
	var info Info
	for info.Iterations = 0; ; info.Iterations++ {
		done := info.Iterations >= limit || stop != nil && stop()
		// |y - Proj(y - s grad)|/s bounds the residual at step 1 from above when s <= 1.
		fn, dist := a.backtrack(p, fz, &s)
		if done || s == 0 || dist <= tolerance*math.Min(1, s) {
			best := a.next
			if s == 0 {
				best = a.z // no step is short enough: z is as good as rounding allows
			}
			copy(y, best)
			info.Residuals = a.meter.Measure(p, y, mu)
			info.Converged = info.Max() <= tolerance
			if info.Converged || done || s == 0 {
				return info, nil
			}
		}
		if floats.Norm(a.next, 2) > far || math.IsInf(fn, -1) || info.Iterations%1000 == 999 && escapes(p, a.gn, a.start, a.next, far) {
			copy(y, a.next)
			return info, unbounded(y)
		}
		uphill := 0.0
		for i, v := range a.next {
			uphill += (a.z[i] - v) * (v - y[i])
		}
		tn := (1 + math.Sqrt(1+4*t*t)) / 2
		beta := (t - 1) / tn
		if uphill > 0 {
			tn, beta = 1, 0
		}
		for i, v := range a.next {
			a.z[i] = v + beta*(v-y[i])
		}
		copy(y, a.next)
		t = tn
		fz = p.Value(a.z)
		if fz-fz != 0 { // the extrapolation left the domain
			copy(a.z, y)
			t, fz = 1, fn
		}
		p.Grad(a.gz, a.z)
		s *= 1.1
	}
}

// firstStep is the inverse of the curvature met along a short gradient step.
func (a *APG) firstStep(p *Problem) float64 {
	g := floats.Norm(a.gz, 2)
	if g == 0 {
		return 1
	}
	h := 1e-4 * (1 + floats.Norm(a.z, 2)) / g
	for i, v := range a.z {
		a.next[i] = v - h*a.gz[i]
	}
	if p.Y != nil {
		p.Y.Project(a.next, a.next)
	}
	d := floats.Distance(a.next, a.z, 2)
	p.Grad(a.gn, a.next)
	l := floats.Distance(a.gn, a.gz, 2) / d
	if d == 0 || l-l != 0 || l == 0 {
		return 1
	}
	return 1 / l
}

// backtrack sets a.next to the projected gradient step from a.z, shortening s
// until the step is acceptable; s = 0 means that none is. It returns F there and
// the length of the step.
func (a *APG) backtrack(p *Problem, fz float64, s *float64) (fn, dist float64) {
	for *s > 1e-300 {
		for i, v := range a.z {
			a.next[i] = v - *s*a.gz[i]
		}
		if p.Y != nil {
			p.Y.Project(a.next, a.next)
		}
		slope, square := 0.0, 0.0
		for i, v := range a.next {
			d := v - a.z[i]
			slope += a.gz[i] * d
			square += d * d
		}
		dist = math.Sqrt(square)
		if dist == 0 {
			return fz, 0
		}
		fn = p.Value(a.next)
		if fn-fn == 0 || math.IsInf(fn, -1) {
			if math.Abs(fn-fz) > 1e-8*math.Abs(fz) {
				if fn <= fz+slope+square/(2**s) {
					return fn, dist
				}
			} else if p.Grad(a.gn, a.next); a.gradientsAgree(square / *s) {
				return fn, dist
			}
		}
		*s /= 2
	}
	*s = 0
	return fz, 0
}

func (a *APG) gradientsAgree(bound float64) bool {
	q, noise := 0.0, 0.0
	for i, v := range a.next {
		d := v - a.z[i]
		q += (a.gn[i] - a.gz[i]) * d
		noise += (math.Abs(a.gn[i]) + math.Abs(a.gz[i])) * math.Abs(d)
	}
	return q <= bound+0x1p-50*noise
}

func unsuited(solver, allowed string) error {
	return &bilevel.SettingError{Field: "solver", Value: solver, Allowed: allowed}
}
