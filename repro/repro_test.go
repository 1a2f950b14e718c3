package repro

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
)

func TestUnknownExperiment(t *testing.T) {
	_, err := Run(context.Background(), "toy", Options{})
	if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), `did you mean "toys"?`) {
		t.Errorf("got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	runs := 0
	_, err := Run(ctx, "toys", Options{Progress: func(string, int, int) {
		if runs++; runs == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The JSON object has exactly the documented keys, and a figure that is not
// there is null.
func TestTableJSON(t *testing.T) {
	table := Table{Name: "n", Mode: "faithful", Rows: []Row{{"m", "d", "x", certify.Number(1.5), 2, none, "s", "why"}}}
	data, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	if got := keys(object); !slices.Equal(got, []string{"mode", "name", "rows", "stats"}) {
		t.Errorf("keys %v", got)
	}
	var rows []map[string]any
	if err := json.Unmarshal(object["rows"], &rows); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"method": "m", "dataset": "d", "metric": "x", "published": 1.5, "ours": 2., "ours_std": nil, "unit": "s", "note": "why"}
	if len(rows) != 1 || !reflect.DeepEqual(rows[0], want) {
		t.Errorf("rows %v", rows)
	}
	for _, e := range List() {
		if e.Name == "" || e.Title == "" {
			t.Errorf("experiment %+v", e)
		}
	}
}

func keys(m map[string]json.RawMessage) []string {
	var k []string
	for name := range m {
		k = append(k, name)
	}
	slices.Sort(k)
	return k
}

// The text puts the published figure beside ours and prints equal notes once.
func TestTableText(t *testing.T) {
	table := Table{Name: "toys", Mode: "corrected", Rows: []Row{
		{"blocc", "toy/blocc-1", "x", 0.3, 0.25, 0.125, "", "a note"},
		{"blocc", "toy/blocc-2", "time", none, 2, none, "s", "a note"},
	}}
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range map[int][]string{
		0: {"toys (corrected)"},
		3: {"toy/blocc-1", "blocc", "x", "0.3", "0.25", "±", "0.12", "[1]"},
		4: {"toy/blocc-2", "blocc", "time", "-", "2", "s", "[1]"},
	} {
		if got := strings.Fields(lines[i]); i > 0 && !slices.Equal(got, want) || i == 0 && lines[0] != want[0] {
			t.Errorf("line %d: %q, want %q", i, lines[i], want)
		}
	}
	if strings.Count(b.String(), "a note") != 1 {
		t.Errorf("notes are repeated:\n%s", b.String())
	}
}
