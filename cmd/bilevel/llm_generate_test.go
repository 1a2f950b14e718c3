package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/llm/merge"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// goldenModel is the path of a file of the golden models, which newSession's change
// of directory does not move.
func goldenModel(t *testing.T, elem ...string) string {
	t.Helper()
	root := os.Getenv("BILEVEL_GOLDEN")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "golden")
	}
	path, err := filepath.Abs(filepath.Join(append([]string{root, "lm"}, elem...)...))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Skip(err, " (set BILEVEL_GOLDEN)")
	}
	return path
}

// slow skips a test that the race detector would run for a minute.
func slow(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("arithmetic on one goroutine, which the race detector makes slow")
	}
}

const story = "Once upon a time, there was a little girl"

func TestGenerate(t *testing.T) {
	slow(t)
	model, adapter, head := goldenModel(t, "stories260k"), goldenModel(t, "peft", "lora"), goldenModel(t, "peft", "lm_head.safetensors")
	s := newSession(t)
	s.run("llm", "generate", model, story, "--backend", "go", "--max-tokens", "12").want(exitSolved)
	const text = " named Lily. She loved to play outside in the park."
	if !strings.HasPrefix(text, strings.TrimSuffix(s.out, "\n")) || len(s.out) < 15 || !strings.Contains(s.err, "12 new tokens after 13") || !strings.Contains(s.err, "token limit") {
		t.Errorf("%q\n%s", s.out, s.err)
	}
	base := s.out
	s.runWith(context.Background(), story+"\n", "llm", "generate", model, "--backend", "go", "--max-tokens", "12", "-q").want(exitSolved)
	if s.out != base || s.err != "" {
		t.Errorf("from standard input: %q\n%s", s.out, s.err)
	}
	s.run("llm", "generate", model, story, "--backend", "go", "--max-tokens", "24", "--adapter", adapter, "--head", head).want(exitSolved)
	if !strings.Contains(s.out, "in the sunshine") {
		t.Errorf("with an adapter and a head: %q", s.out)
	}
	if err := os.WriteFile("prompts.txt", []byte(story+"\n\nLily and Tom\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sampled := []string{"llm", "generate", model, "--backend", "go", "--file", "prompts.txt", "--max-tokens", "8", "--temperature", "1", "--top-k", "40", "--seed", "3"}
	s.run(sampled...).want(exitSolved)
	if first := s.out; !strings.HasPrefix(first, story) || !strings.Contains(first, "\n\nLily and Tom") {
		t.Errorf("%q", first)
	} else if s.run(sampled...); s.out != first {
		t.Errorf("the same seed gives %q, then %q", first, s.out)
	}
	s.run(append(sampled, "--json")...).want(exitSolved)
	texts := s.object()["texts"].([]any)
	if one := texts[1].(map[string]any); len(texts) != 2 || one["prompt"] != "Lily and Tom" || len(one["ids"].([]any)) != 8 || one["reason"] != "token limit" {
		t.Errorf("%s", s.out)
	}
	s.run("llm", "generate", model, "Say hello", "--template", "alpaca", "--backend", "go", "--max-tokens", "3").want(exitSolved)
	for says, args := range map[string][]string{
		"takes a model":           {},
		"did you mean":            {"smolm2", "x"},
		"no chat template":        {model, "x", "--template", "model", "--backend", "go"},
		"alpaca, chatml":          {model, "x", "--template", "none", "--backend", "go"},
		"--max-tokens":            {model, "x", "--max-tokens", "0", "--backend", "go"},
		"Temperature":             {model, "x", "--temperature", "-1", "--backend", "go"},
		"--system":                {model, "x", "--system", "y"},
		"beside prompts":          {model, "x", "--file", "prompts.txt"},
		"no prompt":               {model},
		"backend":                 {model, "x", "--backend", "tpu"},
		"adapter_config.json":     {model, "x", "--adapter", model},
		"lm_head.weight or embed": {model, "x", "--head", filepath.Join(adapter, "adapter_model.safetensors")},
		"1 to 511 tokens":         {model, strings.Repeat("word ", 600), "--backend", "go"},
	} {
		if s.run(append([]string{"llm", "generate"}, args...)...).want(exitInput); !strings.Contains(s.err, says) {
			t.Errorf("%q: the error lacks %q: %s", args, says, s.err)
		}
	}
}

// A merged folder continues as its parts do, and an exported adapter too.
func TestMergeAndExport(t *testing.T) {
	slow(t)
	model, adapter, head := goldenModel(t, "stories260k"), goldenModel(t, "peft", "lora"), goldenModel(t, "peft", "lm_head.safetensors")
	s := newSession(t)
	say := func(m string, args ...string) string {
		t.Helper()
		return s.run(append([]string{"llm", "generate", m, "The cat", "--backend", "go", "--max-tokens", "24", "-q"}, args...)...).want(exitSolved).out
	}
	want := say(model, "--adapter", adapter, "--head", head)
	if want == say(model) {
		t.Fatal("adapter and head change nothing")
	}
	s.run("llm", "merge", model, "--adapter", adapter, "--head", head, "--out", "merged", "--shard", "0.0003", "--json").want(exitSolved)
	if r := s.object(); r["untied"] != true || r["changed"] != 11.0 || !slices.Contains(r["files"].([]any), any("model.safetensors.index.json")) {
		t.Errorf("%s", s.out)
	}
	if got := say("merged"); got != want {
		t.Errorf("merged: %q, want %q", got, want)
	}
	s.run("llm", "merge", "merged", "--out", "half", "--type", "bf16").want(exitSolved)
	if m, err := weights.Open("half"); err != nil || m.StoredAs("lm_head.weight") != "BF16" {
		t.Errorf("%v", err)
	} else {
		m.Close()
	}
	s.run("llm", "export", model, "--adapter", adapter, "--head", head, "--out", "whole").want(exitSolved)
	if got := say(model, "--adapter", "whole"); got != want {
		t.Errorf("exported: %q, want %q", got, want)
	}
	s.run("llm", "export", model, "--adapter", "whole", "--out", "apart", "--head-apart").want(exitSolved)
	if got := say(model, "--adapter", "apart", "--head", filepath.Join("apart", merge.HeadFile)); got != want {
		t.Errorf("exported apart: %q, want %q", got, want)
	}
	for says, args := range map[string][]string{
		"--out":               {"merge", model},
		"new or empty":        {"merge", model, "--out", "merged"},
		"f32, f16 or bf16":    {"merge", model, "--out", "x", "--type", "q4"},
		"number of GB":        {"merge", model, "--out", "x", "--shard", "0"},
		"one model":           {"merge"},
		"at least one":        {"export", model, "--out", "x"},
		"new or empty folder": {"export", model, "--out", "whole", "--head", head},
	} {
		if s.run(append([]string{"llm"}, args...)...).want(exitInput); !strings.Contains(s.err, says) {
			t.Errorf("%q: the error lacks %q: %s", args, says, s.err)
		}
	}
}
