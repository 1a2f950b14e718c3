package bilevel

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel/set"
)

// Validate checks the problem's fields and the starting point. Its errors match
// ErrInvalid and name the field.
func (p *Problem) Validate() error {
	switch {
	case p.NX < 1:
		return &SettingError{"NX", p.NX, "an integer >= 1"}
	case p.NY < 1:
		return &SettingError{"NY", p.NY, "an integer >= 1"}
	case p.Upper.Value == nil:
		return &SettingError{"Upper.Value", nil, "a function (the upper objective f)"}
	case p.Lower.Value == nil:
		return &SettingError{"Lower.Value", nil, "a function (the lower objective g)"}
	case !(p.Structure.LowerModulus >= 0) || math.IsInf(p.Structure.LowerModulus, 0):
		return &SettingError{"Structure.LowerModulus", p.Structure.LowerModulus, "a finite number >= 0"}
	}
	if s := p.Structure.LowerModuli; s != nil {
		if len(s) != p.NY {
			return &SettingError{"len(Structure.LowerModuli)", len(s), fmt.Sprintf("NY = %d", p.NY)}
		}
		for i, v := range s {
			if !(v >= 0) || math.IsInf(v, 0) {
				return &SettingError{fmt.Sprintf("Structure.LowerModuli[%d]", i), v, "a finite number >= 0"}
			}
		}
	}
	if err := dimension("X", p.X, p.NX); err != nil {
		return err
	}
	if err := dimension("Y", p.Y, p.NY); err != nil {
		return err
	}
	if h := p.Coupling; h != nil {
		switch {
		case h.Rows < 1:
			return &SettingError{"Coupling.Rows", h.Rows, "an integer >= 1 (nil Coupling when there is none)"}
		case h.Equalities < 0 || h.Equalities > h.Rows:
			return &SettingError{"Coupling.Equalities", h.Equalities, fmt.Sprintf("0 to Rows = %d", h.Rows)}
		case h.Value == nil:
			return &SettingError{"Coupling.Value", nil, "a function (the coupling constraint h)"}
		}
	}
	if p.X0 != nil && len(p.X0) != p.NX {
		return &SettingError{"len(X0)", len(p.X0), fmt.Sprintf("NX = %d", p.NX)}
	}
	if p.Y0 != nil && len(p.Y0) != p.NY {
		return &SettingError{"len(Y0)", len(p.Y0), fmt.Sprintf("NY = %d", p.NY)}
	}
	x, y := p.start()
	for i, v := range x {
		if v-v != 0 {
			return &SettingError{fmt.Sprintf("X0[%d]", i), v, "a finite number"}
		}
	}
	for i, v := range y {
		if v-v != 0 {
			return &SettingError{fmt.Sprintf("Y0[%d]", i), v, "a finite number"}
		}
	}
	if v := p.Upper.Value(x, y); v-v != 0 {
		return &SettingError{"Upper.Value at the start", v, "a finite number"}
	}
	if v := p.Lower.Value(x, y); v-v != 0 {
		return &SettingError{"Lower.Value at the start", v, "a finite number"}
	}
	if h := p.Coupling; h != nil {
		c := make([]float64, h.Rows)
		h.Value(c, x, y)
		for i, v := range c {
			if v-v != 0 {
				return &SettingError{fmt.Sprintf("Coupling.Value at the start, row %d", i), v, "a finite number"}
			}
		}
	}
	return nil
}

func dimension(field string, s set.Set, n int) error {
	if s != nil && s.Dim() != n {
		return &SettingError{field, s.String() + fmt.Sprintf(" of dimension %d", s.Dim()), fmt.Sprintf("a set of dimension %d", n)}
	}
	return nil
}

// start returns fresh copies of the starting point, projected on X and Y.
func (p *Problem) start() (x, y []float64) {
	x, y = make([]float64, p.NX), make([]float64, p.NY)
	copy(x, p.X0)
	copy(y, p.Y0)
	if p.X != nil {
		p.X.Project(x, x)
	}
	if p.Y != nil {
		p.Y.Project(y, y)
	}
	return x, y
}

// differences names the first derivatives that are left to finite differences.
func (p *Problem) differences() []string {
	var d []string
	add := func(absent bool, name string) {
		if absent {
			d = append(d, name)
		}
	}
	add(p.Upper.GradX == nil, "Upper.GradX")
	add(p.Upper.GradY == nil, "Upper.GradY")
	add(p.Lower.GradX == nil, "Lower.GradX")
	add(p.Lower.GradY == nil, "Lower.GradY")
	if h := p.Coupling; h != nil {
		add(h.JacXT == nil && h.JacX == nil, "Coupling.JacX")
		add(h.JacYT == nil && h.JacY == nil, "Coupling.JacY")
	}
	return d
}

// DerivativeError reports a given derivative that differences contradict.
type DerivativeError struct {
	Field             string // the function's name in Problem
	Component         int    // of its result
	Given, Difference float64
}

// Error names the function, the component and both values.
func (e *DerivativeError) Error() string {
	return fmt.Sprintf("%s, component %d = %.9g, but central differences give %.9g: allowed is agreement to 1e-4 relative", e.Field, e.Component, e.Given, e.Difference)
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *DerivativeError) Is(target error) bool { return target == ErrInvalid }

