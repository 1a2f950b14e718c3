package bilevel

import (
	"github.com/bilevel-go/bilevel/vec"
)

// Model is a bilevel problem as a method sees it: functions of vectors. [Solve]
// makes one from a [Problem]; a problem whose variables live on a device
// implements it directly and is solved by [SolveModel]. Every call is counted.
type Model interface {
	// Upper and Lower are f and g.
	Upper(x, y vec.Vector) float64
	Lower(x, y vec.Vector) float64
	// Partial gradients; dst is overwritten.
	UpperGradX(dst, x, y vec.Vector)
	UpperGradY(dst, x, y vec.Vector)
	LowerGradX(dst, x, y vec.Vector)
	LowerGradY(dst, x, y vec.Vector)
	// LowerHessYY sets dst to the Hessian of g in y times v; LowerHessXY to the
	// gradient in x of <grad_y g, v>.
	LowerHessYY(dst, x, y, v vec.Vector)
	LowerHessXY(dst, x, y, v vec.Vector)
	// ProjectX and ProjectY project in place on X and Y.
	ProjectX(x vec.Vector)
	ProjectY(y vec.Vector)
	// Rows is the number of components of h, Equalities how many of them, from
	// the front, are equations. The methods below are called only if Rows > 0.
	Rows() (rows, equalities int)
	NewMultiplier() vec.Vector
	Coupling(dst, x, y vec.Vector)
	CouplingJacXT(dst, x, y, mu vec.Vector)
	CouplingJacYT(dst, x, y, mu vec.Vector)
	// ProjectMultiplier clamps the inequality multipliers at floor from below.
	ProjectMultiplier(mu vec.Vector, floor float64)
	// Dense is the []float64 problem behind the model with counted functions
	// and every gradient present, or nil when the variables live elsewhere.
	Dense() *Problem
	// Counts are the evaluations so far.
	Counts() *Counts
}

// Sampler is a Model whose f and g are means over samples of its data.
type Sampler interface {
	// Sample draws the samples on which f and g are evaluated in outer iteration
	// k, counted from 0. The draw depends on k and on seeds alone, so that a
	// resumed run sees what an uninterrupted one sees.
	Sample(k int) error
}

// HeldOut is a Model with samples that training does not see.
type HeldOut interface {
	// HoldOut(true) evaluates f and g on samples held out, the same ones every
	// time; HoldOut(false) goes back to those of the present iteration.
	HoldOut(on bool)
}

// Counts are numbers of evaluations. One call of a partial gradient counts as
// one; a missing gradient computed by differences counts its function calls too.
type Counts struct {
	F           int64 `json:"f"`
	G           int64 `json:"g"`
	GradF       int64 `json:"grad_f"`
	GradG       int64 `json:"grad_g"`
	HessVec     int64 `json:"hess_vec"`
	Coupling    int64 `json:"h"`
	LowerSolves int64 `json:"lower_solves"`
	Inner       int64 `json:"inner_iterations"`
}

// denseModel adapts a Problem. p holds the counted functions.
type denseModel struct {
	p      *Problem
	counts *Counts
}

// NewModel wraps p, which must be valid (see [Problem.Validate]), for a method.
func NewModel(p *Problem) Model {
	c := new(Counts)
	return &denseModel{p: counted(p, c), counts: c}
}

func (m *denseModel) Upper(x, y vec.Vector) float64 {
	return m.p.Upper.Value(x.(vec.Dense), y.(vec.Dense))
}
func (m *denseModel) Lower(x, y vec.Vector) float64 {
	return m.p.Lower.Value(x.(vec.Dense), y.(vec.Dense))
}
func (m *denseModel) UpperGradX(dst, x, y vec.Vector) {
	m.p.Upper.GradX(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense))
}
func (m *denseModel) UpperGradY(dst, x, y vec.Vector) {
	m.p.Upper.GradY(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense))
}
func (m *denseModel) LowerGradX(dst, x, y vec.Vector) {
	m.p.Lower.GradX(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense))
}
func (m *denseModel) LowerGradY(dst, x, y vec.Vector) {
	m.p.Lower.GradY(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense))
}
func (m *denseModel) LowerHessYY(dst, x, y, v vec.Vector) {
	m.p.Lower.HessYY(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense), v.(vec.Dense))
}
func (m *denseModel) LowerHessXY(dst, x, y, v vec.Vector) {
	m.p.Lower.HessXY(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense), v.(vec.Dense))
}
func (m *denseModel) ProjectX(x vec.Vector) {
	if m.p.X != nil {
		m.p.X.Project(x.(vec.Dense), x.(vec.Dense))
	}
}
func (m *denseModel) ProjectY(y vec.Vector) {
	if m.p.Y != nil {
		m.p.Y.Project(y.(vec.Dense), y.(vec.Dense))
	}
}
func (m *denseModel) Rows() (rows, equalities int) {
	if m.p.Coupling == nil {
		return 0, 0
	}
	return m.p.Coupling.Rows, m.p.Coupling.Equalities
}
func (m *denseModel) NewMultiplier() vec.Vector {
	n, _ := m.Rows()
	return vec.NewDense(n)
}
func (m *denseModel) Coupling(dst, x, y vec.Vector) {
	m.p.Coupling.Value(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense))
}
func (m *denseModel) CouplingJacXT(dst, x, y, mu vec.Vector) {
	m.p.Coupling.JacXT(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense), mu.(vec.Dense))
}
func (m *denseModel) CouplingJacYT(dst, x, y, mu vec.Vector) {
	m.p.Coupling.JacYT(dst.(vec.Dense), x.(vec.Dense), y.(vec.Dense), mu.(vec.Dense))
}
func (m *denseModel) ProjectMultiplier(mu vec.Vector, floor float64) {
	d := mu.(vec.Dense)
	for i := m.p.Coupling.Equalities; i < len(d); i++ {
		if d[i] < floor {
			d[i] = floor
		}
	}
}
func (m *denseModel) Dense() *Problem { return m.p }
func (m *denseModel) Counts() *Counts { return m.counts }

