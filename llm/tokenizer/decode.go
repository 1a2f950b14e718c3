package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// A decoder is one step from tokens to text. Tokens arrive one by one and leave
// through emit, so that the same code decodes whole lists and streams.
//
// A part with joined set continues the token before it: decoders that fuse
// tokens (Fuse, ByteLevel) give out one long token in parts.
type decoder func() decodeState

type decodeState interface {
	push(s string, joined bool, emit emitFunc)
	// settle gives out what is complete although the list goes on; flush ends
	// the list.
	settle(emit emitFunc)
	flush(emit emitFunc)
}

type emitFunc func(s string, joined bool)

// Decode returns the text of ids. Ids of no token are left out, and with
// skipSpecial special tokens too. Bytes that are not valid UTF-8 become U+FFFD.
// An added token that is looked for after normalization shows in its normalized
// form.
func (t *Tokenizer) Decode(ids []int, skipSpecial bool) string {
	s := t.Stream(skipSpecial)
	for _, id := range ids {
		s.push(id)
	}
	return s.Flush()
}

// Stream decodes tokens as they come. It is not safe for concurrent use.
type Stream struct {
	t           *Tokenizer
	skipSpecial bool
	states      []decodeState
	emits       []emitFunc // emits[i] feeds state i; the last one is the text
	text        strings.Builder
}

// Stream returns a decoder for tokens that arrive one by one. The texts that
// Push and Flush return, together, are what Decode returns for all ids, wherever
// that has no U+FFFD.
func (t *Tokenizer) Stream(skipSpecial bool) *Stream {
	s := &Stream{t: t, skipSpecial: skipSpecial}
	s.states = make([]decodeState, len(t.decoders))
	s.emits = make([]emitFunc, len(t.decoders)+1)
	s.emits[len(t.decoders)] = func(part string, _ bool) { s.text.WriteString(part) }
	for i := len(t.decoders) - 1; i >= 0; i-- {
		state, next := t.decoders[i](), s.emits[i+1]
		s.states[i] = state
		s.emits[i] = func(part string, joined bool) { state.push(part, joined, next) }
	}
	return s
}

// Push takes the next token and returns the text that is now certain: whole
// characters only, and "" while a character is incomplete.
func (s *Stream) Push(id int) string {
	s.push(id)
	for i, state := range s.states {
		state.settle(s.emits[i+1])
	}
	return s.take()
}

// Flush ends the list of tokens and returns what was still held back; the
// stream is then ready for a new list.
func (s *Stream) Flush() string {
	for i, state := range s.states {
		state.flush(s.emits[i+1])
	}
	return s.take()
}

func (s *Stream) push(id int) {
	content, ok := s.t.Token(id)
	if !ok || s.skipSpecial && s.t.isSpecial[id] {
		return
	}
	if shown, ok := s.t.shown[id]; ok {
		content = shown
	}
	s.emits[0](content, false)
}

func (s *Stream) take() string {
	out := s.text.String()
	s.text.Reset()
	return out
}

// stateless is a decoder that treats every part on its own.
type stateless func(s string) string

func (f stateless) push(s string, joined bool, emit emitFunc) { emit(f(s), joined) }
func (stateless) settle(emitFunc)                             {}
func (stateless) flush(emitFunc)                              {}

// fuse joins all tokens into one.
type fuse struct{ started bool }

func (f *fuse) push(s string, _ bool, emit emitFunc) {
	emit(s, f.started)
	f.started = true
}
func (f *fuse) settle(emitFunc) {}
func (f *fuse) flush(emitFunc)  { f.started = false }

// spaced puts a space between tokens; it stands in when a file has no decoder.
type spaced struct{ started bool }

func (d *spaced) push(s string, joined bool, emit emitFunc) {
	if d.started && !joined {
		s = " " + s
	}
	d.started = true
	emit(s, joined)
}
func (d *spaced) settle(emitFunc) {}
func (d *spaced) flush(emitFunc)  { d.started = false }

// gather holds a token until it is whole.
type gather struct {
	held    strings.Builder
	started bool
}

func (g *gather) push(s string, joined bool, emit emitFunc) {
	if !joined {
		g.flush(emit)
	}
	g.started = true
	g.held.WriteString(s)
}
func (g *gather) settle(emitFunc) {}
func (g *gather) flush(emit emitFunc) {
	if g.started {
		emit(g.held.String(), false)
	}
	g.held.Reset()
	g.started = false
}

