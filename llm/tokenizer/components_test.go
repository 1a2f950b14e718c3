package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each line of components.jsonl has a part of a tokenizer.json, or a whole one,
// and what the Hugging Face tokenizers library 0.23.3 makes of random texts with
// it. $BILEVEL_TOKENIZER_CASES may name a further file of the kind.
type componentRow struct {
	Kind   string
	Config json.RawMessage
	Size   int
	Cases  []json.RawMessage
}

func TestComponents(t *testing.T) {
	files := []string{filepath.Join("testdata", "components.jsonl")}
	if more := os.Getenv("BILEVEL_TOKENIZER_CASES"); more != "" {
		files = append(files, more)
	}
	for _, file := range files {
		rows := lines[componentRow](t, file)
		if len(rows) < 200 {
			t.Errorf("%s has %d rows", file, len(rows))
		}
		for i, row := range rows {
			checkComponent(t, i, row)
		}
	}
}

func checkComponent(t *testing.T, i int, row componentRow) {
	var parseErr error
	var config fields
	if row.Kind != "tokenizer" {
		config = object(row.Kind, row.Config, &parseErr)
	}
	name := string(row.Config)
	if len(name) > 200 {
		name = name[:100] + " ... " + name[len(name)-100:]
	}
	wrong := 0
	report := func(format string, args ...any) {
		if wrong++; wrong <= 3 {
			t.Errorf("row %d %s: "+format, append([]any{i, name}, args...)...)
		}
	}
	switch row.Kind {
	case "normalizer":
		do := chainNormalizers(readNormalizers(config))
		if parseErr != nil {
			t.Errorf("row %d: %v", i, parseErr)
			return
		}
		for _, raw := range row.Cases {
			c := read[[]string](t, raw)
			if got, _ := do(c[0], true); got != c[1] {
				report("%+q -> %+q, want %+q", c[0], got, c[1])
			}
		}
	case "pre_tokenizer":
		stages, atEnd := readSplitters(config)
		if parseErr != nil {
			t.Errorf("row %d: %v", i, parseErr)
			return
		}
		for _, raw := range row.Cases {
			c := read[[2]json.RawMessage](t, raw)
			text, want := read[string](t, c[0]), read[[]string](t, c[1])
			var got []string
			next := func(p piece) {
				if atEnd {
					p.s = byteChars(p.s)
				}
				got = append(got, p.s)
			}
			for i := len(stages) - 1; i >= 0; i-- {
				stage, inner := stages[i], next
				next = func(p piece) { stage.split(p, inner) }
			}
			if text != "" {
				next(piece{text, true})
			}
			if !slices.Equal(got, want) {
				report("%+q -> %+q, want %+q", text, got, want)
			}
		}
	case "decoder":
		decoders := readDecoders(config)
		if parseErr != nil {
			t.Errorf("row %d: %v", i, parseErr)
			return
		}
		for _, raw := range row.Cases {
			c := read[[2]json.RawMessage](t, raw)
			tokens, want := read[[]string](t, c[0]), read[string](t, c[1])
			tok := &Tokenizer{decoders: decoders, tokens: tokens, has: make([]bool, len(tokens)), isSpecial: make([]bool, len(tokens))}
			ids := make([]int, len(tokens))
			for i := range ids {
				tok.has[i], ids[i] = true, i
			}
			if got := tok.Decode(ids, false); got != want {
				report("%+q -> %+q, want %+q", tokens, got, want)
			}
			checkStream(t, tok, ids, want)
		}
	case "tokenizer":
		tok, err := Parse(row.Config)
		if err != nil {
			t.Errorf("row %d: %v", i, err)
			return
		}
		if tok.VocabSize() != row.Size {
			t.Errorf("row %d: vocabulary of %d, want %d", i, tok.VocabSize(), row.Size)
		}
		for _, raw := range row.Cases {
			c := read[[5]json.RawMessage](t, raw)
			text, ids, special := read[string](t, c[0]), read[[]int](t, c[1]), read[[]int](t, c[2])
			if got := tok.Encode(text, false); !slices.Equal(got, ids) {
				report("%+q -> %v, want %v", text, got, ids)
			}
			if got := tok.Encode(text, true); !slices.Equal(got, special) {
				report("%+q with special tokens -> %v, want %v", text, got, special)
			}
			if got, want := tok.Decode(ids, false), read[string](t, c[3]); got != want {
				report("%v decodes to %+q, want %+q", ids, got, want)
			}
			if got, want := tok.Decode(ids, true), read[string](t, c[4]); got != want {
				report("%v decodes without special tokens to %+q, want %+q", ids, got, want)
			}
			checkStream(t, tok, ids, read[string](t, c[3]))
		}
	default:
		t.Errorf("row %d: kind %q", i, row.Kind)
	}
	if wrong > 3 {
		t.Errorf("row %d %s: %d mistakes in all", i, name, wrong)
	}
}

func read[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.NewDecoder(strings.NewReader(string(raw))).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
