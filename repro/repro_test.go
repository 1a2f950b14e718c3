package repro

import (
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
