package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// shared returns a file below $env, else below ../shared/sub beside the
// repository, and skips the test when it is not there.
func shared(t testing.TB, env, sub string, path ...string) string {
	t.Helper()
	root := os.Getenv(env)
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", sub)
	}
	file := filepath.Join(append([]string{root}, path...)...)
	if _, err := os.Stat(file); err != nil {
		t.Skipf("needs %s (set %s)", file, env)
	}
	return file
}

func golden(t testing.TB, path ...string) string {
	return shared(t, "BILEVEL_GOLDEN", "golden", append([]string{"lm"}, path...)...)
}

func dataFile(t testing.TB, path ...string) string {
	return shared(t, "BILEVEL_DATA", "data", path...)
}

func lines[T any](t testing.TB, file string) []T {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	for s := bigScanner(f); s.Scan(); {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

type goldenString struct{ Kind, Text string }

type goldenIDs struct {
	IDs           []int   `json:"ids"`
	IDsSpecial    []int   `json:"ids_special"`
	DecodedIsText bool    `json:"decoded_is_text"`
	Decoded       string  `json:"decoded"`
	DecodedSkip   *string `json:"decoded_skip_special"`
}

func open(t testing.TB, file string) *Tokenizer {
	t.Helper()
	tok, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name, ids string
		file      func(testing.TB) string
	}{
		{"pythia", "pythia.jsonl", func(t testing.TB) string { return dataFile(t, "lm", "pythia_20B_tokenizer.json") }},
		{"stories260k", "stories260k.jsonl", func(t testing.TB) string { return golden(t, "stories260k") }},
		{"llama3style", "llama3style.jsonl", func(t testing.TB) string { return golden(t, "tokenizers", "llama3style") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			texts := lines[goldenString](t, golden(t, "tokenizers", "strings.jsonl"))
			want := lines[goldenIDs](t, golden(t, "tokenizers", c.ids))
			tok := open(t, c.file(t))
			if len(texts) != 772 || len(want) != len(texts) {
				t.Fatalf("%d strings, %d rows, want 772 of both", len(texts), len(want))
			}
			all := make([]string, len(texts))
			for i, s := range texts {
				all[i] = s.Text
				w := want[i]
				if w.IDsSpecial == nil {
					w.IDsSpecial = w.IDs
				}
				if w.DecodedIsText {
					w.Decoded = s.Text
				}
				if w.DecodedSkip == nil {
					w.DecodedSkip = &w.Decoded
				}
				// Twice: the second time words come from the cache.
				for range 2 {
					if got := tok.Encode(s.Text, false); !slices.Equal(got, w.IDs) {
						t.Errorf("string %d (%s) %q:\n got %v\nwant %v", i, s.Kind, s.Text, got, w.IDs)
					}
				}
				if got := tok.Encode(s.Text, true); !slices.Equal(got, w.IDsSpecial) {
					t.Errorf("string %d (%s) with special tokens: got %v, want %v", i, s.Kind, got, w.IDsSpecial)
				}
				if got := tok.Decode(w.IDs, false); got != w.Decoded {
					t.Errorf("string %d (%s) decodes to %q, want %q", i, s.Kind, got, w.Decoded)
				}
				if got := tok.Decode(w.IDs, true); got != *w.DecodedSkip {
					t.Errorf("string %d (%s) without special tokens decodes to %q, want %q", i, s.Kind, got, *w.DecodedSkip)
				}
				checkStream(t, tok, w.IDs, w.Decoded)
			}
			for i, got := range tok.EncodeBatch(all, false) {
				if !slices.Equal(got, want[i].IDs) {
					t.Errorf("batch differs at string %d", i)
				}
			}
		})
	}
}

// checkStream streams ids: every part must be whole characters, and together
// they must be want (where want has no U+FFFD of its own).
func checkStream(t *testing.T, tok *Tokenizer, ids []int, want string) {
	t.Helper()
	s := tok.Stream(false)
	var b strings.Builder
	for _, id := range ids {
		part := s.Push(id)
		if !utf8.ValidString(part) {
			t.Errorf("the stream split a character: %q", part)
		}
		b.WriteString(part)
	}
	b.WriteString(s.Flush())
	if got := b.String(); got != want && !strings.Contains(want, "\uFFFD") {
		t.Errorf("stream %q, want %q", got, want)
	}
}

func TestGoldenSplits(t *testing.T) {
	texts := lines[goldenString](t, golden(t, "tokenizers", "strings.jsonl"))
	general, err := compile(llama3Pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range lines[struct {
		I    int
		Ends []int
	}](t, golden(t, "tokenizers", "llama3style_splits.jsonl")) {
		text := texts[row.I].Text
		for name, s := range map[string]splitter{"scanner": knownPatterns[llama3Pattern], "regular expression": patternSplit{general.matches, "Isolated", false}} {
			var ends []int
			n := 0
			s.split(piece{text, true}, func(p piece) {
				n += utf8.RuneCountInString(p.s)
				ends = append(ends, n)
			})
			if !slices.Equal(ends, row.Ends) {
				t.Errorf("%s: string %d %q: got %v, want %v", name, row.I, text, ends, row.Ends)
			}
		}
	}
}

// The two forms of the same small model: its llama2.c file must give the ids of
// its tokenizer.json wherever the text has no special token (which llama2.c does
// not look for).
func TestGoldenLlama2C(t *testing.T) {
	texts := lines[goldenString](t, golden(t, "tokenizers", "strings.jsonl"))
	want := lines[goldenIDs](t, golden(t, "tokenizers", "stories260k.jsonl"))
	tok := open(t, dataFile(t, "lm", "tok512.bin"))
	if tok.VocabSize() != 512 || tok.Special() != (Special{1, 2, None, 0}) {
		t.Errorf("vocabulary %d, special %+v", tok.VocabSize(), tok.Special())
	}
	compared := 0
	for i, s := range texts {
		if strings.Contains(s.Text, "<s>") || strings.Contains(s.Text, "</s>") || strings.Contains(s.Text, "<unk>") {
			continue
		}
		compared++
		if got := tok.Encode(s.Text, false); !slices.Equal(got, want[i].IDs) {
			t.Errorf("string %d (%s) %q:\n got %v\nwant %v", i, s.Kind, s.Text, got, want[i].IDs)
		}
		decoded := want[i].Decoded
		if want[i].DecodedIsText {
			decoded = s.Text
		}
		checkStream(t, tok, want[i].IDs, decoded)
	}
	if compared < 700 {
		t.Errorf("only %d strings compared", compared)
	}
	const story = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high."
	got := tok.Encode(story, true)
	if first := []int{1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426}; len(got) != 62 || !slices.Equal(got[:16], first) {
		t.Errorf("%d ids %v, want 62 beginning with %v", len(got), got, first)
	}
}

func bigScanner(f *os.File) *bufio.Scanner {
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	return s
}
