package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// pattern is what Split and Replace look for: a literal text or a regular
// expression.
type pattern struct {
	text    string
	literal bool
	regex   *regexp2.Regexp
}

// matches calls yield for every match in s, in order; adjacent to each other or
// empty they may be.
func (p pattern) matches(s string, yield func(start, end int)) {
	if p.literal && p.text != "" {
		for at := 0; ; {
			k := strings.Index(s[at:], p.text)
			if k < 0 {
				return
			}
			yield(at+k, at+k+len(p.text))
			at += k + len(p.text)
		}
	}
	if p.literal {
		for i := range s {
			yield(i, i)
		}
		yield(len(s), len(s))
		return
	}
	// The engine counts runes; byte positions follow along.
	runes := []rune(s)
	at, b := 0, 0
	to := func(r int) int {
		for ; at < r; at++ {
			b += utf8.RuneLen(runes[at])
		}
		return b
	}
	m, err := p.regex.FindRunesMatch(runes)
	for ; m != nil && err == nil; m, err = p.regex.FindNextMatch(m) {
		start := to(m.Index)
		yield(start, to(m.Index+m.Length))
	}
}

// compile makes a pattern of a regular expression in Oniguruma's syntax, the one
// that tokenizer.json is written in.
func compile(expr string) (pattern, error) {
	translated, err := translate(expr)
	if err != nil {
		return pattern{}, err
	}
	// In Oniguruma ^ and $ are the ends of lines.
	re, err := regexp2.Compile(translated, regexp2.Multiline)
	if err != nil {
		return pattern{}, fmt.Errorf("does not compile (%w)", err)
	}
	return pattern{text: expr, regex: re}, nil
}
