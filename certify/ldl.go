package certify

import "slices"

// ldl is a factorisation L D L' of a sparse symmetric matrix without pivoting, L
// unit lower triangular by columns, D diagonal, computed row by row along the
// elimination tree (Davis, ACM TOMS 31, 2005, algorithm 849). It is stable for
// quasidefinite matrices (Vanderbei, SIAM J. Optim. 5, 1995) to the degree that
// their diagonal blocks are; for others the solution's residual has to tell.
// The numbers of positive and negative entries of D are those of eigenvalues.
type ldl struct {
	n        int
	lp, li   []int
	lx, d    []float64
	negative int
}

// factorise takes the upper triangle by columns, diagonal included, entries of
// equal place adding up. It reports false at a zero or undefined pivot.
func factorise(n int, ap, ai []int, ax []float64) (*ldl, bool) {
	f := &ldl{n: n, lp: make([]int, n+1), d: make([]float64, n)}
	parent, flag, count := make([]int, n), make([]int, n), make([]int, n)
	for k := range n {
		parent[k], flag[k] = -1, k
		for _, i := range ai[ap[k]:ap[k+1]] {
			for ; flag[i] != k; i = parent[i] {
				if parent[i] < 0 {
					parent[i] = k
				}
				count[i]++
				flag[i] = k
			}
		}
	}
	for k, c := range count {
		f.lp[k+1] = f.lp[k] + c
		count[k], flag[k] = 0, -1
	}
	f.li, f.lx = make([]int, f.lp[n]), make([]float64, f.lp[n])
	y, path, branch := make([]float64, n), make([]int, n), make([]int, 0, n)
	for k := range n {
		top := n
		flag[k] = k
		for p := ap[k]; p < ap[k+1]; p++ {
			i := ai[p]
			y[i] += ax[p]
			branch = branch[:0]
			for ; flag[i] != k; i = parent[i] {
				branch = append(branch, i)
				flag[i] = k
			}
			top -= len(branch)
			copy(path[top:], branch)
		}
		d := y[k]
		y[k] = 0
		for _, i := range path[top:] {
			yi := y[i]
			y[i] = 0
			end := f.lp[i] + count[i]
			lx := f.lx[f.lp[i]:end]
			for q, r := range f.li[f.lp[i]:end] {
				y[r] -= lx[q] * yi
			}
			l := yi / f.d[i]
			d -= l * yi
			f.li[end], f.lx[end] = k, l
			count[i]++
		}
		if d == 0 || d-d != 0 {
			return nil, false
		}
		if d < 0 {
			f.negative++
		}
		f.d[k] = d
	}
	return f, true
}

// solve overwrites b with the solution.
func (f *ldl) solve(b []float64) {
	for j := range f.n {
		for p := f.lp[j]; p < f.lp[j+1]; p++ {
			b[f.li[p]] -= f.lx[p] * b[j]
		}
	}
	for j, d := range f.d {
		b[j] /= d
	}
	for j := f.n - 1; j >= 0; j-- {
		for p := f.lp[j]; p < f.lp[j+1]; p++ {
			b[j] -= f.lx[p] * b[f.li[p]]
		}
	}
}

// minimumDegree orders the nodes of a graph for elimination by approximate
// minimum degree on the quotient graph (Amestoy, Davis and Duff, SIAM J. Matrix
// Anal. Appl. 17, 1996, without supervariables). Nodes of very many
// neighbours come last.
func minimumDegree(adjacent [][]int) []int {
	n := len(adjacent)
	var (
		order    = make([]int, 0, n)
		many     []int
		gone     = make([]bool, n) // eliminated, or set aside
		dead     = make([]bool, n) // absorbed elements
		elements = make([][]int, n)
		nodes    = make([][]int, n) // of an element
		alive    = make([]int, n)   // their number not yet eliminated
		degree   = make([]int, n)
		outside  = make([]int, n)
		seen     = make([]int, n)
		mark     = make([]int, n)
		buckets  = make([][]int, n+1)
	)
	dense := 16
	for dense*dense < 100*n {
		dense++
	}
	for i, a := range adjacent {
		if len(a) > dense {
			gone[i] = true
			many = append(many, i)
		}
	}
	drop := func(list []int, out func(int) bool) []int { return slices.DeleteFunc(list, out) }
	for i := range adjacent {
		if !gone[i] {
			adjacent[i] = drop(adjacent[i], func(j int) bool { return gone[j] })
			degree[i] = len(adjacent[i])
			buckets[degree[i]] = append(buckets[degree[i]], i)
		}
	}
	tag := 0
	for least := 0; least <= n; {
		b := buckets[least]
		if len(b) == 0 {
			least++
			continue
		}
		p := b[len(b)-1]
		buckets[least] = b[:len(b)-1]
		if gone[p] || degree[p] != least {
			continue // an outdated entry
		}
		tag++
		gone[p] = true
		order = append(order, p)
		mark[p] = tag
		var front []int
		take := func(list []int) {
			for _, i := range list {
				if !gone[i] && mark[i] != tag {
					mark[i] = tag
					front = append(front, i)
				}
			}
		}
		take(adjacent[p])
		for _, e := range elements[p] {
			if !dead[e] {
				take(nodes[e])
				dead[e] = true
			}
		}
		adjacent[p], elements[p] = nil, nil
		nodes[p], alive[p] = front, len(front)
		for _, i := range front {
			for _, e := range elements[i] {
				if dead[e] {
					continue
				}
				if seen[e] != tag {
					seen[e], outside[e] = tag, alive[e]
				}
				outside[e]--
			}
		}
		for _, i := range front {
			adjacent[i] = drop(adjacent[i], func(j int) bool { return gone[j] || mark[j] == tag })
			d := len(adjacent[i]) + len(front) - 1
			elements[i] = drop(elements[i], func(e int) bool {
				if dead[e] || outside[e] == 0 {
					dead[e] = true
					return true
				}
				d += outside[e]
				return false
			})
			elements[i] = append(elements[i], p)
			degree[i] = min(d, n)
			buckets[degree[i]] = append(buckets[degree[i]], i)
			least = min(least, degree[i])
		}
	}
	return append(order, many...)
}
