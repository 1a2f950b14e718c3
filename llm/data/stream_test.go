package data

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// someExamples are n supervised and n preference examples of random lengths.
func someExamples(n int, seed uint64) ([]Supervised, []Preference) {
	rng := rand.New(rand.NewPCG(seed, 0))
	ids := func(most int) []int32 {
		out := make([]int32, 1+rng.IntN(most))
		for i := range out {
			out[i] = 1 + rng.Int32N(500)
		}
		return out
	}
	s, p := make([]Supervised, n), make([]Preference, n)
	for i := range n {
		s[i] = Supervised{ids(60), ids(40), 1000 + i}
		p[i] = Preference{ids(60), ids(40), ids(40), 2000 + i}
	}
	return s, p
}

func stream[E Example](t testing.TB, examples []E, s StreamSettings) *Stream[E] {
	t.Helper()
	st, err := NewStream(examples, s)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// check compares a batch with the examples it says it holds.
func check[E Example](t *testing.T, b *Batch, byRow map[int]E, pad int32) {
	t.Helper()
	per := 1
	tokens, k := 0, 0
	for r, row := range b.Source {
		line := b.IDs[r*b.Length : (r+1)*b.Length]
		n := 0
		if row != NoRow {
			e := byRow[row]
			q, m, _ := sequences(&e)
			per = m
			s := q[r*per/b.Rows]
			want := slices.Concat(s.prompt, s.response)
			n = len(want)
			if !slices.Equal(line[:n], want) {
				t.Fatalf("row %d holds %v, want %v", r, line[:n], want)
			}
			for j, id := range s.response {
				at := r*b.Length + len(s.prompt) + j - 1
				if int(b.At[k]) != at || b.Target[k] != id || b.Row[k] != int32(r) || b.Weight[k] != 1 {
					t.Fatalf("scored position %d is %d -> %d in row %d with weight %g, want %d -> %d in row %d with weight 1", k, b.At[k], b.Target[k], b.Row[k], b.Weight[k], at, id, r)
				}
				k++
			}
		}
		tokens += n
		for _, id := range line[n:] {
			if id != pad {
				t.Fatalf("padding of row %d is %d, want %d", r, id, pad)
			}
		}
	}
	if b.Tokens != tokens || b.Scored() != k {
		t.Errorf("%d tokens, %d scored; want %d, %d", b.Tokens, b.Scored(), tokens, k)
	}
	for ; k < len(b.At); k++ {
		if b.At[k] != 0 || b.Target[k] != 0 || b.Row[k] != 0 || b.Weight[k] != 0 {
			t.Fatalf("entry %d beyond the real ones is not zero", k)
		}
	}
	empty := 0
	for _, row := range b.Source {
		if row == NoRow {
			empty++
		}
	}
	if b.Examples() != b.Rows-empty {
		t.Errorf("%d real rows, want %d", b.Examples(), b.Rows-empty)
	}
	if per == 2 {
		p := b.Rows / 2
		if !slices.Equal(b.Source[:p], b.Source[p:]) {
			t.Errorf("chosen rows %v, rejected rows %v", b.Source[:p], b.Source[p:])
		}
	}
}

func index[E Example](examples []E) map[int]E {
	out := map[int]E{}
	for i := range examples {
		_, _, row := sequences(&examples[i])
		out[row] = examples[i]
	}
	return out
}

func TestBatchLayout(t *testing.T) {
	s := []Supervised{{[]int32{1, 2}, []int32{3, 4}, 7}, {[]int32{5}, []int32{6}, 9}}
	got, err := Sequential(s, StreamSettings{Examples: 2, Pad: 99, Shapes: Shapes{Multiple: 1, Count: 1}})
	if err != nil {
		t.Fatal(err)
	}
	// The example with fewer scored positions comes first.
	want := []*Batch{{
		Rows: 2, Length: 4,
		IDs: []int32{5, 6, 99, 99, 1, 2, 3, 4},
		At:  []int32{0, 5, 6}, Target: []int32{6, 3, 4}, Row: []int32{0, 1, 1}, Weight: []float32{1, 1, 1},
		Tokens: 6, Source: []int{9, 7},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got[0], want[0])
	}
	p := []Preference{{[]int32{1}, []int32{2, 3}, []int32{4}, 5}}
	got, err = Sequential(p, StreamSettings{Examples: 2, Shapes: Shapes{Multiple: 4, Count: 1}})
	if err != nil {
		t.Fatal(err)
	}
	want = []*Batch{{
		Rows: 4, Length: 4,
		IDs: []int32{1, 2, 3, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0},
		At:  []int32{0, 1, 8, 0}, Target: []int32{2, 3, 4, 0}, Row: []int32{0, 0, 2, 0}, Weight: []float32{1, 1, 1, 0},
		Tokens: 5, Source: []int{5, NoRow, 5, NoRow},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got[0], want[0])
	}
}

func TestStreamHoldsItsExamples(t *testing.T) {
	s, p := someExamples(203, 1)
	for _, c := range []StreamSettings{{}, {Examples: 1}, {Examples: 3, Micro: 4, Pad: 7}, {Examples: 16, Shapes: Shapes{Count: 1}}, {Shapes: Shapes{Lengths: []int{20, 100, 400}, Scored: 3}}} {
		testStream(t, s, c)
		testStream(t, p, c)
	}
}

func testStream[E Example](t *testing.T, examples []E, c StreamSettings) {
	t.Helper()
	st := stream(t, examples, c)
	byRow := index(examples)
	shapes := map[Shape]bool{}
	used := map[int]bool{}
	for epoch := range 3 {
		seen := map[int]int{}
		for k := range st.Batches() {
			for _, b := range st.Batch(epoch*st.Batches() + k) {
				check(t, b, byRow, c.Pad)
				shapes[b.Shape()] = true
				for _, row := range b.Source[:st.s.Examples] {
					seen[row]++
					used[row] = true
				}
			}
		}
		for row, n := range seen {
			if n != 1 || row == NoRow {
				t.Errorf("epoch %d has row %d %d times", epoch, row, n)
			}
		}
		if want := len(examples) / st.Examples() * st.Examples(); len(seen) != want {
			t.Errorf("epoch %d has %d rows, want %d", epoch, len(seen), want)
		}
	}
	if len(examples)-len(used) > len(examples)/20 {
		t.Errorf("%d of %d rows used in three epochs", len(used), len(examples))
	}
	if most := (st.s.Shapes.Scored + 2) * 12; len(shapes) > most {
		t.Errorf("%d shapes, want at most %d", len(shapes), most)
	}
}

// Batch k depends on the seed, the name and k only: not on what was asked for before.
func TestBatchIsAFunctionOfItsNumber(t *testing.T) {
	s, _ := someExamples(100, 2)
	c := StreamSettings{Name: "sft", Seed: 5, Examples: 4, Micro: 2}
	a := stream(t, s, c)
	var want [][]*Batch
	for k := range 40 {
		want = append(want, a.Batch(k))
	}
	b := stream(t, s, c)
	var dst Batch
	for _, k := range []int{39, 0, 13, 12, 25, 3, 38} {
		for g := range 2 {
			b.Fill(&dst, k, g)
			if !reflect.DeepEqual(&dst, want[k][g]) {
				t.Errorf("micro-batch %d of batch %d differs when asked for out of order", g, k)
			}
		}
	}
	for _, other := range []StreamSettings{{Name: "dpo", Seed: 5, Examples: 4, Micro: 2}, {Name: "sft", Seed: 6, Examples: 4, Micro: 2}} {
		if reflect.DeepEqual(stream(t, s, other).Batch(0), want[0]) {
			t.Errorf("stream %q with seed %d begins as stream %q with seed %d", other.Name, other.Seed, c.Name, c.Seed)
		}
	}
}

// What an epoch leaves out does not depend on length: the longest rows, alone in their
// bucket, are left out as often as others.
func TestDroppedEvenly(t *testing.T) {
	s := make([]Supervised, 15)
	for i := range s {
		s[i] = Supervised{[]int32{1}, make([]int32, 8), i}
		if i < 3 {
			s[i].Response = make([]int32, 200)
		}
	}
	st := stream(t, s, StreamSettings{Seed: 3, Shapes: Shapes{Count: 2}})
	const epochs = 3000
	used := make([]int, len(s))
	for k := range epochs * st.Batches() {
		for _, row := range st.Batch(k)[0].Source {
			used[row]++
		}
	}
	for row, n := range used {
		// 8 of 15 rows are used in an epoch; five standard deviations.
		if p := 8. / 15; math.Abs(float64(n)/epochs-p) > 5*math.Sqrt(p*(1-p)/epochs) {
			t.Errorf("row %d is used in %d of %d epochs", row, n, epochs)
		}
	}
}

func TestSequentialHoldsEveryExampleOnce(t *testing.T) {
	for _, n := range []int{1, 2, 7, 8, 9, 100} {
		s, p := someExamples(n, 3)
		sequential(t, s)
		sequential(t, p)
	}
	if b, err := Sequential[Supervised](nil, StreamSettings{}); b != nil || err != nil {
		t.Errorf("no examples: %v, %v", b, err)
	}
}

func sequential[E Example](t *testing.T, examples []E) {
	t.Helper()
	batches, err := Sequential(examples, StreamSettings{})
	if err != nil {
		t.Fatal(err)
	}
	byRow := index(examples)
	seen := map[int]int{}
	for _, b := range batches {
		check(t, b, byRow, 0)
		for _, row := range b.Source[:8] {
			if row != NoRow {
				seen[row]++
			}
		}
	}
	for row, n := range seen {
		if n != 1 {
			t.Errorf("row %d %d times", row, n)
		}
	}
	if len(seen) != len(examples) {
		t.Errorf("%d rows, want %d", len(seen), len(examples))
	}
}

func TestBestLengths(t *testing.T) {
	for _, c := range []struct {
		size     []int
		count, m int
		want     []int
	}{
		{[]int{5}, 4, 8, []int{8}},
		{[]int{1, 2, 3, 100}, 2, 1, []int{3, 100}},
		{[]int{1, 9, 9, 9, 10}, 2, 1, []int{1, 10}},
		{[]int{8, 8, 16, 24, 32}, 3, 8, []int{8, 16, 32}}, // ties go to the shorter
	} {
		if got := bestLengths(c.size, c.count, c.m); !slices.Equal(got, c.want) {
			t.Errorf("%v with %d lengths: %v, want %v", c.size, c.count, got, c.want)
		}
	}
	// Against every choice of two lengths.
	rng := rand.New(rand.NewPCG(4, 4))
	for range 50 {
		size := make([]int, 12)
		for i := range size {
			size[i] = 1 + rng.IntN(30)
		}
		cost := func(lengths ...int) (c int) {
			for _, n := range size {
				k := slices.IndexFunc(lengths, func(l int) bool { return l >= n })
				c += lengths[k]
			}
			return c
		}
		least, longest := cost(slices.Max(size)), slices.Max(size)
		for l := 1; l < longest; l++ {
			least = min(least, cost(l, longest))
		}
		if got := cost(bestLengths(size, 2, 1)...); got != least {
			t.Errorf("%v: total %d, want %d", size, got, least)
		}
	}
}

func TestStreamSettings(t *testing.T) {
	s, _ := someExamples(10, 5)
	for _, c := range []StreamSettings{
		{Examples: 11}, {Examples: -1}, {Micro: -1}, {Examples: 4, Micro: 3}, {Pad: -1},
		{Shapes: Shapes{Count: -1}}, {Shapes: Shapes{Multiple: -1}}, {Shapes: Shapes{Scored: 17}},
		{Shapes: Shapes{Lengths: []int{1 << 30}}}, {Shapes: Shapes{Lengths: []int{8, 8}}}, {Shapes: Shapes{Lengths: []int{2}}},
	} {
		var bad *bilevel.SettingError
		if _, err := NewStream(s, c); !errors.As(err, &bad) {
			t.Errorf("%+v: %v, want a *bilevel.SettingError", c, err)
		}
	}
	if _, err := NewStream([]Supervised{{nil, []int32{1}, 3}}, StreamSettings{Examples: 1}); err == nil {
		t.Error("an example without a prompt was taken")
	}
}

// Filling a batch whose memory is large enough allocates nothing.
func TestFillAllocatesNothing(t *testing.T) {
	s, _ := someExamples(64, 6)
	st := stream(t, s, StreamSettings{Shapes: Shapes{Count: 1}})
	var b Batch
	st.Fill(&b, 0, 0)
	k := 0
	if n := testing.AllocsPerRun(7, func() { st.Fill(&b, k%st.Batches(), 0); k++ }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
