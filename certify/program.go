package certify

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// program is  min over z in Z of F(z)  subject to  c_i(z) = 0 for the first eq
// rows and c_i(z) <= 0 for the others. Its Lagrangian is F + <mu, c>.
type program struct {
	n, rows, eq int
	z           set.Set // nil: the whole space
	value       func(z []float64) float64
	grad        func(dst, z []float64)
	hess        func(dst, z, v []float64)
	cons        func(dst, z []float64)
	jac         func(dst, z, v []float64)
	jacT        func(dst, z, mu []float64)
	curve       func(dst, z, mu, v []float64) // nil: c is affine
	// jacobian is the matrix of an affine c, hessian that of a quadratic F, shape
	// what is known of the Hessians of another F, where it pays to have them.
	jacobian *csr
	hessian  *csr
	shape    *shape
	order    *[]int // elimination order, kept for the programs of one shape
}

// denseLimit is the largest dimension for which dense Newton systems are
// factorised, at some 20 ms a step. Systems that saddle.go cannot factorise are
// solved by conjugate gradients beyond it.
const denseLimit = 400

func (p *program) project(dst, z []float64) {
	if p.z == nil {
		copy(dst, z)
		return
	}
	p.z.Project(dst, z)
}

// projectDeriv sets dst to DP(z) v and reports whether the projection is
// differentiable at z. A set that does not know its derivative is differenced.
func (p *program) projectDeriv(dst, z, v []float64) bool {
	return projectDeriv(p.z, dst, z, v)
}

func projectDeriv(s set.Set, dst, z, v []float64) bool {
	if s == nil {
		copy(dst, v)
		return true
	}
	if d, ok := s.(set.Differentiable); ok {
		return d.ProjectDeriv(dst, z, v)
	}
	size := floats.Norm(v, math.Inf(1))
	if size == 0 {
		clear(dst)
		return true
	}
	t := 1e-6 * math.Max(1, floats.Norm(z, math.Inf(1))) / size
	up, down := make([]float64, len(z)), make([]float64, len(z))
	floats.AddScaledTo(up, z, t, v)
	floats.AddScaledTo(down, z, -t, v)
	s.Project(up, up)
	s.Project(down, down)
	floats.SubTo(dst, up, down)
	floats.Scale(1/(2*t), dst)
	return true
}

// lagrangianGrad sets dst to grad F + J' mu.
func (p *program) lagrangianGrad(dst, z, mu, tmp []float64) {
	p.grad(dst, z)
	if p.rows > 0 {
		p.jacT(tmp, z, mu)
		floats.Add(dst, tmp)
	}
}

// lower is the lower level of a problem as a family of programs in y. All
// derivatives of p are present.
type lower struct {
	p         *bilevel.Problem
	affine    bool // h affine in (x, y)
	quadratic bool // g quadratic in y, h affine in y
	jacobian  *csr
	hessian   *csr           // of a quadratic g, at the last x
	kinds     map[kind]*kept // what the programs of one kind share
}

// kind is which of g and f a program minimises.
type kind struct{ g, f bool }

type kept struct {
	shape shape
	order []int
}

// newLower keeps the Jacobian of an affine h, which is the same at every x.
func newLower(p *bilevel.Problem, x, y []float64, quadratic bool) *lower {
	l := &lower{p: p, quadratic: quadratic, kinds: map[kind]*kept{}}
	if h := p.Coupling; h != nil {
		l.affine = h.Affine
		if l.affine {
			l.jacobian = l.jacobianAt(x, y)
		}
	}
	return l
}

func (l *lower) jacobianAt(x, y []float64) *csr {
	h := l.p.Coupling
	return extractRows(h.Rows, l.p.NY, func(dst, v []float64) { h.JacY(dst, x, y, v) }, func(dst, v []float64) { h.JacYT(dst, x, y, v) })
}

// hessianAt is the Hessian of a quadratic g; where it does not depend on x it
// is the one kept.
func (l *lower) hessianAt(product func(dst, v []float64)) *csr {
	if l.hessian == nil || !l.hessian.agrees(product) {
		l.hessian = extractSymmetric(l.p.NY, product)
	}
	return l.hessian
}

// matrix assembles a linear map from its products with unit vectors.
func matrix(rows, cols int, product func(dst, v []float64)) *mat.Dense {
	m := mat.NewDense(rows, cols, nil)
	e, col := make([]float64, cols), make([]float64, rows)
	for j := range e {
		e[j] = 1
		product(col, e)
		e[j] = 0
		m.SetCol(j, col)
	}
	return m
}

// symmetric is matrix for a symmetric map; rounding asymmetry is averaged away.
func symmetric(n int, product func(dst, v []float64)) *mat.SymDense {
	m := matrix(n, n, product)
	s := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			s.SetSym(i, j, (m.At(i, j)+m.At(j, i))/2)
		}
	}
	return s
}

// at is the program  min over y in Y of wg·g(x, y) + wf·f(x, y)  subject to
// h(x, y) <= 0.
func (l *lower) at(x []float64, wg, wf float64) *program {
	p := l.p
	tmp := make([]float64, p.NY)
	pr := &program{n: p.NY, z: p.Y}
	pr.value = func(y []float64) float64 {
		v := 0.0
		if wg != 0 {
			v += wg * p.Lower.Value(x, y)
		}
		if wf != 0 {
			v += wf * p.Upper.Value(x, y)
		}
		return v
	}
	pr.grad = func(dst, y []float64) {
		clear(dst)
		if wg != 0 {
			p.Lower.GradY(tmp, x, y)
			floats.AddScaled(dst, wg, tmp)
		}
		if wf != 0 {
			p.Upper.GradY(tmp, x, y)
			floats.AddScaled(dst, wf, tmp)
		}
	}
	pr.hess = func(dst, y, v []float64) {
		clear(dst)
		if wg != 0 {
			p.Lower.HessYY(tmp, x, y, v)
			floats.AddScaled(dst, wg, tmp)
		}
		if wf != 0 {
			p.Upper.HessYY(tmp, x, y, v)
			floats.AddScaled(dst, wf, tmp)
		}
	}
	k := l.kinds[kind{wg != 0, wf != 0}]
	if k == nil {
		k = new(kept)
		l.kinds[kind{wg != 0, wf != 0}] = k
	}
	pr.shape, pr.order = &k.shape, &k.order
	if l.quadratic && wf == 0 {
		y := make([]float64, p.NY)
		pr.project(y, y)
		pr.hessian = l.hessianAt(func(dst, v []float64) { pr.hess(dst, y, v) })
	}
	if h := p.Coupling; h != nil {
		pr.rows, pr.eq = h.Rows, h.Equalities
		pr.cons = func(dst, y []float64) { h.Value(dst, x, y) }
		pr.jac = func(dst, y, v []float64) { h.JacY(dst, x, y, v) }
		pr.jacT = func(dst, y, mu []float64) { h.JacYT(dst, x, y, mu) }
		if !l.affine && !l.quadratic {
			pr.curve = func(dst, y, mu, v []float64) { h.HessYY(dst, x, y, mu, v) }
		}
		pr.jacobian = l.jacobian
		if !l.affine && l.quadratic {
			y := make([]float64, p.NY)
			pr.project(y, y)
			pr.jacobian = l.jacobianAt(x, y)
		}
	}
	return pr
}
