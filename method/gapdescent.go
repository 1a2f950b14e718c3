package method

import (
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// gapDescent is the adaptive form of LV-HBA and of BiC-GAFFA: both are descent on
//
//	Phi_c(x, y, z) = f(x, y)/c + G(x, y, z)
//
// with a regularised gap function G >= 0 and a growing c, which the published
// single loops follow with one step per block and iteration. Here theta (and
// lambda) in G are exact, so that the gradient of Phi_c is, and (x, y, z) takes
// spectral projected gradient steps with an Armijo test (spg.go). What a finite
// c leaves is a distance of O(1/c) of x to a stationary point of phi, and a
// large one makes Phi_c badly conditioned and multiplies rounding errors by c.
// So c grows by the factor 10 from c on, by stages:
//
//   - a stage below c = 100 is a way to the next one: it ends when c times the
//     projected gradient of Phi_c is at most 1e-4 max(1, |f|), or after 50 steps;
//
//   - one from c = 100 on is solved until that is at most tolerance max(1, |f|), or
//     is rounding, by quasi-Newton steps before spectral ones
//     (quasinewton.go). Its solution joins the extrapolation of u(1/c) to
//     1/c = 0 (continuation.go), which also gives the next start. The run ends
//     at the extrapolated point when its x has settled, or at c_max.
//
//     LV-HBA     G = g(x,y) - min over theta, max over lambda of
//     g(x,theta) + <lambda, h(x,theta)> + |theta - y|²/(2 gamma1) - |lambda - z|²/(2 gamma2),
//     over (x, y) in C, z in [lo, r]
//     BiC-GAFFA  G = max over lambda of  g(x,y) + <lambda, h(x,y)> - |lambda - z|²/(2 gamma2)
//
//   - min over theta of  g(x,theta) + <z, h(x,theta)> + |theta - y|²/(2 gamma1),
//     over x in X, y in Y, z in [lo, r]
type gapDescent struct {
	e           *bilevel.Env
	p           *bilevel.Problem
	prox        *proxLevel
	set         *jointSet // nil: project x on X and y on Y
	x, y, z     vec.Vector
	theta, l    vec.Vector // l is lambda
	u           vec.Vector // (x, y, z)
	c           *float64
	steps       *float64 // taken in this stage
	path        *continuation
	tx, ty, tz  vec.Vector // a point split into its blocks
	dx, dy, dz  vec.Vector
	hy          []float64 // h(x, y), and then the maximiser at it
	ly          vec.Vector
	upper       *float64 // f at the point of the last value
	projectFail error
	spg         *spg
	quasi       *quasiNewton
}

const (
	// Stages below accurateFrom are ways to the next: they end at
	// approachTolerance, or after approachSteps.
	accurateFrom      = 100
	approachTolerance = 1e-4
	approachSteps     = 50
	// roundingSteps is the number of steps without progress after which a
	// projected gradient as small as rounding is taken for that.
	roundingSteps = 5
	// gapPatience is spg.patience: progress is slow where h has many rows that
	// nearly depend on each other, and steady.
	gapPatience = 300
)

func newGapDescent(e *bilevel.Env, prox *proxLevel, set *jointSet, x, y, z, theta, l vec.Vector, c, limit, settle float64) *gapDescent {
	p := e.Dense()
	rows := 0
	if p.Coupling != nil {
		rows = p.Coupling.Rows
	}
	d := &gapDescent{e: e, p: p, prox: prox, set: set, x: x, y: y, z: z, theta: theta, l: l,
		tx: x.New(), ty: y.New(), dx: x.New(), dy: y.New(), c: e.Scalar("c", c), upper: e.Scalar("upper", 0)}
	start := vec.NewDense(p.NX + p.NY + rows)
	if rows > 0 {
		d.tz, d.dz, d.hy, d.ly = z.New(), z.New(), make([]float64, rows), z.New()
	}
	d.join(start, x, y, z)
	d.project(start)
	d.u = e.BlockFrom("u", start)
	d.spg = newSPGOn(e, d.u, d.project, d)
	d.spg.smooth, d.spg.unit, d.spg.patience = true, 1 / *d.c, gapPatience
	d.path, d.steps = newContinuation(e, "c", d.c, d.u, d.project, stageGrowth, limit, settle), e.Scalar("steps", 0)
	d.path.n = p.NX
	d.quasi = newQuasiNewton(e, d.u)
	if d.accurate() {
		d.spg.propose(d.quasi)
	}
	return d
}

func (d *gapDescent) join(u, x, y, z vec.Vector) {
	s := u.(vec.Dense)
	copy(s, x.(vec.Dense))
	copy(s[d.p.NX:], y.(vec.Dense))
	if z != nil {
		copy(s[d.p.NX+d.p.NY:], z.(vec.Dense))
	}
}

func (d *gapDescent) split(u, x, y, z vec.Vector) {
	s := u.(vec.Dense)
	copy(x.(vec.Dense), s)
	copy(y.(vec.Dense), s[d.p.NX:])
	if z != nil {
		copy(z.(vec.Dense), s[d.p.NX+d.p.NY:])
	}
}

// project projects (x, y, z). An error is kept until the objective is called.
func (d *gapDescent) project(u vec.Vector) {
	d.split(u, d.tx, d.ty, d.tz)
	if d.set != nil {
		if err := d.set.project(d.tx, d.ty); err != nil && d.projectFail == nil {
			d.projectFail = err
		}
	} else {
		d.e.ProjectX(d.tx)
		d.e.ProjectY(d.ty)
	}
	if d.tz != nil {
		clampMultipliers(d.tz.(vec.Dense), d.p.Coupling.Equalities, d.prox.r)
	}
	d.join(u, d.tx, d.ty, d.tz)
}

// clampMultipliers projects on [-r, r] for equations and on [0, r] for inequalities.
func clampMultipliers(l []float64, equalities int, r float64) {
	for i, v := range l {
		lo := 0.0
		if i < equalities {
			lo = -r
		}
		l[i] = math.Min(math.Max(v, lo), r)
	}
}

// value is Phi_c.
func (d *gapDescent) value(u vec.Vector) (float64, error) {
	if err := d.projectFail; err != nil {
		d.projectFail = nil
		return 0, err
	}
	d.split(u, d.tx, d.ty, d.tz)
	regularised, err := d.prox.solve(d.tx, d.ty, d.tz, d.theta)
	if err != nil {
		return 0, err
	}
	*d.upper = d.e.Upper(d.tx, d.ty)
	v := *d.upper / *d.c + d.e.Lower(d.tx, d.ty) - regularised
	if d.prox.held && d.tz != nil {
		d.e.Coupling(d.ly, d.tx, d.ty)
		copy(d.hy, d.ly.(vec.Dense))
		v += maximiser(d.ly.(vec.Dense), d.hy, d.tz.(vec.Dense), d.prox.gamma2, d.prox.r, d.p.Coupling.Equalities)
	}
	return v, nil
}

// grad is the gradient of Phi_c at the point of the last value.
func (d *gapDescent) grad(dst, u vec.Vector) error {
	q, h := d.prox, d.p.Coupling
	x, y, theta := d.tx.(vec.Dense), d.ty.(vec.Dense), d.theta.(vec.Dense)
	g := dst.(vec.Dense)
	gx, gy, gz := g[:len(x)], g[len(x):len(x)+len(y)], g[len(x)+len(y):]
	px, py := d.dx.(vec.Dense), d.dy.(vec.Dense)
	inv := 1 / *d.c
	d.p.Upper.GradX(gx, x, y)
	floats.Scale(inv, gx)
	d.p.Lower.GradX(px, x, y)
	floats.Add(gx, px)
	d.p.Lower.GradX(px, x, theta)
	floats.Sub(gx, px)
	d.p.Upper.GradY(gy, x, y)
	floats.Scale(inv, gy)
	d.p.Lower.GradY(py, x, y)
	floats.Add(gy, py)
	for i, v := range theta {
		gy[i] += (v - y[i]) / q.gamma1
	}
	if h == nil {
		return nil
	}
	z := d.tz.(vec.Dense)
	h.JacXT(px, x, theta, q.l)
	floats.Sub(gx, px)
	if !q.held {
		for i, l := range q.l {
			gz[i] = -(l - z[i]) / q.gamma2
		}
		return nil
	}
	l := d.ly.(vec.Dense)
	h.JacXT(px, x, y, l)
	floats.Add(gx, px)
	h.JacYT(py, x, y, l)
	floats.Add(gy, py)
	h.Value(d.dz.(vec.Dense), x, theta)
	for i, v := range d.dz.(vec.Dense) {
		gz[i] = (l[i]-z[i])/q.gamma2 - v
	}
	return nil
}

// step does one outer iteration. Stationarity is c times the projected gradient
// of Phi_c: that of f + c G.
func (d *gapDescent) step(p *bilevel.Progress) (bilevel.Status, error) {
	s := d.spg
	if err := s.begin(); err != nil {
		return bilevel.Running, err
	}
	ended, stuck := d.solved(), false
	if !ended && !d.e.Stopped() {
		var err error
		if stuck, err = s.iterate(); err != nil {
			return bilevel.Running, err
		}
		*d.steps++
		ended = d.solved()
	}
	status := bilevel.Running
	p.Gamma, p.Step, p.Stationarity = *d.c, s.moved, s.stationarity**d.c
	if (ended || stuck) && !d.e.Stopped() {
		done, err := d.endStage(ended || d.rounding())
		if err != nil {
			return bilevel.Running, err
		}
		if done {
			status = bilevel.Converged
		}
	}
	d.split(d.u, d.x, d.y, d.z)
	if d.l != nil {
		copy(d.l.(vec.Dense), d.prox.l)
	}
	observe(d.e, p, false)
	return status, nil
}

// solved tells whether the stage has ended: the projected gradient is below the
// tolerance, or no longer falls and is all rounding.
func (d *gapDescent) solved() bool {
	if d.e.Stopped() {
		return false
	}
	s, tolerance := d.spg, d.e.Settings.Tolerance
	if !d.accurate() {
		if *d.steps >= approachSteps {
			return true
		}
		tolerance = math.Max(tolerance, approachTolerance)
	}
	return s.stationarity**d.c <= tolerance*math.Max(1, math.Abs(*d.upper)) ||
		*s.idle >= roundingSteps && d.rounding() && s.stationarity <= 2**s.bestSize
}

// accurate tells whether the solution of the stage is used for extrapolation.
func (d *gapDescent) accurate() bool { return *d.c >= math.Min(accurateFrom, d.path.end) }

// rounding tells whether the projected gradient of Phi_c is no larger than what
// rounding and the tolerance of theta may make it.
func (d *gapDescent) rounding() bool {
	return d.spg.stationarity <= 100*proxTol*math.Max(1, vec.Norm(d.spg.g))
}

// endStage raises c, or reports that the run is done. solved tells whether the
// solution of the stage is good.
func (d *gapDescent) endStage(solved bool) (done bool, err error) {
	if !solved && *d.c >= d.path.end {
		return false, d.spg.stuckError("f + c G")
	}
	if d.path.advance(solved && d.accurate()) {
		return true, d.projectFail
	}
	*d.steps, d.spg.unit = 0, 1 / *d.c
	if d.accurate() {
		d.spg.propose(d.quasi)
	}
	d.spg.renew()
	return false, d.spg.begin()
}
