package lower

import "github.com/bilevel-go/bilevel/set"

// Largest numbers of variables and rows for which dense second-order solvers
// are chosen: beyond them the factorizations cost more than first-order steps.
const (
	denseVariables = 600
	denseRows      = 4000
)

// New chooses a solver for problems of the shape of p:
//
//   - on the whole space without constraints, [Newton] up to 600 variables and
//     [LBFGS] beyond;
//   - on a simple set without constraints, [APG];
//   - with constraints, [MaxMin].
func New(p *Problem) Solver {
	switch {
	case p.Rows > 0:
		return &MaxMin{}
	case set.IsWhole(p.Y) && p.N <= denseVariables:
		return &Newton{}
	case set.IsWhole(p.Y):
		return &LBFGS{}
	}
	return &APG{}
}
