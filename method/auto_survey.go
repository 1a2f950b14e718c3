package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// The stages of [Auto] that look at the problem as a whole: the high-point
// relaxation and the survey of phi.

// attained is the relative lower-level gap up to which the relaxation's y is a
// lower solution: that of a solve to exactTol.
const attained = 1e-9

// startRelaxation starts the solution of the high-point relaxation.
func (a *auto) startRelaxation(e *bilevel.Env) (bilevel.Iteration, error) {
	if !a.p.Structure.JointlyConvex {
		return nil, nil
	}
	r := &relaxation{a: a, e: e, x: e.BlockFrom("x", e.StartX()), y: e.BlockFrom("y", e.StartY()), lvl: newLevel(e, nil)}
	r.yg = e.BlockFrom("y_g", r.y)
	if a.p.Coupling != nil {
		r.mu = e.Block("mu", e.NewMultiplier())
	}
	return r, nil
}

// relaxation minimises f over x in X, y in Y, h(x,y) <= 0 and asks whether y is
// a lower solution at x.
type relaxation struct {
	a         *auto
	e         *bilevel.Env
	lvl       *level
	x, y      vec.Vector
	yg, mu    vec.Vector
	succeeded bool
}

func (r *relaxation) solved() bool { return r.succeeded }

func (r *relaxation) Step(p *bilevel.Progress) (bilevel.Status, error) {
	if err := r.solve(); err != nil {
		return bilevel.Running, err
	}
	if r.e.Stopped() {
		return bilevel.Running, nil
	}
	r.yg.Copy(r.y)
	info, err := r.lvl.solve(math.Inf(1), r.x, r.yg, r.mu, exactTol)
	if err != nil {
		return bilevel.Running, err
	}
	f, g := r.e.Upper(r.x, r.y), r.e.Lower(r.x, r.y)
	gap := g - r.e.Lower(r.x, r.yg)
	r.a.relaxed.Copy(r.x)
	*r.a.haveRelaxed = 1
	if gap > attained*math.Max(1, math.Abs(g)) || !info.Converged {
		r.a.e.Note("the high-point relaxation is convex; its solution has f = %.9g, a bound on every answer, but its y is %.3g above the lower level's optimum: going on", f, gap)
		return bilevel.Running, nil
	}
	p.X, p.Y, p.Mu = r.x, r.yg, r.mu
	if fg := r.e.Upper(r.x, r.yg); fg > f+attained*math.Max(1, math.Abs(f)) {
		p.Y = r.y // one of several lower solutions, and the one that f prefers
	}
	r.succeeded = true
	p.Stationarity, p.Gap = 0, math.Max(gap, 0)
	observe(r.e, p, false)
	r.a.e.Note("the high-point relaxation is convex, and its solution (f = %.9g) is a lower solution at its x: no bilevel answer is better", f)
	return bilevel.Running, nil
}

// solve finds the relaxation's minimum, by the problem's oracle where there is
// one.
func (r *relaxation) solve() error {
	p := r.a.p
	x, y := []float64(r.x.(vec.Dense)), []float64(r.y.(vec.Dense))
	if oracle, ok := p.Oracle.(bilevel.Relaxer); ok {
		return oracle.SolveRelaxation(x, y)
	}
	joint, err := jointProblem(p)
	if err != nil {
		return err
	}
	z, mu := make([]float64, joint.N), make([]float64, joint.Rows)
	copy(z, x)
	copy(z[p.NX:], y)
	info, err := lower.New(joint).Solve(joint, z, mu, exactTol, r.e.Stopped)
	if err == nil && !info.Converged && !r.e.Stopped() {
		err = &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: "the high-point relaxation could not be solved to full accuracy"}
	}
	copy(x, z)
	copy(y, z[p.NX:])
	return err
}

// jointProblem is the high-point relaxation as a problem in z = (x, y).
func jointProblem(p *bilevel.Problem) (*lower.Problem, error) {
	nx, ny := p.NX, p.NY
	whole := func(s set.Set, n int) set.Set {
		if s == nil {
			return set.Whole(n)
		}
		return s
	}
	z, err := set.Product(whole(p.X, nx), whole(p.Y, ny))
	if err != nil {
		return nil, err
	}
	tx, ty := make([]float64, nx), make([]float64, ny)
	join := func(dst []float64, more func(dx, dy []float64)) {
		more(tx, ty)
		for i, t := range tx {
			dst[i] += t
		}
		for i, t := range ty {
			dst[nx+i] += t
		}
	}
	j := &lower.Problem{N: nx + ny, Y: z,
		Value: func(z []float64) float64 { return p.Upper.Value(z[:nx], z[nx:]) },
		Grad: func(dst, z []float64) {
			p.Upper.GradX(dst[:nx], z[:nx], z[nx:])
			p.Upper.GradY(dst[nx:], z[:nx], z[nx:])
		},
		HessVec: func(dst, z, v []float64) {
			x, y, vx, vy := z[:nx], z[nx:], v[:nx], v[nx:]
			p.Upper.HessXX(dst[:nx], x, y, vx)
			p.Upper.HessYY(dst[nx:], x, y, vy)
			join(dst, func(dx, dy []float64) {
				p.Upper.HessXY(dx, x, y, vy)
				p.Upper.HessYX(dy, x, y, vx)
			})
		}}
	h := p.Coupling
	if h == nil {
		return j, nil
	}
	rows := make([]float64, h.Rows)
	j.Rows, j.Equalities, j.Affine = h.Rows, h.Equalities, h.Affine
	j.Constraint = func(dst, z []float64) { h.Value(dst, z[:nx], z[nx:]) }
	j.JacT = func(dst, z, mu []float64) {
		h.JacXT(dst[:nx], z[:nx], z[nx:], mu)
		h.JacYT(dst[nx:], z[:nx], z[nx:], mu)
	}
	j.Jac = func(dst, z, v []float64) {
		h.JacX(dst, z[:nx], z[nx:], v[:nx])
		h.JacY(rows, z[:nx], z[nx:], v[nx:])
		for i, t := range rows {
			dst[i] += t
		}
	}
	if !h.Affine {
		// The curvature of <mu, h> is the difference of its gradient along v.
		up, moved := make([]float64, nx+ny), make([]float64, nx+ny)
		j.CurveVec = func(dst, z, mu, v []float64) {
			size := 0.0
			for _, c := range v {
				size = math.Max(size, math.Abs(c))
			}
			if size == 0 {
				clear(dst)
				return
			}
			t := 1e-5 / size
			for i := range z {
				moved[i] = z[i] + t*v[i]
			}
			j.JacT(up, moved, mu)
			for i := range z {
				moved[i] = z[i] - t*v[i]
			}
			j.JacT(dst, moved, mu)
			for i := range dst {
				dst[i] = (up[i] - dst[i]) / (2 * t)
			}
		}
	}
	return j, nil
}

