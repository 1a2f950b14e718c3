package training

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/run"
)

// golden finds a file of shared/golden, or skips.
func golden(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("BILEVEL_GOLDEN")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "golden")
	}
	path, err := filepath.Abs(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not there (set BILEVEL_GOLDEN)", name)
	}
	return path
}

// small is a training of a few steps.
func small(t *testing.T) tune.Config {
	t.Helper()
	model := golden(t, "lm/stories260k")
	t.Setenv(userdir.Variable, t.TempDir())
	dir := t.TempDir()
	var dpo, sft bytes.Buffer
	for i := range 24 {
		fmt.Fprintf(&dpo, "{\"prompt\":\"Say %d\",\"chosen\":\"It is %d.\",\"rejected\":\"No %d\"}\n", i, i, i)
		fmt.Fprintf(&sft, "{\"prompt\":\"Say %d\",\"response\":\"No %d\"}\n", i, i)
	}
	for name, b := range map[string]*bytes.Buffer{"dpo.jsonl": &dpo, "sft.jsonl": &sft} {
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return tune.Config{Model: model, Backend: "go", UpperFiles: filepath.Join(dir, "dpo.jsonl"), LowerFiles: filepath.Join(dir, "sft.jsonl"), Template: "plain",
		UpperBatch: 4, LowerBatch: 4, Steps: 3, HeadSteps: 2, EvalEvery: 2, FlatnessEvery: 2, Samples: -1, SampleTokens: 4, RateX: 1e-3, RateY: 1e-3, Lengths: 1, TensorBoard: true}
}

// stopper cancels after a step.
type stopper struct {
	stage  string
	step   int
	cancel func()
}

func (stopper) Phase(string)                {}
func (stopper) Evaluation(*tune.Evaluation) {}
func (s stopper) Step(p *tune.StepReport) {
	if p.Stage == s.stage && p.Step == s.step {
		s.cancel()
	}
}

func execute(t *testing.T, c tune.Config, d *run.Dir, o Options, ctx context.Context) *Outcome {
	t.Helper()
	j, err := tune.Prepare(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := d.WriteFile(run.ConfigFile, func(w io.Writer) error { return Write(w, j.Config) }); err != nil {
		t.Fatal(err)
	}
	out, err := Execute(ctx, j, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A training that was interrupted leaves the same records as one that was not, and
// both read back.
func TestExecuteResumes(t *testing.T) {
	c := small(t)
	var traces, evaluations [2]string
	for i, stop := range []stopper{{}, {stage: "head", step: 1}} {
		dir, err := run.Create(filepath.Join(t.TempDir(), "run"), false, OwnNames...)
		if err != nil {
			t.Fatal(err)
		}
		if stop.step > 0 {
			ctx, cancel := context.WithCancel(t.Context())
			stop.cancel = cancel
			out := execute(t, c, dir, Options{Observer: stop}, ctx)
			if out.Document.Status != bilevel.Interrupted || out.Document.Certificate != nil || !Checkpointed(dir) {
				t.Fatalf("%+v", out.Document)
			}
			// Rows of steps behind the checkpoint, as a killed process leaves them.
			f, err := os.OpenFile(dir.Join(run.TraceFile), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("head,2,1,,,,,,,,,,,,,,,,,\nhead,3,1")
				f.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		out := execute(t, c, dir, Options{Resume: stop.step > 0}, t.Context())
		d := out.Document
		if d.Certificate == nil || d.Certificate.Verdict != certify.Estimated || out.Early || Checkpointed(dir) || d.Stats.Outer != 5 {
			t.Fatalf("%+v", d)
		}
		for _, key := range []string{"dpo_loss", "dpo_accuracy", "sft_loss", "perplexity", "tokens_per_s"} {
			if !d.Metrics[key].Known() {
				t.Errorf("no %s", key)
			}
		}
		r, err := Open(dir.Path)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Trace) != 5 || len(r.Evaluations) != 5 || len(r.Details.Stages) != 2 || len(r.Details.Flatness) != 2 || !Is(dir.Path) {
			t.Errorf("%d rows, %d evaluations, stages %v, flatness %v", len(r.Trace), len(r.Evaluations), r.Details.Stages, r.Details.Flatness)
		}
		want := c
		if err := want.Fill(); err != nil {
			t.Fatal(err)
		}
		if r.Config.Config != want {
			t.Errorf("config %+v, want %+v", r.Config.Config, want)
		}
		traces[i], evaluations[i] = without(t, dir.Join(run.TraceFile), 2, 14), without(t, dir.Join(EvaluationsFile), 2)
		head, rows := r.Details.Table()
		if len(head) != 4 || len(rows) != 5 || rows[0][1] != "0.6931" {
			t.Errorf("%q %q", head, rows)
		}
	}
	if traces[0] != traces[1] {
		t.Errorf("traces differ:\n%s\n%s", traces[0], traces[1])
	}
	if evaluations[0] != evaluations[1] {
		t.Errorf("evaluations differ:\n%s\n%s", evaluations[0], evaluations[1])
	}
}

// without is a CSV file without the cells of some columns.
func without(t *testing.T, path string, columns ...int) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, ",")
		for _, c := range columns {
			cells[c] = ""
		}
		out = append(out, strings.Join(cells, ","))
	}
	return strings.Join(out, "")
}

// Not-a-number becomes null, and the certificate has a sentence for each figure.
func TestCertificate(t *testing.T) {
	e := &tune.Estimate{Upper: tune.Interval{Mean: 0.6, Lo: 0.5, Hi: 0.7}, Accuracy: tune.Interval{Mean: 1, Lo: inf(-1), Hi: inf(1)}, Lower: tune.Interval{Mean: 2, Lo: 1, Hi: 3},
		Gap: tune.Interval{Mean: 0.1, Lo: 0.05, Hi: 0.15}, GapSteps: 20, Delta: inf(1) - inf(1), Omitted: inf(1) - inf(1), Sentence: "Flatness was not measured."}
	c := certificate(e, &tune.Config{Gamma: 10})
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"verdict":"estimated"`, `"lower_gap":[0.05,0.15]`, `"omitted_ratio":null`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %s", b, want)
		}
	}
	if !strings.Contains(c.Message, "not the follower's best answer yet") || !strings.HasSuffix(c.Message, e.Sentence) {
		t.Error(c.Message)
	}
	for _, r := range c.Sentences() {
		if r.Sentence == "" || strings.Contains(r.Sentence, "NaN") || strings.Contains(r.Sentence, "Inf") {
			t.Errorf("%+v", r)
		}
	}
}

func inf(sign int) float64 { return math.Inf(sign) }
