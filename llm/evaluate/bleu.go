package evaluate

import (
	"math"
	"strings"
	"unicode"
)

// Words splits text for BLEU: runs of letters, digits and marks are words, and every
// other character but white space is a word of its own. Case is kept.
func Words(text string) []string {
	var words []string
	begin := -1
	for i, r := range text {
		inside := unicode.In(r, unicode.L, unicode.N, unicode.M)
		if begin >= 0 && !inside {
			words, begin = append(words, text[begin:i]), -1
		}
		switch {
		case inside && begin < 0:
			begin = i
		case !inside && !unicode.IsSpace(r):
			words = append(words, string(r))
		}
	}
	if begin >= 0 {
		words = append(words, text[begin:])
	}
	return words
}

const (
	order   = 4   // the longest n-grams
	epsilon = 0.1 // in place of no match, smoothing method 1
)

// BLEU accumulates the BLEU of a corpus, sentence by sentence. The zero value is an
// empty corpus.
type BLEU struct {
	matches, total        [order]int
	hypothesis, reference int // lengths
}

// Add adds a hypothesis with its references, each split into words.
func (b *BLEU) Add(hypothesis []string, references ...[]string) {
	for n := 1; n <= order; n++ {
		counts := ngrams(hypothesis, n)
		most := map[string]int{}
		for _, r := range references {
			for gram, c := range ngrams(r, n) {
				most[gram] = max(most[gram], c)
			}
		}
		total := 0
		for gram, c := range counts {
			b.matches[n-1] += min(c, most[gram])
			total += c
		}
		b.total[n-1] += max(total, 1)
	}
	b.hypothesis += len(hypothesis)
	b.reference += closest(references, len(hypothesis))
}

// closest is the length of the reference closest to n words, of two the shorter.
func closest(references [][]string, n int) int {
	best, distance := 0, math.MaxInt
	for _, r := range references {
		if d := max(len(r)-n, n-len(r)); d < distance || d == distance && len(r) < best {
			best, distance = len(r), d
		}
	}
	return best
}

// Score is the corpus BLEU of what was added, 0 to 1.
func (b *BLEU) Score() float64 {
	if b.matches[0] == 0 {
		return 0
	}
	sum := 0.0
	for n := range order {
		m := float64(b.matches[n])
		if m == 0 {
			m = epsilon
		}
		sum += math.Log(m/float64(b.total[n])) / order
	}
	if b.hypothesis <= b.reference {
		sum += 1 - float64(b.reference)/float64(b.hypothesis)
	}
	return math.Exp(sum)
}

// SentenceBLEU is the BLEU of a single sentence.
func SentenceBLEU(hypothesis []string, references ...[]string) float64 {
	var b BLEU
	b.Add(hypothesis, references...)
	return b.Score()
}

// ngrams counts the n-grams of words. Words hold no white space, so a space keeps
// them apart.
func ngrams(words []string, n int) map[string]int {
	counts := map[string]int{}
	for i := 0; i+n <= len(words); i++ {
		counts[strings.Join(words[i:i+n], " ")]++
	}
	return counts
}
