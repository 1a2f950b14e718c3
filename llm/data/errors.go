package data

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Reason says why a row is not used. It is an error, so that errors.Is(err,
// data.EmptyPrompt) works.
type Reason string

// Error returns the reason.
func (r Reason) Error() string { return string(r) }

// Reasons for which a row is refused while it is read.
const (
	Malformed     Reason = "malformed"
	NotObject     Reason = "not an object"
	MissingColumn Reason = "missing column"
	WrongType     Reason = "wrong type"
	BadMessages   Reason = "bad list of messages"
	EmptyPrompt   Reason = "empty prompt"
	EmptyResponse Reason = "empty response"
)

// Reasons for which a row is left out when it is made an example.
const (
	NoTurns       Reason = "template has no place for the conversation"
	NotRendered   Reason = "template refused the row"
	PromptTooLong Reason = "prompt too long"
	TooLong       Reason = "too long"
	NothingScored Reason = "no token to score"
	Identical     Reason = "chosen and rejected identical"
)

// RowError is a row that cannot be used. Its Reason can be asked for with errors.Is.
type RowError struct {
	File   string
	Line   int // where the row begins, from 1; 0 in formats without lines
	Row    int // place of the row in the file, from 0
	Reason Reason
	Detail string
}

// Error names the file, the line, the row and what is wrong.
func (e *RowError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	fmt.Fprintf(&b, ": row %d: %s", e.Row, e.Reason)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *RowError) Unwrap() error { return e.Reason }

// Counts is a number of rows by reason.
type Counts map[Reason]int

// Total is the number of rows.
func (c Counts) Total() int {
	n := 0
	for _, v := range c {
		n += v
	}
	return n
}

// String lists the reasons in alphabetical order: "2 empty prompt, 1 malformed".
func (c Counts) String() string {
	parts := make([]string, 0, len(c))
	for _, r := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%d %s", c[r], r))
	}
	return strings.Join(parts, ", ")
}
