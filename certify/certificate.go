package certify

import (
	"encoding/json"
	"fmt"
	"math"
)

// Number is a float64 whose JSON form is null where it is not finite: a figure
// that could not be measured, or has no bound.
type Number float64

// MarshalJSON writes the number, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	if f := float64(n); f-f == 0 {
		return json.Marshal(f)
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads a number; null is NaN.
func (n *Number) UnmarshalJSON(b []byte) error {
	f := math.NaN()
	if string(b) != "null" {
		if err := json.Unmarshal(b, &f); err != nil {
			return err
		}
	}
	*n = Number(f)
	return nil
}

// Known reports whether the number was measured and is finite.
func (n Number) Known() bool { return n-n == 0 }

// Interval is a lower and an upper end.
type Interval [2]Number

// Verdict is the outcome of a certificate.
type Verdict int

// The verdicts, best first.
const (
	// VerifiedGlobally: y is a lower solution at x and f(x, y) attains a lower
	// bound of every bilevel answer.
	VerifiedGlobally Verdict = iota
	// Verified: y is a lower solution, proven by duality, and no feasible
	// direction in x lowers the hyper-objective.
	Verified
	// VerifiedLocally: as Verified, but something rests on a search, not on a
	// proof: a nonconvex lower level, or a kink probed in sampled directions.
	VerifiedLocally
	// Estimated: figures from sampled data, each with a confidence interval.
	// Measure never returns it; measurements on samples do.
	Estimated
	// Inexact: close, but a figure is above its tolerance; the message has the size.
	Inexact
	// Refuted: the answer is wrong, for the reason in the message.
	Refuted
)

var verdictNames = [...]string{"verified globally", "verified", "verified locally", "estimated", "inexact", "refuted"}

// String is the verdict's name in JSON and reports.
func (v Verdict) String() string {
	if v < 0 || int(v) >= len(verdictNames) {
		return fmt.Sprintf("certify.Verdict(%d)", int(v))
	}
	return verdictNames[v]
}

// OK reports whether the answer passed: neither inexact nor refuted.
func (v Verdict) OK() bool { return v < Inexact }

// MarshalText writes the verdict's name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a verdict's name.
func (v *Verdict) UnmarshalText(b []byte) error {
	for i, name := range verdictNames {
		if name == string(b) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("verdict %q: allowed is one of %q", b, verdictNames)
}

// Certificate is the independent measurement of an answer (x, y, multipliers).
type Certificate struct {
	Verdict Verdict `json:"verdict"`
	Message string  `json:"message"`
	// UpperFeasibility is the distance of x to X; LowerFeasibility the larger of
	// the distance of y to Y and the largest violation of h.
	UpperFeasibility Number `json:"upper_feasibility"`
	LowerFeasibility Number `json:"lower_feasibility"`
	// LowerGap encloses g(x, y) - v(x). The lower end is the improvement that
	// was found, the upper end the improvement that duality leaves possible
	// (null where there is no dual bound).
	LowerGap Interval `json:"lower_gap"`
	// LowerKKT is |y - Proj_Y(y - grad_y L)| or the most negative inequality
	// multiplier, whichever is larger; Complementarity is max |mu_i h_i|.
	LowerKKT        Number        `json:"lower_kkt"`
	Complementarity Number        `json:"complementarity"`
	Hypergradient   Hypergradient `json:"hypergradient"`
	// Unique reports that no second lower solution exists (proven where the
	// lower level is convex, else: none was found). UpperSpread is the smallest
	// and largest f(x, .) over the lower solutions found.
	Unique      bool     `json:"unique"`
	UpperSpread Interval `json:"upper_spread"`
	// SeenUnique reports that f is the same at all lower solutions, because g is
	// strongly convex in all that f depends on (Structure.LowerModuli, sampled
	// here). UpperError then bounds, to first order, the difference between f at y
	// and at any lower solution by what the gap leaves open; null elsewhere.
	SeenUnique bool   `json:"seen_unique,omitempty"`
	UpperError Number `json:"upper_error"`
	// Bound is nil when there is no global bound.
	Bound    *Bound   `json:"bound"`
	Flatness Flatness `json:"flatness"`
	// Checks are figures of the family's own (bilevel.Reviewer).
	Checks []Check `json:"checks,omitempty"`
	// FalseDeclarations lists structure that the problem declares and a sample
	// contradicts; it was not used.
	FalseDeclarations []string `json:"false_declarations,omitempty"`
	// Notes say how the figures were obtained where that is not the usual way.
	Notes []string `json:"notes,omitempty"`

	// Upper and Lower are f and g at the point measured; Value is v(x) from the
	// certificate's own solver.
	Upper Number `json:"-"`
	Lower Number `json:"-"`
	Value Number `json:"-"`
	// Y and Multipliers are the point measured: the ones given, or the
	// certificate's own where none were. SolvedY and SolvedMultipliers say so.
	Y, Multipliers             []float64 `json:"-"`
	SolvedY, SolvedMultipliers bool      `json:"-"`

	tol Tolerances
}

// Hypergradient measures stationarity of the hyper-objective phi at x.
type Hypergradient struct {
	// Norm is |x - Proj_X(x - dphi/dx)|.
	Norm Number `json:"norm"`
	// Error bounds the error of dphi/dx that the linear solve's residual and the
	// lower solution's residual leave.
	Error Number `json:"error"`
	// Probe is the largest difference between the slope of phi along a unit
	// direction, by central differences of re-solved lower levels, and the one
	// that dphi/dx predicts.
	Probe Number `json:"probe"`
	// Differentiable reports that nothing speaks against phi having a derivative at x.
	Differentiable bool `json:"differentiable"`
	// Slope is the smallest one-sided slope of phi found among the sampled
	// feasible unit directions, Directions their number and Decrease the largest
	// observed decrease of phi.
	Slope      Number `json:"slope"`
	Directions int    `json:"directions"`
	Decrease   Number `json:"decrease"`
	// Gradient is dphi/dx.
	Gradient []float64 `json:"-"`
}

// Check is a figure of the family's own; Tolerance is null where it only informs.
type Check struct {
	Name      string `json:"name"`
	Value     Number `json:"value"`
	Tolerance Number `json:"tolerance"`
	// Interval, when not nil, is the 95 % interval of a figure from sampled data.
	Interval *Interval `json:"interval,omitempty"`
	Sentence string    `json:"sentence"`
}

// Bound is a proven lower bound on f over all bilevel answers.
type Bound struct {
	Value Number `json:"value"`
	// Gap is f(x, y) - Value.
	Gap Number `json:"gap"`
	// By says where the bound comes from.
	By string `json:"by"`

	proven bool // here, and not a claim of the problem's
}

// Flatness says what PBGD-Free would leave out at x (arXiv 2507.20400):
// Delta = max(|f(x,y_g) - f(x,y_gamma)| - C |y_g - y_gamma|^Alpha, 0) and
// OmittedRatio = gamma |grad_x L(x,y_gamma) - grad_x L(x,y_g)| / |grad_x f(x,y_gamma)|,
// L = g + <mu, h> with the multipliers of each point.
type Flatness struct {
	Delta        Number `json:"delta"`
	Alpha        Number `json:"alpha"`
	C            Number `json:"c"`
	OmittedRatio Number `json:"omitted_ratio"`
	Gamma        Number `json:"gamma"`
}
