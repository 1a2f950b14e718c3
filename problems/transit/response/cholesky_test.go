package response

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

func positive(n int) []float64 {
	rng, a := rand.New(rand.NewPCG(1, 1)), make([]float64, n*n)
	for i := range n {
		for j := range i {
			v := 2*rng.Float64() - 1
			a[i*n+j], a[j*n+i] = v, v
		}
		a[i*n+i] = float64(n)
	}
	return a
}

func TestCholesky(t *testing.T) {
	for _, n := range []int{0, 1, 2, block - 1, block, block + 1, 3*block - 5, manyRows, manyRows + 7} {
		a := positive(n)
		u := slices.Clone(a)
		if !cholesky(u, n) {
			t.Fatalf("%d rows: not positive definite", n)
		}
		for i := range n {
			for j := i; j < n; j++ {
				sum := 0.0
				for k := range i + 1 {
					sum += u[k*n+i] * u[k*n+j]
				}
				if math.Abs(sum-a[i*n+j]) > 1e-13*float64(n) {
					t.Fatalf("%d rows: (U'U)_%d,%d is off by %g", n, i, j, sum-a[i*n+j])
				}
			}
		}
	}
}

func TestCholeskyOfOthers(t *testing.T) {
	for _, n := range []int{1, block, manyRows} {
		for _, v := range []float64{0, -1, math.NaN()} {
			for _, i := range []int{0, n / 2, n - 1} {
				a := positive(n)
				if a[i*n+i] = v; cholesky(a, n) {
					t.Errorf("%d rows: positive definite with a diagonal entry %g", n, v)
				}
			}
		}
	}
}

func TestCholeskyWorkers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	n := manyRows + 7
	var want []float64
	for _, workers := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(workers)
		a := positive(n)
		cholesky(a, n)
		if want == nil {
			want = a
		} else if !slices.Equal(a, want) {
			t.Errorf("the factor by %d workers differs", workers)
		}
	}
}