// byteLevel joins the bytes of all tokens into one text and gives out whole
// characters.
type byteLevel struct {
	pending []byte
	started bool
}

func (d *byteLevel) push(s string, _ bool, _ emitFunc) { d.pending = appendBytes(d.pending, s) }

func (d *byteLevel) settle(emit emitFunc) { d.give(len(d.pending)-incompleteTail(d.pending), emit) }

func (d *byteLevel) flush(emit emitFunc) {
	d.give(len(d.pending), emit)
	d.started = false
}

func (d *byteLevel) give(n int, emit emitFunc) {
	if n == 0 {
		return
	}
	part := d.pending[:n]
	if !utf8.Valid(part) {
		part = appendLossy(nil, part)
	}
	emit(string(part), d.started)
	d.started = true
	d.pending = append(d.pending[:0], d.pending[n:]...)
}

// byteFallback turns runs of tokens <0x00> to <0xFF> into the text of their
// bytes, or into one U+FFFD for every byte when they are not valid UTF-8.
type byteFallback struct{ pending []byte }

func (d *byteFallback) push(s string, joined bool, emit emitFunc) {
	if b, ok := byteToken(s); ok && !joined {
		d.pending = append(d.pending, b)
		return
	}
	d.flush(emit)
	emit(s, joined)
}

func (d *byteFallback) settle(emit emitFunc) {
	if utf8.Valid(d.pending) {
		d.flush(emit)
	}
}

func (d *byteFallback) flush(emit emitFunc) {
	if len(d.pending) == 0 {
		return
	}
	if utf8.Valid(d.pending) {
		emit(string(d.pending), false)
	} else {
		for range d.pending {
			emit("\uFFFD", false)
		}
	}
	d.pending = d.pending[:0]
}

func byteToken(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	b := 0
	for _, c := range []byte(s[3:5]) {
		k := strings.IndexByte("0123456789abcdef", c|0x20)
		if k < 0 {
			return 0, false
		}
		b = b<<4 | k
	}
	return byte(b), true
}

// stripDecoder takes up to start times content from the beginning of every
// token and up to stop times from its end.
type stripDecoder struct {
	content           string
	start, stop, left int
}

func (d *stripDecoder) push(s string, joined bool, emit emitFunc) {
	if !joined {
		d.left = d.start
	}
	for d.left > 0 && s != "" {
		if !strings.HasPrefix(s, d.content) {
			d.left = 0
			break
		}
		s = s[len(d.content):]
		d.left--
	}
	for range d.stop {
		if !strings.HasSuffix(s, d.content) {
			break
		}
		s = s[:len(s)-len(d.content)]
	}
	emit(s, joined)
}
func (d *stripDecoder) settle(emitFunc) {}
func (d *stripDecoder) flush(emitFunc)  {}

// metaspaceDecoder writes mark as a space, and as nothing in the first token
// when drop is set.
type metaspaceDecoder struct {
	mark   string
	drop   bool
	tokens int
}

func (d *metaspaceDecoder) push(s string, joined bool, emit emitFunc) {
	if !joined {
		d.tokens++
	}
	with := " "
	if d.drop && d.tokens <= 1 {
		with = ""
	}
	emit(strings.ReplaceAll(s, d.mark, with), joined)
}
func (d *metaspaceDecoder) settle(emitFunc) {}
func (d *metaspaceDecoder) flush(emitFunc)  { d.tokens = 0 }

// suffixDecoder (BPEDecoder) writes suffix as a space, and as nothing in the
// last token, so it holds one token back.
type suffixDecoder struct {
	suffix string
	held   string
	some   bool
}

func (d *suffixDecoder) push(s string, _ bool, emit emitFunc) {
	if d.some {
		emit(strings.ReplaceAll(d.held, d.suffix, " "), false)
	}
	d.held, d.some = s, true
}
func (d *suffixDecoder) settle(emitFunc) {}
func (d *suffixDecoder) flush(emit emitFunc) {
	if d.some {
		emit(strings.ReplaceAll(d.held, d.suffix, ""), false)
	}
	d.held, d.some = "", false
}
