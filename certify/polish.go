package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// polishLimit is the largest Newton system (variables plus active rows) that
// polish factorises.
const polishLimit = 650

// polish improves a point near a solution by Newton's method on the KKT
// conditions, the active rows being those with mu_i + rho c_i > 0 and the face of
// Z the one that D = DP(z - grad L) predicts:
//
//	[ I - D + D H + eps I   D J' ] [ d   ]   [ P(z - grad L) - z ]
//	[ J                   -eps I ] [ dmu ] = [ -c                ]
//
// (Hintermüller, Ito and Kunisch's primal-dual active sets). eps > 0 keeps
// dependent rows solvable; its effect vanishes as the iteration repeats. A step
// that does not halve the KKT residual ends it.
func (w *newton) polish(sol *solution) {
	p := w.p
	z, mu := append([]float64(nil), sol.z...), append([]float64(nil), sol.mu...)
	for range 12 {
		best := sol.residual()
		if !w.kktStep(z, mu, sol) {
			return
		}
		try := &solution{z: z, mu: mu}
		w.residuals(try)
		worse := !(try.residual() < 0.5*best)
		for i := p.eq; i < p.rows; i++ {
			worse = worse || mu[i] < 0
		}
		if worse {
			w.residuals(sol) // restores w.plain
			return
		}
		copy(sol.z, z)
		copy(sol.mu, mu)
		sol.value, sol.stationarity, sol.violation, sol.complementarity = try.value, try.stationarity, try.violation, try.complementarity
	}
}

// kktStep sets z and mu to sol moved by one step.
func (w *newton) kktStep(z, mu []float64, sol *solution) bool {
	p, n := w.p, w.p.n
	var active []int
	if p.rows > 0 {
		p.cons(w.c, sol.z)
		for i, c := range w.c {
			if i < p.eq || sol.mu[i]+w.rho*c > 0 {
				active = append(active, i)
			}
		}
	}
	k := len(active)
	p.grad(w.g, sol.z)
	if p.rows > 0 {
		clear(w.lam)
		for _, i := range active {
			w.lam[i] = sol.mu[i]
		}
		p.jacT(w.tmp, sol.z, w.lam)
		floats.Add(w.g, w.tmp)
	}
	floats.SubTo(w.u, sol.z, w.g)
	p.project(w.pu, w.u)
	if h, free, ok := p.sparseAt(sol.z, w.u); ok {
		return w.kktStepSparse(z, mu, sol, h, free, active)
	}
	if n > denseLimit || n+k > polishLimit {
		return false
	}
	h := p.lagrangianHessian(&solution{z: sol.z, mu: w.lam})
	j := p.rowsAt(sol.z, active)
	a := mat.NewDense(n+k, n+k, nil)
	rhs := mat.NewVecDense(n+k, nil)
	top := a.Slice(0, n, 0, n).(*mat.Dense)
	if p.z == nil {
		top.Copy(h)
		if k > 0 {
			a.Slice(0, n, n, n+k).(*mat.Dense).Copy(j.T())
		}
	} else {
		d := matrix(n, n, func(dst, v []float64) { p.projectDeriv(dst, w.u, v) })
		top.Mul(d, h)
		top.Sub(top, d)
		for i := range n {
			top.Set(i, i, top.At(i, i)+1)
		}
		if k > 0 {
			a.Slice(0, n, n, n+k).(*mat.Dense).Mul(d, j.T())
		}
	}
	size := math.Max(1e-300, mat.Norm(top, math.Inf(1)))
	for i := range n {
		a.Set(i, i, a.At(i, i)+1e-13*size)
		rhs.SetVec(i, w.pu[i]-sol.z[i])
	}
	if k > 0 {
		a.Slice(n, n+k, 0, n).(*mat.Dense).Copy(j)
		jj := mat.Norm(j, math.Inf(1))
		for i, row := range active {
			a.Set(n+i, n+i, -1e-11*jj*jj/size)
			rhs.SetVec(n+i, -w.c[row])
		}
	}
	var lu mat.LU
	lu.Factorize(a)
	step := mat.NewVecDense(n+k, nil)
	if err := lu.SolveVecTo(step, false, rhs); err != nil {
		if _, conditioned := err.(mat.Condition); !conditioned {
			return false
		}
	}
	s := step.RawVector().Data
	if floats.HasNaN(s) {
		return false
	}
	w.move(z, mu, sol, s[:n], s[n:], active)
	return true
}

func (w *newton) move(z, mu []float64, sol *solution, dz, dmu []float64, active []int) {
	floats.AddTo(z, sol.z, dz)
	w.p.project(z, z)
	clear(mu)
	for i, row := range active {
		mu[row] = w.lam[row] + dmu[i]
	}
}

// kktStepSparse is kktStep where D keeps the free coordinates and fixes the others.
func (w *newton) kktStepSparse(z, mu []float64, sol *solution, h *csr, free []bool, active []int) bool {
	toFace := func(i int) float64 { return w.pu[i] - sol.z[i] }
	rows, dz, dmu := make([]float64, len(active)), make([]float64, w.p.n), make([]float64, len(active))
	for k, r := range active {
		rows[k] = -w.c[r]
	}
	if !newSaddle(w.p, h, free, active, 0).step(dz, dmu, toFace, toFace, rows, false) {
		return false
	}
	w.move(z, mu, sol, dz, dmu, active)
	return true
}

// rowsAt is the matrix of the given rows of the Jacobian at z.
func (p *program) rowsAt(z []float64, rows []int) *mat.Dense {
	if len(rows) == 0 {
		return nil
	}
	j := mat.NewDense(len(rows), p.n, nil)
	if p.jacobian != nil {
		for i, r := range rows {
			ind, val := p.jacobian.row(r)
			for x, k := range ind {
				j.Set(i, k, val[x])
			}
		}
		return j
	}
	if len(rows) < p.n {
		e := make([]float64, p.rows)
		for i, r := range rows {
			e[r] = 1
			p.jacT(j.RawRowView(i), z, e)
			e[r] = 0
		}
		return j
	}
	all := matrix(p.rows, p.n, func(dst, v []float64) { p.jac(dst, z, v) })
	for i, r := range rows {
		j.SetRow(i, all.RawRowView(r))
	}
	return j
}
