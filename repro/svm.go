package repro

import (
	"fmt"
	"math"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/run"
	"github.com/bilevel-go/bilevel/vec"
)

// svmSpec is one method on one data set in an SVM experiment.
type svmSpec struct {
	problem, dataset, method string
	problemSet, methodSet    run.Settings
	iterations               int  // 0: the method's own
	penalised                bool // the published figures are those of y_gamma
}

// svmPoint is what is kept of one outer iteration.
type svmPoint struct {
	metrics map[string]float64
	seconds float64 // since the start, without the time of this measuring
}

// svmRun is one run of an svmSpec.
type svmRun struct {
	points  []svmPoint // points[k] after k outer iterations; the last holds the final answer
	upper   float64    // f at the answer
	bound   float64    // a proven lower bound of f, NaN where there is none
	seconds float64
}

// watch keeps the metrics of every outer iteration.
type watch struct {
	inst  *problems.Instance
	begin time.Time
	spent time.Duration
	run   *svmRun
}

// Record implements bilevel.Recorder.
func (w *watch) Record(p *bilevel.Progress) error {
	now := time.Now()
	var penalised []float64
	if p.PenalisedY != nil {
		penalised = vec.Slice(p.PenalisedY)
	}
	m := w.inst.Metrics(vec.Slice(p.X), vec.Slice(p.Y), penalised)
	w.run.points = append(w.run.points, svmPoint{m, (now.Sub(w.begin) - w.spent).Seconds()})
	w.spent += time.Since(now)
	return nil
}

// svmRuns runs one spec on the splits of seeds 0, ..., n-1, in parallel.
func (s *session) svmRuns(spec svmSpec, n int) ([]svmRun, error) {
	runs := make([]svmRun, n)
	err := s.each(spec.dataset+", "+spec.method, n, func(i int) error {
		seed := uint64(i)
		c := run.Config{Problem: spec.problem, Method: spec.method, Seed: &seed, MaxIterations: spec.iterations,
			ProblemSettings: spec.problemSet, MethodSettings: spec.methodSet, Mode: s.o.Mode.String(), Data: s.o.Data}
		job, err := run.Prepare(c, 1)
		if err != nil {
			return err
		}
		p := job.Instance.Problem
		r := &runs[i]
		var penalised []float64
		if spec.penalised {
			penalised = p.Y0
		}
		r.points = []svmPoint{{job.Instance.Metrics(p.X0, p.Y0, penalised), 0}}
		w := &watch{inst: job.Instance, begin: time.Now(), run: r}
		job.Settings.Recorder = w
		answer, err := bilevel.Solve(s.ctx, p, job.Method, job.Settings)
		if err != nil {
			return err
		}
		switch answer.Status {
		case bilevel.Interrupted:
			return s.ctx.Err()
		case bilevel.Converged, bilevel.IterationLimit:
		default:
			return fmt.Errorf("%s on %s, split %d: %s", spec.method, spec.dataset, i, answer.Message)
		}
		r.seconds = (answer.Wall - w.spent).Seconds()
		s.count(answer)
		if s.o.Mode == bilevel.Corrected {
			r.points = append(r.points, svmPoint{job.Instance.Metrics(answer.X, answer.Y, answer.PenalisedY), r.seconds})
		}
		r.upper, r.bound = answer.Upper, math.NaN()
		if b, ok := p.Oracle.(bilevel.Bounder); ok && s.o.Mode == bilevel.Corrected {
			if r.bound, _, err = b.LowerBound(); err != nil {
				return err
			}
		}
		return nil
	})
	return runs, err
}

// last is the point that the publication calls the last: its loop stores the
// figures before each update, so that n updates leave those of n - 1. In
// corrected mode it is the final answer.
func (r *svmRun) last(mode bilevel.Mode, iterations int) svmPoint {
	if k := iterations - 1; mode == bilevel.Faithful && k < len(r.points) {
		return r.points[k]
	}
	return r.points[len(r.points)-1]
}

// settled is the first point at which the metric changed by less than tolerance
// in one iteration, and the published last one when none is.
func (r *svmRun) settled(metric string, tolerance float64, mode bilevel.Mode, iterations int) svmPoint {
	for k := 1; k < min(len(r.points), max(iterations, 2)); k++ {
		if math.Abs(r.points[k].metrics[metric]-r.points[k-1].metrics[metric]) < tolerance {
			return r.points[k]
		}
	}
	return r.last(mode, iterations)
}

// reached is the first time at which the metric was at most level, NaN if never.
func (r *svmRun) reached(metric string, level float64) float64 {
	for _, p := range r.points[1:] {
		if v, ok := p.metrics[metric]; ok && v <= level {
			return p.seconds
		}
	}
	return math.NaN()
}

// statistic is the mean and the standard deviation (of a sample) of one figure
// over runs; runs without the figure (NaN) are left out.
func statistic(runs []svmRun, of func(r *svmRun) float64) (mean, std certify.Number) {
	var v []float64
	for i := range runs {
		if f := of(&runs[i]); !math.IsNaN(f) {
			v = append(v, f)
		}
	}
	if len(v) == 0 {
		return none, none
	}
	if len(v) == 1 {
		return certify.Number(v[0]), none
	}
	return summary(v)
}

// svmRow adds the row of one figure over runs.
func (s *session) svmRow(spec svmSpec, runs []svmRun, metric string, published float64, unit, note string, of func(r *svmRun) float64) {
	mean, std := statistic(runs, of)
	s.add(Row{spec.method, spec.dataset, metric, certify.Number(published), mean, std, unit, note})
}
