package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The same tokenizer as a tokenizer.json and as a GGUF file has it must give the
// same ids.
func TestGGUFByteLevel(t *testing.T) {
	file := golden(t, "tokenizers", "llama3style", "tokenizer.json")
	tok := open(t, file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var j struct{ Model struct{ Merges [][]string } }
	if err := json.Unmarshal(data, &j); err != nil {
		t.Fatal(err)
	}
	g := GGUF{Model: "gpt2", Pre: "llama-bpe", BOS: 3992, EOS: 3993, UNK: None, PAD: None, AddBOS: true}
	for id := range tok.VocabSize() {
		s, _ := tok.Token(id)
		kind := int32(1)
		if tok.IsSpecial(id) {
			kind = typeControl
		}
		g.Tokens, g.Types = append(g.Tokens, s), append(g.Types, kind)
	}
	for _, m := range j.Model.Merges {
		g.Merges = append(g.Merges, m[0]+" "+m[1])
	}
	other, err := FromGGUF(g)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range lines[goldenString](t, golden(t, "tokenizers", "strings.jsonl")) {
		want := tok.Encode(s.Text, true)
		if got := other.Encode(s.Text, true); !slices.Equal(got, want) {
			t.Errorf("string %d %q: got %v, want %v", i, s.Text, got, want)
		}
		if got := other.Decode(want, true); got != tok.Decode(want, true) {
			t.Errorf("string %d %q decodes to %q", i, s.Text, got)
		}
	}
	for pre := range pres {
		g := g
		g.Pre = pre
		writtenIsRead(t, g)
	}

	g.Pre = "unheard-of"
	mustRefuse(t, "unknown pre", func() error { _, err := FromGGUF(g); return err }, "tokenizer.ggml.pre", "unheard-of", "llama-bpe")
	g.Pre, g.Merges = "smollm", append(g.Merges, "x y z")
	mustRefuse(t, "merge of three", func() error { _, err := FromGGUF(g); return err }, "merges[3736]", "x y z")
	g.Merges, g.EOS = nil, 4000
	mustRefuse(t, "EOS beyond the vocabulary", func() error { _, err := FromGGUF(g); return err }, "eos_token_id", "4000", "0 to 3999")
}

func TestGGUFScores(t *testing.T) {
	bin := open(t, dataFile(t, "lm", "tok512.bin"))
	json := open(t, golden(t, "stories260k"))
	g := GGUF{Model: "llama", BOS: 1, EOS: 2, UNK: 0, PAD: None, AddBOS: true, AddSpacePrefix: true}
	for id := range bin.VocabSize() {
		s, _ := bin.Token(id)
		g.Tokens = append(g.Tokens, s)
		g.Scores = append(g.Scores, -float32(id)) // pieces are sorted by score in this file
		kind := int32(1)
		switch {
		case id == 0:
			kind = typeUnknown
		case id < 3:
			kind = typeControl
		case strings.HasPrefix(s, "<0x"):
			kind = typeByte
		}
		g.Types = append(g.Types, kind)
	}
	tok, err := FromGGUF(g)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range lines[goldenString](t, golden(t, "tokenizers", "strings.jsonl")) {
		if strings.Contains(s.Text, "<unk>") {
			continue // an unknown token in text is text in a GGUF file, and a token in tokenizer.json
		}
		want := json.Encode(s.Text, true)
		if got := tok.Encode(s.Text, true); !slices.Equal(got, want) {
			t.Errorf("string %d %q: got %v, want %v", i, s.Text, got, want)
		}
	}
	writtenIsRead(t, g)
	g.AddSpacePrefix, g.AddEOS = false, true
	writtenIsRead(t, g)
}

// writtenIsRead checks that the files of JSON make the tokenizer that the GGUF
// vocabulary makes.
func writtenIsRead(t *testing.T, g GGUF) {
	t.Helper()
	want, err := FromGGUF(g)
	if err != nil {
		t.Fatal(err)
	}
	main, config, err := g.JSON("{{ a template }}")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"tokenizer.json": main, "tokenizer_config.json": config} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := open(t, dir)
	if got.Special() != want.Special() || !strings.Contains(string(config), "a template") {
		t.Errorf("special tokens %+v, want %+v; %s", got.Special(), want.Special(), config)
	}
	for i, s := range lines[goldenString](t, golden(t, "tokenizers", "strings.jsonl")) {
		ids := want.Encode(s.Text, true)
		if again := got.Encode(s.Text, true); !slices.Equal(again, ids) {
			t.Fatalf("%s %s: string %d %q: got %v, want %v", g.Model, g.Pre, i, s.Text, again, ids)
		}
		if text := got.Decode(ids, true); text != want.Decode(ids, true) {
			t.Fatalf("%s %s: string %d %q decodes to %q", g.Model, g.Pre, i, s.Text, text)
		}
	}
}
