package certify

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// finding is one reason against an answer, or for calling it less than proven.
type finding struct {
	verdict Verdict // Refuted, Inexact or VerifiedLocally
	text    string
	moot    bool // once f attains a bound of every bilevel answer
	aboutX  bool // y may well be the follower's best answer
}

// judge records value against its tolerance: above it the answer is inexact,
// above Clear times the tolerance (or NaN) it is refuted.
func (m *measurement) judge(value, tol float64, format string, args ...any) {
	switch {
	case value <= tol:
	case value <= m.s.Tolerances.Clear*tol:
		m.findings = append(m.findings, finding{verdict: Inexact, text: fmt.Sprintf(format, args...) + fmt.Sprintf(" (tolerance %.3g)", tol)})
	default:
		m.refute(format, args...)
	}
}

func (m *measurement) refute(format string, args ...any) {
	m.findings = append(m.findings, finding{verdict: Refuted, text: fmt.Sprintf(format, args...)})
}

// refuteX records that x is not the leader's best choice.
func (m *measurement) refuteX(format string, args ...any) {
	m.findings = append(m.findings, finding{verdict: Refuted, aboutX: true, text: fmt.Sprintf(format, args...)})
}

func (m *measurement) refuted() bool {
	return slices.ContainsFunc(m.findings, func(f finding) bool { return f.verdict == Refuted })
}

// suspect records that a figure could not be brought below its tolerance,
// although nothing shows the answer to be wrong.
func (m *measurement) suspect(format string, args ...any) {
	m.findings = append(m.findings, finding{verdict: Inexact, text: fmt.Sprintf(format, args...)})
}

// local records that a part of the verdict rests on a search.
func (m *measurement) local(format string, args ...any) {
	m.findings = append(m.findings, finding{verdict: VerifiedLocally, text: fmt.Sprintf(format, args...)})
}

// localUnlessBest records a part that rests on a search and that no longer matters when no
// bilevel answer is better.
func (m *measurement) localUnlessBest(format string, args ...any) {
	m.findings = append(m.findings, finding{verdict: VerifiedLocally, text: fmt.Sprintf(format, args...), moot: true})
}

// decide sets the verdict to the worst finding and the message to its reasons.
// An answer that nothing speaks against is globally optimal when it attains a
// bound, for then no bilevel answer is better.
func (m *measurement) decide() {
	worst := Verified
	counts := func(f finding) bool { return !f.moot || !m.c.attained() }
	for _, f := range m.findings {
		if counts(f) {
			worst = max(worst, f.verdict)
		}
	}
	var reasons []string
	for _, f := range m.findings {
		if f.verdict == worst && counts(f) {
			reasons = append(reasons, f.text)
		}
	}
	if worst == Verified && m.c.attained() {
		worst = VerifiedGlobally
	}
	m.c.Verdict = worst
	switch worst {
	case VerifiedGlobally:
		m.c.Message = fmt.Sprintf("The answer is globally optimal: y is the follower's best answer to x, and the upper objective attains a lower bound on every answer (%s).", m.c.Bound.By)
	case Refuted:
		others := func(f finding) bool { return f.verdict >= Inexact && !f.aboutX }
		if !slices.ContainsFunc(m.findings, others) && !math.IsInf(float64(m.c.LowerGap[1]), 1) {
			m.c.Message = "y is the follower's best answer to x, proven by duality, but the leader can do better: " + strings.Join(reasons, "; ") + "."
			break
		}
		m.c.Message = "The answer is wrong: " + strings.Join(reasons, "; ") + "."
	case Inexact:
		m.c.Message = "The answer is close but not within tolerance: " + strings.Join(reasons, "; ") + "."
	case VerifiedLocally:
		m.c.Message = "Nothing better was found, but a part rests on a search and is not proven: " + strings.Join(reasons, "; ") + "."
	default:
		m.c.Message = "y is the follower's best answer to x, proven by duality, and no step of x within X was found that lowers the upper objective."
	}
}

// attained reports whether f is within tolerance of the bound.
func (c *Certificate) attained() bool {
	b := c.Bound
	return b != nil && math.Abs(float64(b.Gap)) <= c.tolerances().Bound*math.Max(1, math.Abs(float64(b.Value+b.Gap)))
}
