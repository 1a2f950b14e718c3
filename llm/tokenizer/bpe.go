package tokenizer

// Byte-pair encoding (Sennrich, Haddow, Birch, arXiv 1508.07909, algorithm 1).
//
//	symbols <- the characters (or bytes) of the word
//	while some adjacent pair (a, b) is in the merge table:
//	    take the pair of lowest rank, of equal ranks the leftmost, and replace it by ab
//
// Assumes that a merge table maps a pair to one rank and one result. Words of up
// to shortWord symbols scan for the lowest rank, O(n^2) with a tiny constant;
// longer ones use a linked list and a heap, O(n log n), so a run of a million
// equal characters is no trap.
//
// Two properties make it fast without changing a result. Ids of short words are
// cached. And a text may be cut between two characters x, y that no merge result
// contains side by side, because no merge can then join the parts; for the word
// mark U+2581 this holds in vocabularies that were trained word by word, and
// these need no pre-tokenizer to be cached by word.

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	shortWord = 24      // symbols; above, the heap wins
	wordMark  = "▁"     // U+2581, SentencePiece's mark of a word start
	maxCached = 64      // bytes of a cached word
	slots     = 1 << 16 // cached words
)

type merge struct{ rank, id int32 }

// bpe is the model: a vocabulary and its merges.
type bpe struct {
	vocab        map[string]int32
	merges       map[uint64]merge // by left<<32 | right
	unk          int32            // None: drop unknown characters
	unkToken     string
	fuseUnk      bool
	ignoreMerges bool
	prefix       string // continuing_subword_prefix
	suffix       string // end_of_word_suffix
	byteLevel    bool   // words are written in byte-level characters first

	byteFallback bool
	fallback     [256]int32 // ids of <0x00> to <0xFF>, -1 where missing
	bytes        [256]int32 // ids of the byte-level characters, when allBytes
	allBytes     bool
	markInside   bool // some merge result has another character before a mark
	cutAtMark    bool // words may be cut before a mark
	cache        *cache
}

