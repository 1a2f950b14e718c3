package svm_test

import (
	"fmt"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/svm"
)

// The best slack bounds for the compiled-in figures, by the relaxation that
// forgets what the follower wants, and how well the classifier does.
func Example() {
	in, err := svm.Family{}.Open(problems.Request{Name: "svm", Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := in.Problem
	x, y := slices.Clone(p.X0), slices.Clone(p.Y0)
	if err := p.Oracle.(bilevel.Relaxer).SolveRelaxation(x, y); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(in.Title)
	fmt.Printf("upper objective %.2f, test accuracy %.3f\n", p.Upper.Value(x, y), in.Metrics(x, y, nil)["test_accuracy"])
	// Output:
	// SVM hyper-parameters, slack-free formulation: 500 upper variables, 500 training, 150 validation, 118 test rows
	// upper objective 408.43, test accuracy 0.780
}
