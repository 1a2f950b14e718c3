package vec

import "fmt"

// Optimizer turns a gradient into a step on one block. Each block has an
// Optimizer of its own; a frozen block's Optimizer is not called at all.
type Optimizer interface {
	// Step moves v against g. g may be overwritten.
	Step(v, g Vector)
}

// Rule names an optimiser without its state.
type Rule int

// The rules.
const (
	SGD  Rule = iota // v <- v - rate·g
	Adam             // Adam with decoupled weight decay (AdamW)
)

// String is the rule's name in settings files.
func (r Rule) String() string {
	switch r {
	case SGD:
		return "sgd"
	case Adam:
		return "adam"
	}
	return fmt.Sprintf("vec.Rule(%d)", int(r))
}

// AdamStep holds the numbers of one Adam update. T counts updates from 1.
// The update is
//
//	m <- b1·m + (1-b1)·g,   s <- b2·s + (1-b2)·g²
//	v <- v - rate·( decay·v + m/(1-b1^T) / ( sqrt(s/(1-b2^T)) + eps ) )
//
// (Kingma and Ba, arXiv 1412.6980; decoupled decay of arXiv 1711.05101).
type AdamStep struct {
	Rate, Beta1, Beta2, Epsilon, Decay, T float64
}

// Store hands out the persistent state of a run, so that a checkpoint holds
// it: a named vector shaped like another one, and a named scalar.
type Store interface {
	Block(name string, like Vector) Vector
	Scalar(name string, start float64) *float64
}

// Scratch is a Store whose state is that of no run: it ends with Release. The zero
// value is ready for use.
type Scratch struct{ blocks []Vector }

// Block returns a new zero vector.
func (s *Scratch) Block(_ string, like Vector) Vector {
	v := like.New()
	s.blocks = append(s.blocks, v)
	return v
}

// Scalar returns a new number.
func (s *Scratch) Scalar(_ string, start float64) *float64 { return &start }

// Release says that the state is not needed any more.
func (s *Scratch) Release() {
	for _, v := range s.blocks {
		Release(v)
	}
	s.blocks = nil
}

// New returns the optimiser for one block. Its state is kept in st under
// names that begin with block. rate must be positive and finite.
func (r Rule) New(st Store, block string, rate float64, like Vector) Optimizer {
	if r == Adam {
		return &adam{
			p: AdamStep{Rate: rate, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
			m: st.Block(block+".m", like), s: st.Block(block+".s", like),
			t: st.Scalar(block+".t", 0),
		}
	}
	return &sgd{rate}
}

type sgd struct{ rate float64 }

func (o *sgd) Step(v, g Vector) { v.Add(-o.rate, g) }

type adam struct {
	p    AdamStep
	m, s Vector
	t    *float64
}

func (o *adam) Step(v, g Vector) {
	*o.t++
	o.p.T = *o.t
	v.Adam(o.m, o.s, g, o.p)
}
