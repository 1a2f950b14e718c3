package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of added_tokens.
type addedToken struct {
	content                                           string
	singleWord, lstrip, rstrip, normalized, isSpecial bool
}

// matcher finds added tokens in a text: leftmost, and of several at one place
// the longest.
type matcher struct {
	next   map[uint32]int32 // trie: node<<8 | byte -> node
	final  []int32          // by node: index of the pattern that ends there, -1 none
	root   [256]int32       // first step, 0 none
	single int              // the only first byte, -1 when there are several
	flags  []addedToken
	ids    []int32
}

func newMatcher() *matcher {
	return &matcher{next: map[uint32]int32{}, final: []int32{-1}, single: -1}
}

// add makes pattern stand for the token id. The first of two equal patterns wins.
func (m *matcher) add(pattern string, token addedToken, id int32) {
	if pattern == "" {
		return
	}
	node := int32(0)
	for i := range len(pattern) {
		key := uint32(node)<<8 | uint32(pattern[i])
		child, ok := m.next[key]
		if !ok {
			child = int32(len(m.final))
			m.final = append(m.final, -1)
			m.next[key] = child
			if i == 0 {
				m.root[pattern[0]] = child
			}
		}
		node = child
	}
	if m.final[node] >= 0 {
		return
	}
	m.final[node] = int32(len(m.ids))
	m.ids = append(m.ids, id)
	m.flags = append(m.flags, token)
	m.single = -1
	for b, n := range m.root {
		if n != 0 {
			if m.single >= 0 {
				m.single = -1
				break
			}
			m.single = b
		}
	}
}

// find returns the first match in s at or after from; pattern is -1 when there
// is none.
func (m *matcher) find(s string, from int) (pattern int32, start, end int) {
	for i := from; i < len(s); i++ {
		if m.single >= 0 {
			k := strings.IndexByte(s[i:], byte(m.single))
			if k < 0 {
				break
			}
			i += k
		}
		node := m.root[s[i]]
		if node == 0 {
			continue
		}
		best, stop := m.final[node], i+1
		for j := i + 1; j < len(s); j++ {
			child, ok := m.next[uint32(node)<<8|uint32(s[j])]
			if !ok {
				break
			}
			if node = child; m.final[node] >= 0 {
				best, stop = m.final[node], j+1
			}
		}
		if best >= 0 {
			return best, i, stop
		}
	}
	return -1, 0, 0
}

// split calls yield for every match (id >= 0) and every non-empty part between
// matches (id -1) in order.
func (m *matcher) split(s string, yield func(id int32, start, end int)) {
	done := 0
	for pos := 0; len(m.ids) > 0; {
		k, start, end := m.find(s, pos)
		if k < 0 {
			break
		}
		pos = end
		flags := &m.flags[k]
		if flags.singleWord && !standsAlone(s, start, end) {
			continue
		}
		if flags.lstrip {
			start = max(len(strings.TrimRightFunc(s[:start], unicode.IsSpace)), done)
		}
		if flags.rstrip {
			end = len(s) - len(strings.TrimLeftFunc(s[end:], unicode.IsSpace))
		}
		if done < start {
			yield(-1, done, start)
		}
		if start < end {
			yield(m.ids[k], start, end)
		}
		done = end
	}
	if done < len(s) {
		yield(-1, done, len(s))
	}
}

func standsAlone(s string, start, end int) bool {
	before, n := utf8.DecodeLastRuneInString(s[:start])
	after, k := utf8.DecodeRuneInString(s[end:])
	return (n == 0 || !isWord(before)) && (k == 0 || !isWord(after))
}

// isWord is \w as Rust's regular expressions define it (Unicode technical
// standard 18, annex C).
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
