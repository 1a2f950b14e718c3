package run

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/internal/parallel"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/problems/catalog"
)

// Comparison is the outcome of several methods and seeds on one problem.
type Comparison struct {
	Problem string          `json:"problem"`
	Mode    string          `json:"mode"`
	Methods []MethodSummary `json:"methods"`
	Runs    []*Document     `json:"runs"`
	Version string          `json:"version"`
}

// MethodSummary is one method over all seeds. Passed counts the certificates that
// are neither inexact nor refuted.
type MethodSummary struct {
	Method     string            `json:"method"`
	Runs       int               `json:"runs"`
	Converged  int               `json:"converged"`
	Passed     int               `json:"passed"`
	Upper      Spread            `json:"upper"`
	Wall       Spread            `json:"wall_s"`
	Iterations Spread            `json:"outer_iterations"`
	Metrics    map[string]Spread `json:"metrics"`
}

// Spread is a mean and a standard deviation (of a sample: null for one run), with
// the best and the worst.
type Spread struct {
	Mean certify.Number `json:"mean"`
	Std  certify.Number `json:"std"`
	Min  certify.Number `json:"min"`
	Max  certify.Number `json:"max"`
}

func spread(v []float64) Spread {
	if len(v) == 0 {
		n := certify.Number(math.NaN())
		return Spread{n, n, n, n}
	}
	mean, std := stat.MeanStdDev(v, nil)
	return Spread{certify.Number(mean), certify.Number(std), certify.Number(slices.Min(v)), certify.Number(slices.Max(v))}
}

// Comparing says what Compare runs.
type Comparing struct {
	Config  Config // Method and Seed are replaced
	Methods []string
	Seeds   []uint64
	// Settings are applied to the problem and to every method that has them; one
	// that nothing has is an error.
	Settings map[string]string
}

// Jobs prepares every run, methods in order and seeds within them, without doing
// any work: a mistake anywhere refuses all.
func (c Comparing) Jobs() ([]*Job, error) {
	var jobs []*Job
	for _, name := range c.Methods {
		config := c.Config
		config.Method = name
		for key, value := range c.Settings {
			if err := config.Assign(map[string]string{key: value}); err != nil && !c.isSettingOfAny(key) {
				return nil, err
			}
		}
		for _, seed := range c.Seeds {
			config.Seed = &seed
			job, err := Prepare(config, 1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// isSettingOfAny reports whether some method of the comparison has the setting.
func (c Comparing) isSettingOfAny(key string) bool {
	for _, name := range c.Methods {
		m, err := method.Lookup(name)
		if err != nil {
			continue
		}
		if _, _, err := catalog.Split(c.Config.Problem, m, map[string]string{key: ""}); err == nil {
			return true
		}
	}
	return false
}

// Compare executes jobs, at most workers at a time (0: one per core), each in the
// directory that open makes for it, and summarises them in order. Every run has
// the bits it would have alone. done is told of each run as it ends, from any
// goroutine. Runs that ctx ends before they begin are left out.
func Compare(ctx context.Context, jobs []*Job, workers int, open func(job *Job) (*Dir, error), log slog.Handler, done func(job *Job, d *Document)) (*Comparison, error) {
	docs := make([]*Document, len(jobs))
	err := parallel.Do(workers, len(jobs), func(i int) error {
		if ctx.Err() != nil {
			return nil
		}
		d, err := open(jobs[i])
		if err != nil {
			return err
		}
		out, err := Execute(ctx, jobs[i], d, Options{Log: log, Shared: true})
		if err != nil {
			return err
		}
		docs[i] = out.Document
		done(jobs[i], out.Document)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return summarise(jobs, docs), nil
}

func summarise(jobs []*Job, docs []*Document) *Comparison {
	c := &Comparison{Problem: jobs[0].Config.Problem, Mode: jobs[0].Config.Mode, Version: Version()}
	for _, d := range docs {
		if d != nil { // nil: interrupted before it began
			c.Runs = append(c.Runs, d)
		}
	}
	c.Methods = Summarise(c.Runs)
	return c
}

// Summarise puts the runs of each method together, methods in order of their
// first run.
func Summarise(docs []*Document) []MethodSummary {
	byMethod := map[string][]*Document{}
	var order []string
	for _, d := range docs {
		if byMethod[d.Method] == nil {
			order = append(order, d.Method)
		}
		byMethod[d.Method] = append(byMethod[d.Method], d)
	}
	var all []MethodSummary
	for _, name := range order {
		all = append(all, summary(name, byMethod[name]))
	}
	return all
}

func summary(name string, docs []*Document) MethodSummary {
	s := MethodSummary{Method: name, Runs: len(docs), Metrics: map[string]Spread{}}
	column := func(of func(d *Document) certify.Number) Spread {
		v := []float64{}
		for _, d := range docs {
			if n := of(d); n.Known() {
				v = append(v, float64(n))
			}
		}
		return spread(v)
	}
	for _, d := range docs {
		if d.Status == bilevel.Converged {
			s.Converged++
		}
		if d.Certificate != nil && d.Certificate.Verdict.OK() {
			s.Passed++
		}
		for key := range d.Metrics {
			s.Metrics[key] = Spread{}
		}
	}
	s.Upper = column(func(d *Document) certify.Number { return d.Upper })
	s.Wall = column(func(d *Document) certify.Number { return d.Stats.Wall })
	s.Iterations = column(func(d *Document) certify.Number { return certify.Number(d.Stats.Outer) })
	for key := range s.Metrics {
		s.Metrics[key] = column(func(d *Document) certify.Number {
			if v, ok := d.Metrics[key]; ok {
				return v
			}
			return certify.Number(math.NaN())
		})
	}
	return s
}
