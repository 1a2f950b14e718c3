// Package backendtest runs tests on every tensor backend of the machine.
package backendtest

import (
	"testing"

	"github.com/gomlx/compute"

	"github.com/bilevel-go/bilevel/llm/backend"
)

// Each runs f as the subtests "go" and "xla". The second skips where no XLA plugin
// works, and says why; it takes the plugin that the specification xla:cpu takes.
func Each(t *testing.T, f func(t *testing.T, b compute.Backend)) {
	t.Helper()
	for _, c := range []struct{ name, spec string }{{"go", backend.Go}, {"xla", backend.XLA + ":cpu"}} {
		t.Run(c.name, func(t *testing.T) { f(t, Open(t, c.spec)) })
	}
}

// Open opens a backend for the length of the test, or skips it where XLA is asked
// for and no plugin works.
func Open(t testing.TB, spec string) compute.Backend {
	t.Helper()
	b, _, err := backend.Open(t.Context(), spec)
	if err != nil && spec != backend.Go {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Finalize)
	return b
}
