package tokenizer

// Hand-written matchers of the split patterns that nearly all byte-level models
// use. Each returns the end of the leftmost match at a position, taking the
// alternatives in the order of the pattern; the tests compare them with the
// regular expressions themselves.

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	// Llama 3 and GPT-4 take up to three digits together, Qwen 2 one.
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// knownPatterns are replaced by their matchers when they are split with the
// behaviour Isolated (they match everywhere, so Removed and invert would leave
// nothing).
var knownPatterns = map[string]splitter{
	gpt2Pattern:   scan(gpt2Next),
	llama3Pattern: scan(func(s string, at int) int { return llama3Next(s, at, 3) }),
	qwen2Pattern:  scan(func(s string, at int) int { return llama3Next(s, at, 1) }),
}

type charClass uint8

const (
	other charClass = iota
	letter
	number
	space
)

var bmpClasses = sync.OnceValue(func() *[1 << 16]charClass {
	t := new([1 << 16]charClass)
	for r := range rune(1 << 16) {
		t[r] = classify(r)
	}
	return t
})

func classify(r rune) charClass {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

var asciiClasses = func() (t [utf8.RuneSelf]charClass) {
	for i := range t {
		t[i] = classify(rune(i))
	}
	return t
}()

// classAt returns the class and the length of the character of s at at.
func classAt(s string, at int) (charClass, int) {
	if c := s[at]; c < utf8.RuneSelf {
		return asciiClasses[c], 1
	}
	r, n := utf8.DecodeRuneInString(s[at:])
	if r < 1<<16 {
		return bmpClasses()[r], n
	}
	return classify(r), n
}

// run returns the end of the run of characters of class c from at on, of at
// most limit characters when limit > 0.
func run(s string, at int, c charClass, limit int) int {
	for n := 1; at < len(s); n++ {
		k, size := classAt(s, at)
		if k != c {
			break
		}
		at += size
		if n == limit {
			break
		}
	}
	return at
}

// contraction returns the end of 's, 't, 're, 've, 'm, 'll or 'd at at, or 0.
func contraction(s string, at int, fold bool) int {
	if s[at] != '\'' || at+1 >= len(s) {
		return 0
	}
	low := func(i int) byte {
		if i >= len(s) {
			return 0
		}
		if c := s[i]; fold && c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return s[i]
	}
	switch a, b := low(at+1), low(at+2); {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return at + 2
	case (a == 'r' || a == 'v') && b == 'e' || a == 'l' && b == 'l':
		return at + 3
	case fold && s[at+1] == "ſ"[0] && b == "ſ"[1]: // the long s is an s without case
		return at + 3
	}
	return 0
}

// trailing returns the end of \s+(?!\S)|\s+ in whitespace that starts at at and
// ends at end: all of it at the end of the text, else all but the last character
// unless it is the only one.
func trailing(s string, at, end int) int {
	if end == len(s) {
		return end
	}
	_, n := utf8.DecodeLastRuneInString(s[at:end])
	if at+n < end {
		return end - n
	}
	return end
}

// gpt2Next is gpt2Pattern.
func gpt2Next(s string, at int) int {
	if end := contraction(s, at, false); end > 0 {
		return end
	}
	from := at
	if s[at] == ' ' {
		from++
	}
	if from < len(s) {
		if c, n := classAt(s, from); c != space {
			return run(s, from+n, c, 0)
		}
	}
	return trailing(s, at, run(s, at, space, 0))
}

// llama3Next is llama3Pattern, with the number of digits that go together.
func llama3Next(s string, at, digits int) int {
	if end := contraction(s, at, true); end > 0 {
		return end
	}
	c, n := classAt(s, at)
	switch {
	case c == letter:
		return run(s, at+n, letter, 0)
	case c == number:
		return run(s, at, number, digits)
	case s[at] != '\r' && s[at] != '\n' && at+n < len(s):
		if k, size := classAt(s, at+n); k == letter {
			return run(s, at+n+size, letter, 0)
		}
	}
	from := at
	if s[at] == ' ' {
		from++
	}
	if from < len(s) {
		if c, n := classAt(s, from); c == other {
			end := run(s, from+n, other, 0)
			for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
				end++
			}
			return end
		}
	}
	end := run(s, at, space, 0)
	for i := end; i > at; i-- {
		if s[i-1] == '\r' || s[i-1] == '\n' {
			return i
		}
	}
	return trailing(s, at, end)
}
