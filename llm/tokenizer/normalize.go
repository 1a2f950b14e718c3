package tokenizer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites a part of the text. first tells whether the part begins
// where the original text begins; a normalizer that drops the beginning makes
// it false.
type normalizer func(s string, first bool) (string, bool)

func chainNormalizers(list []normalizer) normalizer {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return func(s string, first bool) (string, bool) {
		for _, n := range list {
			s, first = n(s, first)
		}
		return s, first
	}
}

// keepsStart makes a normalizer of a function that never drops the beginning.
func keepsStart(f func(string) string) normalizer {
	return func(s string, first bool) (string, bool) { return f(s), first }
}

func lowercase(s string) string {
	// U+0130 is the one character whose lower case has two characters.
	return strings.ToLower(strings.ReplaceAll(s, "İ", "i̇"))
}

func prepend(prefix string) func(string) string {
	return func(s string) string {
		if s == "" {
			return s
		}
		return prefix + s
	}
}

func strip(left, right bool) normalizer {
	return func(s string, first bool) (string, bool) {
		if right {
			s = strings.TrimRightFunc(s, unicode.IsSpace)
		}
		if left {
			t := strings.TrimLeftFunc(s, unicode.IsSpace)
			s, first = t, first && len(t) == len(s)
		}
		return s, first
	}
}

func stripAccents(s string, first bool) (string, bool) {
	for i, r := range s {
		if i == 0 && unicode.Is(unicode.M, r) {
			first = false
		}
		if unicode.Is(unicode.M, r) {
			return strings.Map(func(r rune) rune {
				if unicode.Is(unicode.M, r) {
					return -1
				}
				return r
			}, s), first
		}
	}
	return s, first
}

// replace puts content in the place of every match of p.
func replace(p pattern, content string) normalizer {
	if p.literal {
		return func(s string, first bool) (string, bool) {
			if s == "" {
				return s, first
			}
			if content == "" && strings.HasPrefix(s, p.text) {
				first = false
			}
			return strings.ReplaceAll(s, p.text, content), first
		}
	}
	return func(s string, first bool) (string, bool) {
		var b strings.Builder
		done := 0
		p.matches(s, func(start, end int) {
			if start == 0 && end > 0 && content == "" {
				first = false
			}
			b.WriteString(s[done:start])
			b.WriteString(content)
			done = end
		})
		b.WriteString(s[done:])
		return b.String(), first
	}
}

// normalForm is one of the four Unicode normalization forms. The library that
// does the work follows the "stream-safe text format", which puts U+034F into
// long runs of combining marks; such texts go through [form.slow].
func normalForm(f form) func(string) string {
	return func(s string) string {
		if f.lib.IsNormalString(s) {
			return s
		}
		if longMarks(s) {
			return f.slow(s)
		}
		return f.lib.String(s)
	}
}

type form struct {
	lib, decompose norm.Form
	compose        bool
}

var forms = map[string]form{
	"NFC":  {norm.NFC, norm.NFD, true},
	"NFD":  {norm.NFD, norm.NFD, false},
	"NFKC": {norm.NFKC, norm.NFKD, true},
	"NFKD": {norm.NFKD, norm.NFKD, false},
}

// longMarks reports a run of marks that might reach the 30 of the stream-safe
// format: a mark decomposes into at most 2 and a base brings at most 3.
func longMarks(s string) bool {
	run := 0
	for _, r := range s {
		if r < 0x300 || !unicode.Is(unicode.M, r) {
			run = 0
		} else if run++; run > 10 {
			return true
		}
	}
	return false
}

// slow normalizes by the definition: full decomposition, canonical ordering
// (stable, by combining class, between characters of class 0), and for the
// composed forms the composition of every starter with the marks after it that
// are not blocked (Unicode standard, section 3.11, D108 to D117).
func (f form) slow(s string) string {
	type char struct {
		r   rune
		ccc uint8
	}
	var chars []char
	for _, r := range s {
		for _, d := range f.decompose.String(string(r)) {
			chars = append(chars, char{d, f.decompose.PropertiesString(string(d)).CCC()})
			for i := len(chars) - 1; i > 0 && chars[i].ccc != 0 && chars[i-1].ccc > chars[i].ccc; i-- {
				chars[i], chars[i-1] = chars[i-1], chars[i]
			}
		}
	}
	if f.compose {
		out, starter := chars[:0], -1
		for _, c := range chars {
			if starter >= 0 {
				last := out[len(out)-1]
				adjacent := len(out)-1 == starter
				if adjacent || last.ccc != 0 && last.ccc < c.ccc {
					joined := []rune(norm.NFC.String(string(out[starter].r) + string(c.r)))
					if len(joined) == 1 {
						out[starter].r = joined[0]
						continue
					}
				}
			}
			out = append(out, c)
			if c.ccc == 0 {
				starter = len(out) - 1
			}
		}
		chars = out
	}
	var b strings.Builder
	for _, c := range chars {
		b.WriteRune(c.r)
	}
	return b.String()
}
