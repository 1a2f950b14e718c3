package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/run"
)

// The demo leaves a run directory that the other commands read, and can be run again
// from its configuration.
func TestSolveDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	var out, errOut bytes.Buffer
	args := []string{"solve", "llm/demo", "--json", "--out", dir}
	for _, kv := range []string{"backend=go", "pretrain=5", "budget=1", "stage2=1", "points=1", "prompts=2", "held_out=48"} {
		args = append(args, "--set", kv)
	}
	if code := Main(context.Background(), args, strings.NewReader(""), &out, &errOut); code != exitSolved {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	var d run.Document
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"dpo_loss", "dpo_accuracy", "sft_loss", "perplexity", "tokens_per_s", "peak_memory_bytes"} {
		if v, ok := d.Metrics[key]; !ok || !v.Known() {
			t.Errorf("metric %s is %v", key, v)
		}
	}
	if d.Certificate == nil || d.Certificate.Verdict.String() != "estimated" || d.Problem != "llm/demo" || d.Method != "pbgd-free" || d.Stats.Outer < 1 || len(d.X) == 0 || len(d.Y) == 0 {
		t.Errorf("document %.600s", out.String())
	}
	r, err := run.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Trace) != d.Stats.Outer || len(r.Details.Sections) != 2 || r.Config.ProblemSettings["budget"] != "1" || r.Config.ProblemSettings["gamma"] != "10" {
		t.Errorf("%d rows in the trace, %d sections, settings %v", len(r.Trace), len(r.Details.Sections), r.Config.ProblemSettings)
	}
	for name, want := range map[string]string{run.ReportFile: "The trade-off", demoFile: "pbgd-free,bilevel,0,0", run.LogFile: "base model", run.ConfigFile: "problem: llm/demo"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s does not hold %q: %v", name, want, err)
		}
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"solve", "llm/demo", "--method", "bome"}, "pbgd-free"},
		{[]string{"solve", "llm/demo", "--mode", "faithful"}, "corrected"},
		{[]string{"solve", "llm/demo", "--tolerance", "1"}, "tolerance"},
		{[]string{"solve", "llm/demo", "--set", "gama=3"}, "gamma"},
		{[]string{"solve", "llm/demo", "--set", "backend=abacus", "--out", filepath.Join(t.TempDir(), "x")}, "backend"},
		{[]string{"solve", "--resume", dir}, "checkpoint"},
	} {
		var errOut bytes.Buffer
		if code := Main(context.Background(), c.args, strings.NewReader(""), &out, &errOut); code != exitInput || !strings.Contains(errOut.String(), c.says) {
			t.Errorf("%v: exit code %d, %s", c.args, code, errOut.String())
		}
	}
	// Interrupted before there is an answer: the directory says so.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out.Reset()
	dir = filepath.Join(t.TempDir(), "cut")
	if code := Main(ctx, []string{"solve", "llm/demo", "--set", "backend=go", "--out", dir}, strings.NewReader(""), &out, &errOut); code != exitInterrupted {
		t.Errorf("interrupted: exit code %d", code)
	}
	if r, err := run.Open(dir); err != nil || r.Document == nil || r.Document.Certificate != nil {
		t.Errorf("interrupted: %v", err)
	}
}

func TestListDemo(t *testing.T) {
	var out bytes.Buffer
	for _, args := range [][]string{{"list", "problems"}, {"list", "settings", "llm/demo"}} {
		if code := Main(context.Background(), args, strings.NewReader(""), &out, &out); code != exitSolved {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	if !strings.Contains(out.String(), "llm/demo") || !strings.Contains(out.String(), "budget") {
		t.Error(out.String())
	}
}
