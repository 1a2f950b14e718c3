package run

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/csvrows"
)

// traceColumns is the header of trace.csv. Lengths and objectives are in the
// problem's units, elapsed_s in seconds; a number the method did not compute is
// an empty cell.
var traceColumns = []string{"iteration", "elapsed_s", "phase", "gamma", "upper", "lower", "gap", "stationarity", "violation",
	"step", "delta", "omitted", "f", "g", "grad_f", "grad_g", "hess_vec", "h", "lower_solves", "inner_iterations"}

// Row is one recorded outer iteration; see bilevel.Progress for the fields.
type Row struct {
	Iteration                                                                         int
	Elapsed                                                                           float64 // seconds
	Phase                                                                             string
	Gamma, Upper, Lower, Gap, Stationarity, Violation, StepLength, Delta, OmittedTerm float64
	Counts                                                                            bilevel.Counts
}

// recorded reports whether outer iteration k has a row: every one of the first
// thousand, then every second, fourth, ... so that each doubling of a run adds
// 500 rows. It depends on k alone: a resumed run records what an uninterrupted
// one does.
func recorded(k int) bool {
	stride := 1
	if k > 1000 {
		stride = 1 << bits.Len(uint((k-1)/1000))
	}
	return k%stride == 0
}

// trace writes trace.csv as the run goes. The last iteration always has a row.
type trace struct {
	path    string
	f       file
	buf     *bufio.Writer
	line    []byte
	pending bool // line holds an iteration that has no row
}

// newTrace starts the trace of d, or goes on with the one that is there behind
// the row of iteration resume.
func newTrace(d *Dir, resume int) (*trace, error) {
	keep := []byte(traceHeader())
	if resume > 0 {
		if old, err := os.ReadFile(d.Join(TraceFile)); err == nil {
			keep = keepRows(old, resume)
		}
	}
	if err := d.WriteFile(TraceFile, func(w io.Writer) error { _, err := w.Write(keep); return err }); err != nil {
		return nil, err
	}
	t := &trace{path: d.Join(TraceFile)}
	var err error
	if t.f, err = d.disk.append(t.path); err != nil {
		return nil, t.wrap(err)
	}
	t.buf = bufio.NewWriter(t.f)
	return t, nil
}

// keepRows returns the header and the rows that a run interrupted at iteration
// last has in common with an uninterrupted one. What is not a trace of this
// program, and an incomplete last line, is dropped.
func keepRows(old []byte, last int) []byte {
	kept := []byte(traceHeader())
	old, ok := bytes.CutPrefix(old, kept)
	for ok {
		var line, cell []byte
		if line, old, ok = bytes.Cut(old, []byte("\n")); !ok {
			break
		}
		cell, _, _ = bytes.Cut(line, []byte(","))
		k, err := strconv.Atoi(string(cell))
		if err != nil || k > last {
			break
		}
		if recorded(k) {
			kept = append(append(kept, line...), '\n')
		}
	}
	return kept
}

func traceHeader() string { return strings.Join(traceColumns, ",") + "\n" }

// Record writes the row of p when its iteration is recorded.
func (t *trace) Record(p *bilevel.Progress) error {
	t.line = t.line[:0]
	t.line = strconv.AppendInt(t.line, int64(p.Iteration), 10)
	t.number(math.Round(p.Elapsed.Seconds()*1e6) / 1e6)
	t.line = append(t.line, ',')
	t.line = appendCell(t.line, p.Phase)
	for _, v := range [...]float64{p.Gamma, p.Upper, p.Lower, p.Gap, p.Stationarity, p.Violation, p.Step, p.Delta, p.Omitted} {
		t.number(v)
	}
	c := &p.Counts
	for _, v := range [...]int64{c.F, c.G, c.GradF, c.GradG, c.HessVec, c.Coupling, c.LowerSolves, c.Inner} {
		t.line = append(t.line, ',')
		t.line = strconv.AppendInt(t.line, v, 10)
	}
	t.line = append(t.line, '\n')
	if t.pending = !recorded(p.Iteration); t.pending {
		return nil
	}
	_, err := t.buf.Write(t.line)
	return t.wrap(err)
}

func (t *trace) number(v float64) {
	t.line = append(t.line, ',')
	if !math.IsNaN(v) {
		t.line = strconv.AppendFloat(t.line, v, 'g', -1, 64)
	}
}

// appendCell quotes a phase where CSV asks for it.
func appendCell(line []byte, s string) []byte {
	if !bytes.ContainsAny([]byte(s), ",\"\n\r") {
		return append(line, s...)
	}
	line = append(line, '"')
	for _, c := range []byte(s) {
		if c == '"' {
			line = append(line, '"')
		}
		line = append(line, c)
	}
	return append(line, '"')
}

func (t *trace) flush() error { return t.wrap(t.buf.Flush()) }

func (t *trace) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("writing %s: %w", t.path, reason(err))
	}
	return nil
}

func (t *trace) close() error {
	if t.pending {
		t.buf.Write(t.line) // errors stay in the writer until Flush
	}
	err := errors.Join(t.buf.Flush(), t.f.Close())
	return t.wrap(err)
}

// ReadTrace reads a trace. Lines after a damaged one are dropped: a killed
// process may leave one.
func ReadTrace(r io.Reader) ([]Row, error) {
	in, err := csvrows.New(r, "trace", traceColumns...)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for in.Next() {
		row := Row{Iteration: int(in.Int("iteration")), Elapsed: in.Float("elapsed_s"), Phase: in.Text("phase"),
			Gamma: in.Float("gamma"), Upper: in.Float("upper"), Lower: in.Float("lower"), Gap: in.Float("gap"), Stationarity: in.Float("stationarity"),
			Violation: in.Float("violation"), StepLength: in.Float("step"), Delta: in.Float("delta"), OmittedTerm: in.Float("omitted"),
			Counts: bilevel.Counts{F: in.Int("f"), G: in.Int("g"), GradF: in.Int("grad_f"), GradG: in.Int("grad_g"), HessVec: in.Int("hess_vec"),
				Coupling: in.Int("h"), LowerSolves: in.Int("lower_solves"), Inner: in.Int("inner_iterations")}}
		if in.Damaged() {
			break
		}
		rows = append(rows, row)
	}
	return rows, nil
}
