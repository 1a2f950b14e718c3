package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel"
)

// refuse reports a value that a file must not have.
func refuse(field string, value any, allowed string) error {
	if s, ok := value.(string); ok {
		value = fmt.Sprintf("%q", s)
	}
	text := fmt.Sprint(value)
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "..."
	}
	return &bilevel.SettingError{Field: field, Value: text, Allowed: allowed}
}

// fields is a JSON object that is being read. The first mistake is kept in err,
// which all objects of a file share; after it every value is zero.
type fields struct {
	path string
	m    map[string]json.RawMessage
	err  *error
}

// object reads raw as the object at path.
func object(path string, raw json.RawMessage, err *error) fields {
	f := fields{path: path, err: err}
	if *err == nil && json.Unmarshal(raw, &f.m) != nil {
		*err = refuse(path, string(raw), "a JSON object")
	}
	return f
}

func (f fields) name(key string) string {
	if f.path == "" {
		return key
	}
	return f.path + "." + key
}

func (f fields) fail(key string, value any, allowed string) {
	if *f.err == nil {
		*f.err = refuse(f.name(key), value, allowed)
	}
}

// has reports whether key is there and not null.
func (f fields) has(key string) bool {
	raw, ok := f.m[key]
	return ok && string(raw) != "null"
}

// value reads key into a T. It fails when the key is missing, unless there is a
// default.
func value[T any](f fields, key, allowed string, preset ...T) (v T) {
	switch {
	case *f.err != nil:
	case f.has(key):
		if json.Unmarshal(f.m[key], &v) != nil {
			f.fail(key, string(f.m[key]), allowed)
		}
	case len(preset) > 0:
		return preset[0]
	default:
		f.fail(key, "missing", allowed)
	}
	return v
}

func (f fields) str(key string, preset ...string) string {
	return value(f, key, "a string", preset...)
}

func (f fields) boolean(key string, preset ...bool) bool {
	return value(f, key, "true or false", preset...)
}

func (f fields) count(key string, preset ...int) int {
	n := value(f, key, "a whole number from 0 to 1000000", preset...)
	if n < 0 || n > 1_000_000 {
		f.fail(key, n, "a whole number from 0 to 1000000")
	}
	return n
}

func (f fields) char(key string, preset ...string) string {
	s := f.str(key, preset...)
	if utf8.RuneCountInString(s) != 1 {
		f.fail(key, s, "one character")
	}
	return s
}

func (f fields) oneOf(key string, allowed []string, preset ...string) string {
	s := f.str(key, preset...)
	if !slices.Contains(allowed, s) {
		f.fail(key, s, "one of "+strings.Join(allowed, ", "))
	}
	return s
}

// list reads key as a list of objects, each with its own path.
func (f fields) list(key string) []fields {
	raw := value[[]json.RawMessage](f, key, "a list")
	out := make([]fields, 0, len(raw))
	for i, r := range raw {
		out = append(out, object(fmt.Sprintf("%s[%d]", f.name(key), i), r, f.err))
	}
	return out
}

// pattern reads {"String": ...} or {"Regex": ...}.
func (f fields) pattern(key string) pattern {
	p := object(f.name(key), value[json.RawMessage](f, key, `{"String": ...} or {"Regex": ...}`), f.err)
	if p.has("String") {
		return pattern{text: p.str("String"), literal: true}
	}
	expr := p.str("Regex")
	if *f.err != nil {
		return pattern{}
	}
	out, err := compile(expr)
	if err != nil {
		p.fail("Regex", expr, "a supported regular expression: it "+err.Error())
	}
	return out
}
