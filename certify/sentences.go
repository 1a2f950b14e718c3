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
		c.feasibilityRow("upper feasibility", c.UpperFeasibility, "x lies in X", "x lies outside X, at this distance."),
		c.feasibilityRow("lower feasibility", c.LowerFeasibility, "y lies in Y and meets the coupling constraint",
			"y is no answer that the follower may give: this is its distance to Y or by how much it violates the coupling constraint, whichever is larger."),
		c.gapRow(),
		plainRow("lower KKT residual", c.LowerKKT, "By this much y and the multipliers miss the conditions that hold at the follower's best answer"+c.multiplierOrigin()+"."),
		plainRow("complementarity", c.Complementarity, "This is the largest product of a multiplier and the slack of its constraint, which is zero when only constraints without slack have a price."),
		c.hypergradientRow(),
		c.slopeRow(),
		c.uniqueRow(),
		c.boundRow(),
		c.flatnessRow(),
	}
	if c.Verdict == Estimated { // of the others, samples say nothing
		rows = []Row{rows[0], c.estimatedGapRow(), c.flatnessRow()}
	}
	for _, k := range c.Checks {
		value := figure(k.Value)
		if k.Interval != nil {
			value += fmt.Sprintf(" [%s, %s]", figure(k.Interval[0]), figure(k.Interval[1]))
		}
		rows = append(rows, Row{k.Name, value, k.Sentence})
	}
	for _, f := range c.FalseDeclarations {
		rows = append(rows, Row{"false declaration", "not used", "The problem declares something that samples contradict: " + f + "."})
	}
	for _, n := range c.Notes {
		rows = append(rows, Row{"note", "", strings.ToUpper(n[:1]) + n[1:] + "."})
	}
	return rows
}

const notMeasured = "This was not measured, for the reason that the verdict or a note gives."

func plainRow(name string, v Number, sentence string) Row {
	if !v.Known() {
		sentence = notMeasured
	}
	return Row{name, figure(v), sentence}
}

// figure prints a number as people read it.
func figure(n Number) string {
	if !n.Known() {
		return "not measured"
	}
	return fmt.Sprintf("%.3g", float64(n))
}

func (c *Certificate) feasibilityRow(name string, v Number, yes, no string) Row {
	switch {
	case !v.Known():
		return Row{name, figure(v), notMeasured}
	case v == 0:
		return Row{name, figure(v), "Yes: " + yes + "."}
	case float64(v) <= c.tolerances().Feasibility:
		return Row{name, figure(v), "Yes: " + yes + ", up to a rounding error of this size."}
	}
	return Row{name, figure(v), strings.ToUpper(no[:1]) + no[1:]}
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
	if lo.Known() && !hi.Known() {
		row.Value = "at least " + figure(lo)
	}
	inside := !c.LowerFeasibility.Known() || float64(c.LowerFeasibility) <= c.tolerances().Feasibility
	switch {
	case !lo.Known():
		row.Value, row.Sentence = "not measured", notMeasured
	case lo < 0 || !inside:
		row.Sentence = fmt.Sprintf("y misses the lower constraints by %s, so the figure compares an answer that the follower may not give: its lower objective is %s the least that the constraints allow.",
			figure(c.LowerFeasibility), c.beside(lo, hi))
	case !hi.Known() && lo == 0:
		row.Sentence = "No better answer of the follower than y was found by searching, but nothing proves that there is none."
	case !hi.Known():
		row.Sentence = fmt.Sprintf("The follower has a better answer than y: one whose lower objective is smaller by %s was found, and nothing limits how much smaller it can be.", figure(lo))
	case float64(hi) <= c.tolerances().Gap*math.Max(1, math.Abs(float64(c.Lower))) || hi == 0:
		row.Sentence = "y is the follower's best answer: duality proves that none has a smaller lower objective."
		if hi > 0 {
			row.Sentence = fmt.Sprintf("y is the follower's best answer: duality proves that none has a lower objective smaller by more than %s.", figure(hi))
		}
	case lo == 0:
		row.Sentence = fmt.Sprintf("No better answer of the follower than y was found, but duality proves only that none has a lower objective smaller by more than %s.", figure(hi))
	default:
		row.Sentence = fmt.Sprintf("The follower has a better answer than y: the lower objective can fall by at least %s, which was found, and by at most %s, which duality proves.", figure(lo), figure(hi))
	}
	return row
}

// estimatedGapRow is gapRow for a gap from samples.
func (c *Certificate) estimatedGapRow() Row {
	lo, hi := c.LowerGap[0], c.LowerGap[1]
	row := Row{"lower-level gap", "[" + figure(lo) + ", " + figure(hi) + "]", "By this much, with 95 % confidence, the lower objective falls on held-out rows when y alone is trained on: how far y is at least from the follower's best answer."}
	switch {
	case !lo.Known() || !hi.Known():
		row.Value, row.Sentence = "not measured", notMeasured
	case lo <= 0:
		row.Sentence = "By this much, with 95 % confidence, the lower objective falls on held-out rows when y alone is trained on: no improvement of the follower's answer was established."
	}
	return row
}

// beside says where g(x, y) lies beside v(x), for an interval of the difference.
func (c *Certificate) beside(lo, hi Number) string {
	switch {
	case lo == 0 && hi == 0:
		return "exactly"
	case lo >= 0 && !hi.Known():
		return figure(lo) + " or more above"
	case !hi.Known():
		return figure(-lo) + " below or less, or above,"
	case lo >= 0:
		return "between " + figure(lo) + " and " + figure(hi) + " above"
	case hi <= 0:
		return "between " + figure(-hi) + " and " + figure(-lo) + " below"
	}
	return "between " + figure(-lo) + " below and " + figure(hi) + " above"
}

