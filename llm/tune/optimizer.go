package tune

import (
	"math"

	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/vec"
)

// Schedule is how the rate changes with the number of updates of a block.
type Schedule string

// The schedules: after Warmup updates of linear growth, the rate stays, falls
// linearly to 0 at the last update, or falls along half a cosine.
const (
	Constant Schedule = "constant"
	Linear   Schedule = "linear"
	Cosine   Schedule = "cosine"
)

// Optimizer is the settings of one block's optimiser.
type Optimizer struct {
	Rule     vec.Rule // Adam (with decoupled decay) or SGD
	Rate     float64
	Beta1    float64
	Beta2    float64
	Epsilon  float64
	Decay    float64 // decoupled weight decay
	MaxNorm  float64 // gradients are scaled down to this norm; 0: never
	Schedule Schedule
	Warmup   int // updates
	Updates  int // of the whole run, for Linear and Cosine
}

// Multiplier is the schedule's factor of the rate at update t, counted from 0.
// The values are those of transformers' schedules.
func (o *Optimizer) Multiplier(t int) float64 {
	if t < o.Warmup {
		return float64(t) / float64(max(1, o.Warmup))
	}
	left := float64(o.Updates-t) / float64(max(1, o.Updates-o.Warmup))
	switch o.Schedule {
	case Linear:
		return math.Max(0, left)
	case Cosine:
		return math.Max(0, 0.5*(1+math.Cos(math.Pi*(1-left))))
	}
	return 1
}

// block is the optimiser of one block.
type block struct {
	o    *Optimizer
	m, s vec.Vector // nil for SGD
	t    *float64
}

// New makes the optimiser of a block, with its state in st.
func (o *Optimizer) New(st vec.Store, name string, like vec.Vector) vec.Optimizer {
	b := &block{o: o, t: st.Scalar(name+".t", 0)}
	if o.Rule == vec.Adam {
		b.m, b.s = st.Block(name+".m", like), st.Block(name+".s", like)
	}
	return b
}

// Step moves v against g.
func (b *block) Step(v, g vec.Vector) {
	rate := b.o.Rate * b.o.Multiplier(int(*b.t))
	*b.t++
	if b.o.MaxNorm > 0 {
		g.(*device.Vector).ClipNorm(b.o.MaxNorm)
	}
	if b.o.Rule == vec.Adam {
		v.Adam(b.m, b.s, g, vec.AdamStep{Rate: rate, Beta1: b.o.Beta1, Beta2: b.o.Beta2, Epsilon: b.o.Epsilon, Decay: b.o.Decay, T: *b.t})
		return
	}
	if b.o.Decay != 0 {
		v.Scale(1 - rate*b.o.Decay)
	}
	v.Add(-rate, g)
}
