package weights

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// goldenPath finds a golden file, or skips.
func goldenPath(tb testing.TB, elem ...string) string {
	return shared(tb, "BILEVEL_GOLDEN", "golden", elem...)
}

// dataPath finds a data file, or skips.
func dataPath(tb testing.TB, elem ...string) string {
	return shared(tb, "BILEVEL_DATA", "data", elem...)
}

func shared(tb testing.TB, variable, folder string, elem ...string) string {
	tb.Helper()
	root := os.Getenv(variable)
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", folder)
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("%s is not there (set %s)", filepath.Join(elem...), variable)
	}
	return path
}

// mustRefuse checks that err is a refusal that says all of the words.
func mustRefuse(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, bilevel.ErrInvalid) {
		t.Fatalf("error %v: want one that matches ErrInvalid", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func open(t *testing.T, path string) *Model {
	t.Helper()
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// readAll reads every parameter of a model and its head.
func readAll(t *testing.T, m *Model) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for _, name := range append(m.Names(), m.Config.HeadName()) {
		values, shape, err := m.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := volume(shape); n != len(values) || n == 0 {
			t.Fatalf("%s: %d values for shape %v", name, len(values), shape)
		}
		all[name] = values
	}
	return all
}

func mustEqual(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if !slices.Equal(got, want) {
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Fatalf("%s: value %d of %d differs from %v", what, i, len(got), want[i])
			}
		}
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
