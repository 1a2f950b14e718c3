package tokenizer

// SentencePiece-style BPE without a merge table, as llama2.c's tokenizer files
// and the "llama" vocabularies of GGUF files have it. With a score for every
// piece, encoding is
//
//	while some adjacent pair joins to a piece: join the pair with the highest score, of equal ones the leftmost
//
// which is byte-pair encoding with the merges "all pairs of pieces whose
// concatenation is a piece", ranked by falling score, equal scores with equal
// rank. Source: Kudo and Richardson, arXiv 1808.06226, and the format of
// llama2.c: int32 longest piece, then for every piece float32 score, int32
// length, bytes; little-endian; pieces 0, 1, 2 are unknown, BOS and EOS, 3 to
// 258 the bytes.

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxPiece = 1 << 8 // bytes of one piece

// ParseLlama2C reads a llama2.c tokenizer file. Text gets a word mark in front,
// as llama2.c puts it; special tokens inside text are not recognised, as there.
func ParseLlama2C(data []byte) (*Tokenizer, error) {
	if len(data) < 4 {
		return nil, refuse("size", fmt.Sprintf("%d bytes", len(data)), "a llama2.c tokenizer file (at least 4 bytes) or a tokenizer.json")
	}
	longest := int32(binary.LittleEndian.Uint32(data))
	if longest < 1 || longest > maxPiece {
		return nil, refuse("longest piece", longest, fmt.Sprintf("1 to %d in a llama2.c tokenizer file; a tokenizer.json begins with {", maxPiece))
	}
	var pieces []string
	var scores []float32
	for rest := data[4:]; len(rest) > 0; {
		field := fmt.Sprintf("piece %d", len(pieces))
		if len(rest) < 8 {
			return nil, refuse(field, fmt.Sprintf("%d bytes", len(rest)), "score and length (8 bytes)")
		}
		score := math.Float32frombits(binary.LittleEndian.Uint32(rest))
		n := int32(binary.LittleEndian.Uint32(rest[4:]))
		if n < 0 || n > longest || int(n) > len(rest)-8 {
			return nil, refuse(field+" length", n, fmt.Sprintf("0 to %d, and the rest of the file (%d bytes)", longest, len(rest)-8))
		}
		if math.IsNaN(float64(score)) {
			return nil, refuse(field+" score", score, "a number")
		}
		pieces = append(pieces, strings.ReplaceAll(string(rest[8:8+n]), " ", wordMark))
		scores = append(scores, score)
		rest = rest[8+n:]
	}
	if len(pieces) < 3+256 {
		return nil, refuse("pieces", len(pieces), "at least 259: unknown, BOS, EOS and 256 bytes")
	}
	for b := range 256 {
		// The file writes control characters' pieces in several ways; the place decides.
		pieces[3+b] = fmt.Sprintf("<0x%02X>", b)
	}
	names := []string{"<unk>", "<s>", "</s>"}
	copy(pieces, names)
	return scored(pieces, scores, scoredOptions{
		control: map[int32]bool{0: true, 1: true, 2: true},
		silent:  []int{0, 1, 2},
		space:   true,
		prefix:  []int{1},
		special: Special{BOS: 1, EOS: 2, PAD: None, UNK: 0},
	})
}

type scoredOptions struct {
	control        map[int32]bool // pieces that text never becomes
	added          []addedToken   // those of them to be found in text
	silent         []int          // special ones that are not
	space          bool           // put a word mark in front of a text
	prefix, suffix []int
	special        Special
}

// scored builds a tokenizer from pieces with scores.
func scored(pieces []string, scores []float32, o scoredOptions) (*Tokenizer, error) {
	var err error
	m := &bpe{vocab: make(map[string]int32, len(pieces)), unk: None, fuseUnk: true, byteFallback: true}
	for id, s := range pieces {
		if s == "" || !utf8.ValidString(s) {
			return nil, refuse(fmt.Sprintf("piece %d", id), s, "text in UTF-8, not empty")
		}
		if other, ok := m.vocab[s]; ok {
			return nil, refuse(fmt.Sprintf("piece %d", id), s, fmt.Sprintf("a piece unlike piece %d", other))
		}
		m.vocab[s] = int32(id)
	}
	if o.special.UNK != None {
		m.setUnknown(pieces[o.special.UNK])
	}
	rank := ranks(scores)
	m.merges = map[uint64]merge{}
	for id, s := range pieces {
		if _, isByte := byteToken(s); isByte || o.control[int32(id)] {
			continue
		}
		for cut := range s {
			left, ok := m.vocab[s[:cut]]
			right, ok2 := m.vocab[s[cut:]]
			if cut > 0 && ok && ok2 && !o.control[left] && !o.control[right] {
				m.enter(left, right, int32(id), rank[id], s)
			}
		}
	}
	p := parts{model: m, added: o.added, silent: o.silent, prefix: o.prefix, suffix: o.suffix, special: o.special}
	mark := pattern{text: " ", literal: true}
	if o.space {
		p.normalizers = append(p.normalizers, keepsStart(prepend(wordMark)))
	}
	p.normalizers = append(p.normalizers, replace(mark, wordMark))
	p.decoders = []decoder{
		func() decodeState {
			return stateless(func(s string) string { return strings.ReplaceAll(s, wordMark, " ") })
		},
		func() decodeState { return &byteFallback{} },
		func() decodeState { return &fuse{} },
	}
	if o.space {
		p.decoders = append(p.decoders, func() decodeState { return &stripDecoder{content: " ", start: 1} })
	}
	return p.build(false, fields{err: &err})
}

// ranks orders scores from the highest down; equal scores have equal ranks.
func ranks(scores []float32) []int32 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	out := make([]int32, len(scores))
	for i, id := range order {
		out[id] = int32(i)
		if i > 0 && scores[id] == scores[order[i-1]] {
			out[id] = out[order[i-1]]
		}
	}
	return out
}
