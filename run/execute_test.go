package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// prepared is a short run of a toy.
func prepared(t *testing.T, change func(c *Config)) *Job {
	t.Helper()
	c := Config{Problem: "toy/quadratic", Method: "pbgd-free", MaxIterations: 40}
	if change != nil {
		change(&c)
	}
	job, err := Prepare(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func fresh(t *testing.T) *Dir {
	t.Helper()
	d, err := Create(filepath.Join(t.TempDir(), "run"), false)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestExecuteWritesTheRun(t *testing.T) {
	job, d := prepared(t, nil), fresh(t)
	out, err := Execute(context.Background(), job, d, Options{Baselines: true, Command: []string{"bilevel", "solve"}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Document.Status != bilevel.IterationLimit || out.Document.Stats.Outer != 40 || out.Document.Certificate == nil {
		t.Fatalf("document %+v", out.Document)
	}
	r, err := Open(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := asJSON(t, r.Document), asJSON(t, out.Document); got != want {
		t.Errorf("result.json reads back as\n%s\nwant\n%s", got, want)
	}
	if len(r.Trace) != 40 || r.Trace[39].Iteration != 40 || r.Trace[39].Counts.GradF == 0 {
		t.Errorf("trace has %d rows", len(r.Trace))
	}
	r.Config.path, r.Config.lines = "", nil
	if !reflect.DeepEqual(r.Config, job.Config) {
		t.Errorf("config reads back as %+v, want %+v", r.Config, job.Config)
	}
	again, err := Prepare(r.Config, 1)
	if err != nil || !reflect.DeepEqual(again.Config, job.Config) || !reflect.DeepEqual(again.Method, job.Method) {
		t.Errorf("the resolved configuration does not repeat the run: %v\n%+v\n%+v", err, again.Config, job.Config)
	}
	log, err := os.ReadFile(d.Join(LogFile))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(log)), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line %d is no JSON: %s", i+1, line)
		}
	}
	left, _ := filepath.Glob(d.Join(".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteJSON(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// cancelling interrupts a run at one iteration.
type cancelling struct {
	at     int
	cancel context.CancelFunc
}

func (c *cancelling) Phase(string) {}
func (c *cancelling) Iteration(p *bilevel.Progress) {
	if p.Iteration == c.at {
		c.cancel()
	}
}

func TestResumeGivesTheSameBits(t *testing.T) {
	whole := fresh(t)
	want, err := Execute(context.Background(), prepared(t, nil), whole, Options{})
	if err != nil {
		t.Fatal(err)
	}
	parts := fresh(t)
	ctx, cancel := context.WithCancel(context.Background())
	out, err := Execute(ctx, prepared(t, nil), parts, Options{Observer: &cancelling{13, cancel}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Document.Status != bilevel.Interrupted || out.Document.Stats.Outer != 13 || out.Document.Certificate != nil {
		t.Fatalf("interrupted run: %+v", out.Document)
	}
	r, err := Open(parts.Path)
	if err != nil {
		t.Fatal(err)
	}
	job, err := r.Resume(Limits{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Execute(context.Background(), job, r.Dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want.Document.Stats.Wall, want.Document.Stats.CPU = 0, 0
	got.Document.Stats.Wall, got.Document.Stats.CPU = 0, 0
	if a, b := asJSON(t, got.Document), asJSON(t, want.Document); a != b {
		t.Errorf("resumed:\n%s\nuninterrupted:\n%s", a, b)
	}
	if a, b := untimed(t, parts), untimed(t, whole); !bytes.Equal(a, b) {
		t.Errorf("trace of the resumed run:\n%s\nuninterrupted:\n%s", a, b)
	}
}

// untimed is the trace of d without the column elapsed_s.
func untimed(t *testing.T, d *Dir) []byte {
	t.Helper()
	data, err := os.ReadFile(d.Join(TraceFile))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for line := range bytes.Lines(data) {
		cells := bytes.SplitN(line, []byte(","), 3)
		b.Write(cells[0])
		b.Write(cells[2])
	}
	return b.Bytes()
}

func TestResumeRefused(t *testing.T) {
	d := fresh(t)
	if _, err := Execute(context.Background(), prepared(t, nil), d, Options{}); err != nil {
		t.Fatal(err)
	}
	r, err := Open(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resume(Limits{}); !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), "more than the 40 iterations") {
		t.Errorf("resuming at the limit: %v", err)
	}
	job, err := r.Resume(Limits{MaxIterations: 60})
	if err != nil {
		t.Fatal(err)
	}
	if job.Settings.MaxIterations != 60 || job.Settings.Resume.Iteration != 40 {
		t.Errorf("settings %+v", job.Settings)
	}
	if err := os.WriteFile(d.Join("checkpoint/state.bin"), []byte("bilevel checkpoint\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resume(Limits{MaxIterations: 60}); !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), "state.bin") {
		t.Errorf("truncated checkpoint: %v", err)
	}
	r.Document.Status = bilevel.Converged
	if _, err := r.Resume(Limits{}); !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), "converged") {
		t.Errorf("resuming a finished run: %v", err)
	}
}

// fullDisk fails with ENOSPC once left bytes were written.
type fullDisk struct {
	osDisk
	left int
}

type fullFile struct {
	file
	disk *fullDisk
}

func (d *fullDisk) create(path string) (file, error) {
	f, err := d.osDisk.create(path)
	return &fullFile{f, d}, err
}

func (d *fullDisk) append(path string) (file, error) {
	f, err := d.osDisk.append(path)
	return &fullFile{f, d}, err
}

func (f *fullFile) Write(p []byte) (int, error) {
	n := min(len(p), f.disk.left)
	f.disk.left -= n
	n, err := f.file.Write(p[:n])
	if err == nil && n < len(p) {
		err = &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return n, err
}

func TestFullDisk(t *testing.T) {
	size := 0
	d := fresh(t)
	if _, err := Execute(context.Background(), prepared(t, nil), d, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ConfigFile, DetailsFile, TraceFile, LogFile, ResultFile, "checkpoint/state.bin"} {
		info, err := os.Stat(d.Join(name))
		if err != nil {
			t.Fatal(err)
		}
		size += int(info.Size())
	}
	refused := 0
	for left := 0; left < size; left += 97 {
		d := fresh(t)
		d.disk = &fullDisk{left: left}
		_, err := Execute(context.Background(), prepared(t, nil), d, Options{})
		if err == nil {
			continue // log.jsonl alone was cut: the answer is whole
		}
		refused++
		if !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%d bytes: error %v, want one line about the full disk", left, err)
		}
		if d.Has(ResultFile) {
			t.Errorf("%d bytes: a result.json was left", left)
		}
		if parts, _ := filepath.Glob(d.Join(".*")); len(parts) > 0 {
			t.Errorf("%d bytes: left behind %v", left, parts)
		}
	}
	if refused < 10 {
		t.Errorf("only %d runs failed", refused)
	}
}

func TestLongPointGoesToItsOwnFile(t *testing.T) {
	r := &bilevel.Result{X: make([]float64, longest), Y: []float64{1, math.NaN()}, Status: bilevel.Converged, Upper: math.Inf(1)}
	d := newDocument(r, 0)
	if d.PointFile != PointFile || d.X != nil || d.Y != nil {
		t.Errorf("%d numbers stayed in the document", len(d.X)+len(d.Y))
	}
	if text := asJSON(t, d); !strings.Contains(text, `"upper": null`) {
		t.Errorf("infinity is not null:\n%s", text)
	}
	r.X = r.X[:longest-2]
	if d := newDocument(r, 0); d.PointFile != "" || len(d.X) != longest-2 {
		t.Error("exactly the limit went to a file")
	}
}
