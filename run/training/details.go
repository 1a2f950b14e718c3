package training

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/run"
)

// kind tells the details of a training from those of other runs.
const kind = "training"

// Details is what a report says beside the result: details.json.
type Details struct {
	Kind     string    `json:"kind"`
	Command  []string  `json:"command,omitempty"` // the command line that repeats the training
	Started  time.Time `json:"started"`
	Backend  string    `json:"backend"`
	Model    string    `json:"model"`
	Template string    `json:"template"`
	Context  int       `json:"context"`
	X        int       `json:"x"` // parameters of the updates, the head and the frozen model
	Y        int       `json:"y"`
	Base     int       `json:"base"`
	Parts    []Part    `json:"parts"`
	Leaks    int       `json:"leaks,omitempty"`
	Removed  int       `json:"removed,omitempty"`
	Unused   int       `json:"unused,omitempty"`
	Skipped  []string  `json:"skipped,omitempty"` // bad rows left out, by level

	Stages   []tune.StageSummary `json:"stages,omitempty"`
	Flatness []tune.Flatness     `json:"flatness,omitempty"`
	Safe     *bool               `json:"safe,omitempty"` // to drop the value-function term
	Sentence string              `json:"sentence,omitempty"`
	Texts    *tune.Texts         `json:"texts,omitempty"`
	Samples  []tune.Sample       `json:"samples,omitempty"`
	Files    []string            `json:"files,omitempty"`
	Try      []string            `json:"try,omitempty"` // the command line that talks to the result
}

// Part is the rows of one use.
type Part struct {
	Name    string  `json:"name"`
	Rows    int     `json:"rows"`
	Kept    int     `json:"kept"`
	Cut     int     `json:"cut"`
	Dropped int     `json:"dropped"`
	Why     string  `json:"why,omitempty"`
	Mean    float64 `json:"mean"` // tokens of a sequence
	Longest int     `json:"longest"`
	Padding float64 `json:"padding"` // share of batches; -1 where it was not measured
	Report  string  `json:"report"`
}

// partNames are the parts in the order of reports.
var partNames = []string{"upper level", "lower level", "stage 2", "upper evaluation", "lower evaluation"}

func newDetails(j *tune.Job, command []string) (*Details, error) {
	s, err := j.Sizes()
	if err != nil {
		return nil, err
	}
	d := &Details{Kind: kind, Command: command, Started: time.Now().UTC().Truncate(time.Second), Backend: j.Backend.String(), Model: j.Config.Model,
		Template: j.Data.Template, Context: j.Model.Config.Context, X: s.X, Y: s.Y, Base: s.Base, Leaks: j.Data.Split.Leaks, Removed: j.Data.Split.Removed, Unused: j.Data.Split.Unused}
	for _, name := range partNames {
		r := j.Data.Reports[name]
		if r == nil {
			continue
		}
		p := Part{Name: name, Rows: r.Rows, Kept: r.Kept, Cut: r.Cut, Dropped: r.Dropped.Total(), Mean: r.Mean(), Longest: r.Longest, Padding: -1, Report: r.String()}
		if p.Dropped > 0 {
			p.Why = r.Dropped.String()
		}
		switch name {
		case "upper level":
			p.Padding = j.Data.Padding["upper"]
		case "lower level":
			p.Padding = j.Data.Padding["lower"]
		}
		d.Parts = append(d.Parts, p)
	}
	for _, level := range slices.Sorted(maps.Keys(j.Data.Skipped)) {
		d.Skipped = append(d.Skipped, fmt.Sprintf("%s: %s", level, j.Data.Skipped[level]))
	}
	return d, nil
}

