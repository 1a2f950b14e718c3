package data

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bilevel-go/bilevel"
)

// ReadSettings say how files become rows.
type ReadSettings struct {
	// Kind says what the rows are for.
	Kind Kind
	// Columns is a mapping as [ParseMapping] reads it; "" detects it from the
	// columns of each file's first row ([Detect]).
	Columns string
	// Format is the files' format; "" goes by their names.
	Format Format
	// SkipBad leaves bad rows out and counts them; otherwise the first one is an error.
	SkipBad bool
	// Limit is how many rows to read, bad ones not counted; 0 is all.
	Limit int
}

// Rows is what was read.
type Rows struct {
	Rows    []Row
	Columns []Mapping // of each file
	Skipped Counts    // bad rows by reason
	First   []error   // the first bad row of each reason, a *RowError
}

// Read reads the rows of files, in order. A bad row is a *[RowError] with file, line and reason. A file
// without rows is an error.
func Read(files []string, s ReadSettings) (*Rows, error) {
	mapping, err := ParseMapping(s.Columns)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, &bilevel.SettingError{Field: "files", Value: "none", Allowed: "at least one file"}
	}
	if s.Limit < 0 {
		return nil, &bilevel.SettingError{Field: "Limit", Value: s.Limit, Allowed: "an integer >= 0"}
	}
	if s.Columns != "" {
		if err := mapping.check(s.Kind); err != nil {
			return nil, err
		}
	}
	out := &Rows{Skipped: Counts{}}
	id := 0
	for _, file := range files {
		m := mapping
		row := -1
		for record, err := range Records(file, s.Format) {
			row++
			id++
			var bad *RowError
			if err != nil && !errors.As(err, &bad) {
				return nil, err
			}
			if bad == nil && m.String() == "" {
				if m, err = Detect(slices.Sorted(maps.Keys(record.Fields)), s.Kind); err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
			}
			var r Row
			if bad == nil {
				var reason Reason
				var detail string
				if r, reason, detail = m.row(record.Fields, s.Kind); reason != "" {
					bad = &RowError{File: file, Line: record.Line, Row: row, Reason: reason, Detail: detail}
				}
			}
			if bad != nil {
				if !s.SkipBad {
					return nil, bad
				}
				if out.Skipped[bad.Reason]++; out.Skipped[bad.Reason] == 1 {
					out.First = append(out.First, bad)
				}
				continue
			}
			r.ID, r.File, r.Line = id-1, file, record.Line
			if out.Rows = append(out.Rows, r); len(out.Rows) == s.Limit {
				break
			}
		}
		if row < 0 {
			return nil, fmt.Errorf("%s: no rows", file)
		}
		out.Columns = append(out.Columns, m)
		if len(out.Rows) == s.Limit && s.Limit > 0 {
			break
		}
	}
	return out, nil
}
