package certify

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
)

// Settings of a measurement. The zero value is usable.
type Settings struct {
	// Seed of the sampled directions, starting points and structure checks.
	Seed uint64
	// Gamma is the penalty of the flatness rows; 0 is 10.
	Gamma float64
	// Starts is the number of random starts of the search for a better lower
	// solution where the lower level is not known to be convex; 0 is 32.
	Starts int
	// Directions is the number of random directions in which phi is probed, next
	// to the hypergradient's own; 0 is 8 (2 when NX > 50).
	Directions int
	// Bounder, when not nil, is asked for a bound in place of the problem's own: one
	// that is known already.
	Bounder bilevel.Bounder
	// Tolerances decide the verdict; zero fields are the defaults.
	Tolerances Tolerances
}

// Tolerances are the limits that decide the verdict. A figure at or below its
// tolerance passes; one above it makes the answer inexact; one above Clear times
// its tolerance refutes it. Each is relative to the size given.
type Tolerances struct {
	// Feasibility of x, y and h, relative to max(1, |x|, |y|). Default 1e-6:
	// interior-point and first-order answers usually stay within 1e-8.
	Feasibility float64
	// Gap is the gap g(x,y) - v(x), relative to max(1, |g|). Default 1e-9: a gap of
	// m|y - y_g|²/2 then means |y - y_g| of about 4e-5 at modulus m = 1; KKT is the sharper test.
	Gap float64
	// KKT bounds the lower residual and complementarity, relative to
	// max(1, |grad_y g|). Default 1e-6: y is then within 1e-6/m of a lower solution.
	KKT float64
	// Upper is the difference between f at y and at the (optimistic) lower solution,
	// relative to max(1, |f|). Default 1e-6: what an error of 1e-6 in y does to
	// an f of unit slope.
	Upper float64
	// Stationarity bounds the projected hypergradient norm, relative to
	// max(1, |grad_x f|, |implicit part|). Default 1e-5: with the unit curvature of
	// a well-scaled phi that is an error of 1e-10 in phi.
	Stationarity float64
	// Bound is f(x,y) - bound for `verified globally`, relative to max(1, |f|).
	// Default 1e-7: an answer solved to 1e-8 attains it, and no other is proven
	// better than the answer by more than a ten-millionth.
	Bound float64
	// Clear is the factor above a tolerance at which an answer is refuted rather
	// than called inexact. Default 1e3: violations of 1e-3, a gap of 1e-6 or a
	// descent slope of 1e-2 are no rounding of a right answer.
	Clear float64
}

// DefaultTolerances are the values used where a field is zero.
func DefaultTolerances() Tolerances {
	return Tolerances{Feasibility: 1e-6, Gap: 1e-9, KKT: 1e-6, Upper: 1e-6, Stationarity: 1e-5, Bound: 1e-7, Clear: 1e3}
}

// fill sets zero fields to their defaults and checks the others.
func (s *Settings) fill(p *bilevel.Problem) error {
	if s.Gamma == 0 {
		s.Gamma = 10
	}
	if s.Starts == 0 {
		s.Starts = 32
	}
	if s.Directions == 0 {
		s.Directions = 8
		if p.NX > 50 {
			s.Directions = 2
		}
	}
	if s.Starts < 0 {
		return &bilevel.SettingError{Field: "Starts", Value: s.Starts, Allowed: "an integer >= 0"}
	}
	if s.Directions < 0 {
		return &bilevel.SettingError{Field: "Directions", Value: s.Directions, Allowed: "an integer >= 0"}
	}
	d := DefaultTolerances()
	t := &s.Tolerances
	for _, f := range []struct {
		name     string
		v        *float64
		def, min float64
	}{
		{"Gamma", &s.Gamma, 10, 0}, {"Tolerances.Feasibility", &t.Feasibility, d.Feasibility, 0},
		{"Tolerances.Gap", &t.Gap, d.Gap, 0}, {"Tolerances.KKT", &t.KKT, d.KKT, 0},
		{"Tolerances.Upper", &t.Upper, d.Upper, 0},
		{"Tolerances.Stationarity", &t.Stationarity, d.Stationarity, 0}, {"Tolerances.Bound", &t.Bound, d.Bound, 0},
		{"Tolerances.Clear", &t.Clear, d.Clear, 1},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if !(*f.v > f.min) || math.IsInf(*f.v, 0) {
			return &bilevel.SettingError{Field: f.name, Value: *f.v, Allowed: fmt.Sprintf("a finite number > %g", f.min)}
		}
	}
	return nil
}