func pair(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// finish computes the tables that encoding uses. byteLevel says that words
// arrive as raw text and are written in byte-level characters.
func (m *bpe) finish(byteLevel bool) {
	m.byteLevel = byteLevel
	affixes := m.prefix != "" || m.suffix != ""
	m.allBytes = byteLevel && !affixes
	for b := range 256 {
		id, ok := m.vocab[byteChar[b]]
		m.bytes[b] = id
		m.allBytes = m.allBytes && ok
		m.fallback[b] = -1
		if id, ok := m.vocab[fmt.Sprintf("<0x%02X>", b)]; ok {
			m.fallback[b] = id
		}
	}
	_, known := m.vocab[wordMark]
	// A dropped character would bring the characters beside it together.
	drops := m.unk == None && !m.complete()
	m.cutAtMark = known && !m.markInside && !affixes && !byteLevel && !drops
	m.cache = newCache()
}

// complete reports whether every text has ids without an unknown token.
func (m *bpe) complete() bool {
	if m.allBytes {
		return true
	}
	for _, id := range m.fallback {
		if id < 0 {
			return false
		}
	}
	return m.byteFallback
}

// addMerge enters the merge of the tokens a and b.
func (m *bpe) addMerge(a, b string, rank int) error {
	left, ok := m.vocab[a]
	if !ok {
		return fmt.Errorf("the left token %q is not in the vocabulary", a)
	}
	right, ok := m.vocab[b]
	if !ok {
		return fmt.Errorf("the right token %q is not in the vocabulary", b)
	}
	if !strings.HasPrefix(b, m.prefix) {
		return fmt.Errorf("the right token %q does not begin with continuing_subword_prefix %q", b, m.prefix)
	}
	joined := a + b[len(m.prefix):]
	id, ok := m.vocab[joined]
	if !ok {
		return fmt.Errorf("the result %q is not in the vocabulary", joined)
	}
	m.enter(left, right, id, int32(rank), joined)
	return nil
}

// enter makes left and right join to id, which is written joined.
func (m *bpe) enter(left, right, id, rank int32, joined string) {
	m.merges[pair(left, right)] = merge{rank, id}
	if strings.Contains(strings.TrimLeft(joined, wordMark), wordMark) {
		m.markInside = true
	}
}

// scratch is the memory one goroutine encodes with.
type scratch struct {
	ids        []int32
	pairs      []merge
	prev, next []int32
	heap       []uint64
}

// encode appends the ids of the word s.
func (m *bpe) encode(s string, w *scratch, out *[]int) {
	if s == "" {
		return
	}
	if !m.cutAtMark {
		m.word(s, m.ignoreMerges, w, out)
		return
	}
	if m.ignoreMerges {
		if id, ok := m.vocab[s]; ok {
			*out = append(*out, int(id))
			return
		}
	}
	for s != "" {
		marks := len(s) - len(strings.TrimLeft(s, wordMark))
		n := strings.Index(s[marks:], wordMark)
		if n < 0 {
			n = len(s) - marks
		}
		m.word(s[:marks+n], false, w, out)
		s = s[marks+n:]
	}
}

func (m *bpe) word(s string, whole bool, w *scratch, out *[]int) {
	var h uint64
	if len(s) <= maxCached {
		h = m.cache.hash(s)
		if ids := m.cache.get(h, s); ids != nil {
			for _, id := range ids {
				*out = append(*out, int(id))
			}
			return
		}
	}
	ids := m.merged(s, whole, w)
	for _, id := range ids {
		*out = append(*out, int(id))
	}
	if len(s) <= maxCached {
		m.cache.put(h, s, ids)
	}
}

// merged returns the ids of the word s, in w's memory.
func (m *bpe) merged(s string, whole bool, w *scratch) []int32 {
	if m.byteLevel && (!m.allBytes || whole) {
		mapped := byteChars(s)
		if id, ok := m.vocab[mapped]; ok && whole {
			w.ids = append(w.ids[:0], id)
			return w.ids
		}
		if !m.allBytes {
			s = mapped
		}
	} else if id, ok := m.vocab[s]; ok && whole {
		w.ids = append(w.ids[:0], id)
		return w.ids
	}
	w.ids = w.ids[:0]
	if m.byteLevel && m.allBytes {
		for i := range len(s) {
			w.ids = append(w.ids, m.bytes[s[i]])
		}
	} else {
		w.ids = m.symbols(w.ids, s)
	}
	if len(w.ids) <= shortWord {
		return m.mergeShort(w.ids, w)
	}
	return m.mergeLong(w.ids, w)
}

// symbols appends the ids of the characters of s. A character that is not in
// the vocabulary becomes its bytes, or the unknown token, or nothing, in this
// order; with fuseUnk neighbouring unknown tokens are one.
func (m *bpe) symbols(dst []int32, s string) []int32 {
	unknown := false
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		char := s[i : i+n]
		key := char
		if i > 0 && m.prefix != "" {
			key = m.prefix + key
		}
		if i += n; i == len(s) && m.suffix != "" {
			key += m.suffix
		}
		if id, ok := m.vocab[key]; ok {
			if unknown {
				dst, unknown = append(dst, m.unk), false
			}
			dst = append(dst, id)
			continue
		}
		// A pending unknown token comes after the bytes that follow it.
		if m.byteFallback && m.hasBytes(key) {
			for k := range len(key) {
				dst = append(dst, m.fallback[key[k]])
			}
			continue
		}
		if m.unk < 0 {
			continue
		}
		if unknown && !m.fuseUnk {
			dst = append(dst, m.unk)
		}
		unknown = true
	}
	if unknown {
		dst = append(dst, m.unk)
	}
	return dst
}

func (m *bpe) hasBytes(s string) bool {
	for i := range len(s) {
		if m.fallback[s[i]] < 0 {
			return false
		}
	}
	return true
}
