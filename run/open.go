package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/bilevel-go/bilevel"
)

// Run is a run directory read back.
type Run struct {
	Dir      *Dir
	Config   Config
	Document *Document // nil when the run has not got that far
	Details  *Details
	Point    *Point
	Trace    []Row
}

// Open reads the run directory at path. A directory without a configuration is
// no run directory: the error matches bilevel.ErrInvalid.
func Open(path string) (*Run, error) {
	r := &Run{Dir: &Dir{Path: path, disk: osDisk{}}, Details: &Details{}}
	if !r.Dir.Has(ConfigFile) {
		return nil, &bilevel.SettingError{Field: "run directory", Value: path, Allowed: "a directory that `bilevel solve` made (there is no " + ConfigFile + " in it)"}
	}
	var err error
	if r.Config, err = ReadConfig(r.Dir.Join(ConfigFile)); err != nil {
		return nil, err
	}
	if err := readJSON(r.Dir.Join(DetailsFile), r.Details); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var doc Document
	switch err := readJSON(r.Dir.Join(ResultFile), &doc); {
	case err == nil:
		if c := doc.Certificate; c != nil { // its sentences need what the document has
			c.Upper, c.Lower = doc.Upper, doc.Lower
		}
		r.Document = &doc
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if r.Document != nil {
		if r.Point, err = r.point(); err != nil {
			return nil, err
		}
	}
	if f, err := os.Open(r.Dir.Join(TraceFile)); err == nil {
		defer f.Close()
		if r.Trace, err = ReadTrace(f); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Dir.Join(TraceFile), err)
		}
	}
	return r, nil
}

func (r *Run) point() (*Point, error) {
	d := r.Document
	if d.PointFile == "" {
		return &Point{d.X, d.Y, d.Multipliers}, nil
	}
	if d.PointFile != PointFile {
		return nil, &bilevel.SettingError{Field: r.Dir.Join(ResultFile) + ": point_file", Value: d.PointFile, Allowed: PointFile}
	}
	f, err := os.Open(r.Dir.Join(PointFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParsePoint(r.Dir.Join(PointFile), f)
}

// Resume makes the run ready to go on from its checkpoint. Zero fields of limits
// keep the run's own: a larger time or iteration limit lets a limited run go on.
func (r *Run) Resume(limits Limits) (*Job, error) {
	if r.Document != nil && !r.Document.Status.Limit() {
		return nil, &bilevel.SettingError{Field: "resume", Value: r.Dir.Path, Allowed: fmt.Sprintf("an interrupted or limited run, and this one has ended (%s)", r.Document.Status)}
	}
	state, cpu, err := r.Dir.LoadState()
	if err != nil {
		return nil, err
	}
	c := r.Config
	if limits.MaxIterations != 0 {
		c.MaxIterations = limits.MaxIterations
	}
	if limits.Time != 0 {
		c.TimeLimit = limits.Time
	}
	switch {
	case c.MaxIterations > 0 && state.Iteration >= c.MaxIterations:
		return nil, &bilevel.SettingError{Field: "max-iterations", Value: c.MaxIterations, Allowed: fmt.Sprintf("more than the %d iterations already done", state.Iteration)}
	case c.TimeLimit > 0 && state.Elapsed >= c.TimeLimit:
		return nil, &bilevel.SettingError{Field: "time-limit", Value: c.TimeLimit, Allowed: fmt.Sprintf("more than the %v already used", state.Elapsed.Round(time.Millisecond))}
	}
	job, err := Prepare(c, limits.Workers)
	if err != nil {
		return nil, err
	}
	job.Settings.Resume, job.cpu = state, cpu
	return job, nil
}

// Limits are what a resumed run may change: its answer does not depend on them.
type Limits struct {
	MaxIterations int
	Time          time.Duration
	Workers       int
}

// readJSON decodes the file at path into v; an error names the file and the line.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	err = json.Unmarshal(data, v)
	line := func(offset int64) int { return 1 + bytes.Count(data[:min(int64(len(data)), offset)], []byte("\n")) }
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s:%d: %w", path, line(syntax.Offset), err)
	case errors.As(err, &typed):
		return fmt.Errorf("%s:%d: %w", path, line(typed.Offset), err)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
