package repro

import (
	"fmt"
	"math"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/catalog"
	"github.com/bilevel-go/bilevel/run"
	"gonum.org/v1/gonum/stat"
)

// Where figures that the authors did not print come from.
const (
	replayed  = "The figure in the column published is from an independent 64-bit run of the published algorithm; the authors printed none."
	fromPlot  = "Read off a published figure."
	printed32 = "Printed by the authors' 32-bit code; 32-bit rounding moves the last digits."
	unseeded  = "The published runs are unseeded; ours draw from the same distributions, so shares differ by sampling."
)

// toySize is how much of the published protocol is run.
type toySize struct {
	starts      int // random starts of each BLOCC toy
	sensitivity int // random starts of each cell of the sensitivity tables
	negative    int // random starts of the negative toy
	// auto tells whether a toy is solved by the automatic method; nil: all are.
	auto func(name string) bool
}

// publishedToys is the published protocol.
var publishedToys = toySize{starts: 200, sensitivity: 40, negative: 50}

func toys(s *session) error { return toysOf(publishedToys)(s) }

func toysOf(size toySize) func(*session) error {
	return func(s *session) error {
		parts := []func(*session) error{bloccFixed, size.bloccStarts, size.bloccGamma, size.negativeToy, positiveToy}
		if s.o.Mode == bilevel.Corrected {
			parts = append(parts, size.autoOnToys)
		} else {
			parts = append(parts, size.bloccEta, llcScript)
		}
		for _, part := range parts {
			if err := part(s); err != nil {
				return err
			}
		}
		return nil
	}
}

// known returns the known optima of a problem.
func known(name string) ([]problems.Known, error) {
	inst, err := catalog.Open(name, problems.Request{Seed: 1})
	if err != nil {
		return nil, err
	}
	return inst.Known, nil
}

// summary is the mean and the standard deviation of v.
func summary(v []float64) (mean, std certify.Number) {
	m, d := stat.MeanStdDev(v, nil)
	return certify.Number(m), certify.Number(d)
}

// autoOnToys solves every toy by the automatic method and measures the answers.
func (size toySize) autoOnToys(s *session) error {
	var names []string
	for _, e := range catalog.List() {
		if strings.HasPrefix(e.Name, "toy/") && (size.auto == nil || size.auto(e.Name)) {
			names = append(names, e.Name)
		}
	}
	rows := make([][]Row, len(names))
	err := s.each("auto on every toy", len(names), func(i int) error {
		r, job, err := s.solve(run.Config{Problem: names[i], Method: "auto"}, nil)
		if err != nil {
			return err
		}
		c, err := certify.Measure(s.ctx, job.Instance.Problem, r.X, r.Y, r.Multipliers, certify.Settings{Seed: 1})
		if err != nil {
			return err
		}
		at, distance := nearest(job.Instance.Known, r.X)
		note := fmt.Sprintf("%s; certificate: %s.", r.Status, c.Verdict)
		row := func(metric string, v float64) {
			rows[i] = append(rows[i], Row{"auto", names[i], metric, none, certify.Number(v), none, "", note})
		}
		row("f", r.Upper)
		row("f_minus_optimum", r.Upper-at.Upper)
		row("distance_to_optimum", distance)
		return nil
	})
	for _, r := range rows {
		s.rows = append(s.rows, r...)
	}
	return err
}

// nearest is the known optimum nearest to x, and its distance (largest component).
func nearest(known []problems.Known, x []float64) (problems.Known, float64) {
	best, at := math.Inf(1), 0
	for i, k := range known {
		d := 0.0
		for j := range x {
			d = math.Max(d, math.Abs(k.X[j]-x[j]))
		}
		if d < best {
			best, at = d, i
		}
	}
	return known[at], best
}
