package data

// Batch is a rectangle of token ids and the list of the positions that are scored.
//
// A batch of supervised examples has one row per example. A batch of P preferences has 2P
// rows: the chosen responses are rows 0..P-1, the rejected ones rows P..2P-1 in the same order.
//
// Scored position i says that the model's output at flat index At[i] = b*Length+t predicts
// Target[i], the token of row b at t+1, which belongs to a response. The list is as long as the
// batch's shape says; entries beyond the real ones have At, Target, Row and Weight 0. The mean
// loss over response tokens is sum(Weight*nll) / sum(Weight), over all micro-batches of a
// batch; the log-probability of row b is the sum of -Weight*nll over the entries with Row = b.
type Batch struct {
	Rows, Length    int       // shape of IDs
	IDs             []int32   // Rows*Length token ids, rows padded on the right
	At, Target, Row []int32   // N scored positions
	Weight          []float32 // N; 1, or 0 for an entry that only fills the shape
	Tokens          int       // ids that are not padding
	Source          []int     // Rows row ids; [NoRow] for a row that only fills the shape
}

// NoRow is the source of a batch row that holds padding only.
const NoRow = -1

// Scored is the number of real scored positions.
func (b *Batch) Scored() int {
	n := 0
	for _, w := range b.Weight {
		if w != 0 {
			n++
		}
	}
	return n
}

// Examples is the number of real rows; a preference counts as two.
func (b *Batch) Examples() int {
	n := 0
	for _, s := range b.Source {
		if s != NoRow {
			n++
		}
	}
	return n
}

// Shape is the size of a batch; a compiled computation serves batches of one shape.
type Shape struct {
	Rows, Length, Scored int
}

// Shape returns the batch's shape.
func (b *Batch) Shape() Shape { return Shape{b.Rows, b.Length, len(b.At)} }

// fill lays out examples[pick[0]], examples[pick[1]], ... in b, in a rectangle for
// units examples of the given shape, reusing b's memory.
func fill[E Example](b *Batch, examples []E, pick []int, units int, s Shape, pad int32) {
	b.Rows, b.Length, b.Tokens = s.Rows, s.Length, 0
	b.IDs = resize(b.IDs, s.Rows*s.Length)
	for i := range b.IDs {
		b.IDs[i] = pad
	}
	b.Source = resize(b.Source, s.Rows)
	for i := range b.Source {
		b.Source[i] = NoRow
	}
	b.At, b.Target, b.Row, b.Weight = b.At[:0], b.Target[:0], b.Row[:0], b.Weight[:0]
	for half := range s.Rows / units {
		for u, i := range pick {
			q, _, row := sequences(&examples[i])
			b.put(half*units+u, q[half], row)
		}
	}
	real := len(b.At)
	b.At, b.Target, b.Row = extend(b.At, s.Scored), extend(b.Target, s.Scored), extend(b.Row, s.Scored)
	b.Weight = resize(b.Weight, s.Scored)
	for i := range b.Weight {
		b.Weight[i] = 0
		if i < real {
			b.Weight[i] = 1
		}
	}
}

// put writes one row and its scored positions.
func (b *Batch) put(r int, q sequence, row int) {
	line := b.IDs[r*b.Length : (r+1)*b.Length]
	n := copy(line, q.prompt)
	copy(line[n:], q.response)
	b.Source[r] = row
	b.Tokens += q.len()
	for j, id := range q.response {
		b.At = append(b.At, int32(r*b.Length+n+j-1))
		b.Target = append(b.Target, id)
		b.Row = append(b.Row, int32(r))
	}
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// extend lengthens s to n entries, the new ones zero.
func extend(s []int32, n int) []int32 {
	old := len(s)
	if cap(s) < n {
		s = append(make([]int32, 0, n), s...)
	}
	s = s[:n]
	clear(s[old:])
	return s
}
