package tune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// files writes rows of both kinds on the same prompts and returns their paths.
func files(t *testing.T, n int) (dpo, sft string) {
	t.Helper()
	dir := t.TempDir()
	var preferences, supervised []map[string]string
	for i := range n {
		prompt := fmt.Sprintf("Say %d", i)
		preferences = append(preferences, map[string]string{"prompt": prompt, "chosen": fmt.Sprintf("It is %d.", i), "rejected": fmt.Sprintf("No %d", i)})
		supervised = append(supervised, map[string]string{"prompt": prompt, "response": fmt.Sprintf("No %d", i)})
	}
	write := func(name string, v any) string {
		b, err := json.Marshal(v)
		path := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(path, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("dpo.json", preferences), write("sft.json", supervised)
}

func config(t *testing.T, set ...string) Config {
	t.Helper()
	t.Setenv(userdir.Variable, t.TempDir())
	dpo, sft := files(t, 24)
	c := Config{Model: lmtest.Golden(t, "stories260k"), Backend: "go", UpperFiles: dpo, LowerFiles: sft, Template: "plain",
		UpperBatch: 4, LowerBatch: 4, Steps: 4, HeadSteps: 2, FlatnessEvery: 2, Samples: 2, SampleTokens: 4, RateX: 1e-3, RateY: 1e-3, Lengths: 1}
	for _, kv := range set {
		k, v, _ := strings.Cut(kv, "=")
		if err := c.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func prepare(t *testing.T, c Config) *Job {
	t.Helper()
	j, err := Prepare(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j
}

// A job trains in two stages, writes what other tools load, and says what held-out
// rows tell.
func TestJob(t *testing.T) {
	j := prepare(t, config(t, "best=sum", "eval.generate=2"))
	dir := t.TempDir()
	out, err := j.Run(t.Context(), RunSettings{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Stages) != 2 || out.Stages[0].Steps != 4 || out.Stages[1].Steps != 2 {
		t.Fatalf("stages %+v", out.Stages)
	}
	if len(out.Flatness) != 2 || out.Estimate == nil || out.Estimate.Sentence == "" || out.Texts == nil {
		t.Errorf("flatness %v, estimate %+v, texts %v", out.Flatness, out.Estimate, out.Texts)
	}
	if len(out.Samples) != 2 || out.Samples[0].Prompt == "" {
		t.Errorf("samples %+v", out.Samples)
	}
	a, err := weights.ReadAdapter(filepath.Join(dir, AdapterFolder))
	if err == nil {
		err = a.Bind("adapter", &j.Model.Config)
	}
	if err != nil {
		t.Fatal(err)
	}
	var x []float32
	for _, l := range a.Layers {
		x = append(append(x, l.A...), l.B...)
	}
	if !slices.Equal(x, out.X) {
		t.Error("the adapter on disk is another one")
	}
	head, _, err := weights.OpenSafetensors(filepath.Join(dir, HeadFile))
	if err != nil {
		t.Fatal(err)
	}
	defer head.Close()
	if y, _, err := head.Tensor("lm_head.weight"); err != nil || !slices.Equal(y, out.Y) {
		t.Errorf("the head on disk is another one: %v", err)
	}
	for _, name := range []string{SplitFile, SamplesFile, filepath.Join(BestFolder, HeadFile)} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, checkpointFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Error("a checkpoint is left")
	}
}

// A training that is interrupted in either stage goes on to the same bits.
func TestJobResumes(t *testing.T) {
	c := config(t, "samples.count=-1", "stage2.steps=3")
	whole, err := prepare(t, c).Run(t.Context(), RunSettings{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		stage string
		step  int
	}{{"bilevel", 3}, {"head", 1}} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		part, err := prepare(t, c).Run(ctx, RunSettings{Dir: dir, Watch: &steps{at: func(r StepReport) error {
			if r.Stage == at.stage && r.Step == at.step {
				cancel()
			}
			return nil
		}}})
		if err != nil || part.Status != bilevel.Interrupted {
			t.Fatalf("%v: %v, %v", at, part.Status, err)
		}
		rest, err := prepare(t, c).Run(t.Context(), RunSettings{Dir: dir, Resume: true})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(rest.X, whole.X) || !slices.Equal(rest.Y, whole.Y) || len(rest.Stages) != 2 {
			t.Errorf("%v: a resumed training ends elsewhere, after %d stages", at, len(rest.Stages))
		}
	}
}

// A checkpoint of other settings is refused, and so is a damaged one; an older
// whole one is used in its place.
func TestCheckpoints(t *testing.T) {
	dir := t.TempDir()
	state := &bilevel.State{Problem: "p", Method: "m", Iteration: 3, Blocks: map[string][]float64{"x": {1, 2.5}}, Scalars: map[string]float64{"t": 0.1}}
	for n := range 3 {
		state.Iteration = n
		if err := (&saved{Stage: "bilevel", Config: "c", State: state}).write(dir, 2); err != nil {
			t.Fatal(err)
		}
	}
	all, err := checkpoints(filepath.Join(dir, checkpointFolder))
	if err != nil || !slices.Equal(all, []int{2, 3}) {
		t.Fatalf("checkpoints %v, %v", all, err)
	}
	s, err := readCheckpoint(dir)
	if err != nil || s.State.Iteration != 2 || !slices.Equal(s.State.Blocks["x"], []float64{1, 2.5}) || s.State.Scalars["t"] != 0.1 {
		t.Fatalf("%+v, %v", s, err)
	}
	damage := func(n, name string) {
		path := filepath.Join(dir, checkpointFolder, n, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	damage("3", blocksFile)
	if s, err = readCheckpoint(dir); err != nil || s.State.Iteration != 1 {
		t.Errorf("with the newest damaged: %+v, %v", s, err)
	}
	damage("2", blocksFile)
	if _, err = readCheckpoint(dir); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("with all damaged: %v", err)
	}
	if _, err = readCheckpoint(t.TempDir()); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("without any: %v", err)
	}
}

// Mistakes are refused before any work, with the setting's name.
func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"model":       {UpperFiles: "a", LowerFiles: "b"},
		"upper.files": {Model: "m", LowerFiles: "b"},
		"time_limit":  {Model: "m", UpperFiles: "a", LowerFiles: "b", Time: "soon"},
		"algorithm":   {Model: "m", UpperFiles: "a", LowerFiles: "b", Algorithm: "magic"},
		"schedule":    {Model: "m", UpperFiles: "a", LowerFiles: "b", Time: "1h", Schedule: "cosine"},
	} {
		var s *bilevel.SettingError
		if err := c.Fill(); !errors.As(err, &s) || s.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := config(t, "batch.accumulate=3")
	if _, err := Prepare(t.Context(), c, nil); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("a batch that does not divide: %v", err)
	}
}

// A teacher is loaded when the job is prepared, once, and a wrong one is refused there.
func TestTeacher(t *testing.T) {
	c := config(t, "lower.objective=distill", "samples.count=-1", "steps=1", "stage2.steps=1", "flatness_every=-1")
	c.Teacher = c.Model
	j := prepare(t, c)
	var teachers []*Trainer
	for range 2 {
		stages, err := j.stages()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stages {
			teachers = append(teachers, s.Lower.Objective.Teacher)
		}
	}
	for _, teacher := range teachers {
		if teacher == nil || teacher != teachers[0] {
			t.Fatalf("teachers %v", teachers)
		}
	}
	out, err := j.Run(t.Context(), RunSettings{Dir: t.TempDir()})
	if err != nil || !(out.Lower > 0) {
		t.Errorf("lower loss %g, %v", out.Lower, err)
	}
	c.Teacher = "nobody"
	if _, err := Prepare(t.Context(), c, nil); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("an unknown teacher: %v", err)
	}
}
