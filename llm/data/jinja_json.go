package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// jinjaFilters are the engine's filters, with a tojson that writes as Hugging Face's does: Python's
// separators, the order of keys kept, nothing escaped for HTML.
var jinjaFilters = func() *exec.FilterSet {
	f := exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters)
	if err := f.Replace("tojson", toJSON); err != nil {
		panic(err) // an engine without tojson, which no test passes
	}
	return f
}()

func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	w := jsonWriter{indent: -1}
	if v := params.KwArgs["indent"]; v != nil && v.IsInteger() {
		w.indent = v.Integer()
	}
	if err := w.value(in.Interface(), 0); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsValue(w.b.String())
}

// jsonWriter writes values as Python's json.dumps(ensure_ascii=False) does.
type jsonWriter struct {
	b      strings.Builder
	indent int // spaces per level, -1 for one line
}

func (w *jsonWriter) value(v any, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("tojson: nested deeper than %d", maxNesting)
	}
	switch v := v.(type) {
	case *exec.Value:
		return w.value(v.Interface(), depth)
	case exec.Dict:
		return w.value(&v, depth)
	case *exec.Dict:
		return w.list("{}", len(v.Pairs), depth, func(i int) error {
			return w.pair(v.Pairs[i].Key.String(), v.Pairs[i].Value, depth)
		})
	case map[string]any:
		keys := messageKeys(v)
		return w.list("{}", len(keys), depth, func(i int) error { return w.pair(keys[i], v[keys[i]], depth) })
	case jinjaList:
		return w.value([]any(v), depth)
	case []any:
		return w.list("[]", len(v), depth, func(i int) error { return w.value(v[i], depth+1) })
	case exec.ValuesList:
		return w.list("[]", len(v), depth, func(i int) error { return w.value(v[i], depth+1) })
	case nil, bool, string, int, int64, float64:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return err
		}
		w.b.WriteString(strings.TrimSuffix(b.String(), "\n"))
		return nil
	}
	return fmt.Errorf("tojson: a value of type %T", v)
}

// messageKeys orders the keys of a message as it is written: role, content, then others.
func messageKeys(m map[string]any) []string {
	rank := map[string]int{"role": -2, "content": -1}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := rank[a] - rank[b]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return keys
}

func (w *jsonWriter) pair(key string, v any, depth int) error {
	if err := w.value(key, depth+1); err != nil {
		return err
	}
	w.b.WriteString(": ")
	return w.value(v, depth+1)
}

func (w *jsonWriter) list(brackets string, n, depth int, entry func(i int) error) error {
	w.b.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			w.b.WriteByte(',')
			if w.indent < 0 {
				w.b.WriteByte(' ')
			}
		}
		w.line(depth + 1)
		if err := entry(i); err != nil {
			return err
		}
	}
	if n > 0 {
		w.line(depth)
	}
	w.b.WriteByte(brackets[1])
	return nil
}

func (w *jsonWriter) line(depth int) {
	if w.indent >= 0 {
		w.b.WriteString("\n" + strings.Repeat(" ", min(w.indent, 16)*depth))
	}
}
