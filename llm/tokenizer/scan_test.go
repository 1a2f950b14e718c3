package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// atoms are what the split patterns treat differently.
var atoms = []string{" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b", "a", "S", "don't", "'s", "'S", "'ſ", "'re", "'LL", "'", "’s",
	"1", "12", "1234", "²", "Ⅷ", "٣", "é", "e\u0301", "ß", "ʼ", "你", "ก", "한", "😀", "\u200d", "!", "...", "_", "<", "|", "\x00", "\ufffd", "𝒳", "𝟘", "ǅ", "ª"}

func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(atoms[r.IntN(len(atoms))])
	}
	return b.String()
}

func pieces(s splitter, text string) (out []string) {
	if text != "" {
		s.split(piece{text, true}, func(p piece) { out = append(out, p.s) })
	}
	return out
}

// Every hand-written matcher must cut as its regular expression does. The
// expressions run here as they are written, except that the engine has to be
// told that the long s is an s without case.
func compareScanners(t *testing.T, text string) {
	t.Helper()
	for expr, scanner := range knownPatterns {
		general, err := compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		got, want := pieces(scanner, text), pieces(patternSplit{general.matches, "Isolated", false}, text)
		if !slices.Equal(got, want) {
			t.Errorf("%s\non %+q: got %+q, want %+q", expr, text, got, want)
		}
		if strings.Join(got, "") != text {
			t.Errorf("%s\nloses text of %+q: %+q", expr, text, got)
		}
	}
}

func TestScanners(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		compareScanners(t, randomText(r, 1+r.IntN(12)))
	}
}

func FuzzScanners(f *testing.F) {
	f.Add("It's 12345  degrees\n\n\tin DON'T 'ſ é e\u0301 你好!!\r\n x")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<12 {
			return
		}
		compareScanners(t, string(appendLossy(nil, []byte(text))))
	})
}

// Long words go through the heap, short ones through a scan; both must find the
// merges that the definition gives.
func TestMergeOrders(t *testing.T) {
	m := &bpe{merges: map[uint64]merge{}, cache: newCache()}
	r := rand.New(rand.NewPCG(3, 4))
	next := int32(6)
	for rank := range int32(60) {
		a, b := r.Int32N(next), r.Int32N(next)
		if _, ok := m.merges[pair(a, b)]; !ok {
			m.merges[pair(a, b)] = merge{rank / 3, next} // some ranks are equal
			next++
		}
	}
	for range 2000 {
		ids := make([]int32, 1+r.IntN(60))
		for i := range ids {
			ids[i] = r.Int32N(6)
		}
		want := slices.Clone(ids)
		for {
			best, at := noMerge, -1
			for i := 0; i+1 < len(want); i++ {
				if p := m.pairMerge(want[i], want[i+1]); p.rank < best.rank {
					best, at = p, i
				}
			}
			if at < 0 {
				break
			}
			want = slices.Concat(want[:at], []int32{best.id}, want[at+2:])
		}
		var w scratch
		if got := m.mergeShort(slices.Clone(ids), &w); !slices.Equal(got, want) {
			t.Fatalf("scan of %v: got %v, want %v", ids, got, want)
		}
		if got := m.mergeLong(slices.Clone(ids), &w); !slices.Equal(got, want) {
			t.Fatalf("heap of %v: got %v, want %v", ids, got, want)
		}
	}
}
