// Package bilevel solves bilevel optimization problems
//
//	min over x in X of f(x, y)  subject to  y in S(x) = argmin over y in Y of { g(x, y) : h(x, y) <= 0 }
//
// A [Problem] is a struct of functions on []float64. A [Method] (package
// method) is run on it by [Solve]; the [Result] is then measured again, by code
// that did not produce it, with certify.Measure (package certify).
//
// f is the upper objective, g the lower objective, h the coupling constraint
// with multiplier mu >= 0, v(x) = min g the value function, y_g(x) the lower
// solution, y_gamma(x) = argmin f/gamma + g the penalised solution and
// phi(x) = f(x, y_g(x)) the hyper-objective. Multipliers are in the scale of g.
package bilevel
