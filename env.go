package bilevel

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bilevel-go/bilevel/vec"
)

// Env is what a method works in: the model, the start, the settings, and the
// persistent state, which a checkpoint holds and a resumed run gets back. All of
// a method's state that outlives an outer iteration must come from Block,
// Scalar or Rand.
type Env struct {
	Model
	Settings Settings
	prefix   string
	run      *runState
}

// runState is shared by an Env and its sub-environments.
type runState struct {
	x0, y0  vec.Vector
	stop    atomic.Bool
	state   registry
	notes   []Note
	outer   int
	elapsed func() time.Duration
	resumed *State
}

// Stopped reports that the run was cancelled or is out of time. A method polls
// it in every inner iteration and returns from Step at once; the unfinished
// iteration is then taken back. Models away from []float64 are not stopped
// inside an iteration, for no second copy of their state is kept.
func (e *Env) Stopped() bool { return e.run.stop.Load() && e.Dense() != nil }

// Outer is the number of finished outer iterations.
func (e *Env) Outer() int { return e.run.outer }

// Elapsed is the wall time since the start of the run, earlier parts of a resumed one
// included. No answer may depend on it.
func (e *Env) Elapsed() time.Duration { return e.run.elapsed() }

// Sub returns an environment whose state is kept under names that begin with
// name: a composite method starts its parts in it.
func (e *Env) Sub(name string) *Env {
	s := *e
	s.prefix = e.prefix + name + "/"
	return &s
}

// Discard says that the state kept in a sub-environment is not needed any more.
// Away from []float64 it is given back and left out of later checkpoints.
func (e *Env) Discard() {
	if e.Dense() != nil {
		return // cheap, and the copy of the last iteration knows its blocks by their order
	}
	s := &e.run.state
	s.blocks = slices.DeleteFunc(s.blocks, func(b namedBlock) bool {
		gone := strings.HasPrefix(b.name, e.prefix)
		if gone {
			vec.Release(b.v)
		}
		return gone
	})
	s.scalars = slices.DeleteFunc(s.scalars, func(c namedScalar) bool { return strings.HasPrefix(c.name, e.prefix) })
	s.streams = slices.DeleteFunc(s.streams, func(c namedStream) bool { return strings.HasPrefix(c.name, e.prefix) })
}

// StartX and StartY return fresh copies of the starting point, projected on X and Y.
func (e *Env) StartX() vec.Vector { return vec.Clone(e.run.x0) }

// StartY: see StartX.
func (e *Env) StartY() vec.Vector { return vec.Clone(e.run.y0) }

// SetStart moves the starting point of parts that are started later.
func (e *Env) SetStart(x, y vec.Vector) {
	e.run.x0.Copy(x)
	e.run.y0.Copy(y)
}

// Block returns the persistent vector of that name, shaped like like and zero at
// first (or as it was in the checkpoint that the run resumes).
func (e *Env) Block(name string, like vec.Vector) vec.Vector {
	v := like.New()
	full := e.prefix + name
	e.run.state.blocks = append(e.run.state.blocks, namedBlock{full, v})
	if r := e.run.resumed; r != nil {
		if s, ok := r.Blocks[full]; ok && len(s) == v.Len() {
			v.Write(s)
		}
	}
	return v
}

// BlockFrom is Block with a first value: a copy of start.
func (e *Env) BlockFrom(name string, start vec.Vector) vec.Vector {
	v := e.Block(name, start)
	if !e.saved(name) {
		v.Copy(start)
	}
	return v
}

func (e *Env) saved(name string) bool {
	if e.run.resumed == nil {
		return false
	}
	_, ok := e.run.resumed.Blocks[e.prefix+name]
	return ok
}

// Scalar returns the persistent number of that name.
func (e *Env) Scalar(name string, start float64) *float64 {
	v := new(float64)
	*v = start
	full := e.prefix + name
	e.run.state.scalars = append(e.run.state.scalars, namedScalar{full, v})
	if r := e.run.resumed; r != nil {
		if s, ok := r.Scalars[full]; ok {
			*v = s
		}
	}
	return v
}

// Rand returns the persistent random stream for one purpose. Streams of
// different purposes are independent and depend on the seed alone.
func (e *Env) Rand(purpose string) *rand.Rand {
	full := e.prefix + purpose
	h := fnv.New64a()
	h.Write([]byte(full))
	src := rand.NewPCG(e.Settings.Seed, h.Sum64())
	e.run.state.streams = append(e.run.state.streams, namedStream{full, src})
	if r := e.run.resumed; r != nil {
		if b, ok := r.Streams[full]; ok {
			_ = src.UnmarshalBinary(b) // written by MarshalBinary; checked when the state was read
		}
	}
	return rand.New(src)
}

// Note records what the method chose and why, in the result and in the log.
func (e *Env) Note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	e.run.notes = append(e.run.notes, Note{e.run.outer, text})
	if e.Settings.Log != nil {
		e.Settings.Log.Info(text, slog.Int("iteration", e.run.outer))
	}
}
