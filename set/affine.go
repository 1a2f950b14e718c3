package set

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// affine is { y : A y = b } as <q_k, y> = t_k with orthonormal rows q_k.
type affine struct {
	n     int
	q     [][]float64
	t     []float64
	equal []Row
}

// Affine is { y : A y = b }, A with one row per equation. Dependent equations
// are allowed; it is an *Error if they contradict each other, if the shapes
// disagree, or if a coefficient is not finite. A is factorized once: a projection
// then costs 2 rank(A) products of length n.
func Affine(a mat.Matrix, b []float64) (Set, error) {
	rows, n, err := matrix("Affine", a, b)
	if err != nil {
		return nil, err
	}
	s := &affine{n: n}
	if rows == 0 {
		return s, nil
	}
	// A = U S V^T: the rows of V^T with S_k > 0 span the row space and
	// V^T y = S^-1 U^T b holds there.
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDThin) {
		return nil, &Error{"Affine", "a", "a matrix whose singular values do not converge", "finite coefficients of similar size"}
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	sigma := svd.Values(nil)
	rest := append([]float64(nil), b...)
	for k, c := range sigma {
		if c <= 1e-12*sigma[0]*math.Sqrt(float64(n)) {
			break
		}
		uk := mat.Col(nil, k, &u)
		ub := floats.Dot(uk, b)
		floats.AddScaled(rest, -ub, uk)
		s.q = append(s.q, mat.Col(nil, k, &v))
		s.t = append(s.t, ub/c)
	}
	size := floats.Norm(b, 2)
	for i, r := range rest {
		if math.Abs(r) > 1e-9*(1e-3+size) {
			return nil, &Error{"Affine", fmt.Sprintf("b[%d]", i), b[i], fmt.Sprintf("a right-hand side that the other equations do not contradict (here by %.3g)", r)}
		}
	}
	s.equal = sparse(a, b)
	return s, nil
}

// matrix checks the shape and the numbers of A and b.
func matrix(set string, a mat.Matrix, b []float64) (rows, n int, err error) {
	if a == nil {
		return 0, 0, &Error{set, "a", nil, "a matrix"}
	}
	rows, n = a.Dims()
	if len(b) != rows {
		return 0, 0, &Error{set, "len(b)", len(b), fmt.Sprintf("the number of rows of a, %d", rows)}
	}
	for i := range rows {
		for j := range n {
			if v := a.At(i, j); v-v != 0 {
				return 0, 0, &Error{set, fmt.Sprintf("a[%d,%d]", i, j), v, "a finite number"}
			}
		}
	}
	return rows, n, allFinite(set, "b", b)
}

// sparse lists the rows of A y (= or <=) b without their zeros.
func sparse(a mat.Matrix, b []float64) []Row {
	rows, n := a.Dims()
	list := make([]Row, rows)
	for i := range list {
		list[i].Bound = b[i]
		for j := range n {
			if v := a.At(i, j); v != 0 {
				list[i].Index = append(list[i].Index, j)
				list[i].Coef = append(list[i].Coef, v)
			}
		}
	}
	return list
}

func (s *affine) Dim() int { return s.n }
func (s *affine) String() string {
	return fmt.Sprintf("affine subspace of dimension %d in R^%d", s.n-len(s.q), s.n)
}

func (s *affine) Describe() *Description {
	d := unbounded(s.n)
	d.Equal = s.equal
	return d
}

// Project takes the orthonormal equations one after the other: their
// projections commute, so the result is the projection on all of them.
func (s *affine) Project(dst, x []float64) {
	copy(dst, x)
	for k, q := range s.q {
		floats.AddScaled(dst, s.t[k]-floats.Dot(q, dst), q)
	}
}

func (s *affine) ProjectDeriv(dst, _, v []float64) bool {
	copy(dst, v)
	for _, q := range s.q {
		floats.AddScaled(dst, -floats.Dot(q, dst), q)
	}
	return true
}
