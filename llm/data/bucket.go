package data

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
)

// Shapes says which shapes batches may have. Every shape costs a compilation, every token of padding a
// forward and backward pass, so rows of like length share a batch whose length is one of a few.
// The zero value is a good compromise.
type Shapes struct {
	// Lengths are the padded lengths to use, rising. Default: chosen so that padding is least.
	Lengths []int
	// Count is how many lengths are chosen, 1 to 64. Default 8, and 12 for preferences, some of
	// whose padding comes from the two responses being of different length.
	Count int
	// Multiple is what chosen lengths are a multiple of, and numbers of scored
	// positions too. Default 8.
	Multiple int
	// Scored is how many numbers of scored positions are chosen for each length, 1
	// to 16. Default 1. A micro-batch that exceeds them, which is rare, takes a larger
	// one that holds any.
	Scored int
}

// withDefaults fills in what is not set, for examples of per rows.
func (s Shapes) withDefaults(per int) (Shapes, error) {
	if s.Count == 0 {
		s.Count = 4 + 4*per
	}
	if s.Multiple == 0 {
		s.Multiple = 8
	}
	if s.Scored == 0 {
		s.Scored = 1
	}
	if s.Count < 1 || s.Count > 64 {
		return s, &bilevel.SettingError{Field: "Shapes.Count", Value: s.Count, Allowed: "an integer in 1..64"}
	}
	if s.Multiple < 1 || s.Multiple > 1024 {
		return s, &bilevel.SettingError{Field: "Shapes.Multiple", Value: s.Multiple, Allowed: "an integer in 1..1024"}
	}
	if s.Scored < 1 || s.Scored > 16 {
		return s, &bilevel.SettingError{Field: "Shapes.Scored", Value: s.Scored, Allowed: "an integer in 1..16"}
	}
	for i, n := range s.Lengths {
		if n < 1 || i > 0 && n <= s.Lengths[i-1] {
			return s, &bilevel.SettingError{Field: fmt.Sprintf("Shapes.Lengths[%d]", i), Value: n, Allowed: "positive integers in rising order"}
		}
	}
	return s, nil
}

// bucket is the set of examples that are padded to one length.
type bucket struct {
	length int
	scored []int // numbers of scored positions a batch may be padded to, rising
}

// planner knows the buckets of a set of examples.
type planner struct {
	buckets []bucket
	of      []int // bucket of each example
	units   int   // examples per batch
	per     int   // rows per example
	need    []int // scored positions of each example
}

// plan chooses the buckets. orders are orders of the examples to choose numbers of scored
// positions on.
func plan[E Example](examples []E, units int, s Shapes, orders iter.Seq[[]int]) (*planner, error) {
	var none E
	_, per, _ := sequences(&none)
	s, err := s.withDefaults(per)
	if err != nil {
		return nil, err
	}
	p := &planner{units: units, per: per, of: make([]int, len(examples)), need: make([]int, len(examples))}
	size := make([]int, len(examples))
	for i := range examples {
		q, n, row := sequences(&examples[i])
		for _, r := range q[:n] {
			if len(r.prompt) == 0 || len(r.response) == 0 {
				return nil, &bilevel.SettingError{Field: fmt.Sprintf("example %d (row %d)", i, row), Value: fmt.Sprintf("%d prompt and %d response tokens", len(r.prompt), len(r.response)), Allowed: "at least one of each"}
			}
			size[i] = max(size[i], r.len())
			p.need[i] += len(r.response)
		}
	}
	lengths := s.Lengths
	if len(lengths) == 0 {
		lengths = bestLengths(size, s.Count, s.Multiple)
	}
	if longest := slices.Max(append([]int{0}, lengths...)); longest > math.MaxInt32/(units*per) {
		return nil, &bilevel.SettingError{Field: "batch", Value: fmt.Sprintf("%d rows of %d tokens", units*per, longest), Allowed: fmt.Sprintf("at most %d places", math.MaxInt32)}
	}
	for _, n := range lengths {
		p.buckets = append(p.buckets, bucket{length: n})
	}
	for i, n := range size {
		b, _ := slices.BinarySearch(lengths, n)
		if b == len(lengths) {
			_, _, row := sequences(&examples[i])
			return nil, &bilevel.SettingError{Field: fmt.Sprintf("length of example %d (row %d)", i, row), Value: n, Allowed: fmt.Sprintf("at most %d, the longest of Shapes.Lengths", lengths[len(lengths)-1])}
		}
		p.of[i] = b
	}
	p.sizeScored(orders, s)
	return p, nil
}

