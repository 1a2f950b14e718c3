package data

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// readCSV reads a table whose first line names the columns (RFC 4180).
func readCSV(name string, r io.Reader, comma rune, yield func(Record, error) bool) {
	c := csv.NewReader(r)
	c.Comma = comma
	header, err := c.Read()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		yield(Record{}, fmt.Errorf("%s: header: %w", name, err))
		return
	}
	seen := map[string]bool{}
	for i, h := range header {
		if h == "" || seen[h] {
			yield(Record{}, fmt.Errorf("%s:1: column %d is named %q: names must be given and differ", name, i+1, h))
			return
		}
		seen[h] = true
	}
	c.ReuseRecord = true
	for row := 0; ; row++ {
		cells, err := c.Read()
		if err == io.EOF {
			return
		}
		var record Record
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			detail := bad.Err.Error()
			if errors.Is(err, csv.ErrFieldCount) {
				detail = fmt.Sprintf("%d cells, the header has %d", len(cells), len(header))
			}
			record.Line = bad.StartLine
			err = &RowError{File: name, Line: bad.StartLine, Row: row, Reason: Malformed, Detail: detail}
		case err != nil:
			yield(Record{}, fmt.Errorf("%s: row %d: %w", name, row, err))
			return
		default:
			record.Line, _ = c.FieldPos(0)
			record.Fields = make(map[string]any, len(header))
			for i, h := range header {
				record.Fields[h] = cells[i]
			}
		}
		if !yield(record, err) {
			return
		}
	}
}
