package bilevel_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/set"
)

// An operator sets a price x >= 0 and earns x y; the customer then buys the
// quantity y >= 0 that is best for them at that price.
func ExampleSolve() {
	p := &bilevel.Problem{
		Name: "price", NX: 1, NY: 1, X: set.NonNegative(1), Y: set.NonNegative(1),
		Upper:     bilevel.Objective{Value: func(x, y []float64) float64 { return -x[0] * y[0] }},
		Lower:     bilevel.Objective{Value: func(x, y []float64) float64 { return y[0]*y[0]/2 - (8-x[0])*y[0] }},
		Structure: bilevel.Structure{LowerConvex: true},
		X0:        []float64{1}, Y0: []float64{1},
	}
	r, err := bilevel.Solve(context.Background(), p, new(method.Auto), bilevel.Settings{})
	if err != nil {
		log.Fatal(err)
	}
	c, err := certify.Measure(context.Background(), p, r.X, r.Y, r.Multipliers, certify.Settings{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v: price %.3f, quantity %.3f, earned %.3f; %v\n", r.Status, r.X[0], r.Y[0], -r.Upper, c.Verdict)
	// Output: converged: price 4.000, quantity 4.000, earned 16.000; verified
}
