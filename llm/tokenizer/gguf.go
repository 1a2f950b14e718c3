package tokenizer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// GGUF holds what the metadata of a GGUF file says about its tokenizer (the keys
// tokenizer.ggml.*).
type GGUF struct {
	Model  string    // model: "gpt2" (byte-level, with Merges) or "llama" (with Scores)
	Pre    string    // pre: the split pattern of a "gpt2" model
	Tokens []string  // tokens, by id
	Types  []int32   // token_type, by id; nil: all normal
	Scores []float32 // scores, by id; "llama" only
	Merges []string  // merges, "left right"; "gpt2" only

	BOS, EOS, UNK, PAD int // ids, None where the file has none

	AddBOS, AddEOS bool // whether a text gets them
	AddSpacePrefix bool // "llama" only: whether a text gets a word mark in front
}

// The values of token_type that matter here.
const (
	typeUnknown = 2
	typeControl = 3
	typeUser    = 4
	typeUnused  = 5
	typeByte    = 6
)

// pres are the known values of GGUF.Pre, with what the tokenizer.json of these
// models does.
var pres = map[string]struct {
	pattern      string
	digits       bool // every digit is cut off first
	nfc          bool
	ignoreMerges bool
}{
	"gpt-2":     {pattern: gpt2Pattern},
	"olmo":      {pattern: gpt2Pattern, nfc: true},
	"smollm":    {pattern: gpt2Pattern, digits: true},
	"starcoder": {pattern: gpt2Pattern, digits: true},
	"llama-bpe": {pattern: llama3Pattern, ignoreMerges: true},
	"llama3":    {pattern: llama3Pattern, ignoreMerges: true},
	"llama-v3":  {pattern: llama3Pattern, ignoreMerges: true},
	"qwen2":     {pattern: qwen2Pattern, nfc: true},
}

// FromGGUF makes the tokenizer of a GGUF file.
func FromGGUF(g GGUF) (*Tokenizer, error) {
	const key = "tokenizer.ggml."
	if len(g.Types) != 0 && len(g.Types) != len(g.Tokens) {
		return nil, refuse(key+"token_type", fmt.Sprintf("%d entries", len(g.Types)), fmt.Sprintf("as many as tokens: %d", len(g.Tokens)))
	}
	for name, id := range map[string]int{"bos": g.BOS, "eos": g.EOS, "unknown": g.UNK, "padding": g.PAD} {
		if id < None || id >= len(g.Tokens) {
			return nil, refuse(key+name+"_token_id", id, fmt.Sprintf("0 to %d", len(g.Tokens)-1))
		}
	}
	o := scoredOptions{
		control: map[int32]bool{},
		space:   g.AddSpacePrefix,
		special: Special{g.BOS, g.EOS, g.PAD, g.UNK},
	}
	for id, kind := range g.Types {
		switch kind {
		case typeControl, typeUser:
			o.added = append(o.added, addedToken{content: g.Tokens[id], isSpecial: kind == typeControl})
			o.control[int32(id)] = true
		case typeUnknown, typeUnused, typeByte:
			o.control[int32(id)] = true
		}
	}
	if g.AddBOS && g.BOS != None {
		o.prefix = []int{g.BOS}
	}
	if g.AddEOS && g.EOS != None {
		o.suffix = []int{g.EOS}
	}
	switch g.Model {
	case "llama":
		if len(g.Scores) != len(g.Tokens) {
			return nil, refuse(key+"scores", fmt.Sprintf("%d entries", len(g.Scores)), fmt.Sprintf("as many as tokens: %d", len(g.Tokens)))
		}
		return scored(g.Tokens, g.Scores, o)
	case "gpt2":
		return g.byteLevel(o)
	}
	return nil, refuse(key+"model", g.Model, "gpt2 or llama")
}

func (g GGUF) byteLevel(o scoredOptions) (*Tokenizer, error) {
	pre, ok := pres[g.Pre]
	if !ok {
		return nil, refuse("tokenizer.ggml.pre", g.Pre, "one of "+strings.Join(slices.Sorted(maps.Keys(pres)), ", "))
	}
	var err error
	m := &bpe{vocab: make(map[string]int32, len(g.Tokens)), unk: None, ignoreMerges: pre.ignoreMerges, merges: make(map[uint64]merge, len(g.Merges))}
	for id, s := range g.Tokens {
		if other, ok := m.vocab[s]; ok {
			return nil, refuse(fmt.Sprintf("tokenizer.ggml.tokens[%d]", id), s, fmt.Sprintf("a token unlike token %d", other))
		}
		m.vocab[s] = int32(id)
	}
	for rank, line := range g.Merges {
		field := fmt.Sprintf("tokenizer.ggml.merges[%d]", rank)
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return nil, refuse(field, line, "two tokens with one space between them")
		}
		if e := m.addMerge(left, right, rank); e != nil {
			return nil, refuse(field, line, "two tokens that the vocabulary has, with their result: "+e.Error())
		}
	}
	p := parts{
		model: m, added: o.added, prefix: o.prefix, suffix: o.suffix, special: o.special,
		stages:   []splitter{knownPatterns[pre.pattern]},
		decoders: []decoder{func() decodeState { return &byteLevel{} }},
	}
	if pre.digits {
		p.stages = append([]splitter{runs(unicode.IsNumber, true, false)}, p.stages...)
	}
	if pre.nfc {
		p.normalizers = []normalizer{keepsStart(normalForm(forms["NFC"]))}
	}
	return p.build(true, fields{err: &err})
}
