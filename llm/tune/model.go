package tune

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/vec"
)

// Level is one level of the problem: an objective and where its batches come from.
type Level struct {
	Objective Objective
	// Batch gives the micro-batches of outer iteration k.
	Batch func(k int) []*data.Batch
	// HeldOut are micro-batches that training does not see, for flatness.
	HeldOut []*data.Batch
	// Reference gives the log-probabilities of the responses of a preference row
	// under the reference model.
	Reference func(row int) (chosen, rejected float32)
}

// Work counts what a run has cost, in the units that budgets are given in.
// Measurements of flatness and evaluations on held-out rows are not in it.
type Work struct {
	Tokens   int64 `json:"tokens"`    // token places in forward passes of the backbone, padding included
	Backward int64 `json:"backward"`  // token places in backward passes of the backbone
	HeadStep int64 `json:"head_rows"` // scored positions in forward and backward passes of the head
}

// Passes are the token places in forward and backward passes of the backbone. One
// weighs as much as the other: with frozen weights both multiply every position by
// every weight once.
func (w Work) Passes() int64 { return w.Tokens + w.Backward }

func (w Work) plus(v Work) Work {
	return Work{w.Tokens + v.Tokens, w.Backward + v.Backward, w.HeadStep + v.HeadStep}
}

// Model is the bilevel problem for a method: x the low-rank updates, y the output
// head. It implements bilevel.Model, bilevel.Sampler and bilevel.HeldOut.
type Model struct {
	*backbone
	upper, lower *side
	counts       bilevel.Counts
	work         Work
	done         int  // outer iterations that were reported
	ahead        bool // the current batches are those of an iteration to come
	heldOut      bool
	sampled      int // the iteration whose batches are current, -1 at first
}

// side is the state of one level.
type side struct {
	Level
	name    string
	current []*batch
	held    []*batch
	// seen are the values at the last gradient or value, over the micro-batches.
	seen [][]*device.Array
}

var (
	_ bilevel.Model   = (*Model)(nil)
	_ bilevel.Sampler = (*Model)(nil)
	_ bilevel.HeldOut = (*Model)(nil)
)

func newModel(t *Trainer, upper, lower Level) *Model {
	for _, o := range []*Objective{&upper.Objective, &lower.Objective} {
		if o.Kind == Distill && o.Teacher == nil {
			o.Teacher = t
		}
	}
	b := t.b
	return &Model{backbone: b, upper: &side{Level: upper, name: "f"}, lower: &side{Level: lower, name: "g"}, sampled: -1}
}

// Sample draws the batches of outer iteration k.
func (m *Model) Sample(k int) error {
	m.ahead = k > m.done
	if k == m.sampled {
		return nil
	}
	m.space.Run() // one program for each draw: several at once would only be larger
	for _, s := range []*side{m.upper, m.lower} {
		for _, b := range s.current {
			b.release()
		}
		s.current = m.place(s, s.Batch(k))
		for i, b := range s.current {
			b.seed = int32(uint32(k)*2654435761 + uint32(i)) // apart for every step and micro-batch
		}
	}
	m.sampled = k
	return nil
}

// place puts the micro-batches of one batch on the device, with their shares.
func (m *Model) place(s *side, list []*data.Batch) []*batch {
	out := make([]*batch, len(list))
	sizes := make([]float64, len(list))
	total := 0.0
	for i, b := range list {
		out[i] = upload(m.space, b)
		switch s.Objective.Kind {
		case DPO:
			out[i].asPairs(m.space, s.Reference)
		case Distill:
			out[i].teacher = s.Objective.Teacher.logits(out[i]).Hold()
		}
		sizes[i] = size(s.Objective, b)
		total += sizes[i]
	}
	for i, b := range out {
		b.share = sizes[i] / total
	}
	return out
}

// release gives the storage of the batches back.
func (m *Model) release() {
	for _, s := range []*side{m.upper, m.lower} {
		s.forget()
		for _, b := range append(s.current, s.held...) {
			b.release()
		}
		s.current, s.held = nil, nil
	}
	m.sampled = -1
}

