package generate

import (
	"strings"

	"github.com/bilevel-go/bilevel/llm/tokenizer"
)

// writer turns the tokens of one text into pieces of text as they come: whole
// characters, and nothing that may be the beginning of a stop string.
type writer struct {
	stream *tokenizer.Stream
	stop   []string
	text   strings.Builder // what was given out
	held   string          // what may become a stop string
}

// newWriter begins after a prompt, whose tokens decide how the text that follows
// is spaced.
func newWriter(t *tokenizer.Tokenizer, stop []string, prompt []int32) *writer {
	w := &writer{stream: t.Stream(true), stop: stop}
	for _, id := range prompt {
		w.stream.Push(int(id))
	}
	return w
}

// push takes a token and returns what can be shown, and whether a stop string was
// completed, which ends the text.
func (w *writer) push(id int32) (piece string, stopped bool) {
	return w.add(w.stream.Push(int(id)))
}

// flush ends the text and returns the rest of it.
func (w *writer) flush() string {
	piece, stopped := w.add(w.stream.Flush())
	if !stopped {
		piece += w.held
		w.text.WriteString(w.held)
	}
	w.held = ""
	return piece
}

func (w *writer) add(more string) (piece string, stopped bool) {
	w.held += more
	first := -1
	for _, s := range w.stop {
		if i := strings.Index(w.held, s); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		piece, w.held = w.held[:first], ""
		w.text.WriteString(piece)
		return piece, true
	}
	keep := 0
	for _, s := range w.stop {
		for n := min(len(s)-1, len(w.held)); n > keep; n-- {
			if strings.HasSuffix(w.held, s[:n]) {
				keep = n
			}
		}
	}
	piece, w.held = w.held[:len(w.held)-keep], w.held[len(w.held)-keep:]
	w.text.WriteString(piece)
	return piece, false
}
