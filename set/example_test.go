package set_test

import (
	"fmt"

	"github.com/bilevel-go/bilevel/set"
)

// Weights on a simplex beside a scalar in [0, 3].
func Example() {
	weights, err := set.Simplex(3, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	scalar, err := set.Interval(1, 0, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	y, err := set.Product(weights, scalar)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := make([]float64, y.Dim())
	y.Project(p, []float64{1, 0.5, -2, 7})
	fmt.Println(y)
	fmt.Println(p)
	// Output:
	// simplex of sum 1 in R^3 x [0, 3]^1
	// [0.75 0.25 0 3]
}