// HoldOut chooses between held-out batches and those of the present iteration.
func (m *Model) HoldOut(on bool) {
	m.heldOut = on
	if !on {
		return
	}
	for _, s := range []*side{m.upper, m.lower} {
		if s.held == nil && len(s.HeldOut) > 0 {
			s.held = m.place(s, s.HeldOut)
		}
	}
}

// batches are those that s is evaluated on now.
func (m *Model) batches(s *side) []*batch {
	if m.heldOut && s.held != nil {
		return s.held
	}
	return s.current
}

// accumulate sums an operation's vector over the micro-batches into dst, and keeps
// its values. Each micro-batch is a program of its own where there are several, so
// that memory and compilation do not grow with their number; so is one that is to
// be apart, which has nothing in common with what is recorded and is then compiled
// once for all occasions.
func (m *Model) accumulate(s *side, dst *device.Vector, apart func(b *batch) bool, op func(b *batch) []*device.Array) {
	s.forget()
	list := m.batches(s)
	for i, b := range list {
		alone := len(list) > 1 || apart(b)
		if alone {
			m.space.Run()
		}
		out := op(b)
		s.see(out[1:])
		if i == 0 {
			dst.Set(out[0])
		} else {
			part := m.space.NewVector(dst.Len())
			part.Set(out[0])
			m.space.Run() // the sum is not part of it: the first micro-batch has none
			dst.Add(1, part)
			part.Release()
		}
		if alone {
			m.space.Run()
		}
	}
}

func (s *side) forget() {
	for _, values := range s.seen {
		for _, a := range values {
			a.Release()
		}
	}
	s.seen = s.seen[:0]
}

func (s *side) see(values []*device.Array) {
	for _, a := range values {
		a.Hold()
	}
	s.seen = append(s.seen, values)
}

// figures are the objective's values at the last evaluation; nil before.
func (s *side) figures() []float64 {
	if len(s.seen) == 0 {
		return nil
	}
	sum := make([]float64, s.Objective.figures())
	for _, values := range s.seen {
		for i, a := range values {
			sum[i] += a.Float()
		}
	}
	return sum
}

func (m *Model) evaluate(s *side, x, y vec.Vector) float64 {
	s.forget()
	list := m.batches(s)
	if len(list) == 0 {
		return math.NaN() // a training that was cancelled before it drew samples
	}
	for _, b := range list {
		m.spend(b, x, false, false)
		s.see(m.value(s.Objective, b, arrayOf(x), arrayOf(y)))
		if len(list) > 1 {
			m.space.Run()
		}
	}
	return s.figures()[0]
}

// spend counts the work of an operation on b: a forward pass of the backbone,
// unless there was one at this x, perhaps a backward pass, and a pass of the head.
func (m *Model) spend(b *batch, x vec.Vector, training, backward bool) {
	training = training && m.dropout > 0
	known := b.states != nil && b.x == arrayOf(x) && b.training == training || b.passed == arrayOf(x) && b.passedTraining == training
	b.passed, b.passedTraining = arrayOf(x), training
	if m.ahead || m.heldOut {
		return
	}
	places := int64(len(b.host.IDs))
	if !known {
		m.work.Tokens += places
	}
	if backward {
		m.work.Backward += places
	}
	m.work.HeadStep += int64(len(b.host.At))
}

func arrayOf(v vec.Vector) *device.Array { return v.(*device.Vector).Array() }

func (m *Model) gradientX(s *side, dst, x, y vec.Vector) {
	apart := func(b *batch) bool { return !b.shares(arrayOf(x)) }
	m.accumulate(s, dst.(*device.Vector), apart, func(b *batch) []*device.Array {
		m.spend(b, x, !m.heldOut, true)
		return m.gradX(s.Objective, b, arrayOf(x), arrayOf(y), !m.heldOut)
	})
}

