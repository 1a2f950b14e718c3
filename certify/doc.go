// Package certify measures an answer of a bilevel problem again.
//
// [Measure] knows only the problem and the point. It solves the lower level
// with a solver of its own (an augmented Lagrangian with semismooth Newton
// steps, which no method uses), bounds the lower-level gap by duality,
// differentiates the optimality conditions to get the hypergradient, probes the
// hyper-objective by re-solving at neighbouring x, and looks for a global bound.
// A solver's own claim never sets the verdict. What each figure means, and where
// each measurement ends, is in docs/certificate.md.
package certify
