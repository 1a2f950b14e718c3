package data

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const maxLine = 64 << 20 // bytes of a line of JSON Lines

// readJSON streams an array of objects.
func readJSON(name string, b *bufio.Reader, yield func(Record, error) bool) {
	line, err := skipSpace(b)
	if err != nil {
		yield(Record{}, fmt.Errorf("%s: no rows: %w", name, io.ErrUnexpectedEOF))
		return
	}
	head, _ := b.Peek(1)
	if head[0] == '{' {
		readJSONLines(name, b, line, yield)
		return
	}
	lines := &lineCounter{r: b, line: line}
	d := json.NewDecoder(lines)
	d.UseNumber()
	fail := func(row int, err error) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		// The line where the row begins: after the comma and the space that follow the last one.
		rest, _ := io.ReadAll(d.Buffered())
		at := d.InputOffset() + int64(len(rest)-len(bytes.TrimLeft(rest, ", \t\r\n")))
		yield(Record{}, fmt.Errorf("%s:%d: row %d: %w; the rest of the array cannot be read", name, lines.at(at), row, err))
	}
	if t, err := d.Token(); err != nil {
		fail(0, err)
		return
	} else if t != json.Delim('[') {
		yield(Record{}, fmt.Errorf("%s:%d: begins with %v: want an array of objects, or objects line by line", name, line, t))
		return
	}
	row := 0
	for ; d.More(); row++ {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			fail(row, err)
			return
		}
		at := lines.at(d.InputOffset() - int64(len(raw)))
		fields, reason, detail := object(raw)
		if reason != "" {
			err = &RowError{File: name, Line: at, Row: row, Reason: reason, Detail: detail}
		} else {
			err = nil
		}
		if !yield(Record{Line: at, Fields: fields}, err) {
			return
		}
	}
	if _, err := d.Token(); err != nil {
		fail(row, err)
		return
	}
	if t, err := d.Token(); err != io.EOF {
		yield(Record{}, fmt.Errorf("%s:%d: %v after the end of the array", name, lines.at(d.InputOffset()), t))
	}
}

// skipSpace passes over white space and returns the number of the line it ends on.
func skipSpace(b *bufio.Reader) (int, error) {
	for line := 1; ; {
		c, err := b.ReadByte()
		if err != nil {
			return line, err
		}
		switch c {
		case '\n':
			line++
		case ' ', '\t', '\r':
		default:
			return line, b.UnreadByte()
		}
	}
}

// object decodes one JSON object.
func object(raw []byte) (map[string]any, Reason, string) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, Malformed, "JSON value is cut off"
		}
		return nil, Malformed, err.Error()
	}
	if rest := bytes.TrimSpace(raw[d.InputOffset():]); len(rest) > 0 {
		return nil, Malformed, fmt.Sprintf("%.20q after the JSON value", rest)
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, NotObject, kindOf(v)
	}
	return fields, "", ""
}

// kindOf names the type of a value of a record.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "text"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}

// readJSONLines reads one object from every line; blank lines are passed over.
func readJSONLines(name string, b *bufio.Reader, line int, yield func(Record, error) bool) {
	var long []byte
	for row := 0; ; line++ {
		text, err := b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long[:0], text...)
			for errors.Is(err, bufio.ErrBufferFull) {
				text, err = b.ReadSlice('\n')
				if len(long)+len(text) > maxLine {
					yield(Record{}, fmt.Errorf("%s:%d: row %d: line longer than %d bytes", name, line, row, maxLine))
					return
				}
				long = append(long, text...)
			}
			text = long
		}
		if err != nil && err != io.EOF {
			yield(Record{}, fmt.Errorf("%s:%d: %w", name, line, err))
			return
		}
		if text := bytes.TrimSpace(text); len(text) > 0 {
			fields, reason, detail := object(text)
			var bad error
			if reason != "" {
				bad = &RowError{File: name, Line: line, Row: row, Reason: reason, Detail: detail}
			}
			if !yield(Record{Line: line, Fields: fields}, bad) {
				return
			}
			row++
		}
		if err == io.EOF {
			return
		}
	}
}

// lineCounter tells the line of a byte offset. It keeps the line ends that have
// been read but not passed.
type lineCounter struct {
	r    io.Reader
	read int64
	ends []int64 // offsets of line ends from the last question on
	line int     // line of the last question
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i := 0; i < n; {
		k := bytes.IndexByte(p[i:n], '\n')
		if k < 0 {
			break
		}
		i += k + 1
		c.ends = append(c.ends, c.read+int64(i))
	}
	c.read += int64(n)
	return n, err
}

// at returns the line of an offset; offsets must not fall from call to call.
func (c *lineCounter) at(offset int64) int {
	k := 0
	for k < len(c.ends) && c.ends[k] <= offset {
		k++
	}
	c.ends = append(c.ends[:0], c.ends[k:]...)
	c.line += k
	return c.line
}