// certificate is what held-out rows say of an answer: estimated, with intervals.
func certificate(e *tune.Estimate, c *tune.Config) *certify.Certificate {
	none := certify.Number(math.NaN())
	n := func(v float64) certify.Number { return certify.Number(v) }
	figure := func(name, what string, i tune.Interval) certify.Check {
		c := certify.Check{Name: name, Value: n(i.Mean), Tolerance: none, Sentence: what + " on held-out rows."}
		if i.Lo-i.Lo == 0 {
			c.Interval = &certify.Interval{n(i.Lo), n(i.Hi)}
		} else {
			c.Sentence = what + " on held-out rows, which fill one batch: too few for an interval."
		}
		return c
	}
	cert := &certify.Certificate{
		Verdict:  certify.Estimated,
		LowerGap: certify.Interval{n(e.Gap.Lo), n(e.Gap.Hi)}, LowerKKT: none, Complementarity: none,
		Hypergradient: certify.Hypergradient{Norm: none, Error: none, Probe: none, Slope: none, Decrease: none},
		UpperSpread:   certify.Interval{none, none}, UpperError: none,
		Flatness: certify.Flatness{Delta: n(e.Delta), Alpha: method.FlatAlpha, C: method.FlatC, OmittedRatio: n(e.Omitted), Gamma: n(c.Gamma)},
		Checks: []certify.Check{
			figure("dpo_loss", "The upper objective", e.Upper), figure("dpo_accuracy", "The share of pairs whose chosen response has the larger reward", e.Accuracy),
			figure("sft_loss", "The lower objective", e.Lower),
		},
		Upper: n(e.Upper.Mean), Lower: n(e.Lower.Mean),
	}
	gap := "whether y is the follower's best answer cannot be told from one batch of held-out rows"
	switch {
	case e.Gap.Lo > 0:
		gap = fmt.Sprintf("y is not the follower's best answer yet: %d more steps of y alone lower g on held-out rows by %.2g (95 %% interval %.2g to %.2g)", e.GapSteps, e.Gap.Mean, e.Gap.Lo, e.Gap.Hi)
	case e.Gap.Lo-e.Gap.Lo == 0:
		gap = fmt.Sprintf("%d more steps of y alone do not lower g on held-out rows beyond the noise (95 %% interval of the fall %.2g to %.2g)", e.GapSteps, e.Gap.Lo, e.Gap.Hi)
	}
	cert.Message = fmt.Sprintf("Measured on held-out rows: f = %.4g, g = %.4g; %s. %s", e.Upper.Mean, e.Lower.Mean, gap, e.Sentence)
	cert.Notes = []string{fmt.Sprintf("the gap is estimated from below, by %d steps of the lower level alone; all intervals are from the spread between batches", e.GapSteps)}
	return cert
}

// Run is a training read back from its directory.
type Run struct {
	Dir         *run.Dir
	Config      Config
	Document    *run.Document // nil when the training has not got that far
	Details     *Details
	Trace       []Row
	Evaluations []Row
}

// Is reports whether the run directory at path is a training's.
func Is(path string) bool {
	var d struct{ Kind string }
	raw, err := os.ReadFile((&run.Dir{Path: path}).Join(run.DetailsFile))
	return err == nil && json.Unmarshal(raw, &d) == nil && d.Kind == kind
}

// Open reads the run directory of a training. One that is none is refused: the error
// matches bilevel.ErrInvalid.
func Open(path string) (*Run, error) {
	dir, err := run.At(path)
	if err != nil {
		return nil, err
	}
	r := &Run{Dir: dir, Details: &Details{}}
	if r.Config, err = Read(dir.Join(run.ConfigFile)); err != nil {
		return nil, err
	}
	if !Is(path) {
		return nil, &bilevel.SettingError{Field: "run directory", Value: path, Allowed: "a directory that `bilevel llm train` made"}
	}
	if err := readJSON(dir.Join(run.DetailsFile), r.Details); err != nil {
		return nil, err
	}
	var doc run.Document
	switch err := readJSON(dir.Join(run.ResultFile), &doc); {
	case err == nil:
		r.Document = &doc
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for _, f := range []struct {
		name string
		to   *[]Row
	}{{run.TraceFile, &r.Trace}, {EvaluationsFile, &r.Evaluations}} {
		file, err := os.Open(dir.Join(f.name))
		if err != nil {
			continue // a training that ended before its first step has none
		}
		*f.to, err = ReadRows(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir.Join(f.name), err)
		}
	}
	return r, nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err == nil {
		if err = json.Unmarshal(data, v); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	return err
}
