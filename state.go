package bilevel

import (
	"math/rand/v2"
	"time"

	"github.com/bilevel-go/bilevel/vec"
)

// State is a checkpoint: everything a run needs to go on to the same bits as an
// uninterrupted one. It is plain data and can be stored in any format that keeps
// every float64 exactly.
type State struct {
	Problem   string               `json:"problem"`
	Method    string               `json:"method"`
	Iteration int                  `json:"iteration"`
	Elapsed   time.Duration        `json:"elapsed_ns"`
	Counts    Counts               `json:"counts"`
	Notes     []Note               `json:"notes,omitempty"`
	Blocks    map[string][]float64 `json:"blocks"`
	Scalars   map[string]float64   `json:"scalars"`
	Streams   map[string][]byte    `json:"streams,omitempty"`
}

type namedBlock struct {
	name string
	v    vec.Vector
}

type namedScalar struct {
	name string
	v    *float64
}

type namedStream struct {
	name string
	src  *rand.PCG
}

// registry lists the persistent state that a method asked for.
type registry struct {
	blocks  []namedBlock
	scalars []namedScalar
	streams []namedStream
}

// save copies the registered state into s.
func (r *registry) save(s *State) {
	s.Blocks = make(map[string][]float64, len(r.blocks))
	for _, b := range r.blocks {
		data := make([]float64, b.v.Len())
		b.v.Read(data)
		s.Blocks[b.name] = data
	}
	s.Scalars = make(map[string]float64, len(r.scalars))
	for _, c := range r.scalars {
		s.Scalars[c.name] = *c.v
	}
	s.Streams = make(map[string][]byte, len(r.streams))
	for _, c := range r.streams {
		b, err := c.src.MarshalBinary()
		if err == nil { // a PCG always marshals
			s.Streams[c.name] = b
		}
	}
}

// shadow is a copy of the registered state after the last finished iteration,
// so that an unfinished or lost one can be taken back. Only []float64 models
// have one.
type shadow struct {
	e        *Env
	progress Progress
	counts   Counts
	notes    int
	blocks   [][]float64
	scalars  []float64
	streams  [][]byte
}

func newShadow(e *Env) *shadow { return &shadow{e: e} }

// take copies the state; it allocates only for state registered since last time.
func (s *shadow) take(p *Progress) {
	s.progress, s.counts, s.notes = *p, *s.e.Counts(), len(s.e.run.notes)
	if s.e.Dense() == nil {
		return
	}
	r := &s.e.run.state
	for i, b := range r.blocks {
		if i == len(s.blocks) {
			s.blocks = append(s.blocks, make([]float64, b.v.Len()))
		}
		b.v.Read(s.blocks[i])
	}
	for i, c := range r.scalars {
		if i == len(s.scalars) {
			s.scalars = append(s.scalars, 0)
		}
		s.scalars[i] = *c.v
	}
	for i, c := range r.streams {
		if i == len(s.streams) {
			s.streams = append(s.streams, nil)
		}
		s.streams[i], _ = c.src.AppendBinary(s.streams[i][:0]) // a PCG always marshals
	}
}

// restore takes the run back to the copied state. State registered since is
// forgotten: the iteration that asked for it will ask again when resumed.
func (s *shadow) restore(p *Progress) {
	*p, *s.e.Counts() = s.progress, s.counts
	s.e.run.notes = s.e.run.notes[:s.notes]
	if s.e.Dense() == nil {
		return
	}
	r := &s.e.run.state
	r.blocks, r.scalars, r.streams = r.blocks[:len(s.blocks)], r.scalars[:len(s.scalars)], r.streams[:len(s.streams)]
	for i, b := range r.blocks {
		b.v.Write(s.blocks[i])
	}
	for i, c := range r.scalars {
		*c.v = s.scalars[i]
	}
	for i, c := range r.streams {
		_ = c.src.UnmarshalBinary(s.streams[i])
	}
}
