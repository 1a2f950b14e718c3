package certify

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// csr is a sparse matrix by rows, the columns of a row ascending.
type csr struct {
	rows, cols int
	ptr, ind   []int
	val        []float64
}

func (m *csr) row(i int) ([]int, []float64) {
	return m.ind[m.ptr[i]:m.ptr[i+1]], m.val[m.ptr[i]:m.ptr[i+1]]
}

// add appends the nonzeros of v as the next row.
func (m *csr) add(v []float64) {
	for j, a := range v {
		if a != 0 {
			m.ind, m.val = append(m.ind, j), append(m.val, a)
		}
	}
	m.rows++
	m.ptr = append(m.ptr, len(m.ind))
}

// addRow appends row i of o, scaled.
func (m *csr) addRow(o *csr, i int, scale float64) {
	ind, val := o.row(i)
	m.ind = append(m.ind, ind...)
	for _, v := range val {
		m.val = append(m.val, scale*v)
	}
	m.rows++
	m.ptr = append(m.ptr, len(m.ind))
}

func emptyCSR(cols int) *csr { return &csr{cols: cols, ptr: []int{0}} }

func (m *csr) mulVec(dst, v []float64) {
	for i := range dst {
		ind, val := m.row(i)
		s := 0.0
		for k, j := range ind {
			s += val[k] * v[j]
		}
		dst[i] = s
	}
}

func (m *csr) transpose() *csr {
	t := &csr{rows: m.cols, cols: m.rows, ptr: make([]int, m.cols+1), ind: make([]int, len(m.ind)), val: make([]float64, len(m.val))}
	for _, j := range m.ind {
		t.ptr[j+1]++
	}
	for j := range m.cols {
		t.ptr[j+1] += t.ptr[j]
	}
	next := slices.Clone(t.ptr)
	for i := range m.rows {
		ind, val := m.row(i)
		for k, j := range ind {
			t.ind[next[j]], t.val[next[j]] = i, val[k]
			next[j]++
		}
	}
	return t
}

// symmetrised is (m + m')/2.
func (m *csr) symmetrised() *csr {
	t, s := m.transpose(), emptyCSR(m.cols)
	for i := range m.rows {
		a, av := m.row(i)
		b, bv := t.row(i)
		for x, y := 0, 0; x < len(a) || y < len(b); {
			switch {
			case y == len(b) || x < len(a) && a[x] < b[y]:
				s.ind, s.val = append(s.ind, a[x]), append(s.val, av[x]/2)
				x++
			case x == len(a) || b[y] < a[x]:
				s.ind, s.val = append(s.ind, b[y]), append(s.val, bv[y]/2)
				y++
			default:
				s.ind, s.val = append(s.ind, a[x]), append(s.val, (av[x]+bv[y])/2)
				x, y = x+1, y+1
			}
		}
		s.rows++
		s.ptr = append(s.ptr, len(s.ind))
	}
	return s
}

func (m *csr) maxAbs() float64 {
	size := 0.0
	for _, v := range m.val {
		size = math.Max(size, math.Abs(v))
	}
	return size
}

// typicalRow is the median squared norm of the rows that are not zero, +Inf
// when all are.
func (m *csr) typicalRow() float64 {
	var sizes []float64
	for i := range m.rows {
		if _, val := m.row(i); len(val) > 0 {
			sizes = append(sizes, floats.Dot(val, val))
		}
	}
	if len(sizes) == 0 {
		return math.Inf(1)
	}
	slices.Sort(sizes)
	return sizes[len(sizes)/2]
}

// lowCurvature is the lower quartile of the positive diagonal entries, +Inf when
// there are none.
func (m *csr) lowCurvature() float64 {
	var d []float64
	for i := range m.rows {
		ind, val := m.row(i)
		if k, ok := slices.BinarySearch(ind, i); ok && val[k] > 0 {
			d = append(d, val[k])
		}
	}
	if len(d) == 0 {
		return math.Inf(1)
	}
	slices.Sort(d)
	return d[len(d)/4]
}

// dense is the symmetric matrix m.
func (m *csr) dense() *mat.SymDense {
	s := mat.NewSymDense(m.rows, nil)
	for i := range m.rows {
		ind, val := m.row(i)
		for k, j := range ind {
			if j >= i {
				s.SetSym(i, j, val[k])
			}
		}
	}
	return s
}

// A matrix is taken apart by products with unit vectors while that costs at most
// workLimit multiplications of a dense matrix, and kept up to keptLimit entries.
const (
	workLimit = 2e8
	keptLimit = 4_000_000
)

