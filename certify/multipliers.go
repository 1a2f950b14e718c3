package certify

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// fitMultipliers returns the multipliers that fit the optimality conditions of y
// best: the least of |D (grad F + J' mu)|² over mu_i >= 0 on the inequalities, on
// the rows that are active at y, with D the face of Z that guess predicts.
func (p *program) fitMultipliers(s *solver, y, guess []float64) []float64 {
	mu := make([]float64, p.rows)
	c, u, g := make([]float64, p.rows), make([]float64, p.n), make([]float64, p.n)
	p.cons(c, y)
	near := 1e-6 * (1 + floats.Norm(y, math.Inf(1)))
	var active []int
	eq := 0
	for i, v := range c {
		if i < p.eq || v > -near {
			active = append(active, i)
			if i < p.eq {
				eq++
			}
		}
	}
	if len(active) == 0 || len(active) > 2*denseLimit {
		return mu
	}
	p.lagrangianGrad(g, y, guess, u)
	floats.SubTo(u, y, g)
	p.grad(g, y)
	k := len(active)
	rows := mat.NewDense(k, p.n, nil)
	e, back := make([]float64, p.rows), make([]float64, p.n)
	for i, r := range active {
		e[r] = 1
		p.jacT(back, y, e)
		e[r] = 0
		p.projectDeriv(rows.RawRowView(i), u, back)
	}
	face := make([]float64, p.n)
	p.projectDeriv(face, u, g)
	var gram mat.SymDense
	gram.SymOuterK(1, rows)
	rhs := make([]float64, k)
	mat.NewVecDense(k, rhs).MulVec(rows, mat.NewVecDense(p.n, face))
	q := &program{n: k, z: orthant{k, eq}}
	q.hess = func(dst, _, v []float64) { mat.NewVecDense(k, dst).MulVec(&gram, mat.NewVecDense(k, v)) }
	q.grad = func(dst, z []float64) {
		q.hess(dst, nil, z)
		floats.Add(dst, rhs)
	}
	tmp := make([]float64, k)
	q.value = func(z []float64) float64 {
		q.hess(tmp, nil, z)
		return floats.Dot(tmp, z)/2 + floats.Dot(rhs, z)
	}
	start := make([]float64, k)
	for i, r := range active {
		start[i] = guess[r]
	}
	fit := s.solve(q, start, nil)
	for i, r := range active {
		mu[r] = fit.z[i]
	}
	return mu
}

// orthant is { z : z_i >= 0 for i >= free }.
type orthant struct{ n, free int }

func (o orthant) Dim() int       { return o.n }
func (o orthant) String() string { return "multipliers" }
func (o orthant) Project(dst, z []float64) {
	for i, v := range z {
		dst[i] = v
		if i >= o.free && v < 0 {
			dst[i] = 0
		}
	}
}
func (o orthant) ProjectDeriv(dst, z, v []float64) bool {
	smooth := true
	for i := range z {
		dst[i] = v[i]
		if i >= o.free && z[i] <= 0 {
			dst[i] = 0
			smooth = smooth && z[i] < 0
		}
	}
	return smooth
}
