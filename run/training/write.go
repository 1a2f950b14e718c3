package training

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/run"
)

// Write writes the settings as YAML that Read takes, defaults filled in.
func Write(w io.Writer, c tune.Config) error {
	var b bytes.Buffer
	b.WriteString("# The settings of this training as resolved; `bilevel llm train " + run.ConfigFile + "` runs the same again.\n")
	writeNested(&b, Given(&c), func(b *bytes.Buffer, indent, name string, f option.Field) {
		fmt.Fprintf(b, "%s%s: %s\n", indent, name, scalar(f.Value))
	})
	fmt.Fprintf(&b, "%s: %s\n", versionKey, scalar(run.Version()))
	_, err := w.Write(b.Bytes())
	return err
}

// Given lists the settings that have a value, of their own or by default.
func Given(c *tune.Config) []option.Field {
	unset := option.Fields(&tune.Config{})
	var given []option.Field
	for i, f := range option.Fields(c) {
		if f.Default != "" || f.Value != unset[i].Value {
			given = append(given, f)
		}
	}
	return given
}

// writeNested writes fields below the maps that the dots in their names make, in the
// order in which a group comes first.
func writeNested(b *bytes.Buffer, fields []option.Field, write func(b *bytes.Buffer, indent, name string, f option.Field)) {
	done := map[string]bool{}
	for _, f := range fields {
		group, _, dotted := strings.Cut(f.Name, ".")
		if !dotted {
			write(b, "", f.Name, f)
			continue
		}
		if done[group] {
			continue
		}
		done[group] = true
		var inner bytes.Buffer
		for _, g := range fields {
			if name, ok := strings.CutPrefix(g.Name, group+"."); ok {
				write(&inner, "  ", name, g)
			}
		}
		if inner.Len() > 0 {
			fmt.Fprintf(b, "%s:\n%s", group, inner.Bytes())
		}
	}
}

// scalar is a value as YAML: plain where it is a number or a simple word, else in
// double quotes, as JSON has them.
func scalar(v string) string {
	plain := v != "" && strings.IndexFunc(v, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./+", r))
	}) < 0
	if plain && !strings.ContainsAny(v[:1], "-+.") || isNumber(v) {
		return v
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return `""`
	}
	return strings.TrimSpace(b.String())
}

func isNumber(v string) bool {
	var n json.Number // which may stand between spaces
	return json.Unmarshal([]byte(v), &n) == nil && !strings.HasPrefix(v, `"`) && v == strings.TrimSpace(v)
}

// Template writes a configuration file to begin with: every setting with its
// meaning, default and range, commented out where it need not be given.
func Template(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# A training of a language model: `bilevel llm train FILE`.\n# Paths are relative to this file. What is commented out has its default.\n\n")
	c := tune.Config{Model: "model", UpperFiles: "preferences.jsonl", LowerFiles: "supervised.jsonl"}
	given := map[string]bool{"model": true, "upper.files": true, "lower.files": true}
	writeNested(&b, option.Fields(&c), func(b *bytes.Buffer, indent, name string, f option.Field) {
		fmt.Fprintf(b, "%s# %s\n", indent, about(f))
		if given[f.Name] {
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, scalar(f.Value))
			return
		}
		value := f.Value
		if value != "" {
			value = scalar(value)
		}
		fmt.Fprintf(b, "%s# %s\n", indent, strings.TrimSpace(name+": "+value))
	})
	_, err := w.Write(b.Bytes())
	return err
}

// about is a setting's meaning and range in a line.
func about(f option.Field) string {
	text := f.Doc
	if f.Range != "" {
		text += "; " + strings.ReplaceAll(f.Range, "|", ", ")
	}
	return text
}
