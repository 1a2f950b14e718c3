package tokenizer

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// None is the id of a special token that a tokenizer does not have.
const None = -1

// Special holds the ids of the tokens with a role, [None] where there is none.
type Special struct {
	BOS, EOS, PAD, UNK int
}

// Tokenizer converts between text and token ids. [Open], [Parse], [ParseLlama2C]
// and [FromGGUF] make one.
type Tokenizer struct {
	tokens     []string         // content by id, "" where there is none
	shown      map[int]string   // what decoders see of an added token, where it is not its content
	has        []bool           // whether the id is in use
	ids        map[string]int32 // id by content, added tokens first
	isSpecial  []bool
	special    Special
	specialIDs []int

	raw, normalized *matcher // added tokens found before and after normalization
	normalize       normalizer
	stages          []splitter
	model           *bpe
	prefix, suffix  []int // what the post-processor puts around a text
	decoders        []decoder
	encoders        sync.Pool
}

// VocabSize is one more than the largest id: the number of rows the embedding
// of a model needs at least.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// ID returns the id of a token given by its content as the file writes it, and
// whether there is such a token.
func (t *Tokenizer) ID(token string) (int, bool) {
	id, ok := t.ids[token]
	return int(id), ok
}

// Token returns the content of a token as the file writes it (not decoded), and
// whether there is a token with this id.
func (t *Tokenizer) Token(id int) (string, bool) {
	if id < 0 || id >= len(t.tokens) || !t.has[id] {
		return "", false
	}
	return t.tokens[id], true
}

// Special returns the ids of the tokens with a role. For tokenizer.json they
// come from tokenizer_config.json beside it ([Open]), else from what the
// post-processor puts before and after a text, and the model's unknown token.
func (t *Tokenizer) Special() Special { return t.special }

// SpecialIDs returns the ids of all special tokens, in rising order.
func (t *Tokenizer) SpecialIDs() []int { return append([]int(nil), t.specialIDs...) }

// IsSpecial reports whether id is a special token, one that Decode leaves out
// when it is asked to skip them.
func (t *Tokenizer) IsSpecial(id int) bool {
	return id >= 0 && id < len(t.isSpecial) && t.isSpecial[id]
}

// Encode returns the ids of text. Added tokens that occur in text, special ones
// too, become their own ids. addSpecial puts the post-processor's tokens (for
// most models the beginning-of-text token) around them.
func (t *Tokenizer) Encode(text string, addSpecial bool) []int {
	e := t.encoders.Get().(*encoder)
	e.out = make([]int, 0, len(text)/3+len(t.prefix)+len(t.suffix)+2)
	if addSpecial {
		e.out = append(e.out, t.prefix...)
	}
	e.text(text)
	if addSpecial {
		e.out = append(e.out, t.suffix...)
	}
	out := e.out
	e.out = nil
	t.encoders.Put(e)
	return out
}

// EncodeBatch returns Encode of every text, computed on all processors.
func (t *Tokenizer) EncodeBatch(texts []string, addSpecial bool) [][]int {
	out := make([][]int, len(texts))
	workers := min(runtime.GOMAXPROCS(0), len(texts))
	if workers <= 1 {
		for i, s := range texts {
			out[i] = t.Encode(s, addSpecial)
		}
		return out
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(texts) {
					return
				}
				out[i] = t.Encode(texts[i], addSpecial)
			}
		})
	}
	wg.Wait()
	return out
}

// piece is a part of the text on its way through the pre-tokenizer.
type piece struct {
	s     string
	first bool // starts where the original text starts
}

// encoder is the scratch memory of one Encode call.
type encoder struct {
	t     *Tokenizer
	out   []int
	chain func(piece) // pre-tokenizer stages, then the model
	scratch
}

func newEncoder(t *Tokenizer) *encoder {
	e := &encoder{t: t}
	e.chain = func(p piece) { t.model.encode(p.s, &e.scratch, &e.out) }
	for i := len(t.stages) - 1; i >= 0; i-- {
		stage, next := t.stages[i], e.chain
		e.chain = func(p piece) { stage.split(p, next) }
	}
	return e
}

func (e *encoder) text(s string) {
	if !utf8.ValidString(s) {
		s = string(appendLossy(nil, []byte(s)))
	}
	e.t.raw.split(s, func(id int32, start, end int) {
		if id >= 0 {
			e.out = append(e.out, int(id))
			return
		}
		part, first := s[start:end], start == 0
		if e.t.normalize != nil {
			part, first = e.t.normalize(part, first)
		}
		e.t.normalized.split(part, func(id int32, start, end int) {
			if id >= 0 {
				e.out = append(e.out, int(id))
				return
			}
			e.chain(piece{part[start:end], first && start == 0})
		})
	})
}
