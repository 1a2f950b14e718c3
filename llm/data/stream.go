package data

import (
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/bilevel-go/bilevel"
)

// StreamSettings say how a stream makes batches.
type StreamSettings struct {
	// Name tells streams with the same seed apart, "sft" from "dpo" for example.
	Name string
	// Seed chooses the order.
	Seed uint64
	// Examples is how many examples a micro-batch has, at least 1. Default 8.
	Examples int
	// Micro is how many micro-batches a batch has, at least 1. Default 1.
	Micro int
	// Shapes are the shapes of the micro-batches.
	Shapes Shapes
	// Pad is the id that fills rows up. Any token will do: it is never scored, and
	// nothing real comes after it.
	Pad int32
}

func (s StreamSettings) withDefaults(n int) (StreamSettings, error) {
	if s.Examples == 0 {
		s.Examples = 8
	}
	if s.Micro == 0 {
		s.Micro = 1
	}
	if s.Examples < 1 || s.Examples > 1<<16 {
		return s, &bilevel.SettingError{Field: "Examples", Value: s.Examples, Allowed: "an integer in 1..65536"}
	}
	if s.Micro < 1 || s.Micro > 1<<16 {
		return s, &bilevel.SettingError{Field: "Micro", Value: s.Micro, Allowed: "an integer in 1..65536"}
	}
	if s.Pad < 0 {
		return s, &bilevel.SettingError{Field: "Pad", Value: s.Pad, Allowed: "a token id"}
	}
	if n < s.Examples*s.Micro {
		return s, &bilevel.SettingError{Field: fmt.Sprintf("batch of stream %q", s.Name), Value: fmt.Sprintf("%d examples (%d x %d)", s.Examples*s.Micro, s.Micro, s.Examples), Allowed: fmt.Sprintf("at most the %d examples there are", n)}
	}
	return s, nil
}

// Stream is an endless sequence of batches. Batch k is a function of the examples,
// the settings and k alone, so training that resumes at step k needs nothing stored.
//
// Every epoch is a new permutation of the examples. In its order they are gathered into micro-batches
// of like length; what is left over of a length joins the next longer one; the
// micro-batches are shuffled. Examples that do not fill a batch are left out, different ones in
// every epoch.
//
// Sequences are bucketed and not packed: a packed row needs a network with block masks, and
// [Stream.Waste] shows what packing could gain at most.
//
// A Stream is safe for concurrent use.
type Stream[E Example] struct {
	examples []E
	s        StreamSettings
	plan     *planner
	batches  int // per epoch

	mu    sync.Mutex
	epoch int // the one that order belongs to
	order []part
}

// part is a micro-batch: examples of one bucket.
type part struct {
	bucket int
	pick   []int
}

// NewStream returns the stream of batches of examples, which it keeps and
// which must not change.
func NewStream[E Example](examples []E, s StreamSettings) (*Stream[E], error) {
	s, err := s.withDefaults(len(examples))
	if err != nil {
		return nil, err
	}
	batches := len(examples) / (s.Examples * s.Micro)
	p, err := plan(examples, s.Examples, s.Shapes, someOrders(len(examples), batches*s.Examples*s.Micro))
	if err != nil {
		return nil, err
	}
	return &Stream[E]{examples: examples, s: s, plan: p, batches: batches, epoch: -1}, nil
}

// Batches is the number of batches in an epoch.
func (s *Stream[E]) Batches() int { return s.batches }

// Micro is the number of micro-batches in a batch.
func (s *Stream[E]) Micro() int { return s.s.Micro }

// Examples is the number of examples in a batch.
func (s *Stream[E]) Examples() int { return s.s.Micro * s.s.Examples }

// Batch returns the micro-batches of batch k >= 0.
func (s *Stream[E]) Batch(k int) []*Batch {
	out := make([]*Batch, s.s.Micro)
	for g := range out {
		out[g] = &Batch{}
		s.Fill(out[g], k, g)
	}
	return out
}

// Fill sets dst to micro-batch g of batch k, reusing dst's memory.
func (s *Stream[E]) Fill(dst *Batch, k, g int) {
	p := s.part(k, g)
	fill(dst, s.examples, p.pick, s.s.Examples, s.plan.shape(p.bucket, p.pick), s.s.Pad)
}

func (s *Stream[E]) part(k, g int) part {
	epoch, i := k/s.batches, k%s.batches
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != s.epoch {
		s.order, s.epoch = s.deal(epoch), epoch
	}
	return s.order[i*s.s.Micro+g]
}

