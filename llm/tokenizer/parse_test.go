package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel"
)

func mustRefuse(t *testing.T, name string, do func() error, words ...string) {
	t.Helper()
	err := do()
	var setting *bilevel.SettingError
	if !errors.As(err, &setting) || !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("%s: error %v, want a *bilevel.SettingError", name, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not name %q", name, err, w)
		}
	}
}

// small is a tokenizer.json with the model's fields and further top-level fields.
func small(model, more string) string {
	return `{"version":"1.0","model":{"type":"BPE",` + model + `}` + more + `}`
}

func TestParseRefuses(t *testing.T) {
	const ok = `"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]`
	if _, err := Parse([]byte(small(ok, ""))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file  string
		words []string
	}{
		{``, []string{"tokenizer.json", "complete"}},
		{small(ok, "")[:40], []string{"tokenizer.json", "complete"}},
		{`[]`, []string{"JSON object"}},
		{`{"version":"2.0","model":{}}`, []string{"version", "2.0", "1.0"}},
		{`{}`, []string{"model", "missing"}},
		{`{"model":{"type":"Unigram"}}`, []string{"model.type", "Unigram", "BPE"}},
		{small(`"vocab":{"a":-1},"merges":[]`, ""), []string{"model.vocab.a", "-1"}},
		{small(`"vocab":{"a":1.5},"merges":[]`, ""), []string{"model.vocab"}},
		{small(`"vocab":{"a":0,"b":0},"merges":[]`, ""), []string{"model.vocab.", "no other token"}},
		{small(`"vocab":{"a":2147483647},"merges":[]`, ""), []string{"model.vocab.a", "2147483647", "below"}},
		{small(`"vocab":{"a":0}`, ""), []string{"model.merges", "missing"}},
		{small(`"vocab":{"a":0,"b":1},"merges":["a b"]`, ""), []string{"model.merges[0]", "a b", `"ab" is not in the vocabulary`}},
		{small(`"vocab":{"a":0},"merges":[["a","q"]]`, ""), []string{"model.merges[0]", `"q"`}},
		{small(`"vocab":{"a":0},"merges":["a"]`, ""), []string{"model.merges[0]", "one space"}},
		{small(`"vocab":{"a":0},"merges":[["a","a","a"]]`, ""), []string{"model.merges[0]"}},
		{small(ok+`,"dropout":0.1`, ""), []string{"model.dropout", "0.1"}},
		{small(ok+`,"unk_token":"<u>"`, ""), []string{"model.unk_token", "<u>"}},
		{small(ok, `,"normalizer":{"type":"Precompiled"}`), []string{"normalizer.type", "Precompiled", "NFKC"}},
		{small(ok, `,"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Strip","strip_left":1}]}`), []string{"normalizer.normalizers[1].strip_left", "1"}},
		{small(ok, `,"pre_tokenizer":{"type":"ByteLevel"}`), []string{"pre_tokenizer.add_prefix_space", "missing"}},
		{small(ok, `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated","invert":false}`), []string{"pre_tokenizer.pattern.Regex", "(a", "lacks a )"}},
		{small(ok, `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+b"},"behavior":"Isolated","invert":false}`), []string{"exponential"}},
		{small(ok, `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a|a)*b"},"behavior":"Isolated","invert":false}`), []string{"exponential"}},
		{small(ok, `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a{1,3}){5}b"},"behavior":"Isolated","invert":false}`), []string{"exponential"}},
		{small(ok, `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(ab?)*c"},"behavior":"Isolated","invert":false}`), []string{"exponential"}},
		{small(ok, `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Isolated","invert":false}`), []string{"&&", "not supported"}},
		{small(ok, `,"pre_tokenizer":{"type":"Split","pattern":{"String":"a"},"behavior":"isolated","invert":false}`), []string{"behavior", "isolated", "Isolated"}},
		{small(ok, `,"pre_tokenizer":{"type":"Metaspace","replacement":"ab"}`), []string{"pre_tokenizer.replacement", "ab", "one character"}},
		{small(ok, `,"pre_tokenizer":`+strings.Repeat(`{"type":"Sequence","pretokenizers":[`, 40)+strings.Repeat(`]}`, 40)), []string{"nesting"}},
		{small(ok, `,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{}}`), []string{"special_tokens"}},
		{small(ok, `,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"ids":[77]}}}`), []string{"post_processor", "77"}},
		{small(ok, `,"post_processor":{"type":"TemplateProcessing","single":[],"special_tokens":{}}`), []string{"post_processor.single", "exactly once"}},
		{small(ok, `,"decoder":{"type":"WordPiece"}`), []string{"decoder.type", "WordPiece"}},
		{small(ok, `,"added_tokens":[{"id":3}]`), []string{"added_tokens[0].content", "missing"}},
		{small(`"vocab":{"a":0,"b":2},"merges":[]`, `,"added_tokens":[{"content":"<x>"}]`), []string{"added_tokens[0].content", "<x>", "2"}},
	} {
		mustRefuse(t, c.file, func() error { _, err := Parse([]byte(c.file)); return err }, c.words...)
	}
}

