package certify

import (
	"math"

	"github.com/bilevel-go/bilevel"
)

// review adds the family's own figures. One above its tolerance speaks against
// the answer as any other figure does; none speaks for it.
func (m *measurement) review() {
	r, ok := m.p.Oracle.(bilevel.Reviewer)
	if !ok {
		return
	}
	checks, err := r.Review(m.x, m.y, m.mu)
	if err != nil {
		m.note("the family's own measurements failed: %v", err)
		return
	}
	for _, k := range checks {
		m.c.Checks = append(m.c.Checks, Check{Name: k.Name, Value: Number(k.Value), Tolerance: Number(k.Tolerance), Sentence: k.Sentence})
		if math.IsInf(k.Tolerance, 1) {
			continue
		}
		m.judge(k.Value, k.Tolerance, "%s is %.3g", k.Name, k.Value)
	}
}