func (c *Certificate) multiplierOrigin() string {
	if c.SolvedMultipliers {
		return " (the multipliers were found here, for none were given)"
	}
	return ""
}

func (c *Certificate) hypergradientRow() Row {
	h := c.Hypergradient
	row := Row{Name: "hypergradient", Value: figure(h.Norm)}
	const what = "This is the length of the derivative of the upper objective with the follower reacting, without what the bounds of X hold back"
	switch {
	case !h.Norm.Known():
		row.Sentence = notMeasured
	case !h.Differentiable && c.attained():
		row.Sentence = what + "; the follower's reaction may have a kink at x, and the global bound decides instead."
	case !h.Differentiable:
		row.Sentence = what + "; the follower's reaction may have a kink at x, so that the measured slopes below decide instead."
	case h.Probe.Known():
		row.Value += errorBar(h.Error)
		row.Sentence = fmt.Sprintf("%s: it is zero where no small step helps, and slopes measured by solving the lower level again agree with it up to %s.", what, figure(h.Probe))
	default:
		row.Value += errorBar(h.Error)
		row.Sentence = what + ": it is zero where no small step helps."
	}
	return row
}

func errorBar(e Number) string {
	if !e.Known() {
		return ""
	}
	return " ± " + figure(e)
}

func (c *Certificate) slopeRow() Row {
	h := c.Hypergradient
	row := Row{Name: "smallest slope", Value: figure(h.Slope)}
	switch {
	case h.Directions == 0 && c.attained():
		row.Value, row.Sentence = "not needed", "No slope was measured, because the global bound already shows that no other x is better."
	case h.Directions == 0:
		row.Value, row.Sentence = "not measured", "No slope was measured: x could not be moved within X, or the lower level could not be solved again."
	case !h.Slope.Known():
		row.Value, row.Sentence = "none", fmt.Sprintf("Next to x the lower level has no solution, or could not be solved, along any of the %d directions tried, so there is no slope to measure.", h.Directions)
	case h.Slope < 0 && h.Decrease > 0:
		row.Sentence = fmt.Sprintf("This is the smallest change of the upper objective per length of step, the follower reacting, among %d directions within X; the largest decrease seen was %s.", h.Directions, figure(h.Decrease))
	default:
		row.Sentence = fmt.Sprintf("This is the smallest change of the upper objective per length of step, the follower reacting, among %d directions within X; none of the steps lowered it.", h.Directions)
		if h.Decrease > 0 {
			row.Sentence = fmt.Sprintf("This is the smallest change of the upper objective per length of step, the follower reacting, among %d directions within X; a step lowered it by %s.", h.Directions, figure(h.Decrease))
		}
	}
	return row
}

func (c *Certificate) uniqueRow() Row {
	lo, hi := float64(c.UpperSpread[0]), float64(c.UpperSpread[1])
	row := Row{Name: "lower solution unique"}
	switch {
	case !c.UpperSpread[0].Known() || !c.UpperSpread[1].Known():
		row.Value, row.Sentence = "not measured", notMeasured
	case c.Unique:
		row.Value, row.Sentence = "yes", "No second best answer of the follower was found at x, so x determines what the follower does."
	case c.SeenUnique:
		row.Value = "in what f sees"
		row.Sentence = "The follower may have several best answers, but the lower objective is strongly convex in all that the upper objective depends on, so that all of them have the same upper objective"
		if c.UpperError.Known() {
			row.Sentence += fmt.Sprintf("; what the gap leaves open moves it by no more than %s", figure(c.UpperError))
		}
		row.Sentence += "."
	case hi-lo > 1e-8*math.Max(1, math.Abs(lo)):
		row.Value, row.Sentence = "no", fmt.Sprintf("The follower is indifferent between several answers, and over those found the upper objective ranges from %.9g, the best for the leader, to %.9g.", lo, hi)
	default:
		row.Value, row.Sentence = "not established", "The follower may have several best answers, but those found have the same upper objective."
	}
	return row
}

func (c *Certificate) boundRow() Row {
	if c.Bound == nil {
		return Row{"global bound", "none", "No bound on the upper objective is known, so a better answer at an x far from this one is not excluded."}
	}
	b := c.Bound
	if c.attained() {
		return Row{"global bound", fmt.Sprintf("%.9g", float64(b.Value)), fmt.Sprintf("No answer can have an upper objective below this, and this answer attains it up to %.3g: %s.", math.Abs(float64(b.Gap)), b.By)}
	}
	return Row{"global bound", fmt.Sprintf("%.9g", float64(b.Value)), fmt.Sprintf("No answer can have an upper objective below this, and that of this answer is %s above: %s.", figure(b.Gap), b.By)}
}

func (c *Certificate) flatnessRow() Row {
	f := c.Flatness
	if !f.Delta.Known() {
		return Row{"flatness", "not measured", notMeasured}
	}
	moves := fmt.Sprintf("With the penalty gamma = %s the upper objective moves by no more than %s times the follower's move to the power %s", figure(f.Gamma), figure(f.C), figure(f.Alpha))
	if f.Delta > 0 {
		moves = fmt.Sprintf("With the penalty gamma = %s the upper objective moves by %s more than %s times the follower's move to the power %s", figure(f.Gamma), figure(f.Delta), figure(f.C), figure(f.Alpha))
	}
	omits := "the gradient that PBGD-Free keeps is zero here, so that what it leaves out has no ratio to it"
	if f.OmittedRatio.Known() {
		omits = fmt.Sprintf("what PBGD-Free leaves out is %s times as large as the gradient that it keeps", figure(f.OmittedRatio))
	}
	return Row{"flatness", "delta " + figure(f.Delta), moves + ", and " + omits + "."}
}
