package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// noCoupling refuses a problem with a coupling constraint.
func noCoupling(rows int, instead string) error {
	return &bilevel.SettingError{Field: "Coupling.Rows", Value: rows, Allowed: "0: the method takes no coupling constraint; use " + instead}
}

// exactTol is the tolerance of lower-level solves that are called exact.
const exactTol = 1e-10

// answer completes the answer of a run in corrected mode: Y becomes the lower
// solution at the final X, and the penalised solution is kept beside it.
type answer struct {
	e   *bilevel.Env
	lvl *level     // nil until needed, and for models away from []float64
	h   vec.Vector // scratch of violation
}

func (a *answer) level() *level {
	if a.lvl == nil && a.e.Dense() != nil {
		a.lvl = newLevel(a.e, nil)
	}
	return a.lvl
}

// Finish solves the lower level at p.X, starting from p.Y.
func (a *answer) Finish(p *bilevel.Progress) error {
	lvl := a.level()
	if lvl == nil {
		return nil
	}
	y := vec.Clone(p.Y)
	var mu vec.Vector
	if rows, _ := a.e.Rows(); rows > 0 {
		mu = a.e.NewMultiplier()
		if p.Mu != nil {
			mu.Copy(p.Mu)
		}
	}
	info, err := lvl.solve(math.Inf(1), p.X, y, mu, exactTol)
	if err != nil {
		return err
	}
	if !info.Converged {
		a.e.Note("the lower level at the final x was solved to a residual of %.2g only, not %.2g", info.Max(), exactTol)
	}
	p.Y, p.Mu = y, mu
	return nil
}

// observe fills in the values of the two levels at (p.X, p.Y) when somebody
// watches the run, and the gap where p.Y is y_g. They cost evaluations that the
// method itself does not need.
func observe(e *bilevel.Env, p *bilevel.Progress, gap bool) {
	if e.Settings.Recorder == nil || e.Dense() == nil {
		return
	}
	p.Upper, p.Lower = e.Upper(p.X, p.Y), e.Lower(p.X, p.Y)
	if gap {
		p.Gap = e.Lower(p.X, p.PenalisedY) - p.Lower
	}
}

// violation fills in the largest violation of h <= 0 at (p.X, p.Y) when somebody
// watches the run.
func (a *answer) violation(p *bilevel.Progress) {
	rows, equalities := a.e.Rows()
	if rows == 0 || a.e.Settings.Recorder == nil || a.e.Dense() == nil {
		return
	}
	if a.h == nil {
		a.h = a.e.NewMultiplier()
	}
	a.e.Coupling(a.h, p.X, p.Y)
	p.Violation = 0
	for i, c := range a.h.(vec.Dense) {
		if i < equalities {
			c = math.Abs(c)
		}
		p.Violation = math.Max(p.Violation, c)
	}
}
