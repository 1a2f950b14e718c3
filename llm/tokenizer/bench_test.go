package tokenizer

import (
	"os"
	"strings"
	"testing"
)

// corpus is the stories of the shared data, one document for every story.
func corpus(b *testing.B) (docs []string, bytes int) {
	data, err := os.ReadFile(dataFile(b, "text", "tiny_stories.txt"))
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range strings.Split(string(data), "\n\n") {
		if s != "" {
			docs = append(docs, s)
			bytes += len(s)
		}
	}
	return docs, bytes
}

var models = []struct {
	name string
	file func(testing.TB) string
}{
	{"pythia", func(t testing.TB) string { return dataFile(t, "lm", "pythia_20B_tokenizer.json") }},
	{"llama3style", func(t testing.TB) string { return golden(t, "tokenizers", "llama3style") }},
	{"stories260k", func(t testing.TB) string { return golden(t, "stories260k") }},
}

// BenchmarkEncodeBatch tokenizes a corpus on all processors, with words from the
// cache (warm) and with an empty cache at the start of every pass (cold).
func BenchmarkEncodeBatch(b *testing.B) {
	docs, bytes := corpus(b)
	for _, m := range models {
		for _, cold := range []bool{false, true} {
			name := m.name + "/warm"
			if cold {
				name = m.name + "/cold"
			}
			b.Run(name, func(b *testing.B) {
				tok := open(b, m.file(b))
				tok.EncodeBatch(docs, false)
				b.SetBytes(int64(bytes))
				b.ReportAllocs()
				b.ResetTimer()
				tokens := 0
				for range b.N {
					if cold {
						tok.model.cache = newCache()
					}
					for _, ids := range tok.EncodeBatch(docs, false) {
						tokens += len(ids)
					}
				}
				b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}

// BenchmarkEncodeLong tokenizes the corpus as one document on one processor.
func BenchmarkEncodeLong(b *testing.B) {
	docs, bytes := corpus(b)
	all := strings.Join(docs, "\n\n")
	for _, m := range models {
		b.Run(m.name, func(b *testing.B) {
			tok := open(b, m.file(b))
			b.SetBytes(int64(bytes))
			tokens := 0
			for range b.N {
				tokens += len(tok.Encode(all, false))
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// BenchmarkOneWord is the worst case for merging: one word of 100,000 letters.
func BenchmarkOneWord(b *testing.B) {
	tok := open(b, models[0].file(b))
	word := strings.Repeat("thequickbrownfox", 6250)
	b.SetBytes(int64(len(word)))
	for range b.N {
		tok.Encode(word, false)
	}
}

func BenchmarkDecode(b *testing.B) {
	docs, _ := corpus(b)
	for _, m := range models {
		b.Run(m.name, func(b *testing.B) {
			tok := open(b, m.file(b))
			ids := tok.Encode(strings.Join(docs, "\n\n"), false)
			b.ResetTimer()
			for range b.N {
				tok.Decode(ids, false)
			}
			b.ReportMetric(float64(len(ids)*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, m := range models {
		b.Run(m.name, func(b *testing.B) {
			for range b.N {
				open(b, m.file(b))
			}
		})
	}
}
