package method

import (
	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// jointSet is C = { (x, y) : x in X, y in Y, h(x, y) <= 0 } of a []float64
// problem with its Euclidean projection: the problem's own JointProjector, the
// projections on X and Y where there is no coupling, else a convex program
// solved to jointTolerance. h must be convex in (x, y) together.
type jointSet struct {
	p         *bilevel.Problem
	oracle    bilevel.JointProjector
	solver    lower.Solver
	prob      lower.Problem
	stop      func() bool
	u, from   []float64 // the projection (x, y) and the point projected
	mu        []float64
	du        []float64
	up, down  []float64
	slackPart []float64
}

// jointTolerance is the residual to which general joint projections are solved.
const jointTolerance = 1e-10

func newJointSet(e *bilevel.Env) (*jointSet, error) {
	p := e.Dense()
	j := &jointSet{p: p, stop: e.Stopped}
	j.oracle, _ = p.Oracle.(bilevel.JointProjector)
	h := p.Coupling
	if j.oracle != nil || h == nil {
		return j, nil
	}
	x, y := p.X, p.Y
	if x == nil {
		x = set.Whole(p.NX)
	}
	if y == nil {
		y = set.Whole(p.NY)
	}
	both, err := set.Product(x, y)
	if err != nil {
		return nil, err
	}
	nx, n := p.NX, p.NX+p.NY
	for _, s := range [...]*[]float64{&j.u, &j.from, &j.du, &j.up, &j.down} {
		*s = make([]float64, n)
	}
	j.mu, j.slackPart = make([]float64, h.Rows), make([]float64, h.Rows)
	j.prob = lower.Problem{
		N: n, Y: both,
		Value: func(u []float64) float64 {
			s := 0.0
			for i, v := range u {
				s += (v - j.from[i]) * (v - j.from[i])
			}
			return s / 2
		},
		Grad:    func(dst, u []float64) { floats.SubTo(dst, u, j.from) },
		HessVec: func(dst, _, v []float64) { copy(dst, v) },
		Rows:    h.Rows, Equalities: h.Equalities,
		Constraint: func(dst, u []float64) { h.Value(dst, u[:nx], u[nx:]) },
		JacT: func(dst, u, mu []float64) {
			h.JacXT(dst[:nx], u[:nx], u[nx:], mu)
			h.JacYT(dst[nx:], u[:nx], u[nx:], mu)
		},
		Jac: func(dst, u, v []float64) {
			h.JacX(dst, u[:nx], u[nx:], v[:nx])
			h.JacY(j.slackPart, u[:nx], u[nx:], v[nx:])
			floats.Add(dst, j.slackPart)
		},
		Affine: h.Affine, Quadratic: h.Affine,
	}
	if !h.Affine {
		j.prob.CurveVec = j.curve
	}
	j.solver = lower.New(&j.prob)
	return j, nil
}

// curve is the second derivative of <mu, h> along v in (x, y) together, by
// central differences of the transposed Jacobian: problems have no function for
// its part in x.
func (j *jointSet) curve(dst, u, mu, v []float64) {
	size := floats.Norm(v, 2)
	if size == 0 {
		clear(dst)
		return
	}
	t := 1e-6 * max(1, floats.Norm(u, 2)) / size
	floats.AddScaledTo(j.du, u, t, v)
	j.prob.JacT(j.up, j.du, mu)
	floats.AddScaledTo(j.du, u, -t, v)
	j.prob.JacT(j.down, j.du, mu)
	floats.SubTo(dst, j.up, j.down)
	floats.Scale(1/(2*t), dst)
}

// project projects (x, y) in place.
func (j *jointSet) project(xv, yv vec.Vector) error {
	x, y := xv.(vec.Dense), yv.(vec.Dense)
	switch {
	case j.oracle != nil:
		return j.oracle.ProjectJoint(x, y)
	case j.solver == nil:
		if j.p.X != nil {
			j.p.X.Project(x, x)
		}
		if j.p.Y != nil {
			j.p.Y.Project(y, y)
		}
		return nil
	}
	nx := len(x)
	copy(j.from, x)
	copy(j.from[nx:], y)
	copy(j.u, j.from)
	clear(j.mu) // a warm start would be state that a resumed run lacks
	if _, err := j.solver.Solve(&j.prob, j.u, j.mu, jointTolerance, j.stop); err != nil {
		return err
	}
	copy(x, j.u)
	copy(y, j.u[nx:])
	return nil
}
