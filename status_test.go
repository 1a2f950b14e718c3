package bilevel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
)

var update = flag.Bool("update", false, "write the generated pages under docs")

// statusPage renders the table of statuses.
func statusPage() []byte {
	var b bytes.Buffer
	b.WriteString("# Statuses\n\n")
	b.WriteString("Every run ends with one of these statuses (`status` in `result.json`, `Result.Status` in the library). A limit that was reached is a status, not an error;\n")
	b.WriteString("what the answer is worth is for its certificate to say.\n\n")
	b.WriteString("| status | what happened, and what to do next | can be resumed |\n|---|---|---|\n")
	for _, s := range bilevel.Statuses() {
		resume := "no"
		if s.Limit() {
			resume = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", s, s.Sentence(), resume)
	}
	b.WriteString("\nThis page is generated from the table in `status.go`: `go test . -run TestStatusPage -update`.\n")
	return b.Bytes()
}

func TestStatusPage(t *testing.T) {
	path := filepath.Join("docs", "statuses.md")
	want := statusPage()
	if *update {
		if err := os.MkdirAll("docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the table of statuses says (%v): run go test . -run TestStatusPage -update", path, err)
	}
}

// Every status has a name of its own, one full sentence, and survives text.
func TestStatusTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range append(bilevel.Statuses(), bilevel.Running) {
		name, sentence := s.String(), s.Sentence()
		if name == "" || seen[name] || !strings.HasSuffix(sentence, ".") || strings.Count(sentence, ".") != 1 {
			t.Errorf("status %d: %q, %q", int(s), name, sentence)
		}
		seen[name] = true
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back bilevel.Status
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Errorf("%s came back as %v, %v", text, back, err)
		}
	}
	var s bilevel.Status
	if err := json.Unmarshal([]byte(`"solved"`), &s); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("an unknown status: %v", err)
	}
	for _, s := range []bilevel.Status{-1, 99} {
		if !strings.Contains(s.String(), "Status(") || s.Sentence() != s.String() {
			t.Errorf("a status out of range: %q", s)
		}
	}
}
