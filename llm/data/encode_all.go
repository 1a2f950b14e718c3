package data

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/bilevel-go/bilevel/internal/parallel"
)

// Report counts what became of rows.
type Report struct {
	Rows, Kept int
	Dropped    Counts // rows left out, by reason
	Cut        int    // rows kept whose response, or one of them, was cut
	CutTokens  int    // tokens cut off
	Same       int    // kept pairs whose chosen and rejected tokens are the same
	Repeated   int    // kept rows equal to an earlier one in all tokens
	Prompts    int    // different prompts among the kept rows
	Tokens     int    // tokens of all kept sequences
	Longest    int    // tokens of the longest
	Sequences  int    // sequences: rows, or twice that for pairs
}

// Mean is the mean length of a sequence in tokens.
func (r *Report) Mean() float64 { return float64(r.Tokens) / float64(max(r.Sequences, 1)) }

// String sums the report up in a line.
func (r *Report) String() string {
	s := fmt.Sprintf("%d of %d rows, %.1f tokens on average, longest %d", r.Kept, r.Rows, r.Mean(), r.Longest)
	if n := r.Dropped.Total(); n > 0 {
		s += fmt.Sprintf("; left out: %s", r.Dropped)
	}
	if r.Cut > 0 {
		s += fmt.Sprintf("; %d cut by %d tokens", r.Cut, r.CutTokens)
	}
	if r.Same > 0 {
		s += fmt.Sprintf("; %d pairs identical", r.Same)
	}
	if r.Repeated > 0 {
		s += fmt.Sprintf("; %d repeated", r.Repeated)
	}
	return s
}

// encodeAll encodes rows on all workers and counts.
func encodeAll[E Example](e *Encoder, rows []Row, encode func(*Row) (E, int, error)) ([]E, *Report, error) {
	type result struct {
		example E
		cut     int
		err     error
	}
	results := make([]result, len(rows))
	const chunk = 64
	workers := e.s.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	err := parallel.Do(workers, (len(rows)+chunk-1)/chunk, func(c int) error {
		for i := c * chunk; i < min((c+1)*chunk, len(rows)); i++ {
			r := &results[i]
			if r.example, r.cut, r.err = encode(&rows[i]); r.err != nil {
				if reason := Reason(""); !errors.As(r.err, &reason) {
					return fmt.Errorf("%s:%d: row %d: %w", rows[i].File, rows[i].Line, rows[i].ID, r.err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	report := &Report{Rows: len(rows), Dropped: Counts{}}
	out := make([]E, 0, len(rows))
	seen, prompts := map[string]bool{}, map[string]bool{}
	var key []byte
	for i := range results {
		r := &results[i]
		if r.err != nil {
			reason := Reason("")
			errors.As(r.err, &reason)
			report.Dropped[reason]++
			continue
		}
		out = append(out, r.example)
		if r.cut > 0 {
			report.Cut++
			report.CutTokens += r.cut
		}
		q, n, _ := sequences(&r.example)
		key = appendIDs(key[:0], q[0].prompt)
		prompts[string(key)] = true
		for _, s := range q[:n] {
			key = appendIDs(key, s.response)
			report.Tokens += s.len()
			report.Longest = max(report.Longest, s.len())
		}
		report.Sequences += n
		if n == 2 && slices.Equal(q[0].response, q[1].response) {
			report.Same++
		}
		if seen[string(key)] {
			report.Repeated++
		}
		seen[string(key)] = true
	}
	report.Kept, report.Prompts = len(out), len(prompts)
	return out, report, nil
}

// appendIDs appends ids and a mark that no id has.
func appendIDs(b []byte, ids []int32) []byte {
	for _, id := range ids {
		b = append(b, byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
	}
	return append(b, 0xff, 0xff, 0xff, 0xff)
}