func (m *Model) gradientY(s *side, dst, x, y vec.Vector) {
	apart := func(*batch) bool { return false }
	m.accumulate(s, dst.(*device.Vector), apart, func(b *batch) []*device.Array {
		m.spend(b, x, !m.heldOut, false)
		return m.gradY(s.Objective, b, arrayOf(x), arrayOf(y), !m.heldOut)
	})
}

// Upper is f on the present batch, without dropout.
func (m *Model) Upper(x, y vec.Vector) float64 {
	m.counts.F++
	return m.evaluate(m.upper, x, y)
}

// Lower is g on the present batch, without dropout.
func (m *Model) Lower(x, y vec.Vector) float64 {
	m.counts.G++
	return m.evaluate(m.lower, x, y)
}

// UpperGradX sets dst to the gradient of f in x.
func (m *Model) UpperGradX(dst, x, y vec.Vector) {
	m.counts.GradF++
	m.gradientX(m.upper, dst, x, y)
}

// UpperGradY sets dst to the gradient of f in y.
func (m *Model) UpperGradY(dst, x, y vec.Vector) {
	m.counts.GradF++
	m.gradientY(m.upper, dst, x, y)
}

// LowerGradX sets dst to the gradient of g in x.
func (m *Model) LowerGradX(dst, x, y vec.Vector) {
	m.counts.GradG++
	m.gradientX(m.lower, dst, x, y)
}

// LowerGradY sets dst to the gradient of g in y.
func (m *Model) LowerGradY(dst, x, y vec.Vector) {
	m.counts.GradG++
	m.gradientY(m.lower, dst, x, y)
}

// differenceStep is the relative step of Hessian products, about the cube root of
// float32's rounding.
const differenceStep = 5e-3

// along sets dst to the derivative of a gradient along v in y, by a central
// difference: losses have their softmax differentiated by hand, once.
func (m *Model) along(dst, x, y, v vec.Vector, gradient func(dst, x, y vec.Vector)) {
	m.counts.HessVec++
	size := vec.Norm(v)
	if size == 0 {
		dst.Zero()
		return
	}
	h := differenceStep * math.Max(1, vec.Norm(y)) / size
	at, down := vec.Clone(y), dst.New()
	at.Add(h, v)
	gradient(dst, x, at)
	at.Add(-2*h, v)
	gradient(down, x, at)
	dst.Add(-1, down)
	dst.Scale(1 / (2 * h))
	vec.Release(at)
	vec.Release(down)
}

// LowerHessYY sets dst to the Hessian of g in y times v, by differences.
func (m *Model) LowerHessYY(dst, x, y, v vec.Vector) { m.along(dst, x, y, v, m.LowerGradY) }

// LowerHessXY sets dst to the gradient in x of <grad_y g, v>, by differences.
func (m *Model) LowerHessXY(dst, x, y, v vec.Vector) { m.along(dst, x, y, v, m.LowerGradX) }

// ProjectX does nothing: X is the whole space.
func (m *Model) ProjectX(vec.Vector) {}

// ProjectY does nothing: Y is the whole space.
func (m *Model) ProjectY(vec.Vector) {}

// Rows is 0, 0: there is no coupling constraint, and the methods below are never
// called.
func (m *Model) Rows() (rows, equalities int) { return 0, 0 }

// NewMultiplier returns an empty vector.
func (m *Model) NewMultiplier() vec.Vector { return m.space.NewVector(0) }

// Coupling does nothing.
func (m *Model) Coupling(dst, x, y vec.Vector) {}

// CouplingJacXT sets dst to 0.
func (m *Model) CouplingJacXT(dst, x, y, mu vec.Vector) { dst.Zero() }

// CouplingJacYT sets dst to 0.
func (m *Model) CouplingJacYT(dst, x, y, mu vec.Vector) { dst.Zero() }

// ProjectMultiplier does nothing.
func (m *Model) ProjectMultiplier(vec.Vector, float64) {}

// Dense is nil: the variables live on a device.
func (m *Model) Dense() *bilevel.Problem { return nil }

// Counts are the evaluations so far.
func (m *Model) Counts() *bilevel.Counts { return &m.counts }
