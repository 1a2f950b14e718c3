package training

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel/llm/tune"
)

// The bytes of a file with one value, of which TensorBoard's own reader was seen to
// take the checksums and the values. crc32c("123456789") is e3069283 (RFC 3720).
func TestEvents(t *testing.T) {
	if got := masked([]byte("123456789")); got != uint32((0xe3069283>>15|0xe3069283<<17)&0xffffffff)+0xa282ead8 {
		t.Errorf("masked checksum %#x", got)
	}
	dir := t.TempDir()
	e, err := openEvents(dir, "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	e.now = func() time.Time { return time.Unix(1, 5e8) }
	nan := math.NaN()
	if err := e.step(&tune.StepReport{Stage: "bilevel", Step: 300, Upper: tune.Figures{Loss: 0.5, Accuracy: nan, Margin: nan},
		Lower: tune.Figures{Loss: nan, Accuracy: nan, Margin: nan}, Delta: nan, Omitted: nan, GradX: nan, TokensPerSecond: nan}); err != nil {
		t.Fatal(err)
	}
	if got := e.at("head", 2); got != 302 {
		t.Errorf("step %d over both stages, want 302", got)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, EventsFolder, "events.out.tfevents.*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte("brain.Event:2")) {
		t.Error("no version")
	}
	// wall_time 1.5, step 300, summary{value{tag "train/dpo_loss", simple_value 0.5}}
	want, err := hex.DecodeString("09000000000000f83f" + "10ac02" + "2a17" + "0a15" + "0a0e" + hex.EncodeToString([]byte("train/dpo_loss")) + "150000003f")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, want) {
		t.Errorf("%x lacks %x", b, want)
	}
	// A second file of the same second gets a name of its own.
	again, err := openEvents(dir, "bilevel", 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	if again.latest != 3 {
		t.Errorf("goes on behind %d", again.latest)
	}
	again.close()
	if names, _ = filepath.Glob(filepath.Join(dir, EventsFolder, "*")); len(names) != 2 {
		t.Errorf("files %q", names)
	}
}
