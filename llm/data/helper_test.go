package data

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/llm/tokenizer"
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

func stories(t testing.TB) *tokenizer.Tokenizer {
	tok, err := tokenizer.Open(shared(t, "BILEVEL_DATA", "data", "lm", "tok512.bin"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readRows(t testing.TB, kind Kind, files ...string) *Rows {
	t.Helper()
	rows, err := Read(files, ReadSettings{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func named(t testing.TB, name string) *Template {
	t.Helper()
	tm, err := NamedTemplate(name)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

func encoder(t testing.TB, tok Tokenizer, template string, s EncodeSettings) *Encoder {
	t.Helper()
	e, err := NewEncoder(tok, named(t, template), s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// write makes a file in a temporary folder.
func write(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// letters is a tokenizer with one token per byte and the given special tokens, found in text.
type letters struct {
	special []string // ids 256, 257, ...
	bos     bool     // whether a text begins with <s>
}

func (l letters) ID(token string) (int, bool) {
	if i := slices.Index(l.special, token); i >= 0 {
		return 256 + i, true
	}
	return 0, false
}

func (l letters) Token(id int) (string, bool) {
	if id >= 256 && id < 256+len(l.special) {
		return l.special[id-256], true
	}
	return string(rune(id)), id < 256
}

func (l letters) Special() tokenizer.Special {
	s := tokenizer.Special{BOS: tokenizer.None, EOS: tokenizer.None, PAD: tokenizer.None, UNK: tokenizer.None}
	if id, ok := l.ID("<s>"); ok {
		s.BOS = id
	}
	if id, ok := l.ID("</s>"); ok {
		s.EOS = id
	}
	return s
}

func (l letters) Encode(text string, addSpecial bool) []int {
	var out []int
	if addSpecial && l.bos {
		out = append(out, 256)
	}
next:
	for text != "" {
		for i, s := range l.special {
			if strings.HasPrefix(text, s) {
				out, text = append(out, 256+i), text[len(s):]
				continue next
			}
		}
		out, text = append(out, int(text[0])), text[1:]
	}
	return out
}

// show writes ids back as text.
func (l letters) show(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		s, _ := l.Token(int(id))
		b.WriteString(s)
	}
	return b.String()
}

var chatTokens = letters{special: []string{"<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, bos: true}
