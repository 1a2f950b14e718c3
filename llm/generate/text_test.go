package generate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel/llm/tokenizer"
)

// bytesOnly is a tokenizer whose tokens are bytes, a word and the mark of a space.
func bytesOnly(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	g := tokenizer.GGUF{Model: "llama", BOS: 1, EOS: 2, UNK: 0, PAD: tokenizer.None, AddBOS: true}
	add := func(s string, kind int32) {
		g.Tokens, g.Types, g.Scores = append(g.Tokens, s), append(g.Types, kind), append(g.Scores, -float32(len(g.Tokens)))
	}
	add("<unk>", 2)
	add("<s>", 3)
	add("</s>", 3)
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b), 6)
	}
	add("END", 1)
	add("▁", 1)
	tok, err := tokenizer.FromGGUF(g)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func ids(t *tokenizer.Tokenizer, text string) (out []int32) {
	for _, id := range t.Encode(text, false) {
		out = append(out, int32(id))
	}
	return out
}

// Every piece is whole characters, and all of them are the text up to the stop
// string, wherever the pieces end.
func TestWriter(t *testing.T) {
	tok := bytesOnly(t)
	for _, c := range []struct {
		text, want string
		stop       []string
	}{
		{"héllo, 日本 👩🏽‍🚀!", "héllo, 日本 👩🏽‍🚀!", nil},
		{"one\n\nUser: two", "one", []string{"\n\nUser:"}},
		{"one\n\nUse", "one\n\nUse", []string{"\n\nUser:"}},
		{"aaab", "a", []string{"aab"}},
		{"ababac", "ab", []string{"abac", "x"}},
		{"xENDy", "x", []string{"END"}},
		{"日本語", "日", []string{"本"}},
		{"stop at once", "", []string{"stop"}},
		{"both, b first", "", []string{"first", "both"}},
		{"", "", []string{"x"}},
	} {
		w := newWriter(tok, c.stop, ids(tok, "prompt"))
		var pieces []string
		stopped := false
		for _, id := range ids(tok, c.text) {
			var piece string
			piece, stopped = w.push(id)
			pieces = append(pieces, piece)
			if stopped {
				break
			}
		}
		if !stopped {
			pieces = append(pieces, w.flush())
		}
		for _, p := range pieces {
			if !utf8.ValidString(p) {
				t.Errorf("%q: piece %q", c.text, p)
			}
		}
		if got := strings.Join(pieces, ""); got != c.want || w.text.String() != got || stopped != (c.want != c.text) {
			t.Errorf("%q: %q, kept %q, stopped %t; want %q", c.text, got, w.text.String(), stopped, c.want)
		}
	}
	// What cannot be the beginning of a stop string is not held back.
	w := newWriter(tok, []string{"END"}, ids(tok, "prompt"))
	var pieces []string
	for _, id := range ids(tok, "aEbEN") {
		piece, _ := w.push(id)
		pieces = append(pieces, piece)
	}
	if !slices.Equal(pieces, []string{"a", "", "Eb", "", ""}) || w.flush() != "EN" {
		t.Errorf("%q", pieces)
	}
}

func TestFit(t *testing.T) {
	for n, want := range map[int]int{1: 16, 16: 16, 17: 64, 64: 64, 65: 256, 1000: 256} {
		if got := fit(pieces, n); got != want {
			t.Errorf("%d fits %d, want %d", n, got, want)
		}
	}
}
