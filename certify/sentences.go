package certify

import (
	"fmt"
	"math"
	"strings"
)

// Row is one line of the certificate as people read it.
type Row struct {
	Name     string // what was measured
	Value    string // the figure
	Sentence string // what it means here
}

// Sentences is the certificate as a table: one row per measurement, each with a
// sentence that says what the figure means. Terminal, report and documentation
// use this one table.
func (c *Certificate) Sentences() []Row {
	rows := []Row{
		{"verdict", c.Verdict.String(), c.Message},
		c.feasibilityRow("upper feasibility", c.UpperFeasibility, "x lies in X", "distance of x to X"),
		c.feasibilityRow("lower feasibility", c.LowerFeasibility, "y lies in Y and meets the coupling constraint", "distance of y to Y, or violation of the coupling constraint"),
		c.gapRow(),
		{"lower KKT residual", figure(c.LowerKKT), whether(c.LowerKKT.Known(), "How far y and the multipliers are from the lower level's optimality conditions"+c.multiplierOrigin()+".", notMeasured)},
		{"complementarity", figure(c.Complementarity), whether(c.Complementarity.Known(), "The largest multiplier times its constraint; zero when every constraint with a price is met exactly.", notMeasured)},
		c.hypergradientRow(),
		c.slopeRow(),
		c.uniqueRow(),
		c.boundRow(),
		c.flatnessRow(),
	}
	for _, f := range c.FalseDeclarations {
		rows = append(rows, Row{"false declaration", "not used", "The problem declares what a sample contradicts: " + f + "."})
	}
	for _, n := range c.Notes {
		rows = append(rows, Row{"note", "", strings.ToUpper(n[:1]) + n[1:] + "."})
	}
	return rows
}

const notMeasured = "Not measured."

func whether(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

// figure prints a number as people read it.
func figure(n Number) string {
	switch f := float64(n); {
	case math.IsNaN(f):
		return "not measured"
	case math.IsInf(f, 1):
		return "no limit"
	case math.IsInf(f, -1):
		return "no lower limit"
	default:
		return fmt.Sprintf("%.3g", f)
	}
}

func (c *Certificate) feasibilityRow(name string, v Number, yes, what string) Row {
	switch {
	case !v.Known():
		return Row{name, figure(v), notMeasured}
	case float64(v) <= c.tolerances().Feasibility:
		return Row{name, figure(v), "Yes: " + yes + ", to rounding or near it."}
	}
	return Row{name, figure(v), strings.ToUpper(what[:1]) + what[1:] + "."}
}

// tolerances are those of the measurement; a certificate read from a file has
// the defaults.
func (c *Certificate) tolerances() Tolerances {
	if c.tol == (Tolerances{}) {
		return DefaultTolerances()
	}
	return c.tol
}

func (c *Certificate) gapRow() Row {
	lo, hi := c.LowerGap[0], c.LowerGap[1]
	row := Row{Name: "lower-level gap", Value: "[" + figure(lo) + ", " + figure(hi) + "]"}
	switch {
	case !lo.Known():
		row.Value, row.Sentence = "not measured", notMeasured
	case !hi.Known():
		row.Sentence = fmt.Sprintf("A lower answer better than y by %s was found, and no bound excludes better ones: the lower level is not known to be convex.", figure(lo))
		if lo == 0 {
			row.Sentence = "No lower answer better than y was found, but no bound excludes one: the lower level is not known to be convex."
		}
	case float64(hi) <= c.tolerances().Gap*math.Max(1, math.Abs(orZero(c.Lower))):
		row.Sentence = fmt.Sprintf("No lower answer has an objective more than %s below that of y: proven by duality.", figure(hi))
	default:
		row.Sentence = fmt.Sprintf("The lower objective at y is above its least value by at least %s (found) and at most %s (proven by duality).", figure(lo), figure(hi))
	}
	return row
}

func orZero(n Number) float64 {
	if n.Known() {
		return float64(n)
	}
	return 0
}

func (c *Certificate) multiplierOrigin() string {
	if c.SolvedMultipliers {
		return " (least-squares multipliers, for none were given)"
	}
	return ""
}

func (c *Certificate) hypergradientRow() Row {
	h := c.Hypergradient
	row := Row{Name: "hypergradient", Value: figure(h.Norm)}
	switch {
	case !h.Norm.Known():
		row.Sentence = notMeasured
	case h.Differentiable:
		row.Value += " ± " + figure(h.Error)
		row.Sentence = fmt.Sprintf("Norm of the projected total derivative of the upper objective, by implicit differentiation; slopes measured by solving the lower level again agree with it to %s.", figure(h.Probe))
	default:
		row.Sentence = fmt.Sprintf("The upper objective at the lower solution is not known to be differentiable at x, so this norm (of one of its pieces, which differs from measured slopes by up to %s) decides nothing; the measured slopes do.", figure(h.Probe))
	}
	return row
}

func (c *Certificate) slopeRow() Row {
	h := c.Hypergradient
	row := Row{Name: "smallest slope", Value: figure(h.Slope)}
	switch {
	case h.Directions == 0:
		row.Value, row.Sentence = "not measured", "No direction within X was probed."
	case math.IsInf(float64(h.Slope), 1):
		row.Value, row.Sentence = "none", "Along every direction probed the lower level has no solution next to x, so there is no slope to measure."
	default:
		row.Sentence = fmt.Sprintf("Smallest one-sided slope of the upper objective along %d feasible directions, by solving the lower level again; the largest decrease seen was %s.", h.Directions, figure(h.Decrease))
	}
	return row
}

func (c *Certificate) uniqueRow() Row {
	lo, hi := c.UpperSpread[0], c.UpperSpread[1]
	switch {
	case !lo.Known():
		return Row{"lower solution unique", "not measured", notMeasured}
	case c.Unique:
		return Row{"lower solution unique", "yes", "No second lower solution was found at x, so what the follower does is determined."}
	case hi > lo:
		return Row{"lower solution unique", "no", fmt.Sprintf("The follower is indifferent between several answers; over those found the upper objective ranges from %.9g (optimistic) to %.9g (pessimistic).", float64(lo), float64(hi))}
	}
	return Row{"lower solution unique", "not established", "That the follower has only one best answer was not established; over the answers found the upper objective is the same."}
}

func (c *Certificate) boundRow() Row {
	if c.Bound == nil {
		return Row{"global bound", "none", "No lower bound on the upper objective could be had, so nothing is said about other regions of x."}
	}
	b := c.Bound
	sentence := fmt.Sprintf("No bilevel answer has an upper objective below %.9g (%s); this one is %s above.", float64(b.Value), b.By, figure(b.Gap))
	return Row{"global bound", fmt.Sprintf("%.9g", float64(b.Value)), sentence}
}

func (c *Certificate) flatnessRow() Row {
	f := c.Flatness
	if !f.Delta.Known() {
		return Row{"flatness", "not measured", notMeasured}
	}
	return Row{"flatness", "delta " + figure(f.Delta), fmt.Sprintf(
		"At gamma = %s, |f(x,y_g) - f(x,y_gamma)| exceeds %s |y_g - y_gamma|^%s by %s, and what PBGD-Free leaves out is %s times the gradient it keeps.",
		figure(f.Gamma), figure(f.C), figure(f.Alpha), figure(f.Delta), figure(f.OmittedRatio))}
}
