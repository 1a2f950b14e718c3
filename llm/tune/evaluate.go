package tune

import (
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
)

// measure is the mean of a level's values over a list of micro-batches, without
// dropout. One batch lies on the device at a time. The work is not counted as the
// run's.
func (m *Model) measure(s *side, list []*data.Batch, x, y *device.Array) []float64 {
	sum := make([]float64, s.Objective.figures())
	total := 0.0
	for _, host := range list {
		b := m.place(s, []*data.Batch{host})[0]
		n := size(s.Objective, host)
		out := m.value(s.Objective, b, x, y)
		for _, a := range out {
			a.Hold()
		}
		for i, a := range out {
			sum[i] += n * a.Float()
			a.Release()
		}
		total += n
		b.release()
	}
	for i := range sum {
		sum[i] /= total
	}
	return sum
}
