package svm

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// ReadLIBSVM reads LIBSVM text: a line per sample, the label first, then
// index:value pairs with indices from 1 in increasing order. A feature that a
// line leaves out is 0. Blank lines, and comments that begin with #, are
// skipped. Errors are *DataError.
func ReadLIBSVM(name string, content []byte) (*Data, error) {
	if err := checkText(name, content); err != nil {
		return nil, err
	}
	d := &Data{Name: name}
	type cell struct {
		row, index int
		value      float64
	}
	var cells []cell
	no := 0
	for raw := range bytes.Lines(content) {
		no++
		if len(raw) > maxLine {
			return nil, &DataError{name, no, fmt.Sprintf("a line of %d bytes", len(raw)), fmt.Sprintf("at most %d bytes", maxLine)}
		}
		line, _, _ := strings.Cut(string(raw), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if _, ok := number(fields[0]); !ok {
			return nil, &DataError{name, no, "label " + quoted(fields[0]), "a number such as +1 or -1"}
		}
		last := 0
		for _, f := range fields[1:] {
			left, right, ok := strings.Cut(f, ":")
			if !ok {
				return nil, &DataError{name, no, "field " + quoted(f), "index:value"}
			}
			index, err := strconv.Atoi(left)
			switch {
			case err != nil || index < 1 || index > maxFeatures:
				return nil, &DataError{name, no, "feature index " + quoted(left), fmt.Sprintf("an integer from 1 to %d", maxFeatures)}
			case index == last:
				return nil, &DataError{name, no, fmt.Sprintf("feature index %d twice in one line", index), "each index once, in increasing order"}
			case index < last:
				return nil, &DataError{name, no, fmt.Sprintf("feature index %d after %d", index, last), "indices in increasing order"}
			}
			value, ok := number(right)
			if !ok {
				return nil, &DataError{name, no, fmt.Sprintf("value %s of feature %d", quoted(right), index), "a finite number"}
			}
			last = index
			d.features = max(d.features, index)
			cells = append(cells, cell{len(d.Labels), index, value})
		}
		d.Labels = append(d.Labels, fields[0])
		d.lines = append(d.lines, no)
		if len(d.Labels)*d.features > maxCells {
			return nil, &DataError{name, no, fmt.Sprintf("%d rows of %d features", len(d.Labels), d.features), fmt.Sprintf("at most %d numbers in all", maxCells)}
		}
	}
	if len(d.Labels) == 0 {
		return nil, &DataError{name, 0, "no row of data", "one row per sample"}
	}
	if d.features == 0 {
		return nil, &DataError{name, 0, "no feature in any row", "index:value pairs after the label"}
	}
	d.A = make([]float64, len(d.Labels)*d.features)
	for _, c := range cells {
		d.A[c.row*d.features+c.index-1] = c.value
	}
	for j := range d.features {
		d.Columns = append(d.Columns, fmt.Sprintf("x%d", j+1))
	}
	return d, nil
}
