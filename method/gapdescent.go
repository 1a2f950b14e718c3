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
// spectral projected gradient steps with an Armijo test (spg.go); c grows by the
// factor 10 from c to c_max whenever the projected gradient of Phi_c is below
// tolerance/c times max(1, |f|); at c_max the run then ends. (A looser test for
// small c leaves the work to large c, where Phi_c is ill-conditioned.) What is left of c is a distance of O(1/c_max) of x to a
// stationary point of phi.
//
//	LV-HBA     G = g(x,y) - min over theta, max over lambda of
//	               g(x,theta) + <lambda, h(x,theta)> + |theta - y|²/(2 gamma1) - |lambda - z|²/(2 gamma2),
//	           over (x, y) in C, z in [lo, r]
//	BiC-GAFFA  G = max over lambda of  g(x,y) + <lambda, h(x,y)> - |lambda - z|²/(2 gamma2)
//	               - min over theta of  g(x,theta) + <z, h(x,theta)> + |theta - y|²/(2 gamma1),
//	           over x in X, y in Y, z in [lo, r]
type gapDescent struct {
	e           *bilevel.Env
	p           *bilevel.Problem
	prox        *proxLevel
	set         *jointSet // nil: project x on X and y on Y
	x, y, z     vec.Vector
	theta, l    vec.Vector // l is lambda
	u           vec.Vector // (x, y, z)
	c           *float64
	limit       float64
	tx, ty, tz  vec.Vector // a point split into its blocks
	dx, dy, dz  vec.Vector
	hy          []float64 // h(x, y), and then the maximiser at it
	ly          vec.Vector
	upper       *float64 // f at the point of the last value
	projectFail error
	spg         *spg
}

const stageGrowth = 10

func newGapDescent(e *bilevel.Env, prox *proxLevel, set *jointSet, x, y, z, theta, l vec.Vector, c, limit float64) *gapDescent {
	p := e.Dense()
	rows := 0
	if p.Coupling != nil {
		rows = p.Coupling.Rows
	}
	d := &gapDescent{e: e, p: p, prox: prox, set: set, x: x, y: y, z: z, theta: theta, l: l, limit: math.Max(c, limit),
		tx: x.New(), ty: y.New(), dx: x.New(), dy: y.New(), c: e.Scalar("c", c), upper: e.Scalar("upper", 0)}
	start := vec.NewDense(p.NX + p.NY + rows)
	if rows > 0 {
		d.tz, d.dz, d.hy, d.ly = z.New(), z.New(), make([]float64, rows), z.New()
	}
	d.join(start, x, y, z)
	d.project(start)
	d.u = e.BlockFrom("u", start)
	d.spg = newSPGOn(e, d.u, d.project, d)
	d.spg.smooth = true
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
	below := func() bool {
		return !d.e.Stopped() && s.stationarity**d.c <= d.e.Settings.Tolerance*math.Max(1, math.Abs(*d.upper))
	}
	final := *d.c >= d.limit
	if !(final && below()) && !d.e.Stopped() {
		stuck, err := s.iterate()
		if err != nil {
			return bilevel.Running, err
		}
		switch {
		case d.e.Stopped():
		case stuck && final:
			return bilevel.Running, s.stuckError("f + c G")
		case !final && (stuck || below()):
			*d.c = math.Min(stageGrowth**d.c, d.limit)
			s.renew()
			if err := s.begin(); err != nil {
				return bilevel.Running, err
			}
		}
	}
	d.split(d.u, d.x, d.y, d.z)
	if d.l != nil {
		copy(d.l.(vec.Dense), d.prox.l)
	}
	p.Gamma, p.Step, p.Stationarity = *d.c, s.moved, s.stationarity**d.c
	observe(d.e, p, false)
	if *d.c >= d.limit && below() {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}
