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
//   - else, where the set has a description (package set), [InteriorPoint] up to
//     600 variables and 4000 rows;
//   - else [APG] without constraints and [MaxMin] with them.
func New(p *Problem) Solver {
	small := p.N <= denseVariables && p.Rows <= denseRows
	switch {
	case p.Rows == 0 && set.IsWhole(p.Y):
		if small {
			return &Newton{}
		}
		return &LBFGS{}
	case small && set.Describe(p.Y, p.N) != nil:
		return &InteriorPoint{}
	case p.Rows == 0:
		return &APG{}
	}
	return &MaxMin{}
}
