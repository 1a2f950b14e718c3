package device

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Space records and runs operations on arrays of one backend.
type Space struct {
	backend  compute.Backend
	recorded []*operation
	programs map[string]*program
	traces   uint64
	named    int
	stats    Stats
}

// Stats are what a space has done so far.
type Stats struct {
	Programs   int           // programs compiled
	Compiling  time.Duration // time spent compiling them
	Executions int           // programs run
}

// NewSpace returns an empty space on a backend, which stays the caller's.
func NewSpace(b compute.Backend) *Space {
	return &Space{backend: b, programs: map[string]*program{}}
}

// Backend is the backend of the space.
func (s *Space) Backend() compute.Backend { return s.backend }

// Name returns a name that no other call of this space returns, for operations of
// which only their maker knows what they do.
func (s *Space) Name(what string) string {
	s.named++
	return what + " " + strconv.Itoa(s.named)
}

// Stats reports what the space has done so far.
func (s *Space) Stats() Stats { return s.stats }

// Emit adds an operation to the graph of a trace: it gets the nodes of its
// inputs and returns those of its outputs, each of them new.
type Emit func(t *Trace, in []*graph.Node) []*graph.Node

type operation struct {
	name string
	in   []*Array
	out  []*Array
	emit Emit
}

// Record adds an operation on inputs to what is to be run, and returns its
// outputs, of the given shapes. Programs are told apart by the names, inputs and
// shapes of their operations: name must determine what emit does.
func (s *Space) Record(name string, inputs []*Array, outputs []shapes.Shape, emit Emit) []*Array {
	op := &operation{name: name, in: inputs, out: make([]*Array, len(outputs)), emit: emit}
	for i, shape := range outputs {
		op.out[i] = &Array{space: s, shape: shape, kind: pending}
	}
	for _, a := range inputs {
		if a.kind == dead {
			panic("device: operation " + name + " on an array that was released")
		}
		a.uses++
	}
	s.recorded = append(s.recorded, op)
	return op.out
}

// Trace is a graph under construction.
type Trace struct {
	Graph *graph.Graph
	memo  map[string]any
	names map[*graph.Node]string
}

// Key names a node that came to an operation as an input, for use in Memo: two
// inputs have the same key if they are the same array.
func (t *Trace) Key(n *graph.Node) string {
	if _, ok := t.names[n]; !ok {
		t.names[n] = strconv.Itoa(len(t.names))
	}
	return t.names[n]
}

// Memo returns what build returned when it was first called for key in this
// trace: operations share what they have in common through it.
func Memo[T any](t *Trace, key string, build func() T) T {
	if v, ok := t.memo[key]; ok {
		return v.(T)
	}
	v := build()
	t.memo[key] = v
	return v
}

// program is a compiled trace.
type program struct {
	graph *graph.Graph
}

// Run runs what is recorded. Only arrays that somebody holds are kept.
func (s *Space) Run() {
	ops := s.needed()
	s.recorded = nil
	if len(ops) == 0 {
		return
	}
	p, inputs, outputs := s.plan(ops)
	buffers := make([]compute.Buffer, len(inputs))
	donate := make([]bool, len(inputs))
	for i, a := range inputs {
		if a.kind == number {
			guard("storing a number", func() (err error) {
				buffers[i], err = s.backend.BufferFromFlatData(0, []float32{a.number}, a.shape)
				return err
			})
			donate[i] = true
			continue
		}
		buffers[i] = a.buffer
		if donate[i] = a.holds == 0; donate[i] { // only these operations need it
			a.buffer, a.kind = nil, dead
		}
	}
	var results []compute.Buffer
	guard("running a program", func() (err error) {
		results, err = p.graph.Executable().Execute(buffers, donate, 0)
		return err
	})
	s.stats.Executions++
	for i, a := range outputs {
		a.buffer, a.kind = results[i], stored
	}
	for _, op := range ops {
		s.forget(op)
	}
}

// needed returns the recorded operations that some held array depends on, and
// forgets the others.
func (s *Space) needed() []*operation {
	keep := make([]bool, len(s.recorded))
	n := 0
	for i := len(s.recorded) - 1; i >= 0; i-- {
		op := s.recorded[i]
		for _, a := range op.out {
			keep[i] = keep[i] || a.holds > 0 || a.uses > 0
		}
		if keep[i] {
			n++
		} else {
			s.forget(op)
		}
	}
	ops := make([]*operation, 0, n)
	for i, op := range s.recorded {
		if keep[i] {
			ops = append(ops, op)
		}
	}
	return ops
}

// forget ends an operation's use of its inputs.
func (s *Space) forget(op *operation) {
	for _, a := range op.in {
		a.uses--
		a.collect()
	}
}

// plan finds the program for ops, its inputs in the order of its parameters and
// the arrays that its outputs become.
func (s *Space) plan(ops []*operation) (p *program, inputs, outputs []*Array) {
	s.traces++
	var key strings.Builder
	slots := 0
	take := func(a *Array) bool { // reports that a is new in this trace
		if a.trace == s.traces {
			return false
		}
		a.trace, a.slot = s.traces, slots
		slots++
		return true
	}
	for _, op := range ops {
		key.WriteString(op.name)
		for _, a := range op.in {
			switch {
			case a.kind == zero:
				fmt.Fprintf(&key, " 0%v", a.shape)
				continue
			case take(a):
				inputs = append(inputs, a)
				fmt.Fprintf(&key, " %d:%v", a.slot, a.shape)
			default:
				fmt.Fprintf(&key, " %d", a.slot)
			}
		}
		key.WriteString(" ->")
		for _, a := range op.out {
			take(a)
			key.WriteByte(' ')
			if a.holds > 0 {
				outputs = append(outputs, a)
				key.WriteByte('=')
			}
			key.WriteString(strconv.Itoa(a.slot))
		}
		key.WriteByte('\n')
	}
	k := key.String()
	if p = s.programs[k]; p == nil {
		p = s.compile(ops, inputs, outputs)
		s.programs[k] = p
	}
	return p, inputs, outputs
}

// compile builds and compiles the graph of ops.
func (s *Space) compile(ops []*operation, inputs, outputs []*Array) *program {
	begin := time.Now()
	var g *graph.Graph
	guard("compiling a program", func() error {
		g = graph.NewGraph(s.backend, "program "+strconv.Itoa(len(s.programs)))
		t := &Trace{Graph: g, memo: map[string]any{}, names: map[*graph.Node]string{}}
		nodes := map[*Array]*graph.Node{}
		for i, a := range inputs {
			nodes[a] = graph.Parameter(g, "p"+strconv.Itoa(i), a.shape)
		}
		for _, op := range ops {
			in := make([]*graph.Node, len(op.in))
			for i, a := range op.in {
				if a.kind == zero {
					in[i] = graph.Zeros(g, a.shape)
				} else {
					in[i] = nodes[a]
				}
			}
			out := op.emit(t, in)
			for i, a := range op.out {
				if !out[i].Shape().Equal(a.shape) {
					return fmt.Errorf("output %d of operation %q has shape %v, not %v", i, op.name, out[i].Shape(), a.shape)
				}
				nodes[a] = out[i]
			}
		}
		results := make([]*graph.Node, len(outputs))
		for i, a := range outputs {
			results[i] = nodes[a]
		}
		return g.Compile(results...)
	})
	s.stats.Programs++
	s.stats.Compiling += time.Since(begin)
	return &program{g}
}
