package tune

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/internal/wholefile"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// referenceCache keeps a reference model's log-probabilities on disk, in files named
// by the model, the backend's kind and the rows: computed once, they serve every
// training on the same rows.
type referenceCache struct {
	dir string // "": nothing is kept
	of  string // model and backend
}

// newReferenceCache is the cache for a model in the user's folder. A model is known
// by the paths, sizes and times of its files.
func newReferenceCache(m *weights.Model, backend string) *referenceCache {
	dir, err := userdir.Path("reference")
	if err != nil {
		return &referenceCache{}
	}
	h := sha256.New()
	fmt.Fprintln(h, "1", backend)
	root := m.Path
	entries := []string{root}
	if info, err := os.Stat(root); err == nil && info.IsDir() {
		entries, _ = filepath.Glob(filepath.Join(root, "*"))
	}
	for _, path := range entries {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			absolute, _ := filepath.Abs(path)
			fmt.Fprintln(h, absolute, info.Size(), info.ModTime().UnixNano())
		}
	}
	return &referenceCache{dir, hex.EncodeToString(h.Sum(nil))}
}

func (c *referenceCache) path(key string) string {
	sum := sha256.Sum256([]byte(c.of + key))
	return filepath.Join(c.dir, hex.EncodeToString(sum[:16])+".bin")
}

// load returns what was saved under key; nil where there is nothing, or nothing
// whole.
func (c *referenceCache) load(key string) LogProbs {
	if c.dir == "" {
		return nil
	}
	b, err := os.ReadFile(c.path(key))
	if err != nil || len(b) < sha256.Size || (len(b)-sha256.Size)%16 != 0 {
		return nil
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(want[:], sum) {
		return nil
	}
	logs := LogProbs{}
	for ; len(body) > 0; body = body[16:] {
		at := func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(body[i:])) }
		logs[int(binary.LittleEndian.Uint64(body))] = [2]float32{at(8), at(12)}
	}
	return logs
}

// save keeps logs under key. A folder that cannot be written to is no error: the
// cache saves time, nothing else.
func (c *referenceCache) save(key string, logs LogProbs) {
	if c.dir == "" || os.MkdirAll(c.dir, 0o755) != nil {
		return
	}
	var body []byte
	for row, l := range logs {
		body = binary.LittleEndian.AppendUint64(body, uint64(row))
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(l[0]))
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(l[1]))
	}
	sum := sha256.Sum256(body)
	_ = wholefile.Write(c.path(key), func(w io.Writer) error {
		_, err := w.Write(append(body, sum[:]...))
		return err
	})
}