// counted returns a copy of p whose functions count their calls in c and whose
// absent derivatives are filled in by central differences of the first ones.
func counted(p *Problem, c *Counts) *Problem {
	q := *p
	q.Upper = countedObjective(&p.Upper, p.NX, p.NY, &c.F, &c.GradF, &c.HessVec)
	q.Lower = countedObjective(&p.Lower, p.NX, p.NY, &c.G, &c.GradG, &c.HessVec)
	if p.Coupling != nil {
		h := countedCoupling(p.Coupling, p.NX, p.NY, &c.Coupling)
		q.Coupling = &h
	}
	return &q
}

func countedObjective(o *Objective, nx, ny int, value, grad, hess *int64) Objective {
	f := o.Value
	w := Objective{Value: func(x, y []float64) float64 { *value++; return f(x, y) }}
	gx, gy := o.GradX, o.GradY
	if gx == nil {
		gx = diffGrad(w.Value, nx, true)
	}
	if gy == nil {
		gy = diffGrad(w.Value, ny, false)
	}
	w.GradX = func(dst, x, y []float64) { *grad++; gx(dst, x, y) }
	w.GradY = func(dst, x, y []float64) { *grad++; gy(dst, x, y) }
	exact := o.GradY != nil
	w.HessYY = orDiff(o.HessYY, hess, func() product { return diffAlong(w.GradY, ny, false, ny, exact) })
	w.HessYX = orDiff(o.HessYX, hess, func() product { return diffAlong(w.GradY, nx, true, ny, exact) })
	w.HessXY = orDiff(o.HessXY, hess, func() product { return diffAlong(w.GradX, ny, false, nx, o.GradX != nil) })
	w.HessXX = orDiff(o.HessXX, hess, func() product { return diffAlong(w.GradX, nx, true, nx, o.GradX != nil) })
	return w
}

type product = func(dst, x, y, v []float64)

func orDiff(given product, count *int64, diff func() product) product {
	f := given
	if f == nil {
		f = diff()
	}
	return func(dst, x, y, v []float64) { *count++; f(dst, x, y, v) }
}

func countedCoupling(h *Coupling, nx, ny int, value *int64) Coupling {
	w := *h
	f := h.Value
	w.Value = func(dst, x, y []float64) { *value++; f(dst, x, y) }
	if w.JacX == nil {
		w.JacX = diffAlong(w.Value, nx, true, h.Rows, true)
	}
	if w.JacY == nil {
		w.JacY = diffAlong(w.Value, ny, false, h.Rows, true)
	}
	given := h.JacXT != nil && h.JacYT != nil
	if w.JacXT == nil {
		w.JacXT = transposed(w.JacX, nx, h.Rows)
	}
	if w.JacYT == nil {
		w.JacYT = transposed(w.JacY, ny, h.Rows)
	}
	w.HessYY = curvature(h.HessYY, h.Affine, w.JacYT, ny, false, ny, given)
	w.HessXY = curvature(h.HessXY, h.Affine, w.JacXT, ny, false, nx, given)
	w.HessYX = curvature(h.HessYX, h.Affine, w.JacYT, nx, true, ny, given)
	return w
}

type weighted = func(dst, x, y, mu, v []float64)

// curvature is a second derivative of <mu, h>: given, zero for affine h, or the
// difference of jt, the transposed Jacobian times mu.
func curvature(given weighted, affine bool, jt product, n int, inX bool, m int, exact bool) weighted {
	switch {
	case given != nil:
		return given
	case affine:
		return func(dst, _, _, _, _ []float64) { clear(dst) }
	}
	var mu []float64
	along := diffAlong(func(dst, x, y []float64) { jt(dst, x, y, mu) }, n, inX, m, exact)
	return func(dst, x, y, w, v []float64) { mu = w; along(dst, x, y, v) }
}
