// Package csvrows reads tables that programs write as they go: a header, then rows
// of numbers and words, which are asked for by the names of their columns.
package csvrows

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Reader reads a table row by row.
type Reader struct {
	in    *csv.Reader
	at    map[string]int
	cells []string
	bad   bool
}

// New reads the header of what (a word for errors), which must have the columns named.
func New(r io.Reader, what string, columns ...string) (*Reader, error) {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("the %s has no header: %w", what, err)
	}
	at := make(map[string]int, len(head))
	for i, name := range head {
		at[name] = i
	}
	for _, name := range columns {
		if _, ok := at[name]; !ok {
			return nil, fmt.Errorf("the %s has no column %q", what, name)
		}
	}
	return &Reader{in: in, at: at}, nil
}

// Next goes to the next row, and reports false at the end and at a line that is no
// row of the table: a killed process may leave one.
func (r *Reader) Next() bool {
	var err error
	r.cells, err = r.in.Read()
	r.bad = false
	return err == nil
}

// Damaged reports that a cell of this row that was asked for could not be read.
func (r *Reader) Damaged() bool { return r.bad }

// Text is the cell in a column, empty where the table has no such column.
func (r *Reader) Text(name string) string {
	if i, ok := r.at[name]; ok {
		return r.cells[i]
	}
	return ""
}

// Float is the number in a column, NaN for an empty cell.
func (r *Reader) Float(name string) float64 {
	text := r.Text(name)
	if text == "" {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(text, 64)
	r.bad = r.bad || err != nil
	return v
}

// Int is the integer in a column.
func (r *Reader) Int(name string) int64 {
	v, err := strconv.ParseInt(r.Text(name), 10, 64)
	r.bad = r.bad || err != nil
	return v
}
