package training

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/bilevel-go/bilevel/internal/csvrows"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/run"
)

// EvaluationsFile has the held-out figures along a training.
const EvaluationsFile = "evaluations.csv"

// The columns. Losses are means, over pairs or response tokens in nats; elapsed_s is
// training time of the stage without evaluations; tokens are places in forward
// passes of the backbone since the stage began. A figure that was not taken is an
// empty cell.
var (
	traceColumns = []string{"stage", "step", "elapsed_s", "phase", "upper_loss", "upper_accuracy", "upper_margin", "lower_loss",
		"delta", "omitted", "grad_x", "tokens", "backward", "head_rows", "tokens_per_s", "f", "g", "grad_f", "grad_g", "inner_iterations"}
	evaluationColumns = []string{"stage", "step", "elapsed_s", "upper_loss", "upper_accuracy", "upper_margin", "lower_loss", "tokens", "backward", "head_rows"}
)

// Row is a row of either file; what a file has no column for is NaN.
type Row struct {
	Stage                   string
	Step                    int
	Elapsed                 float64 // seconds
	Upper, Accuracy, Margin float64
	Lower                   float64
	Delta, Omitted          float64
	Tokens                  float64
	TokensPerSecond         float64
}

// table is a file of rows that is written as a training goes.
type table struct {
	path string
	f    *os.File
	csv  *csv.Writer
	buf  *bufio.Writer
}

// openTable begins a file with its header, or goes on with the one that is there:
// behind step of stage, where the stages before it, in the order of the file, keep
// all rows. stage "" begins anew.
func openTable(d *run.Dir, name string, columns []string, stage string, step int) (*table, error) {
	head := &bytes.Buffer{}
	w := csv.NewWriter(head)
	w.Write(columns) // into memory
	w.Flush()
	keep := head.Bytes()
	if stage != "" {
		old, err := os.ReadFile(d.Join(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		keep = append(keep, common(old, keep, stage, step)...)
	}
	if err := d.WriteFile(name, func(w io.Writer) error { _, err := w.Write(keep); return err }); err != nil {
		return nil, err
	}
	t := &table{path: d.Join(name)}
	var err error
	if t.f, err = os.OpenFile(t.path, os.O_APPEND|os.O_WRONLY, 0o666); err != nil {
		return nil, err
	}
	t.buf = bufio.NewWriter(t.f)
	t.csv = csv.NewWriter(t.buf)
	return t, nil
}

// common are the rows of old that a training has in common with one that goes on
// behind a step of a stage. What is no such file, and an incomplete last line, is
// dropped.
func common(old, head []byte, stage string, step int) []byte {
	var kept []byte
	reached := false
	old, ok := bytes.CutPrefix(old, head)
	for ok {
		var line []byte
		if line, old, ok = bytes.Cut(old, []byte("\n")); !ok {
			break
		}
		cells := bytes.SplitN(line, []byte(","), 3)
		if len(cells) < 3 {
			break
		}
		n, err := strconv.Atoi(string(cells[1]))
		here := string(cells[0]) == stage
		if err != nil || here && n > step || reached && !here {
			break
		}
		reached = reached || here
		kept = append(append(kept, line...), '\n')
	}
	return kept
}

func (t *table) write(cells []string) error {
	if err := t.csv.Write(cells); err != nil {
		return t.wrap(err)
	}
	return nil
}

func (t *table) flush() error {
	t.csv.Flush()
	if err := t.csv.Error(); err != nil {
		return t.wrap(err)
	}
	return t.wrap(t.buf.Flush())
}

func (t *table) wrap(err error) error {
	if err == nil {
		return nil
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("writing %s: %w", t.path, err)
}

func (t *table) close() error { return errors.Join(t.flush(), t.f.Close()) }

func cell(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func whole(v int64) string { return strconv.FormatInt(v, 10) }

// time in seconds, to the microsecond.
func secondsCell(d time.Duration) string { return cell(math.Round(d.Seconds()*1e6) / 1e6) }

func stepCells(p *tune.StepReport) []string {
	return []string{p.Stage, strconv.Itoa(p.Step), secondsCell(p.Elapsed), p.Phase, cell(p.Upper.Loss), cell(p.Upper.Accuracy), cell(p.Upper.Margin), cell(p.Lower.Loss),
		cell(p.Delta), cell(p.Omitted), cell(p.GradX), whole(p.Work.Tokens), whole(p.Work.Backward), whole(p.Work.HeadStep), cell(math.Round(p.TokensPerSecond)),
		whole(p.Counts.F), whole(p.Counts.G), whole(p.Counts.GradF), whole(p.Counts.GradG), whole(p.Counts.Inner)}
}

func evaluationCells(e *tune.Evaluation) []string {
	return []string{e.Stage, strconv.Itoa(e.Step), secondsCell(e.Elapsed), cell(e.Upper.Loss), cell(e.Upper.Accuracy), cell(e.Upper.Margin), cell(e.Lower.Loss),
		whole(e.Work.Tokens), whole(e.Work.Backward), whole(e.Work.HeadStep)}
}

// ReadRows reads trace.csv or evaluations.csv. Lines after a damaged one are dropped:
// a killed process may leave one.
func ReadRows(r io.Reader) ([]Row, error) {
	in, err := csvrows.New(r, "file", "stage", "step")
	if err != nil {
		return nil, err
	}
	var rows []Row
	for in.Next() {
		row := Row{Stage: in.Text("stage"), Step: int(in.Int("step")), Elapsed: in.Float("elapsed_s"), Upper: in.Float("upper_loss"), Accuracy: in.Float("upper_accuracy"),
			Margin: in.Float("upper_margin"), Lower: in.Float("lower_loss"), Delta: in.Float("delta"), Omitted: in.Float("omitted"), Tokens: in.Float("tokens"),
			TokensPerSecond: in.Float("tokens_per_s")}
		if in.Damaged() {
			break
		}
		rows = append(rows, row)
	}
	return rows, nil
}