// deal returns the micro-batches of an epoch.
func (s *Stream[E]) deal(epoch int) []part {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d", s.s.Name, epoch)
	rng := rand.New(rand.NewPCG(s.s.Seed, h.Sum64()))
	// Which examples are left out is drawn before lengths play a role: long ones are as likely as short.
	parts, _ := s.plan.parts(rng.Perm(len(s.examples))[:s.batches*s.Examples()])
	rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return parts
}

// someOrders are orders of keep of n examples to choose shapes on, the same for all seeds so
// that runs with different seeds share their shapes.
func someOrders(n, keep int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		rng := rand.New(rand.NewPCG(1, 1))
		for range min(max(1<<18/max(n, 1), 1), 16) {
			if !yield(rng.Perm(n)[:keep]) {
				return
			}
		}
	}
}

// parts gathers examples, in the given order, into full micro-batches by bucket and
// returns them with the examples that are left over.
//
// Within a bucket the examples are layered by their number of scored positions and every micro-batch
// takes one from each layer, so that all have about as many. In a random order of the examples it is
// random which.
func (p *planner) parts(order []int) ([]part, part) {
	queue := make([][]int, len(p.buckets))
	for at, i := range order {
		queue[p.of[i]] = append(queue[p.of[i]], at)
	}
	var out []part
	var carry []int // places in order
	for b, q := range queue {
		q = append(carry, q...)
		m := len(q) / p.units
		carry = slices.Clone(q[m*p.units:])
		q = q[:m*p.units]
		slices.SortStableFunc(q, func(i, j int) int { return p.need[order[i]] - p.need[order[j]] })
		pick := make([]int, len(q))
		for u := range p.units {
			layer := q[u*m : (u+1)*m]
			slices.Sort(layer)
			for k, at := range layer {
				pick[k*p.units+u] = order[at]
			}
		}
		for k := range m {
			out = append(out, part{b, pick[k*p.units : (k+1)*p.units : (k+1)*p.units]})
		}
	}
	rest := part{}
	for _, at := range carry {
		i := order[at]
		rest.pick = append(rest.pick, i)
		rest.bucket = max(rest.bucket, p.of[i])
	}
	return out, rest
}

// Sequential returns batches that hold every example once, for evaluation. The
// last one is filled up with rows of padding. Name, Seed and Micro are not used.
func Sequential[E Example](examples []E, s StreamSettings) ([]*Batch, error) {
	if len(examples) == 0 {
		return nil, nil
	}
	s.Micro = 1
	s, err := s.withDefaults(max(len(examples), s.Examples, 8))
	if err != nil {
		return nil, err
	}
	order := make([]int, len(examples))
	for i := range order {
		order[i] = i
	}
	p, err := plan(examples, s.Examples, s.Shapes, slices.Values([][]int{order}))
	if err != nil {
		return nil, err
	}
	parts, rest := p.parts(order)
	if len(rest.pick) > 0 {
		parts = append(parts, rest)
	}
	out := make([]*Batch, len(parts))
	for k, q := range parts {
		out[k] = &Batch{}
		fill(out[k], examples, q.pick, s.Examples, p.shape(q.bucket, q.pick), s.Pad)
	}
	return out, nil
}

// Waste says what the shapes of batches cost.
type Waste struct {
	Tokens  int           // real tokens
	Padding float64       // padding's share of all token places
	Scored  float64       // share of scored positions that only fill a shape
	Shapes  map[Shape]int // batches by shape
}

// Waste measures the padding of one epoch.
func (s *Stream[E]) Waste(epoch int) Waste {
	w := Waste{Shapes: map[Shape]int{}}
	places, scored, scoredPlaces := 0, 0, 0
	for _, p := range s.deal(epoch) {
		shape := s.plan.shape(p.bucket, p.pick)
		w.Shapes[shape]++
		places += shape.Rows * shape.Length
		scoredPlaces += shape.Scored
		for _, i := range p.pick {
			q, n, _ := sequences(&s.examples[i])
			for _, r := range q[:n] {
				w.Tokens += r.len()
			}
			scored += s.plan.need[i]
		}
	}
	w.Padding = 1 - float64(w.Tokens)/float64(places)
	w.Scored = 1 - float64(scored)/float64(scoredPlaces)
	return w
}
