package repro

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/userdir"
)

// Four methods train on a few rows at the same cost, and the rows have the published
// figures beside ours.
func TestPBGDFreeTable2(t *testing.T) {
	root := os.Getenv("BILEVEL_GOLDEN")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "golden")
	}
	model := filepath.Join(root, "lm", "stories260k")
	if _, err := os.Stat(model); err != nil {
		t.Skip("lm/stories260k is not there (set BILEVEL_GOLDEN)")
	}
	t.Setenv(userdir.Variable, t.TempDir())
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	var rows strings.Builder
	for i := range 24 {
		fmt.Fprintf(&rows, "{\"prompt\":\"Say %d\",\"chosen\":\"It is %d.\",\"rejected\":\"No %d\",\"response\":\"No %d\"}\n", i, i, i, i)
	}
	if err := os.WriteFile(path, []byte(rows.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{"model": model, "backend": "go", "upper.files": path, "lower.files": path, "lower.columns": "prompt=prompt,response=response", "template": "plain",
		"steps": "2", "stage2.steps": "1", "batch.upper": "4", "batch.lower": "4", "batch.lengths": "1", "flatness_every": "2"}
	table, err := Run(t.Context(), "pbgdfree-table2", Options{Seed: 1, Settings: set})
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]Row{}
	for _, r := range table.Rows {
		at[r.Method+" "+r.Metric] = r
	}
	budget := float64(at["pbgd-free passes"].Ours)
	for _, p := range tunePublished {
		for metric, published := range map[string]float64{"dpo_loss_bilevel": p.dpo, "sft_loss_bilevel": p.sft, "dpo_loss_head": p.dpo2, "sft_loss_head": p.sft2} {
			r := at[p.method+" "+metric]
			if float64(r.Published) != published || !(r.Ours > 0) || r.Ours > 20 || !strings.Contains(r.Note, "another model") {
				t.Errorf("%s %s: %+v", p.method, metric, r)
			}
		}
		if passes := float64(at[p.method+" passes"].Ours); passes < budget || passes > 4*budget {
			t.Errorf("%s: %g passes with a budget of %g", p.method, passes, budget)
		}
	}
	if r := at["pbgd-free dpo_loss_before"]; r.Ours < 0.693 || r.Ours > 0.6932 {
		t.Errorf("before the training: %+v", r)
	}
	for _, bad := range []map[string]string{nil, {"algorithm": "dpo"}, {"stepz": "3"}} {
		if _, err := Run(t.Context(), "pbgdfree-table2", Options{Settings: bad}); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := Run(t.Context(), "toys", Options{Settings: set}); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("settings of an experiment without any: %v", err)
	}
}
