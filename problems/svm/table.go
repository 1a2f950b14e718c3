package svm

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/internal/option"
)

// ReadTable reads a table with one sample per line and columns separated by
// commas, semicolons or tabs, whichever is the first line's. Lines that begin
// with # are comments. The first line is a header when none of its feature
// cells is a number. label names the label column, or gives its number
// from 1; "" is a column called label, class, target or y, or else the last
// one. Labels may be words; every other cell must be a finite number. Errors
// are *DataError, or a *bilevel.SettingError for label.
func ReadTable(name string, content []byte, label string) (*Data, error) {
	if err := checkText(name, content); err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(content))
	r.Comma, r.Comment, r.TrimLeadingSpace = separator(content), '#', true
	r.ReuseRecord = true
	d := &Data{Name: name}
	at := -1
	for first := true; ; first = false {
		record, err := r.Read()
		if err == io.EOF {
			break
		}
		var wrong *csv.ParseError
		switch {
		case errors.As(err, &wrong) && errors.Is(err, csv.ErrFieldCount):
			return nil, &DataError{name, wrong.Line, fmt.Sprintf("%d columns", len(record)), fmt.Sprintf("%d columns, as in the first line", r.FieldsPerRecord)}
		case errors.As(err, &wrong):
			return nil, &DataError{name, wrong.Line, wrong.Err.Error(), "a table with plain or fully quoted cells"}
		case err != nil:
			return nil, &DataError{name, 0, err.Error(), "a table with plain or fully quoted cells"}
		}
		if first {
			if d.features = len(record) - 1; d.features < 1 || d.features > maxFeatures {
				line, _ := r.FieldPos(0)
				return nil, &DataError{name, line, fmt.Sprintf("%d column(s)", len(record)), fmt.Sprintf("2 to %d columns separated by commas, semicolons or tabs", maxFeatures+1)}
			}
			header := isHeader(record, label)
			if at, err = labelColumn(record, label, header); err != nil {
				return nil, err
			}
			for j, c := range record {
				if !header {
					c = fmt.Sprintf("x%d", j+1)
				}
				if j != at {
					d.Columns = append(d.Columns, strings.TrimSpace(c))
				}
			}
			if header {
				continue
			}
		}
		for j, c := range record {
			line, _ := r.FieldPos(j)
			c = strings.TrimSpace(c)
			if j == at {
				if c == "" {
					return nil, &DataError{name, line, "an empty label", "one of two labels"}
				}
				if v, err := strconv.ParseFloat(c, 64); err == nil && v-v != 0 {
					return nil, &DataError{name, line, "label " + quoted(c), "a finite number or a word"}
				}
				d.Labels = append(d.Labels, strings.Clone(c))
				d.lines = append(d.lines, line)
				continue
			}
			v, ok := number(c)
			if !ok {
				return nil, &DataError{name, line, fmt.Sprintf("value %s in column %d", quoted(c), j+1), "a finite number"}
			}
			d.A = append(d.A, v)
		}
		if len(d.A) > maxCells {
			return nil, &DataError{name, d.lines[len(d.lines)-1], fmt.Sprintf("%d numbers", len(d.A)), fmt.Sprintf("at most %d numbers in all", maxCells)}
		}
	}
	if len(d.Labels) == 0 {
		return nil, &DataError{name, 0, "no row of data", "one row per sample"}
	}
	return d, nil
}

// separator is the first of tab, semicolon and comma found in the first line of data.
func separator(content []byte) rune {
	for line := range bytes.Lines(content) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		for _, s := range "\t;" {
			if strings.ContainsRune(text, s) {
				return s
			}
		}
		break
	}
	return ','
}

// isHeader reports whether the first line names the columns: none of its feature
// cells is a number. A line with both words and numbers is data, with an error in it.
func isHeader(record []string, label string) bool {
	at := len(record) - 1
	if j, err := strconv.Atoi(label); err == nil && j >= 1 && j <= len(record) {
		at = j - 1
	} else if label != "" && slices.ContainsFunc(record, func(c string) bool { return strings.TrimSpace(c) == label }) {
		return true
	}
	for j, c := range record {
		if _, err := strconv.ParseFloat(strings.TrimSpace(c), 64); j != at && err == nil {
			return false
		}
	}
	return true
}

func labelColumn(record []string, label string, header bool) (int, error) {
	var names []string
	for j, c := range record {
		c = strings.TrimSpace(c)
		if !header {
			c = strconv.Itoa(j + 1)
		}
		names = append(names, c)
	}
	if label == "" {
		if header {
			for _, usual := range []string{"label", "class", "target", "y"} {
				for j, c := range names {
					if strings.EqualFold(c, usual) {
						return j, nil
					}
				}
			}
		}
		return len(record) - 1, nil
	}
	if j := slices.Index(names, label); j >= 0 {
		return j, nil
	}
	if j, err := strconv.Atoi(label); err == nil && j >= 1 && j <= len(record) {
		return j - 1, nil
	}
	return 0, option.Unknown("label", label, names)
}
