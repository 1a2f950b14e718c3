package bilevel_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
)

func TestValidateAccepts(t *testing.T) {
	for _, p := range []*bilevel.Problem{smooth(), bowl()} {
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if err := p.CheckDerivatives(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// Every refusal names its field, and Solve refuses the problem before any work.
func TestValidateRefuses(t *testing.T) {
	square, err := set.Interval(2, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	nan := func(x, y []float64) float64 { return math.NaN() }
	for _, c := range []struct {
		field string
		spoil func(p *bilevel.Problem)
	}{
		{"NX", func(p *bilevel.Problem) { p.NX = 0 }},
		{"NY", func(p *bilevel.Problem) { p.NY = -1 }},
		{"Upper.Value", func(p *bilevel.Problem) { p.Upper.Value = nil }},
		{"Lower.Value", func(p *bilevel.Problem) { p.Lower.Value = nil }},
		{"Structure.LowerModulus", func(p *bilevel.Problem) { p.Structure.LowerModulus = -1 }},
		{"Structure.LowerModulus", func(p *bilevel.Problem) { p.Structure.LowerModulus = math.NaN() }},
		{"Structure.LowerModulus", func(p *bilevel.Problem) { p.Structure.LowerModulus = math.Inf(1) }},
		{"X", func(p *bilevel.Problem) { p.X = set.Whole(5) }},
		{"Y", func(p *bilevel.Problem) { p.Y = square }},
		{"Coupling.Rows", func(p *bilevel.Problem) { p.Coupling.Rows = 0 }},
		{"Coupling.Equalities", func(p *bilevel.Problem) { p.Coupling.Equalities = 3 }},
		{"Coupling.Equalities", func(p *bilevel.Problem) { p.Coupling.Equalities = -1 }},
		{"Coupling.Value", func(p *bilevel.Problem) { p.Coupling.Value = nil }},
		{"len(X0)", func(p *bilevel.Problem) { p.X0 = p.X0[:1] }},
		{"len(Y0)", func(p *bilevel.Problem) { p.Y0 = append(p.Y0, 0) }},
		{"X0[1]", func(p *bilevel.Problem) { p.X0[1] = math.NaN() }},
		{"Y0[2]", func(p *bilevel.Problem) { p.Y0[2] = math.Inf(-1) }},
		{"Upper.Value at the start", func(p *bilevel.Problem) { p.Upper.Value = nan }},
		{"Lower.Value at the start", func(p *bilevel.Problem) { p.Lower.Value = nan }},
		{"Coupling.Value at the start, row 1", func(p *bilevel.Problem) {
			p.Coupling.Value = func(dst, _, _ []float64) { dst[0], dst[1] = 0, math.Inf(1) }
		}},
	} {
		p := smooth()
		c.spoil(p)
		err := p.Validate()
		var setting *bilevel.SettingError
		if !errors.As(err, &setting) || !errors.Is(err, bilevel.ErrInvalid) || setting.Field != c.field {
			t.Errorf("got %v, want an error on %s", err, c.field)
			continue
		}
		if setting.Allowed == "" || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%v does not say what is allowed", err)
		}
		r, err := bilevel.Solve(context.Background(), p, walker{}, bilevel.Settings{})
		if !errors.Is(err, bilevel.ErrInvalid) || r == nil || r.Status != bilevel.InvalidProblem || r.Iterations != 0 {
			t.Errorf("%s: Solve gave %v, %v", c.field, r, err)
		}
	}
}

func TestInvalidSettings(t *testing.T) {
	for field, s := range map[string]bilevel.Settings{
		"MaxIterations":   {MaxIterations: -1},
		"TimeLimit":       {TimeLimit: -1},
		"Tolerance":       {Tolerance: math.NaN()},
		"Workers":         {Workers: -2},
		"CheckpointEvery": {CheckpointEvery: -1},
		"Mode":            {Mode: 7},
		"Resume":          {Resume: &bilevel.State{Problem: "another", Method: "walker"}},
	} {
		r, err := bilevel.Solve(context.Background(), bowl(), walker{}, s)
		var setting *bilevel.SettingError
		if !errors.As(err, &setting) || setting.Field != field || r.Status != bilevel.InvalidProblem {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := bilevel.ParseMode("correct"); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("ParseMode: %v", err)
	}
	for _, m := range []bilevel.Mode{bilevel.Corrected, bilevel.Faithful} {
		if got, err := bilevel.ParseMode(m.String()); err != nil || got != m {
			t.Errorf("ParseMode(%q) = %v, %v", m, got, err)
		}
	}
}

// spoilt returns f with one component of its result changed by 1%.
func spoilt(f func(dst, x, y, v []float64)) func(dst, x, y, v []float64) {
	return func(dst, x, y, v []float64) {
		f(dst, x, y, v)
		dst[len(dst)-1] += 0.01 * (1 + math.Abs(dst[len(dst)-1]))
	}
}

func spoiltGrad(f func(dst, x, y []float64)) func(dst, x, y []float64) {
	return func(dst, x, y []float64) {
		f(dst, x, y)
		dst[0] += 0.01 * (1 + math.Abs(dst[0]))
	}
}

func spoiltCurve(f func(dst, x, y, mu, v []float64)) func(dst, x, y, mu, v []float64) {
	return func(dst, x, y, mu, v []float64) {
		f(dst, x, y, mu, v)
		dst[0] += 0.01 * (1 + math.Abs(dst[0]))
	}
}

// A derivative of each kind that is wrong by 1% is caught and named.
func TestCheckDerivativesCatches(t *testing.T) {
	cases := map[string]func(p *bilevel.Problem){
		"Coupling.JacXT":  func(p *bilevel.Problem) { p.Coupling.JacXT = spoilt(p.Coupling.JacXT) },
		"Coupling.JacYT":  func(p *bilevel.Problem) { p.Coupling.JacYT = spoilt(p.Coupling.JacYT) },
		"Coupling.JacX":   func(p *bilevel.Problem) { p.Coupling.JacX = spoilt(p.Coupling.JacX) },
		"Coupling.JacY":   func(p *bilevel.Problem) { p.Coupling.JacY = spoilt(p.Coupling.JacY) },
		"Coupling.HessYY": func(p *bilevel.Problem) { p.Coupling.HessYY = spoiltCurve(p.Coupling.HessYY) },
		"Coupling.HessXY": func(p *bilevel.Problem) { p.Coupling.HessXY = spoiltCurve(p.Coupling.HessXY) },
		"Coupling.HessYX": func(p *bilevel.Problem) { p.Coupling.HessYX = spoiltCurve(p.Coupling.HessYX) },
	}
	for name, of := range map[string]func(p *bilevel.Problem) *bilevel.Objective{
		"Upper": func(p *bilevel.Problem) *bilevel.Objective { return &p.Upper },
		"Lower": func(p *bilevel.Problem) *bilevel.Objective { return &p.Lower },
	} {
		cases[name+".GradX"] = func(p *bilevel.Problem) { o := of(p); o.GradX = spoiltGrad(o.GradX) }
		cases[name+".GradY"] = func(p *bilevel.Problem) { o := of(p); o.GradY = spoiltGrad(o.GradY) }
		cases[name+".HessXX"] = func(p *bilevel.Problem) { o := of(p); o.HessXX = spoilt(o.HessXX) }
		cases[name+".HessXY"] = func(p *bilevel.Problem) { o := of(p); o.HessXY = spoilt(o.HessXY) }
		cases[name+".HessYX"] = func(p *bilevel.Problem) { o := of(p); o.HessYX = spoilt(o.HessYX) }
		cases[name+".HessYY"] = func(p *bilevel.Problem) { o := of(p); o.HessYY = spoilt(o.HessYY) }
	}
	for field, spoil := range cases {
		p := smooth()
		spoil(p)
		var wrong *bilevel.DerivativeError
		if err := p.CheckDerivatives(); !errors.As(err, &wrong) || !errors.Is(err, bilevel.ErrInvalid) || wrong.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
		r, err := bilevel.Solve(context.Background(), p, walker{}, bilevel.Settings{CheckDerivatives: true})
		if !errors.As(err, &wrong) || r.Status != bilevel.InvalidProblem {
			t.Errorf("%s: Solve gave %v", field, err)
		}
	}
	p := smooth()
	p.Coupling.Affine, p.Coupling.HessYY, p.Coupling.HessXY, p.Coupling.HessYX = true, nil, nil, nil
	var wrong *bilevel.DerivativeError
	if err := p.CheckDerivatives(); !errors.As(err, &wrong) || wrong.Field != "Coupling.HessYY" {
		t.Errorf("a curved constraint declared affine: got %v", err)
	}
	p = smooth()
	p.Lower.GradX = func(dst, _, _ []float64) { dst[0], dst[1] = math.NaN(), 0 }
	if err := p.CheckDerivatives(); !errors.As(err, &wrong) || wrong.Field != "Lower.GradX" {
		t.Errorf("a NaN derivative: got %v", err)
	}
}
