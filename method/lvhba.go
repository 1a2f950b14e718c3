package method

import (
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/vec"
)

// LVHBA is the Lagrangian-value-function Hessian-free bilevel algorithm, a
// single loop on x, y, theta (proximal copy of y), lambda (multiplier estimate)
// and z (proximal centre of lambda). Per iteration k, with c_k = c (k+1)^p,
//
//	d_theta  = grad_y g(x,theta) + lambda' grad_y h(x,theta) + (theta - y)/gamma1
//	theta+   = Proj_Y( theta - eta d_theta )
//	lambda+  = Proj_[0,r]( lambda - eta ( -h(x,theta) + (lambda - z)/gamma2 ) )
//	d_x      = grad_x f(x,y)/c_k + grad_x g(x,y) - grad_x g(x,theta+) - lambda+' grad_x h(x,theta+)
//	d_y      = grad_y f(x,y)/c_k + grad_y g(x,y) - (y - theta+)/gamma1
//	(x+, y+) = Proj_C( (x,y) - alpha (d_x, d_y) ),   C = { x in X, y in Y, h(x,y) <= 0 }
//	z+       = Proj_[0,r]( z + beta (lambda+ - z)/gamma2 )
//
// with [-r,r] in the place of [0,r] for equations. Proj_C is the problem's own
// where it has one, else a convex program.
//
// Faithful mode is that, and with Deviations what the published SVM code does:
// x is not stepped but only projected, lambda is not projected and z not
// updated. Where the problem is seen in mini-batches, an iteration is one pass,
// with a projection after every batch. Corrected mode with Step = fixed updates
// lambda with the new theta. With Step = adaptive, its default, it is descent on
// the same function with exact theta and lambda and safeguarded steps; see
// gapDescent.
//
// Assumptions: lower level convex in y, C convex, Proj_C computable.
//
// Failure modes: a convex program over all variables per iteration; with fixed
// steps the simultaneous explicit update of theta and lambda is stable only for
// eta below about 1/(gamma |grad_y h|²), and diverges on the toy LLC with the
// published steps, and c_k ends where the iterations end, which leaves a distance
// O(1/c_k) of x to a stationary point of phi.
//
// Stationarity is |(x+ - x, y+ - y)| / alpha, times c_k for the gradient of
// f + c_k G; PenalisedY is y, and in faithful mode so is Y.
//
// Source: arXiv 2401.16164, algorithm 1.
type LVHBA struct {
	Alpha      float64 `opt:"alpha" default:"0.01" range:"(0,inf)" doc:"step of (x, y)"`
	Eta        float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"step of theta and lambda"`
	Beta       float64 `opt:"beta" default:"0.02" range:"(0,inf)" doc:"step of z"`
	Gamma1     float64 `opt:"gamma1" default:"10" range:"(0,inf)" doc:"proximal parameter of theta"`
	Gamma2     float64 `opt:"gamma2" default:"10" range:"(0,inf)" doc:"proximal parameter of lambda"`
	C          float64 `opt:"c" default:"1" range:"(0,inf)" doc:"c_k = c (k+1)^p; with adaptive steps the first c"`
	P          float64 `opt:"p" default:"0.3" range:"(0,1)" doc:"growth of c_k; the theory asks for less than 1/2"`
	CMax       float64 `opt:"c_max" default:"1e6" range:"(0,inf)" doc:"the largest c with adaptive steps"`
	XTol       float64 `opt:"x_tol" default:"1e-7" range:"(0,inf)" doc:"with adaptive steps: the run ends when x, extrapolated to 1/c = 0, changes by this times max(1, |x|) at most"`
	R          float64 `opt:"r" default:"1000" range:"(0,inf)" doc:"bound of lambda and z"`
	Lambda0    float64 `opt:"lambda0" range:"(-inf,inf)" doc:"every component of lambda at the start"`
	Z0         float64 `opt:"z0" range:"(-inf,inf)" doc:"every component of z at the start"`
	Step       string  `opt:"step" default:"adaptive" range:"adaptive|fixed" doc:"steps in corrected mode; faithful mode has fixed ones"`
	Deviations bool    `opt:"deviations" doc:"faithful mode: what the published SVM code does instead (see the method's documentation)"`
}

// Name is "lv-hba".
func (m *LVHBA) Name() string { return "lv-hba" }

// Defaults are 10,000 iterations and a tolerance on the gradient of f + c G: 1e-4
// in faithful mode, 1e-10 in corrected mode, relative to max(1, |f|) with
// adaptive steps.
func (m *LVHBA) Defaults(mode bilevel.Mode) (int, float64) {
	if mode == bilevel.Faithful {
		return 10000, 1e-4
	}
	return 10000, 1e-10
}

type lvhba struct {
	e                   *bilevel.Env
	o                   LVHBA
	corrected           bool
	equalities          int
	x, y, theta, l, z   vec.Vector
	dx, dy, px, py      vec.Vector
	theta1, dl, oldX, h vec.Vector
	oldY                vec.Vector
	set                 *jointSet
	batched             bilevel.Batched
	rng                 *rand.Rand
	gap                 *gapDescent
	answer
}

// Start checks the parameters and prepares the iteration at the start.
func (m *LVHBA) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	it := &lvhba{e: e, o: *m, corrected: e.Settings.Mode == bilevel.Corrected, answer: answer{e: e}}
	o := &it.o
	if err := option.Fill(o); err != nil {
		return nil, err
	}
	p := e.Dense()
	if p == nil {
		return nil, &bilevel.SettingError{Field: "method", Value: m.Name(), Allowed: "a problem on []float64 for lv-hba, which projects on a joint set"}
	}
	var err error
	if it.set, err = newJointSet(e); err != nil {
		return nil, err
	}
	it.x, it.y, it.theta = e.BlockFrom("x", e.StartX()), e.BlockFrom("y", e.StartY()), e.BlockFrom("theta", e.StartY())
	if p.Coupling != nil {
		it.equalities = p.Coupling.Equalities
		it.l, it.z = e.BlockFrom("lambda", constant(e.NewMultiplier(), o.Lambda0)), e.BlockFrom("z", constant(e.NewMultiplier(), o.Z0))
		it.dl, it.h = it.l.New(), it.l.New()
	}
	if it.corrected && o.Step != "fixed" {
		it.gap = newGapDescent(e, newProxLevel(e, o.Gamma1, o.Gamma2, o.R, false), it.set, it.x, it.y, it.z, it.theta, it.l, o.C, o.CMax, o.XTol)
		return it, nil
	}
	it.dx, it.px, it.oldX = it.x.New(), it.x.New(), it.x.New()
	it.dy, it.py, it.oldY, it.theta1 = it.y.New(), it.y.New(), it.y.New(), it.y.New()
	if b, ok := p.Oracle.(bilevel.Batched); ok && !it.corrected {
		it.batched, it.rng = b, e.Rand("batches")
	}
	return it, nil
}

// constant fills v.
func constant(v vec.Vector, c float64) vec.Vector {
	v.Clamp(c, c)
	return v
}

// Step does one outer iteration.
func (it *lvhba) Step(p *bilevel.Progress) (bilevel.Status, error) {
	p.X, p.Y, p.PenalisedY, p.Mu = it.x, it.y, it.y, it.l
	if it.gap != nil {
		return it.gap.step(p)
	}
	e := it.e
	c := it.o.C * math.Pow(float64(e.Outer()+1), it.o.P)
	it.oldX.Copy(it.x)
	it.oldY.Copy(it.y)
	batches := 1
	if it.batched != nil {
		batches = it.batched.Batches()
	}
	for k := range batches {
		if e.Stopped() {
			return bilevel.Running, nil
		}
		if it.batched != nil {
			it.batched.UseBatch(k, it.rng)
		}
		if err := it.update(c); err != nil {
			return bilevel.Running, err
		}
	}
	if it.batched != nil {
		it.batched.UseBatch(-1, nil)
	}
	it.oldX.Add(-1, it.x)
	it.oldY.Add(-1, it.y)
	p.Gamma, p.Step = c, vec.Norm(it.oldX)
	p.Stationarity = c / it.o.Alpha * math.Hypot(vec.Norm(it.oldX), vec.Norm(it.oldY))
	observe(e, p, false)
	if p.Stationarity <= e.Settings.Tolerance {
		return bilevel.Converged, nil
	}
	return bilevel.Running, nil
}

// update takes one step of every block.
func (it *lvhba) update(c float64) error {
	e, o := it.e, &it.o
	deviations := o.Deviations && !it.corrected
	e.LowerGradY(it.dy, it.x, it.theta)
	it.dy.Add(1/o.Gamma1, it.theta)
	it.dy.Add(-1/o.Gamma1, it.y)
	if it.l != nil {
		e.Coupling(it.h, it.x, it.theta)
		e.CouplingJacYT(it.py, it.x, it.theta, it.l)
		it.dy.Add(1, it.py)
	}
	it.theta.Add(-o.Eta, it.dy)
	e.ProjectY(it.theta)
	e.Counts().Inner++
	if it.l != nil {
		if it.corrected {
			e.Coupling(it.h, it.x, it.theta)
		}
		it.dl.Copy(it.l)
		it.dl.Add(-1, it.z)
		it.l.Add(-o.Eta/o.Gamma2, it.dl)
		it.l.Add(o.Eta, it.h)
		if !deviations {
			clampMultipliers(it.l.(vec.Dense), it.equalities, o.R)
		}
	}

	e.UpperGradY(it.dy, it.x, it.y)
	it.dy.Scale(1 / c)
	e.LowerGradY(it.py, it.x, it.y)
	it.dy.Add(1, it.py)
	it.dy.Add(-1/o.Gamma1, it.y)
	it.dy.Add(1/o.Gamma1, it.theta)
	if !deviations {
		e.UpperGradX(it.dx, it.x, it.y)
		it.dx.Scale(1 / c)
		e.LowerGradX(it.px, it.x, it.y)
		it.dx.Add(1, it.px)
		e.LowerGradX(it.px, it.x, it.theta)
		it.dx.Add(-1, it.px)
		if it.l != nil {
			e.CouplingJacXT(it.px, it.x, it.theta, it.l)
			it.dx.Add(-1, it.px)
		}
		it.x.Add(-o.Alpha, it.dx)
	}
	it.y.Add(-o.Alpha, it.dy)
	if err := it.set.project(it.x, it.y); err != nil {
		return err
	}
	if it.l != nil && !deviations {
		it.dl.Copy(it.l)
		it.dl.Add(-1, it.z)
		it.z.Add(o.Beta/o.Gamma2, it.dl)
		clampMultipliers(it.z.(vec.Dense), it.equalities, o.R)
	}
	return nil
}
