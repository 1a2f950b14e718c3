package weights

import (
	"fmt"
	"math"
	"strconv"
)

// metadataReader reads typed metadata entries and keeps the first error.
type metadataReader struct {
	g      *GGUF
	prefix string
	err    error
}

func (m *metadataReader) fail(key string, v any, allowed string) {
	if m.err == nil {
		m.err = refuse(m.g.path, "metadata "+clip(m.prefix+key), fmt.Sprintf("%T %.60v", v, v), allowed)
	}
}

// integer is an entry of any integer type.
func (m *metadataReader) integer(key string, otherwise int) int {
	v, there := m.g.Metadata[m.prefix+key]
	if !there {
		return otherwise
	}
	n, ok := toInt(v)
	if !ok {
		m.fail(key, v, "an integer of at most 53 bits")
	}
	return n
}

// toInt converts what a file may use for a count or an id.
func toInt(v any) (int, bool) {
	var n int64
	switch x := v.(type) {
	case uint8:
		n = int64(x)
	case int8:
		n = int64(x)
	case uint16:
		n = int64(x)
	case int16:
		n = int64(x)
	case uint32:
		n = int64(x)
	case int32:
		n = int64(x)
	case int64:
		n = x
	case uint64:
		n = int64(min(x, math.MaxInt64))
	default:
		return 0, false
	}
	return int(n), n > -1<<53 && n < 1<<53
}

// number is a float32 or float64 entry. A float32 is read as the shortest decimal
// that it stands for (1e-5, not 9.999999747e-6), which is what the model was made
// with.
func (m *metadataReader) number(key string, otherwise float64) float64 {
	switch x := m.g.Metadata[m.prefix+key].(type) {
	case nil:
		return otherwise
	case float64:
		return x
	case float32:
		v, _ := strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64)
		return v
	default:
		m.fail(key, x, "float32 or float64")
		return 0
	}
}

func (m *metadataReader) text(key, otherwise string) string { return entry(m, key, otherwise) }

func (m *metadataReader) boolean(key string, otherwise bool) bool { return entry(m, key, otherwise) }

// entry is an entry of exactly the type of its default.
func entry[T any](m *metadataReader, key string, otherwise T) T {
	v, there := m.g.Metadata[m.prefix+key]
	if !there {
		return otherwise
	}
	x, ok := v.(T)
	if !ok {
		m.fail(key, v, fmt.Sprintf("%T", otherwise))
	}
	return x
}

// Vocabulary is what a GGUF file says of its tokenizer, enough to build one.
type Vocabulary struct {
	Model  string // "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), ...
	Pre    string // name of the split pattern of a byte-level BPE, as in "llama-bpe"
	Tokens []string
	// Scores (SentencePiece) and Types are nil or have one entry per token.
	Scores []float32
	Types  []TokenType
	Merges []string // "left right", most important first
	// Ids of special tokens, -1 when the file has none.
	BOS, EOS, EOT, Unknown, PAD int
	// Whether BOS and EOS are put around a text, and a space before it.
	AddBOS, AddEOS, AddSpacePrefix bool
	ChatTemplate                   string
}

// TokenType says what a token of a GGUF vocabulary is.
type TokenType int32

// The token types.
const (
	NormalToken      TokenType = 1
	UnknownToken     TokenType = 2
	ControlToken     TokenType = 3
	UserDefinedToken TokenType = 4
	UnusedToken      TokenType = 5
	ByteToken        TokenType = 6
)

// Vocabulary reads the tokenizer's part of the metadata.
func (g *GGUF) Vocabulary() (*Vocabulary, error) {
	m := &metadataReader{g: g, prefix: "tokenizer.ggml."}
	v := &Vocabulary{
		Model: m.text("model", ""), Pre: m.text("pre", ""), Tokens: entry(m, "tokens", []string(nil)),
		Scores: entry(m, "scores", []float32(nil)), Merges: entry(m, "merges", []string(nil)),
		BOS: m.integer("bos_token_id", -1), EOS: m.integer("eos_token_id", -1), EOT: m.integer("eot_token_id", -1),
		Unknown: m.integer("unknown_token_id", -1), PAD: m.integer("padding_token_id", -1),
	}
	// Where the file is silent, a SentencePiece model adds BOS and a space.
	sentencePiece := v.Model == "llama"
	v.AddBOS = m.boolean("add_bos_token", sentencePiece)
	v.AddEOS = m.boolean("add_eos_token", false)
	v.AddSpacePrefix = m.boolean("add_space_prefix", sentencePiece)
	for _, t := range entry(m, "token_type", []int32(nil)) {
		v.Types = append(v.Types, TokenType(t))
	}
	m.prefix = "tokenizer."
	v.ChatTemplate = m.text("chat_template", "")
	if m.err != nil {
		return nil, m.err
	}
	n := len(v.Tokens)
	switch {
	case n == 0:
		return nil, refuse(g.path, "tokenizer.ggml.tokens", "missing", "the list of tokens")
	case v.Scores != nil && len(v.Scores) != n:
		return nil, refuse(g.path, "tokenizer.ggml.scores", len(v.Scores), fmt.Sprintf("one for each of %d tokens", n))
	case v.Types != nil && len(v.Types) != n:
		return nil, refuse(g.path, "tokenizer.ggml.token_type", len(v.Types), fmt.Sprintf("one for each of %d tokens", n))
	}
	for _, id := range []int{v.BOS, v.EOS, v.EOT, v.Unknown, v.PAD} {
		if id < -1 || id >= n {
			return nil, refuse(g.path, "special token id", id, fmt.Sprintf("0 to %d", n-1))
		}
	}
	return v, nil
}
