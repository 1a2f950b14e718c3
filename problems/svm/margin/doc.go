// Package margin solves the lower levels of the SVM problem family exactly,
// by methods that use their structure: a few dozen unknowns, hundreds of
// margin constraints.
//
// The data are rows: an n x d row-major matrix whose row i is the signed
// augmented sample s_i (a_i, 1), so that rows_i.y is the signed margin of
// sample i for y = (w, b). Validation rows have the same form. A matrix is
// kept by reference and must not change while a solver uses it.
//
// Every solver is a type with its own workspace. Solve writes into slices of
// the caller, starts from the solver's previous solution, allocates nothing
// after its first call and reports the KKT residual it measured at the point
// it returns, from the data and not from its own updated quantities. Reset
// forgets the previous solution, so that the next call depends on its
// arguments alone. A solver is not safe for concurrent use.
package margin

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
)

// ErrInput is matched (errors.Is) by every error about a wrong argument.
var ErrInput = errors.New("margin: invalid input")

// ErrNumerical is matched (errors.Is) by the error of a solver that stopped
// short of its tolerance; the point written is its best and the residual
// returned with it is measured there.
var ErrNumerical = errors.New("margin: tolerance not reached")

// KKT is a measured optimality residual, in the max norm.
type KKT struct {
	Stationarity    float64 // gradient of the Lagrangian
	Feasibility     float64 // largest violation of a constraint
	Complementarity float64 // largest multiplier times slack
}

// Max returns the largest of the three.
func (k KKT) Max() float64 {
	return math.Max(k.Stationarity, math.Max(k.Feasibility, k.Complementarity))
}

// Result is what a solve reports.
type Result struct {
	Value float64 // objective at the point returned
	Steps int     // changes of the active set, or Newton steps
	KKT   KKT
}

// InfeasibleError proves that rows.y >= t has no solution of moderate size:
// Certificate >= 0 has Certificate.t = Value > 0 and
// |rows' Certificate| = Residual (2-norm), hence every solution y would have
// |y| >= Value/Residual. Its slices belong to the solver and hold until the
// next call.
type InfeasibleError struct {
	Row         int // the constraint that could not be met
	Certificate []float64
	Value       float64
	Residual    float64
}

// Error names the row and the proof.
func (e *InfeasibleError) Error() string {
	return fmt.Sprintf("margin: constraint %d cannot be met together with the others: a combination of the constraints demands %g <= 0 (residual %.1e)",
		e.Row, e.Value, e.Residual)
}

func inputError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInput}, args...)...)
}

// checkMatrix validates an n x d matrix with finite entries.
func checkMatrix(name string, a blas64.General) error {
	if a.Rows < 1 || a.Cols < 1 || a.Stride < a.Cols {
		return inputError("%s is %d x %d with stride %d: allowed is at least 1 x 1 with stride >= columns", name, a.Rows, a.Cols, a.Stride)
	}
	if need := (a.Rows-1)*a.Stride + a.Cols; len(a.Data) < need {
		return inputError("%s has %d numbers: allowed is at least %d", name, len(a.Data), need)
	}
	for i := range a.Rows {
		for j, v := range row(a, i) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return inputError("%s[%d][%d] = %v: allowed is a finite number", name, i, j, v)
			}
		}
	}
	return nil
}

// checkLen validates the length of a vector.
func checkLen(name string, v []float64, n int) error {
	if len(v) != n {
		return inputError("len(%s) = %d: allowed is %d", name, len(v), n)
	}
	return nil
}

// checkFinite validates the entries of a vector.
func checkFinite(name string, v []float64) error {
	for j, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return inputError("%s[%d] = %v: allowed is a finite number", name, j, x)
		}
	}
	return nil
}

// checkBounds validates right-hand sides and returns the largest finite one in
// absolute value.
func checkBounds(t []float64) (float64, error) {
	big := 0.0
	for i, v := range t {
		if math.IsNaN(v) || math.IsInf(v, 1) {
			return 0, inputError("t[%d] = %v: allowed is a finite number or -Inf", i, v)
		}
		if !math.IsInf(v, -1) {
			big = math.Max(big, math.Abs(v))
		}
	}
	return big, nil
}

// row returns row i of a.
func row(a blas64.General, i int) []float64 {
	return a.Data[i*a.Stride : i*a.Stride+a.Cols : i*a.Stride+a.Cols]
}