// extractRows returns the matrix of rows rows and cols columns from the products
// with it and its transpose, or nil when it is too large.
func extractRows(rows, cols int, product, transposed func(dst, v []float64)) *csr {
	if float64(min(rows, cols))*float64(rows+cols) > workLimit {
		return nil
	}
	if cols < rows {
		t := extractRows(cols, rows, transposed, product)
		if t == nil {
			return nil
		}
		return t.transpose()
	}
	m := emptyCSR(cols)
	e, row := make([]float64, rows), make([]float64, cols)
	for i := range e {
		e[i] = 1
		transposed(row, e)
		e[i] = 0
		m.add(row)
		if len(m.ind) > keptLimit {
			return nil
		}
	}
	return m
}

// extractSymmetric returns the n x n symmetric matrix behind product, or nil
// when it is too large and does not have one entry a row.
func extractSymmetric(n int, product func(dst, v []float64)) *csr {
	if m := onePerRow(n, product); m != nil {
		return m.symmetrised()
	}
	m := extractRows(n, n, product, product)
	if m == nil {
		return nil
	}
	return m.symmetrised()
}

// onePerRow finds a matrix with at most one entry in every row: products with
// (1, 1, ...) and (1, 2, ...) tell the value and the column, a product with a random vector
// confirms them. It returns nil when they do not fit.
func onePerRow(n int, product func(dst, v []float64)) *csr {
	v, ones, index := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range v {
		v[i] = 1
	}
	product(ones, v)
	for i := range v {
		v[i] = float64(i + 1)
	}
	product(index, v)
	m := emptyCSR(n)
	for i, a := range ones {
		if a != 0 {
			j := math.Round(index[i]/a) - 1
			if !(j >= 0 && j < float64(n)) {
				return nil
			}
			m.ind, m.val = append(m.ind, int(j)), append(m.val, a)
		}
		m.rows++
		m.ptr = append(m.ptr, len(m.ind))
	}
	if !m.agrees(product) {
		return nil
	}
	return m
}

// agrees compares m with a product on a fixed random vector: a wrong or missing
// entry shows with probability one, down to 1e-9 of the product's size.
func (m *csr) agrees(product func(dst, v []float64)) bool {
	rng := rand.New(rand.NewPCG(uint64(m.cols), 0x5a17))
	v, a, b := make([]float64, m.cols), make([]float64, m.rows), make([]float64, m.rows)
	for i := range v {
		v[i] = rng.NormFloat64()
	}
	product(a, v)
	m.mulVec(b, v)
	return floats.Distance(a, b, 2) <= 1e-9*math.Max(floats.Norm(a, 2), floats.Norm(b, 2))
}

// shape is what is learnt of the Hessians of one function: the places of the
// entries and groups of columns without a common row, which one product tells apart.
type shape struct {
	pattern *csr
	groups  [][]int
	large   bool // not extracted
}

// hessian is the matrix behind product. The entries' places are those of an
// earlier point while they agree with the product.
func (s *shape) hessian(n int, product func(dst, v []float64)) *csr {
	if s.large {
		return nil
	}
	if s.pattern != nil && len(s.groups) > 0 {
		if m := s.compressed(n, product); m.agrees(product) {
			return m
		}
	}
	m := extractSymmetric(n, product)
	if s.large = m == nil; !s.large {
		s.pattern = m
		s.group()
	}
	return m
}

func (s *shape) compressed(n int, product func(dst, v []float64)) *csr {
	m := &csr{rows: n, cols: n, ptr: s.pattern.ptr, ind: s.pattern.ind, val: make([]float64, len(s.pattern.val))}
	v, u := make([]float64, n), make([]float64, n)
	for _, columns := range s.groups {
		for _, j := range columns {
			v[j] = 1
		}
		product(u, v)
		for _, j := range columns {
			v[j] = 0
			// By symmetry column j is row j.
			for k := m.ptr[j]; k < m.ptr[j+1]; k++ {
				m.val[k] = u[m.ind[k]]
			}
		}
	}
	return m
}

// group colours the columns greedily.
func (s *shape) group() {
	p := s.pattern
	s.groups = nil
	work := 0
	for i := range p.rows {
		d := p.ptr[i+1] - p.ptr[i]
		work += d * d
	}
	if work > workLimit/10 {
		return
	}
	colour, taken := make([]int, p.rows), []int{}
	for j := range colour {
		colour[j] = -1
	}
	for j := range colour {
		rows, _ := p.row(j)
		for _, i := range rows {
			near, _ := p.row(i)
			for _, k := range near {
				if c := colour[k]; c >= 0 {
					taken[c] = j + 1
				}
			}
		}
		c := 0
		for c < len(taken) && taken[c] == j+1 {
			c++
		}
		if c == len(taken) {
			taken = append(taken, 0)
			s.groups = append(s.groups, nil)
		}
		colour[j] = c
		s.groups[c] = append(s.groups[c], j)
	}
}