// CheckDerivatives compares every derivative that p gives with central
// differences at a point near the start.
func (p *Problem) CheckDerivatives() error {
	x, y := p.start()
	return p.CheckDerivativesAt(x, y)
}

// CheckDerivativesAt is CheckDerivatives at (x, y), displaced a little so that
// the point is not on a kink or in a corner. It returns a *DerivativeError for
// the first derivative that disagrees by more than 1e-4 relative to the size of
// the vector compared.
func (p *Problem) CheckDerivativesAt(x, y []float64) error {
	rng := rand.New(rand.NewPCG(1, 2))
	normal := func(n int, scale float64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = scale * rng.NormFloat64()
		}
		return v
	}
	shift := func(v []float64) []float64 {
		w := normal(len(v), 1e-3)
		for i := range w {
			w[i] = v[i] + w[i]*math.Max(1, math.Abs(v[i]))
		}
		return w
	}
	x, y = shift(x), shift(y)
	given := counted(p, new(Counts))
	var bad error
	compare := func(field string, present bool, n int, fill, diff func(dst []float64)) {
		if bad != nil || !present {
			return
		}
		a, b := make([]float64, n), make([]float64, n)
		fill(a)
		diff(b)
		size := 1e-3
		for i := range b {
			size = math.Max(size, math.Max(math.Abs(a[i]), math.Abs(b[i])))
		}
		for i := range b {
			if !(math.Abs(a[i]-b[i]) <= 1e-4*size) {
				bad = &DerivativeError{field, i, a[i], b[i]}
				return
			}
		}
	}
	u, v := normal(p.NX, 1), normal(p.NY, 1)
	for _, o := range []struct {
		name       string
		has, given *Objective
	}{{"Upper", &p.Upper, &given.Upper}, {"Lower", &p.Lower, &given.Lower}} {
		has, g := o.has, o.given
		compare(o.name+".GradX", has.GradX != nil, p.NX,
			func(d []float64) { g.GradX(d, x, y) }, func(d []float64) { diffGrad(has.Value, p.NX, true)(d, x, y) })
		compare(o.name+".GradY", has.GradY != nil, p.NY,
			func(d []float64) { g.GradY(d, x, y) }, func(d []float64) { diffGrad(has.Value, p.NY, false)(d, x, y) })
		compare(o.name+".HessYY", has.HessYY != nil, p.NY,
			func(d []float64) { g.HessYY(d, x, y, v) }, func(d []float64) { diffAlong(g.GradY, p.NY, false, p.NY, has.GradY != nil)(d, x, y, v) })
		compare(o.name+".HessYX", has.HessYX != nil, p.NY,
			func(d []float64) { g.HessYX(d, x, y, u) }, func(d []float64) { diffAlong(g.GradY, p.NX, true, p.NY, has.GradY != nil)(d, x, y, u) })
		compare(o.name+".HessXY", has.HessXY != nil, p.NX,
			func(d []float64) { g.HessXY(d, x, y, v) }, func(d []float64) { diffAlong(g.GradX, p.NY, false, p.NX, has.GradX != nil)(d, x, y, v) })
		compare(o.name+".HessXX", has.HessXX != nil, p.NX,
			func(d []float64) { g.HessXX(d, x, y, u) }, func(d []float64) { diffAlong(g.GradX, p.NX, true, p.NX, has.GradX != nil)(d, x, y, u) })
	}
	if h := p.Coupling; h != nil {
		g, plain := given.Coupling, countedCoupling(&Coupling{Rows: h.Rows, Equalities: h.Equalities, Value: h.Value}, p.NX, p.NY, new(int64))
		mu := normal(h.Rows, 1)
		compare("Coupling.JacXT", h.JacXT != nil, p.NX, func(d []float64) { g.JacXT(d, x, y, mu) }, func(d []float64) { plain.JacXT(d, x, y, mu) })
		compare("Coupling.JacYT", h.JacYT != nil, p.NY, func(d []float64) { g.JacYT(d, x, y, mu) }, func(d []float64) { plain.JacYT(d, x, y, mu) })
		compare("Coupling.JacX", h.JacX != nil, h.Rows, func(d []float64) { g.JacX(d, x, y, u) }, func(d []float64) { plain.JacX(d, x, y, u) })
		compare("Coupling.JacY", h.JacY != nil, h.Rows, func(d []float64) { g.JacY(d, x, y, v) }, func(d []float64) { plain.JacY(d, x, y, v) })
		second := h.Affine || h.HessYY != nil || h.HessXY != nil || h.HessYX != nil
		first := *h
		first.Affine, first.HessYY, first.HessXY, first.HessYX = false, nil, nil, nil
		d2 := countedCoupling(&first, p.NX, p.NY, new(int64))
		compare("Coupling.HessYY", second, p.NY, func(d []float64) { g.HessYY(d, x, y, mu, v) }, func(d []float64) { d2.HessYY(d, x, y, mu, v) })
		compare("Coupling.HessXY", second, p.NX, func(d []float64) { g.HessXY(d, x, y, mu, v) }, func(d []float64) { d2.HessXY(d, x, y, mu, v) })
		compare("Coupling.HessYX", second, p.NY, func(d []float64) { g.HessYX(d, x, y, mu, u) }, func(d []float64) { d2.HessYX(d, x, y, mu, u) })
	}
	return bad
}
