package run

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
)

func TestRecorded(t *testing.T) {
	n, at1000 := 0, 0
	for k := 1; k <= 1<<20; k++ {
		if recorded(k) {
			n++
		}
		if k == 1000 {
			at1000 = n
		}
	}
	if at1000 != 1000 || n > 1000+11*600 {
		t.Errorf("%d rows in the first 1000 iterations, %d in a million", at1000, n)
	}
}

func progress(k int) *bilevel.Progress {
	nan := math.NaN()
	return &bilevel.Progress{Iteration: k, Elapsed: time.Duration(k) * time.Millisecond, Phase: `a, "b"`, Gamma: 10, Upper: 0.1 + float64(k), Lower: nan,
		Gap: math.Inf(1), Stationarity: nan, Violation: nan, Step: nan, Delta: nan, Omitted: nan, Counts: bilevel.Counts{F: int64(k)}}
}

func TestTraceRoundTripAndResume(t *testing.T) {
	d := fresh(t)
	record := func(from, to, resume int) {
		tr, err := newTrace(d, resume)
		if err != nil {
			t.Fatal(err)
		}
		for k := from; k <= to; k++ {
			if err := tr.Record(progress(k)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tr.close(); err != nil {
			t.Fatal(err)
		}
	}
	record(1, 3001, 0)
	want, _ := os.ReadFile(d.Join(TraceFile))
	record(1, 2501, 0) // ends with a row that the whole run does not have
	cut, _ := os.ReadFile(d.Join(TraceFile))
	if !bytes.Contains(cut, []byte("\n2501,")) {
		t.Error("the last iteration has no row")
	}
	if err := os.WriteFile(d.Join(TraceFile), append(cut, "2502,0.1,half a ro"...), 0o666); err != nil {
		t.Fatal(err)
	}
	record(2502, 3001, 2501)
	if got, _ := os.ReadFile(d.Join(TraceFile)); !bytes.Equal(got, want) {
		t.Errorf("trace after resuming differs: %d bytes, want %d", len(got), len(want))
	}
	rows, err := ReadTrace(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	r := rows[6]
	if r.Iteration != 7 || r.Upper != 7.1 || !math.IsNaN(r.Lower) || !math.IsInf(r.Gap, 1) || r.Phase != `a, "b"` || r.Elapsed != 0.007 || r.Counts.F != 7 {
		t.Errorf("row 7 reads back as %+v", r)
	}
	if last := rows[len(rows)-1]; last.Iteration != 3001 {
		t.Errorf("last row is of iteration %d", last.Iteration)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	tr, err := newTrace(fresh(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	p := progress(1)
	if n := testing.AllocsPerRun(100, func() { tr.Record(p) }); n > 0 {
		t.Errorf("%v allocations per row", n)
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add([]byte(traceHeader() + "1,0.1,,,1,2,,,,,,,1,2,3,4,5,6,7,8\n"))
	f.Add([]byte("iteration\n1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := ReadTrace(bytes.NewReader(data))
		if err == nil && len(rows) > bytes.Count(data, []byte("\n"))+1 {
			t.Fatalf("%d rows from %d lines", len(rows), bytes.Count(data, []byte("\n")))
		}
		keepRows(data, 5)
	})
}

func FuzzParsePoint(f *testing.F) {
	f.Add(`{"x": [1, null], "y": []}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePoint("p.json", strings.NewReader(text))
		if err == nil && len(p.X) == 0 {
			t.Fatal("a point without x was accepted")
		}
	})
}
