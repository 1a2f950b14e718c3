package backend

import (
	"fmt"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Report is what Check measured.
type Report struct {
	Compile time.Duration `json:"compile_ns"` // building and compiling the program
	Run     time.Duration `json:"run_ns"`     // one run of it, transfers included
}

// checkSize is the side of the matrices of Check. All numbers in it are integers
// below 2^11, sums of them below 2^24: exact in float32, and their factors in TF32.
const checkSize = 32

// Check runs f(A, B) = |AB|^2 / 2 for two small matrices of integers together with
// its gradient df/dA = AB B^T, and compares both with the numbers that integer
// arithmetic gives. They are exact in float32, so any difference is an error.
func Check(b compute.Backend) (r Report, err error) {
	defer func() { // the library reports some mistakes of its own by a panic
		if p := recover(); p != nil {
			err = fmt.Errorf("backend %s: the check program failed: %v", b, p)
		}
	}()
	x, y := checkMatrix(7, 3), checkMatrix(2, 5)
	e, err := graph.NewExec(b, func(x, y *graph.Node) (*graph.Node, *graph.Node) {
		f := graph.MulScalar(graph.ReduceAllSum(graph.Square(graph.MatMul(x, y))), 0.5)
		return f, graph.Gradient(f, x)[0]
	})
	if err != nil {
		return r, fmt.Errorf("backend %s: the check program: %w", b, err)
	}
	defer e.Finalize()
	tx, ty := tensors.FromFlatDataAndDimensions(x, checkSize, checkSize), tensors.FromFlatDataAndDimensions(y, checkSize, checkSize)
	defer tx.FinalizeAll()
	defer ty.FinalizeAll()
	begin := time.Now()
	if _, err := e.Compile(tx.Shape(), ty.Shape()); err != nil {
		return r, fmt.Errorf("backend %s: compiling the check program: %w", b, err)
	}
	r.Compile = time.Since(begin)
	begin = time.Now()
	f, g, err := e.Call2(tx, ty)
	if err != nil {
		return r, fmt.Errorf("backend %s: running the check program: %w", b, err)
	}
	defer f.FinalizeAll()
	defer g.FinalizeAll()
	value, gradient := tensors.ToScalar[float32](f), tensors.MustCopyFlatData[float32](g)
	r.Run = time.Since(begin)
	wantValue, wantGradient := checkNumbers(x, y)
	if value != wantValue {
		return r, fmt.Errorf("backend %s: the check program's value is %v: right is %v", b, value, wantValue)
	}
	for i, want := range wantGradient {
		if gradient[i] != want {
			return r, fmt.Errorf("backend %s: the check program's gradient at row %d, column %d is %v: right is %v", b, i/checkSize, i%checkSize, gradient[i], want)
		}
	}
	return r, nil
}

// checkMatrix has entries from -2 to 2.
func checkMatrix(p, q int) []float32 {
	m := make([]float32, checkSize*checkSize)
	for i := range m {
		m[i] = float32((p*(i/checkSize)+q*(i%checkSize)+i/7)%5 - 2)
	}
	return m
}

// checkNumbers computes the value and the gradient in integers.
func checkNumbers(x, y []float32) (float32, []float32) {
	const n = checkSize
	var value int
	gradient := make([]float32, n*n)
	for i := range n {
		var row [n]int
		for j := range n {
			for k := range n {
				row[j] += int(x[i*n+k]) * int(y[k*n+j])
			}
			value += row[j] * row[j]
		}
		for k := range n {
			var s int
			for j := range n {
				s += row[j] * int(y[k*n+j])
			}
			gradient[i*n+k] = float32(s)
		}
	}
	return float32(value) / 2, gradient
}
