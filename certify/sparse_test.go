package certify

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// randomRows is a rows x cols matrix with about share of its entries.
func randomRows(rng *rand.Rand, rows, cols int, share float64) *csr {
	m := emptyCSR(cols)
	v := make([]float64, cols)
	for range rows {
		clear(v)
		for j := range v {
			if rng.Float64() < share {
				v[j] = rng.NormFloat64()
			}
		}
		v[rng.IntN(cols)] = 1
		m.add(v)
	}
	return m
}

func full(m *csr) *mat.Dense {
	d := mat.NewDense(m.rows, m.cols, nil)
	for i := range m.rows {
		ind, val := m.row(i)
		for k, j := range ind {
			d.Set(i, j, val[k])
		}
	}
	return d
}

// TestSaddle compares sparse solutions and inertias with dense ones, for definite
// and indefinite H, with some variables and rows left out.
func TestSaddle(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for trial := range 60 {
		n, rows := 5+rng.IntN(60), 1+rng.IntN(30)
		root := randomRows(rng, n, n, 2/float64(n))
		var hd mat.Dense
		hd.Mul(full(root).T(), full(root))
		for i := range n {
			hd.Set(i, i, hd.At(i, i)+0.1)
			if trial%3 == 2 { // some directions curve down
				hd.Set(i, i, hd.At(i, i)-rng.Float64())
			}
		}
		h := emptyCSR(n)
		for i := range n {
			h.add(hd.RawRowView(i))
		}
		p := &program{n: n, rows: rows, jacobian: randomRows(rng, rows, n, 0.2), order: new([]int)}
		order := slices.Sorted(slices.Values(p.elimination(h)))
		if len(order) != n+rows || order[0] != 0 || order[n+rows-1] != n+rows-1 || len(slices.Compact(order)) != n+rows {
			t.Fatalf("trial %d: the elimination order is no permutation: %v", trial, order)
		}
		free, active := make([]bool, n), []int{}
		var vars []int
		for i := range free {
			if free[i] = rng.Float64() < 0.8; free[i] {
				vars = append(vars, i)
			}
		}
		for r := range rows {
			if rng.Float64() < 0.5 {
				active = append(active, r)
			}
		}
		if len(vars) == 0 {
			continue
		}
		const slack = 0.1
		s := newSaddle(p, h, free, active, slack)
		definite := s.factorise(shiftShare*s.size, s.floor())
		k, m := len(vars), len(active)
		j := full(p.jacobian)
		system, schur := mat.NewDense(k+m, k+m, nil), mat.NewSymDense(k, nil)
		for a, i := range vars {
			for b, l := range vars {
				system.Set(a, b, hd.At(i, l))
				sum := hd.At(i, l)
				for _, r := range active {
					sum += j.At(r, i) * j.At(r, l) / slack
				}
				schur.SetSym(a, b, sum)
			}
			for b, r := range active {
				system.Set(a, k+b, j.At(r, i))
				system.Set(k+b, a, j.At(r, i))
			}
		}
		for b := range active {
			system.Set(k+b, k+b, -slack)
		}
		var e mat.EigenSym
		e.Factorize(schur, false)
		if least := floats.Min(e.Values(nil)); math.Abs(least) > 1e-6 && definite != (least > 0) {
			t.Errorf("trial %d: definite %v, but the least eigenvalue is %v", trial, definite, least)
		}
		x := make([]float64, k+m)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		b := mul(system, x)
		top, d, q := make([]float64, n), make([]float64, n), make([]float64, m)
		for a, i := range vars {
			top[i] = b[a]
		}
		if left := s.solve(d, q, top, b[k:], 0); left > 1e-10 {
			t.Errorf("trial %d: residual %v", trial, left)
		}
		var c mat.SVD
		c.Factorize(system, mat.SVDNone)
		tol := 1e-11 * c.Cond() * floats.Norm(x, 2)
		for a, i := range vars {
			if math.Abs(d[i]-x[a]) > tol {
				t.Fatalf("trial %d: variable %d is %v, want %v", trial, i, d[i], x[a])
			}
		}
		for b := range active {
			if math.Abs(q[b]-x[k+b]) > tol {
				t.Fatalf("trial %d: row %d is %v, want %v", trial, b, q[b], x[k+b])
			}
		}
	}
}

// TestExtraction recovers matrices from products, by rows, by columns, with one
// entry a row, and at a second point from groups of columns.
func TestExtraction(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	same := func(what string, got, want *csr) {
		t.Helper()
		if got == nil || got.rows != want.rows || got.cols != want.cols {
			t.Fatalf("%s: %+v", what, got)
		}
		var d mat.Dense
		d.Sub(full(got), full(want))
		if v := mat.Norm(&d, math.Inf(1)); v > 1e-12 {
			t.Errorf("%s: off by %v", what, v)
		}
	}
	for _, size := range [][2]int{{4, 90}, {90, 4}, {30, 30}} {
		m := randomRows(rng, size[0], size[1], 0.1)
		same("rows", extractRows(m.rows, m.cols, m.mulVec, m.transpose().mulVec), m)
	}
	n := 3000
	diagonal := identityCSR(n)
	for i := range n {
		diagonal.val[i] = rng.NormFloat64()
	}
	products := 0
	counted := func(m *csr) func(dst, v []float64) {
		return func(dst, v []float64) { products++; m.mulVec(dst, v) }
	}
	if got := extractSymmetric(n, counted(diagonal)); got == nil || !slices.Equal(got.val, diagonal.val) || products > 3 {
		t.Errorf("diagonal by %d products", products)
	}
	// Blocks of 20 beside a diagonal: 20 groups.
	first, second := emptyCSR(400), emptyCSR(400)
	for _, m := range []*csr{first, second} {
		v := make([]float64, 400)
		for i := range 400 {
			clear(v)
			v[i] = 1 + rng.Float64()
			if i < 20 {
				for j := range 20 {
					v[j] = 1 / float64(i+j+1)
				}
				v[i] += rng.Float64()
			}
			m.add(v)
		}
	}
	var s shape
	same("first point", s.hessian(400, counted(first)), first)
	products = 0
	same("second point", s.hessian(400, counted(second)), second)
	if products > 25 {
		t.Errorf("%d products at a second point of the same shape", products)
	}
	// An entry where there was none must be found.
	other := randomRows(rng, 400, 400, 0.01).symmetrised()
	same("another shape", s.hessian(400, counted(other)), other)
}

// TestLeastEigenvalue: above denseBelow a bound from below within a factor of two.
func TestLeastEigenvalue(t *testing.T) {
	n := denseBelow + 10
	m := identityCSR(n)
	for i := range n {
		m.val[i] = 0.3 + float64(i)
	}
	if v := leastEigenvalue(m); !(v > 0.15 && v <= 0.3) {
		t.Errorf("0.3: %v", v)
	}
	m.val[n/2] = 0
	if v := leastEigenvalue(m); v != 0 {
		t.Errorf("0: %v", v)
	}
	m.val[n/2] = -1e-3
	if v := leastEigenvalue(m); !math.IsInf(v, -1) {
		t.Errorf("-1e-3: %v", v)
	}
}