func llama2c(longest int32, pieces ...string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(longest))
	for i, s := range pieces {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(-float32(i)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

func byteList() []string {
	list := []string{"<unk>", "\n<s>\n", "\n</s>\n"}
	for b := range 256 {
		list = append(list, fmt.Sprintf("<0x%02X>", b))
	}
	return list
}

func TestLlama2C(t *testing.T) {
	whole := llama2c(8, append(byteList(), " a", " ", "a", "b", "ab", " ab")...)
	tok, err := ParseLlama2C(whole)
	if err != nil {
		t.Fatal(err)
	}
	// " a" has a higher score than "ab" and " ab": " ab" is " a" + "b" in the end.
	for text, want := range map[string][]int{"": {1}, "ab": {1, 264}, "ab a": {1, 264, 259}, "é": {1, 260, 0xC3 + 3, 0xA9 + 3}} {
		got := tok.Encode(text, true)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
		if back := tok.Decode(got, true); back != text {
			t.Errorf("%q came back as %q", text, back)
		}
	}
	for n := range len(whole) {
		if n != len(whole) {
			_, err := ParseLlama2C(whole[:n]) // a cut between pieces can go unnoticed, but must not panic
			if err != nil && !errors.Is(err, bilevel.ErrInvalid) {
				t.Fatalf("cut at %d: %v", n, err)
			}
		}
	}
	for name, c := range map[string]struct {
		data  []byte
		words []string
	}{
		"empty":         {nil, []string{"size"}},
		"no pieces":     {llama2c(8), []string{"pieces", "259"}},
		"absurd":        {llama2c(1<<30, "a"), []string{"longest piece"}},
		"too long":      {llama2c(2, append(byteList(), "abc")...), []string{"piece 0 length"}},
		"cut":           {whole[:len(whole)-1], []string{"length"}},
		"cut in header": {whole[:len(whole)-8], []string{"bytes"}},
		"double":        {llama2c(8, append(byteList(), "a", "a")...), []string{"piece 260", "unlike piece 259"}},
		"not UTF-8":     {llama2c(8, append(byteList(), "\xff")...), []string{"piece 259", "UTF-8"}},
	} {
		mustRefuse(t, name, func() error { _, err := ParseLlama2C(c.data); return err }, c.words...)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if _, err := Open(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder without a tokenizer: %v", err)
	}
	file := write("tokenizer.json", small(`"vocab":{"a":0,"<s>":1,"</s>":2},"merges":[]`, `,"added_tokens":[{"content":"<s>","special":true,"normalized":false}]`))
	tok, err := Open(file)
	if err != nil || tok.Special() != (Special{None, None, None, None}) {
		t.Errorf("%v, %+v", err, tok.Special())
	}
	config := write("tokenizer_config.json", `{"bos_token":"<s>","eos_token":{"content":"</s>"},"pad_token":null}`)
	if tok, err = Open(dir); err != nil || tok.Special() != (Special{1, 2, None, None}) || !slices.Equal(tok.SpecialIDs(), []int{1}) {
		t.Errorf("%v, %+v", err, tok.Special())
	}
	write("tokenizer_config.json", `{"eos_token":"<end>"}`)
	mustRefuse(t, "unknown EOS", func() error { _, err := Open(dir); return err }, config, "eos_token", "<end>")
	write("tokenizer.json", `{"model":7}`)
	mustRefuse(t, "bad file", func() error { _, err := Open(dir); return err }, file, "model", "7")
}

func TestTokensAndIDs(t *testing.T) {
	tok, err := Parse([]byte(small(`"vocab":{"a":0,"b":1,"x":9},"merges":[]`, `,"added_tokens":[{"content":"<s>","special":true}]`)))
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := tok.ID("<s>"); id != 3 || !ok || !tok.IsSpecial(3) {
		t.Errorf("<s> is %d, %v", id, ok)
	}
	if tok.VocabSize() != 10 {
		t.Errorf("vocabulary %d", tok.VocabSize())
	}
	for _, id := range []int{-1, 2, 8, 10, math.MaxInt} {
		if s, ok := tok.Token(id); ok {
			t.Errorf("token %d is %q", id, s)
		}
	}
	if got := tok.Decode([]int{0, -5, 2, 3, 9, 1 << 40}, true); got != "a x" {
		t.Errorf("unknown ids: %q", got)
	}
}

func TestInvalidUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"a\xffb":               "a\ufffdb",
		"\xe2\x82":             "\ufffd",
		"\xe2\x82\xe2\x82x":    "\ufffd\ufffdx",
		"\xf0\x9f\x98":         "\ufffd",
		"\xc0\x80":             "\ufffd\ufffd",
		"\xed\xa0\x80":         "\ufffd\ufffd\ufffd",
		"\xf4\x90\x80\x80":     "\ufffd\ufffd\ufffd\ufffd",
		"\xf0\x9f\x98\x80\xe4": "😀\ufffd",
	} {
		if got := string(appendLossy(nil, []byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// The result of a batch must not depend on the number of processors.
func TestBatchDeterministic(t *testing.T) {
	tok := sample(t)
	texts := make([]string, 300)
	for i := range texts {
		texts[i] = strings.Repeat("hello wörld ", i%7) + strings.Repeat("lo", i)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := tok.EncodeBatch(texts, true)
	for _, n := range []int{2, 8} {
		runtime.GOMAXPROCS(n)
		for i, got := range tok.EncodeBatch(texts, true) {
			if !slices.Equal(got, want[i]) {
				t.Fatalf("%d processors: text %d differs", n, i)
			}
		}
	}
	if len(tok.EncodeBatch(nil, true)) != 0 {
		t.Error("an empty batch")
	}
}

// sampleJSON is a byte-level tokenizer with a few merges.
func sampleJSON() []byte {
	var vocab strings.Builder
	for b, c := range byteChar {
		fmt.Fprintf(&vocab, "%q:%d,", c, b)
	}
	return []byte(small(`"vocab":{`+vocab.String()+`"he":256,"ll":257,"hell":258,"hello":259,"Ġw":260},"merges":["h e","l l","he ll","hell o","Ġ w"]`,
		`,"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"},
		"added_tokens":[{"content":"<|end|>","special":true,"normalized":false}],
		"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"<|end|>"}}],"special_tokens":{"<|end|>":{"ids":[261]}}}`))
}

func sample(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Parse(sampleJSON())
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// A hostile file must be refused or work, and never panic.
func FuzzParse(f *testing.F) {
	f.Add(sampleJSON(), "hello <|end|> wörld")
	f.Add([]byte(small(`"vocab":{"▁":0,"a":1,"▁a":2},"merges":[["▁","a"]],"byte_fallback":true`, `,"pre_tokenizer":{"type":"Metaspace","replacement":"▁"},"decoder":{"type":"Metaspace","replacement":"▁"}`)), " a  a")
	f.Add([]byte(small(`"vocab":{"a":0},"merges":[]`, `,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\s+(?!\\S)|\\w{1,2}+"},"behavior":"Removed","invert":true}`)), "a a")
	f.Add(llama2c(8, append(byteList(), " a", "a")...), "a a")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		tok, err := Parse(data)
		if err != nil {
			if !errors.Is(err, bilevel.ErrInvalid) {
				t.Fatalf("error of the wrong kind: %v", err)
			}
			if tok, err = ParseLlama2C(data); err != nil {
				return
			}
		}
		ids := tok.Encode(text, true)
		for _, id := range ids {
			if id < 0 || id >= tok.VocabSize() {
				t.Fatalf("id %d of %d", id, tok.VocabSize())
			}
		}
		whole, s := tok.Decode(ids, false), tok.Stream(false)
		var parts strings.Builder
		for _, id := range ids {
			parts.WriteString(s.Push(id))
		}
		parts.WriteString(s.Flush())
		if !utf8.ValidString(whole) || !strings.Contains(whole, "\uFFFD") && parts.String() != whole {
			t.Fatalf("stream %q, whole %q", parts.String(), whole)
		}
	})
}
