package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitter is one pre-tokenizer: it cuts a piece into smaller ones, never empty.
type splitter interface {
	split(p piece, yield func(piece))
}

type splitFunc func(p piece, yield func(piece))

func (f splitFunc) split(p piece, yield func(piece)) { f(p, yield) }

// cut yields p.s[start:end] unless it is empty.
func (p piece) cut(start, end int, yield func(piece)) {
	if start < end {
		yield(piece{p.s[start:end], p.first && start == 0})
	}
}

// scan makes a splitter of a function that returns the end of the match at at,
// for patterns that match everywhere.
func scan(next func(s string, at int) int) splitter {
	return splitFunc(func(p piece, yield func(piece)) {
		for at := 0; at < len(p.s); {
			end := next(p.s, at)
			p.cut(at, end, yield)
			at = end
		}
	})
}

// runs cuts before and after characters for which in is true: every one on its
// own, or runs of them together. With drop they are left out.
func runs(in func(rune) bool, single, drop bool) splitter {
	return splitFunc(func(p piece, yield func(piece)) {
		start, inside := 0, false
		for i, r := range p.s {
			is := in(r)
			if is != inside || is && single {
				if !(inside && drop) {
					p.cut(start, i, yield)
				}
				start, inside = i, is
			}
		}
		if !(inside && drop) {
			p.cut(start, len(p.s), yield)
		}
	})
}

// whitespaceWords is \w+|[^\w\s]+, everything else left out.
func whitespaceWords(p piece, yield func(piece)) {
	const space, word, other = 0, 1, 2
	start, kind := 0, space
	for i, r := range p.s {
		k := other
		if unicode.IsSpace(r) {
			k = space
		} else if isWord(r) {
			k = word
		}
		if k != kind {
			if kind != space {
				p.cut(start, i, yield)
			}
			start, kind = i, k
		}
	}
	if kind != space {
		p.cut(start, len(p.s), yield)
	}
}

// punctuation yields every punctuation character; in ASCII the symbols count too.
func punctuation(s string, yield func(start, end int)) {
	for i, r := range s {
		if unicode.IsPunct(r) || r < utf8.RuneSelf && unicode.IsSymbol(r) {
			yield(i, i+utf8.RuneLen(r))
		}
	}
}

// prefixSpace puts a space before a piece that does not begin with one.
func prefixSpace(p piece, yield func(piece)) {
	if !strings.HasPrefix(p.s, " ") {
		p.s = " " + p.s
	}
	yield(p)
}

// metaspace writes spaces as mark, puts one before the text (scheme "always":
// before every piece, "first": before the one that begins the original text,
// "never") and cuts before every mark when cut is set.
func metaspace(mark, scheme string, cut bool) splitter {
	return splitFunc(func(p piece, yield func(piece)) {
		p.s = strings.ReplaceAll(p.s, " ", mark)
		if (scheme == "always" || scheme == "first" && p.first) && !strings.HasPrefix(p.s, mark) {
			p.s = mark + p.s
		}
		if !cut {
			yield(p)
			return
		}
		start := 0
		for {
			n := 0
			if strings.HasPrefix(p.s[start:], mark) {
				n = len(mark)
			}
			k := strings.Index(p.s[start+n:], mark)
			if k < 0 {
				break
			}
			p.cut(start, start+n+k, yield)
			start += n + k
		}
		p.cut(start, len(p.s), yield)
	})
}

// fixedLength cuts after every n characters.
func fixedLength(n int) splitter {
	return splitFunc(func(p piece, yield func(piece)) {
		start, count := 0, 0
		for i := range p.s {
			if count == n {
				p.cut(start, i, yield)
				start, count = i, 0
			}
			count++
		}
		p.cut(start, len(p.s), yield)
	})
}

// patternSplit is the pre-tokenizer Split: the text is matches and parts between
// them (invert: the other way round), treated as behavior says.
type patternSplit struct {
	matches  func(s string, yield func(start, end int))
	behavior string
	invert   bool
}

var behaviors = []string{"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}

type span struct {
	start, end int
	match      bool
}

func (s patternSplit) split(p piece, yield func(piece)) {
	var spans []span
	add := func(start, end int, match bool) { spans = append(spans, span{start, end, match != s.invert}) }
	done := 0
	s.matches(p.s, func(start, end int) {
		if done != start {
			add(done, start, false)
		}
		add(start, end, true)
		done = end
	})
	if done != len(p.s) {
		add(done, len(p.s), false)
	}
	merged := spans[:0]
	previous := false
	switch s.behavior {
	case "Removed":
		for _, x := range spans {
			if !x.match {
				merged = append(merged, x)
			}
		}
	case "Isolated":
		merged = spans
	case "MergedWithPrevious":
		for _, x := range spans {
			if x.match && !previous && len(merged) > 0 {
				merged[len(merged)-1].end = x.end
			} else {
				merged = append(merged, x)
			}
			previous = x.match
		}
	case "MergedWithNext":
		slices.Reverse(spans)
		for _, x := range spans {
			if x.match && !previous && len(merged) > 0 {
				merged[len(merged)-1].start = x.start
			} else {
				merged = append(merged, x)
			}
			previous = x.match
		}
		slices.Reverse(merged)
	case "Contiguous":
		for _, x := range spans {
			if x.match == previous && len(merged) > 0 {
				merged[len(merged)-1].end = x.end
			} else {
				merged = append(merged, x)
			}
			previous = x.match
		}
	}
	for _, x := range merged {
		p.cut(x.start, x.end, yield)
	}
}
