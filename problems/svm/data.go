package svm

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel"
)

// Limits of what a data file may ask for. They keep a mistyped index from
// asking for the machine's memory.
const (
	maxFeatures = 1 << 16
	maxCells    = 1 << 25 // rows times features: 256 MiB
	maxLine     = 1 << 24
)

// Data is a binary classification data set with its labels as read.
type Data struct {
	Name     string    // the file it comes from, for messages and results
	Columns  []string  // names of the features
	A        []float64 // rows x features, row after row
	Labels   []string  // of the rows, as written in the file
	features int
	lines    []int // of the rows in the file
}

// Rows is the number of samples.
func (d *Data) Rows() int { return len(d.Labels) }

// Features is the number of features.
func (d *Data) Features() int { return d.features }

// Row is the feature vector of sample i.
func (d *Data) Row(i int) []float64 { return d.A[i*d.features : (i+1)*d.features] }

// DataError reports a data file that cannot be used. It matches
// bilevel.ErrInvalid.
type DataError struct {
	File    string
	Line    int // 0: the file as a whole
	Found   string
	Allowed string
}

// Error reads "file:line: what was found: allowed is what".
func (e *DataError) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("%s: %s: allowed is %s", at, e.Found, e.Allowed)
}

// Is makes errors.Is(err, bilevel.ErrInvalid) true.
func (e *DataError) Is(target error) bool { return target == bilevel.ErrInvalid }

// Signs maps the labels to +1 and -1: plus is the label that becomes +1, or ""
// for the greater of two numbers. There must be exactly two different labels.
func (d *Data) Signs(plus string) ([]float64, error) {
	var seen []string
	for i, l := range d.Labels {
		known := false
		for _, s := range seen {
			known = known || sameLabel(l, s)
		}
		if known {
			continue
		}
		if len(seen) == 2 {
			return nil, &DataError{d.Name, d.lines[i], fmt.Sprintf("a third label %q after %q and %q", l, seen[0], seen[1]), "two different labels in the file"}
		}
		seen = append(seen, l)
	}
	if len(seen) == 1 {
		return nil, &DataError{d.Name, 0, fmt.Sprintf("every row has the label %q", seen[0]), "two different labels in the file"}
	}
	if plus == "" {
		a, err1 := strconv.ParseFloat(seen[0], 64)
		b, err2 := strconv.ParseFloat(seen[1], 64)
		if err1 != nil || err2 != nil {
			return nil, &bilevel.SettingError{Field: "plus", Value: `""`, Allowed: fmt.Sprintf("%q or %q: which of the labels of %s is +1 cannot be told from their values", seen[0], seen[1], d.Name)}
		}
		plus = seen[0]
		if b > a {
			plus = seen[1]
		}
	}
	if !sameLabel(plus, seen[0]) && !sameLabel(plus, seen[1]) {
		return nil, &bilevel.SettingError{Field: "plus", Value: strconv.Quote(plus), Allowed: fmt.Sprintf("a label of %s, %q or %q", d.Name, seen[0], seen[1])}
	}
	s := make([]float64, len(d.Labels))
	for i, l := range d.Labels {
		s[i] = -1
		if sameLabel(l, plus) {
			s[i] = 1
		}
	}
	return s, nil
}

// sameLabel compares labels as numbers where both are numbers: 1, +1 and 1.0 are
// one label.
func sameLabel(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && x == y
}

// Read reads a data set in the format guessed from its content: LIBSVM text
// ("label index:value ...") or a table with commas, semicolons or tabs. label
// names the label column of a table; "" is a column called label, class,
// target or y, or else the last one.
func Read(name string, content []byte, label string) (*Data, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if err := checkText(name, content); err != nil {
		return nil, err
	}
	if looksLIBSVM(content) {
		if label != "" {
			return nil, &bilevel.SettingError{Field: "label", Value: strconv.Quote(label), Allowed: "no label column for " + name + ", which is LIBSVM text"}
		}
		return ReadLIBSVM(name, content)
	}
	return ReadTable(name, content, label)
}

// checkText refuses empty and binary content.
func checkText(name string, content []byte) error {
	if len(bytes.TrimSpace(content)) == 0 {
		return &DataError{name, 0, fmt.Sprintf("the file is empty (%d bytes)", len(content)), "LIBSVM text or a table with commas, semicolons or tabs"}
	}
	bad := bytes.IndexByte(content, 0)
	if bad < 0 && !utf8.Valid(content) {
		bad = 0
		for bad < len(content) {
			r, size := utf8.DecodeRune(content[bad:])
			if r == utf8.RuneError && size <= 1 {
				break
			}
			bad += size
		}
	}
	if bad >= 0 {
		return &DataError{name, 1 + bytes.Count(content[:bad], []byte("\n")), fmt.Sprintf("byte 0x%02x: this is not a text file", content[bad]), "UTF-8 text, not compressed"}
	}
	return nil
}

// looksLIBSVM reports whether the first line of data is a label followed by
// index:value pairs, or is cut short in the middle of one.
func looksLIBSVM(content []byte) bool {
	for line := range bytes.Lines(content) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if strings.ContainsAny(fields[0], ",;") {
			return false
		}
		return len(fields) > 1 && strings.Contains(fields[1], ":")
	}
	return false
}

// number parses a finite number.
func number(text string) (float64, bool) {
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// quoted shows a value from a file, shortened.
func quoted(text string) string {
	if len(text) > 40 {
		text = strings.ToValidUTF8(text[:40], "") + "..."
	}
	return strconv.Quote(text)
}

//go:embed pima.csv
var pimaCSV []byte

// pima is the name of the compiled-in data set.
const pima = "pima.csv (built in)"
