// Package repro repeats published experiments and puts the published figures
// beside ours. An experiment runs in one of two modes: faithful repeats what was
// published, number for number; corrected does what the methods mean. Where the
// figures differ, the row's note says why.
package repro

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/internal/parallel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/run"
)

// Options of a repetition. The zero value is usable.
type Options struct {
	// Mode: corrected (default) or faithful.
	Mode bilevel.Mode
	// Seed of random starts and splits that the publication does not fix.
	Seed uint64
	// Workers bounds parallel runs; 0 is one per core. Figures other than times
	// do not depend on it.
	Workers int
	// Settings are an experiment's own, by name; most have none.
	Settings map[string]string
	// Data is the directory of external data; empty when there is none.
	Data string
	// Progress, when not nil, is told how many runs of a part are done. It is
	// called from one goroutine at a time.
	Progress func(part string, done, total int)
}

// Row is one figure. NaN (null in JSON) is a figure that was not published or
// has no spread.
type Row struct {
	Method    string         `json:"method"`
	Dataset   string         `json:"dataset"`
	Metric    string         `json:"metric"`
	Published certify.Number `json:"published"`
	Ours      certify.Number `json:"ours"`
	Std       certify.Number `json:"ours_std"`
	Unit      string         `json:"unit"`
	Note      string         `json:"note"`
}

// Table is a repeated experiment.
type Table struct {
	Name  string    `json:"name"`
	Mode  string    `json:"mode"`
	Rows  []Row     `json:"rows"`
	Stats run.Stats `json:"stats"`
}

// experiment is one entry of the registry.
type experiment struct {
	name, title string
	run         func(s *session) error
	settings    bool // takes Options.Settings
}

// experiments lists what can be repeated, in the order of lists.
var experiments = []experiment{
	{"toys", "closed-form toys of BLOCC, LV-HBA and PBGD-Free: published runs and tables", toys, false},
	{"blocc-table2", "table 2 of the BLOCC paper: SVM on diabetes and fourclass, BLOCC, LV-HBA and GAM, 50 splits", bloccTable2(50), false},
	{"blocc-table3", "table 3 of the BLOCC paper: transit networks of 3, 9 and 24 stations; the long run in Seville is taken as kept", bloccTable3(transitShort), false},
	{"blocc-table3-full", "the same with all runs, in faithful mode about half an hour", bloccTable3(transitFull), false},
	{"pbgdfree-svm", "the SVM experiment of the PBGD-Free paper: diabetes, five methods, 3 splits", pbgdFreeSVM(3), false},
	{"pbgdfree-table2", "table 2 of the PBGD-Free paper: post-training of a language model, four methods at equal cost, on the model that fits the machine", pbgdFreeTable2, true},
}

// List lists the experiments.
func List() []problems.Entry {
	var all []problems.Entry
	for _, e := range experiments {
		all = append(all, problems.Entry{Name: e.name, Title: e.title})
	}
	return all
}

// Run repeats the experiment called name. An unknown name is a
// *bilevel.SettingError; a cancelled ctx ends the run with its error.
func Run(ctx context.Context, name string, o Options) (*Table, error) {
	var names []string
	for _, e := range experiments {
		if e.name != name {
			names = append(names, e.name)
			continue
		}
		if len(o.Settings) > 0 && !e.settings {
			return nil, &bilevel.SettingError{Field: "set", Value: o.Settings, Allowed: "nothing: " + name + " has no settings of its own"}
		}
		s := &session{ctx: ctx, o: o}
		begin := time.Now()
		if err := e.run(s); err != nil {
			return nil, err
		}
		s.stats.Wall, s.stats.CPU = certify.Number(time.Since(begin).Seconds()), none
		return &Table{Name: name, Mode: o.Mode.String(), Rows: s.rows, Stats: s.stats}, nil
	}
	return nil, option.Unknown("experiment", name, names)
}

// none is a figure that is not there.
var none = certify.Number(math.NaN())

// session is one repetition in progress.
type session struct {
	ctx   context.Context
	o     Options
	rows  []Row
	mu    sync.Mutex // of stats and Progress
	stats run.Stats
}

// add appends a row.
func (s *session) add(r Row) { s.rows = append(s.rows, r) }

// each calls job(0), ..., job(n-1) in parallel and reports progress of the part.
// Jobs write to places of their own.
func (s *session) each(part string, n int, job func(i int) error) error {
	done := 0
	return parallel.Do(s.o.Workers, n, func(i int) error {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := job(i); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		done++
		if s.o.Progress != nil {
			s.o.Progress(part, done, n)
		}
		return nil
	})
}

// solve prepares and solves one run as the program does. rec, when not nil, sees
// every iteration.
func (s *session) solve(c run.Config, rec bilevel.Recorder) (*bilevel.Result, *run.Job, error) {
	c.Mode, c.Data = s.o.Mode.String(), s.o.Data
	job, err := run.Prepare(c, 1)
	if err != nil {
		return nil, nil, err
	}
	job.Settings.Recorder = rec
	r, err := bilevel.Solve(s.ctx, job.Instance.Problem, job.Method, job.Settings)
	if err != nil {
		return nil, nil, err
	}
	if r.Status == bilevel.Interrupted {
		return nil, nil, s.ctx.Err()
	}
	s.count(r)
	return r, job, nil
}

// count adds the work of a run to the table's.
func (s *session) count(r *bilevel.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, c := &s.stats, &r.Counts
	t.Outer += r.Iterations
	t.Inner += c.Inner
	t.F += c.F
	t.G += c.G
	t.GradF += c.GradF
	t.GradG += c.GradG
	t.HessVec += c.HessVec
	t.LowerSolves += c.LowerSolves
}
