package method

import (
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

// TestSlopes compares the derivatives of the multipliers and of the inactive
// rows along the lower solution with differences of both.
func TestSlopes(t *testing.T) {
	for _, p := range []*bilevel.Problem{
		with(curvedProblem(3, 5, 6), "inequalities", nil, affineCoupling(3, 5, 4, 0, 0.1, 6)),
		with(curvedProblem(3, 5, 8), "mixed", nil, affineCoupling(3, 5, 4, 1, 0.2, 8)),
		with(curvedProblem(3, 5, 9), "curved", nil, curvedCoupling(3, 5)),
		with(curvedProblem(3, 5, 10), "box", must(set.Interval(5, -0.5, 0.5)), affineCoupling(3, 5, 3, 0, -0.1, 11)),
		with(curvedProblem(3, 5, 12), "ball", must(set.Ball(make([]float64, 5), 0.8)), affineCoupling(3, 5, 2, 0, 0.1, 12)),
	} {
		t.Run(p.Name, func(t *testing.T) {
			withEnv(t, p, bilevel.Corrected, func(e *bilevel.Env) error {
				l := newLevel(e, nil)
				x, y, mu := e.StartX(), e.StartY(), e.NewMultiplier()
				rows := p.Coupling.Rows
				at := func() []float64 { // multipliers, then values of h
					phiAt(t, e, l, x, y, mu)
					s := make([]float64, 2*rows)
					copy(s, mu.(vec.Dense))
					p.Coupling.Value(s[rows:], x.(vec.Dense), y.(vec.Dense))
					return s
				}
				const step = 1e-5
				want := make([][]float64, 2*rows)
				for j, c := range x.(vec.Dense) {
					x.(vec.Dense)[j] = c + step
					up := at()
					x.(vec.Dense)[j] = c - step
					down := at()
					x.(vec.Dense)[j] = c
					for i := range want {
						want[i] = append(want[i], (up[i]-down[i])/(2*step))
					}
				}
				at()
				solver := new(direct)
				h, err := newHypergradientBy(e, solver)
				if err != nil {
					return err
				}
				g := x.New()
				if _, err := h.at(g, x, y, mu); err != nil {
					return err
				}
				solver.keep = true
				active := 0
				for i := range rows {
					got := want[rows+i]
					if h.kkt.active[i] {
						active++
						h.kkt.multiplierSlope(g, i, solver)
						got = want[i]
					} else {
						h.kkt.rowSlope(g, i, solver)
					}
					if d := distance(g.(vec.Dense), got); d > 2e-5 {
						t.Errorf("row %d (active %v): slope %v, differences %v", i, h.kkt.active[i], g, got)
					}
				}
				if active == 0 {
					t.Error("no active row: the test tests nothing")
				}
				return nil
			})
		})
	}
}