// bestLengths returns at most count lengths, multiples of m, that cover all sizes with the
// least total length when every size is rounded up to the next of them: dynamic programming
// over the distinct rounded sizes.
func bestLengths(size []int, count, m int) []int {
	byLength := map[int]int{}
	for _, n := range size {
		byLength[roundUp(n, m)]++
	}
	var lengths []int
	for n := range byLength {
		lengths = append(lengths, n)
	}
	slices.Sort(lengths)
	d := len(lengths)
	below := make([]int, d+1) // examples shorter than lengths[i]
	for i, n := range lengths {
		below[i+1] = below[i] + byLength[n]
	}
	count = min(count, d)
	// best[i] is the least total of the examples in lengths[:i] with the buckets so far.
	best := make([]float64, d+1)
	for i := 1; i <= d; i++ {
		best[i] = math.Inf(1)
	}
	from := make([][]int, count)
	for k := range count {
		next := make([]float64, d+1)
		from[k] = make([]int, d+1)
		for i := 1; i <= d; i++ {
			next[i] = math.Inf(1)
			for j := range i {
				if c := best[j] + float64(below[i]-below[j])*float64(lengths[i-1]); c < next[i] {
					next[i], from[k][i] = c, j
				}
			}
		}
		best = next
		best[0] = math.Inf(1)
	}
	var out []int
	for k, i := count-1, d; k >= 0 && i > 0; k-- {
		out = append(out, lengths[i-1])
		i = from[k][i]
	}
	slices.Reverse(out)
	return out
}

// sizeScored chooses the numbers of scored positions of every bucket: Scored numbers that
// waste least on the micro-batches of the given orders of the examples, and
// one that holds any micro-batch.
func (p *planner) sizeScored(orders iter.Seq[[]int], s Shapes) {
	sums := make([][]int, len(p.buckets))
	for order := range orders {
		parts, rest := p.parts(order)
		if len(rest.pick) > 0 {
			parts = append(parts, rest)
		}
		for _, q := range parts {
			sums[q.bucket] = append(sums[q.bucket], p.scored(q.pick))
		}
	}
	// An example may move up from a shorter bucket, so each must hold what the shorter ones need.
	needs := make([][]int, len(p.buckets))
	for i, b := range p.of {
		needs[b] = append(needs[b], p.need[i])
	}
	var upTo []int
	for b := range p.buckets {
		upTo = append(upTo, needs[b]...)
		slices.SortFunc(upTo, func(i, j int) int { return j - i })
		upTo = upTo[:min(len(upTo), p.units)]
		most := 0
		for _, n := range upTo {
			most += n
		}
		most = roundUp(most, s.Multiple)
		var sizes []int
		if len(sums[b]) > 0 {
			sizes = bestLengths(sums[b], s.Scored, s.Multiple)
		}
		if len(sizes) == 0 || sizes[len(sizes)-1] < most {
			sizes = append(sizes, most)
		}
		p.buckets[b].scored = sizes
	}
}

// scored is the number of scored positions of some examples.
func (p *planner) scored(pick []int) int {
	n := 0
	for _, i := range pick {
		n += p.need[i]
	}
	return n
}

func roundUp(n, m int) int { return (n + m - 1) / m * m }

// shape returns the shape of the batch of the picked examples in bucket b.
func (p *planner) shape(b int, pick []int) Shape {
	sizes := p.buckets[b].scored
	k, _ := slices.BinarySearch(sizes, p.scored(pick))
	return Shape{p.units * p.per, p.buckets[b].length, sizes[k]}
}