// surveyName is the stage's name in the plan.
const surveyName = "survey"

// surveyed is the largest number of upper variables, and surveyPoints the number
// of points per variable, for which phi is sampled over a bounded X: more points
// than that would cost more than the descents they replace.
const (
	surveyed     = 3
	surveyPoints = 48
)

// startSurvey starts the comparison of phi at several x.
func (a *auto) startSurvey(e *bilevel.Env) (bilevel.Iteration, error) {
	s := &survey{a: a, e: e, lvl: newLevel(e, nil), x: e.BlockFrom("x", e.StartX()), y: e.BlockFrom("y", e.StartY()), trial: e.StartX(), at: e.StartY()}
	if a.p.Coupling != nil {
		s.mu, s.atMu = e.Block("mu", e.NewMultiplier()), e.NewMultiplier()
	}
	return s, nil
}

// survey compares phi at the answer so far, at the relaxation's x, at the point of
// X nearest to 0 and at points spread over a bounded X of few variables.
type survey struct {
	a            *auto
	e            *bilevel.Env
	lvl          *level
	x, y, mu     vec.Vector // the best
	trial        vec.Vector
	at, atMu     vec.Vector
	phi          float64
	found, moved bool
	err          error
	failures     int
}

func (s *survey) Step(p *bilevel.Progress) (bilevel.Status, error) {
	s.phi, s.found, s.moved, s.failures = math.Inf(1), false, false, 0
	s.try()
	if *s.a.haveRelaxed != 0 {
		s.trial.Copy(s.a.relaxed)
		s.try()
	}
	s.trial.Zero()
	s.e.ProjectX(s.trial)
	s.try()
	tried := 0
	if lo, hi, ok := box(s.a.p); ok {
		tried = surveyPoints * s.a.p.NX
		t := s.trial.(vec.Dense)
		for i := 1; i <= tried && !s.e.Stopped(); i++ {
			for j := range t {
				t[j] = lo[j] + (hi[j]-lo[j])*radicalInverse(i, j)
			}
			s.e.ProjectX(s.trial)
			s.try()
		}
	}
	if s.e.Stopped() {
		return bilevel.Running, nil
	}
	if !s.found {
		return bilevel.Running, s.err
	}
	if s.failures > 0 {
		s.a.e.Note("the lower level has no solution at %d of %d points tried", s.failures, tried+2+int(*s.a.haveRelaxed))
	}
	if s.moved {
		s.a.e.Note("phi = %.9g at another x (of %d tried) is better than where descent had come: going on from there", s.phi, tried+1+int(*s.a.haveRelaxed))
	}
	p.X, p.Y, p.Mu = s.x, s.y, s.mu
	observe(s.e, p, false)
	return bilevel.Converged, nil
}

// try compares phi at trial with the best so far.
func (s *survey) try() {
	_, err := s.lvl.solve(math.Inf(1), s.trial, s.at, s.atMu, exactTol)
	if err != nil {
		s.failures++
		s.err = err
		s.at.Copy(s.y)
		if s.mu != nil {
			s.atMu.Copy(s.mu)
		}
		return
	}
	phi := s.e.Upper(s.trial, s.at)
	if math.IsNaN(phi) || phi >= s.phi-1e-9*math.Max(1, math.Abs(phi)) && s.found {
		return
	}
	s.moved = s.found || s.failures > 0
	s.found, s.phi = true, phi
	s.x.Copy(s.trial)
	s.y.Copy(s.at)
	if s.mu != nil {
		s.mu.Copy(s.atMu)
	}
}

// box is the smallest box around X, where X is bounded and has few variables.
func box(p *bilevel.Problem) (lo, hi []float64, ok bool) {
	n := p.NX
	if p.X == nil || n > surveyed {
		return nil, nil, false
	}
	const far = 1e9
	lo, hi = make([]float64, n), make([]float64, n)
	v := make([]float64, n)
	for j := range v {
		for _, end := range []struct {
			to  float64
			out []float64
		}{{-far, lo}, {far, hi}} {
			clear(v)
			v[j] = end.to
			p.X.Project(v, v)
			end.out[j] = v[j]
			if math.Abs(v[j]) >= far/2 || math.IsNaN(v[j]) {
				return nil, nil, false
			}
		}
	}
	return lo, hi, true
}

// radicalInverse is component j of point i of the Halton sequence.
func radicalInverse(i, j int) float64 {
	base := [surveyed]int{2, 3, 5}[j]
	v, scale := 0.0, 1.0
	for ; i > 0; i /= base {
		scale /= float64(base)
		v += scale * float64(i%base)
	}
	return v
}
