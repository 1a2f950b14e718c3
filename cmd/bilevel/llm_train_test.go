package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/llm/tune"
)

// trainingFiles writes rows of both kinds into the working directory and returns the
// path of a model, or skips.
func trainingFiles(t *testing.T) string {
	t.Helper()
	root := os.Getenv("BILEVEL_GOLDEN")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "golden")
	}
	model, err := filepath.Abs(filepath.Join(root, "lm", "stories260k"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(model); err != nil {
		t.Skip("lm/stories260k is not there (set BILEVEL_GOLDEN)")
	}
	return model
}

func writeTrainingFiles(t *testing.T) {
	t.Helper()
	t.Setenv(userdir.Variable, t.TempDir())
	var dpo, sft strings.Builder
	for i := range 24 {
		fmt.Fprintf(&dpo, "{\"prompt\":\"Say %d\",\"chosen\":\"It is %d.\",\"rejected\":\"No %d\"}\n", i, i, i)
		fmt.Fprintf(&sft, "{\"prompt\":\"Say %d\",\"response\":\"No %d\"}\n", i, i)
	}
	for name, text := range map[string]string{"dpo.jsonl": dpo.String(), "sft.jsonl": sft.String()} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// A training from two files, its report, and the evaluation of what it left.
func TestTrain(t *testing.T) {
	model := trainingFiles(t)
	s := newSession(t)
	writeTrainingFiles(t)
	if err := os.WriteFile("tune.yaml", []byte("backend: go\ntemplate: plain\nbatch: {upper: 4, lower: 4, lengths: 1}\nstage2.steps: 1\nflatness_every: 2\nsamples: {count: 1, tokens: 4}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	s.run("llm", "train", "tune.yaml", "--model", model, "--preferences", "dpo.jsonl", "--supervised", "sft.jsonl", "--set", "steps=2", "--out", "r").want(exitSolved)
	for _, want := range []string{"ESTIMATED", "after stage head", "DPO accuracy", "perplexity", "value-function term", "prompt  Say", "r/report.html", "llm chat " + model + " --adapter r/adapter --head r/lm_head.safetensors"} {
		if !strings.Contains(s.out, want) {
			t.Errorf("summary lacks %q:\n%s", want, s.out)
		}
	}
	for _, want := range []string{"bilevel 1/2", "tok/s", "held out, stage head step 1"} {
		if !strings.Contains(s.err, want) {
			t.Errorf("progress lacks %q:\n%s", want, s.err)
		}
	}
	page := read(t, "r/report.html")
	for _, want := range []string{"Was dropping the value-function term safe?", "held out", "batch.upper", "<svg", "Say "} {
		if !strings.Contains(page, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	s.run("report", "r", "--out", "again.html").want(exitSolved)
	s.run("llm", "train", "--resume", "r").want(exitInput)
	if !strings.Contains(s.err, "it has ended") {
		t.Error(s.err)
	}
	s.run("llm", "eval", model, "--adapter", "r/adapter", "--head", "r/lm_head.safetensors", "--preferences", "dpo.jsonl", "--supervised", "sft.jsonl", "--generate", "1",
		"--max-tokens", "2", "--rows", "4", "--template", "plain", "--backend", "go", "--json", "-q").want(exitSolved)
	o := s.object()
	tuned, base := o["metrics"].(map[string]any), o["base_metrics"].(map[string]any)
	if base["dpo_loss"].(float64) < 0.693 || tuned["dpo_loss"] == base["dpo_loss"] || tuned["sft_loss"].(float64) <= 0 || tuned["bleu"] == nil {
		t.Errorf("%v", o)
	}
}

func TestTrainRefuses(t *testing.T) {
	s := newSession(t)
	if err := os.WriteFile("bad.yaml", []byte("model: m\nlora:\n  rnak: 3\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "--model"},
		{[]string{"bad.yaml"}, `bad.yaml:3: setting = "lora.rnak"`},
		{[]string{"none.yaml"}, "none.yaml"},
		{[]string{"a.yaml", "b.yaml"}, "one file at most"},
		{[]string{"--set", "gama=3"}, `did you mean "gamma"?`},
		{[]string{"--set", "model=a", "--model", "b"}, "either --model or --set"},
		{[]string{"--model", "m", "--preferences", "p", "--supervised", "s", "--method", "magic"}, "pbgd-free"},
		{[]string{"--model", "./m", "--preferences", "p", "--supervised", "s"}, "/m"},
		{[]string{"--resume", "nowhere"}, "nowhere"},
		{[]string{"--resume", "nowhere", "--set", "steps=3"}, "the training keeps its own"},
	} {
		s.run(append([]string{"llm", "train"}, c.args...)...).want(exitInput)
		if !strings.Contains(s.err, c.want) || strings.Count(s.err, "\n") > 3 {
			t.Errorf("%q: %s", c.args, s.err)
		}
	}
	if _, err := os.Stat("runs"); err == nil {
		t.Error("a refused training leaves a run directory")
	}
	for _, c := range []struct {
		args []string
		want string
	}{{[]string{"m"}, "--preferences"}, {[]string{"m", "--preferences", "p", "--generate", "1"}, "--generate"}, {[]string{"m", "--preferences", "p", "--beta", "0"}, "--beta"}} {
		s.run(append([]string{"llm", "eval"}, c.args...)...).want(exitInput)
		if !strings.Contains(s.err, c.want) {
			t.Errorf("%q: %s", c.args, s.err)
		}
	}
}

// Every setting is listed, and the file to begin with has them all.
func TestLLMConfig(t *testing.T) {
	s := newSession(t)
	lists := []string{s.run("llm", "config").want(exitSolved).out, s.run("llm", "config", "--help").want(exitSolved).out, s.run("llm", "config", "--json").want(exitSolved).out}
	for _, name := range option.Names(&tune.Config{}) {
		for _, l := range lists {
			if !strings.Contains(l, name) {
				t.Errorf("%s is not listed", name)
			}
		}
	}
	if s.run("llm", "config", "--yaml").want(exitSolved); !strings.Contains(s.out, "files: preferences.jsonl") {
		t.Error(s.out)
	}
}
