// Package toy is a family of small bilevel problems with known answers: the toys
// of the methods' papers and classics that exercise one property each (coupled
// constraints, a merely convex, nonconvex, infeasible or unbounded lower level).
// Every problem has exact first and second derivatives and, where its answer is
// known, the optimum to rounding: from its formula, or from a bisection of the
// scalar equation stated at the head of its file.
package toy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/problems"
	"gonum.org/v1/gonum/floats"
)

// Options are the family's settings.
type Options struct {
	N      int    `opt:"n" default:"0" range:"[0,100000]" doc:"size of a toy that has one; 0 is the toy's own default"`
	Start  string `opt:"start" default:"fixed" range:"fixed|random" doc:"the toy's fixed starting point, or the published random one drawn with the seed"`
	Oracle string `opt:"oracle" default:"true" range:"true|false" doc:"offer the closed forms to methods; false leaves the lower level to the general solvers"`
}

// Family opens the toys.
type Family struct{}

// toy is one problem of the family: its size (0: it has none), whether it has a
// random start, and how it is built.
type toy struct {
	name, title string
	size        int
	random      bool
	open        func(r request) (*problems.Instance, error)
}

// request is what a toy is built from.
type request struct {
	n      int
	seed   uint64
	random bool
}

// rng is the stream of one purpose.
func (r request) rng(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(r.seed, purpose)) }

// The purposes of random streams.
const (
	streamStart = iota + 1
	streamData
)

func toys() []toy {
	return []toy{
		{"toy/blocc-1", "one coupled constraint, two local minima (BLOCC, toy 1)", 0, true, blocc1.open},
		{"toy/blocc-2", "one coupled constraint, four local minima (BLOCC, toy 2)", 0, true, blocc2.open},
		{"toy/reformulation", "one coupled constraint that is active on one side of the optimum", 0, false, openReformulation},
		{"toy/llc", "merely convex lower level under one equation", 100, false, openLLC},
		{"toy/llsc", "strongly convex lower level under 90 equations, seeded data", 0, false, openLLSC},
		{"toy/pbgd-negative", "steep upper objective on which PBGD-Free fails", 0, true, openNegative},
		{"toy/pbgd-positive", "two-weight model of supervised and preference fine-tuning", 0, false, openPositive},
		{"toy/quadratic", "unconstrained quadratic levels, seeded data", 8, false, openQuadratic},
		{"toy/ridge", "one ridge weight chosen on validation data, orthonormal design, seeded data", 20, false, openRidge},
		{"toy/simplex", "lower level projects on the simplex, answer in its interior", 6, false, openSimplexInterior},
		{"toy/simplex-kink", "lower level projects on the simplex, answer on a kink of the hyper-objective", 6, false, openSimplexKink},
		{"toy/double-well", "nonconvex lower level whose global solution jumps", 0, false, openDoubleWell},
		{"toy/infeasible", "lower level without a feasible point at the start", 0, false, openInfeasible},
		{"toy/unbounded", "lower level without a minimum at the start", 0, false, openUnbounded},
	}
}

// Names lists the toys.
func (Family) Names() []problems.Entry {
	var names []problems.Entry
	for _, t := range toys() {
		names = append(names, problems.Entry{Name: t.name, Title: t.title})
	}
	return names
}

// Settings returns a zero *Options.
func (Family) Settings() any { return new(Options) }

// Open builds a toy. Both modes have the same problems; the published settings
// differ by method.
func (Family) Open(r problems.Request) (*problems.Instance, error) {
	var o Options
	for key, value := range r.Set {
		if err := option.Set(&o, key, value); err != nil {
			return nil, err
		}
	}
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	var names []string
	for _, t := range toys() {
		if t.name == r.Name {
			return t.build(o, r.Seed)
		}
		names = append(names, t.name)
	}
	return nil, option.Unknown("problem", r.Name, names)
}

func (t toy) build(o Options, seed uint64) (*problems.Instance, error) {
	if t.size == 0 && o.N != 0 {
		return nil, &bilevel.SettingError{Field: "n", Value: o.N, Allowed: fmt.Sprintf("0, for the size of %s is fixed", t.name)}
	}
	if !t.random && o.Start == "random" {
		return nil, &bilevel.SettingError{Field: "start", Value: o.Start, Allowed: fmt.Sprintf("fixed, for %s has no published random start", t.name)}
	}
	n := o.N
	if n == 0 {
		n = t.size
	}
	inst, err := t.open(request{n: n, seed: seed, random: o.Start == "random"})
	if err != nil {
		return nil, err
	}
	inst.Name, inst.Title, inst.Problem.Name = t.name, t.title, t.name
	inst.Options = map[string]string{"start": o.Start, "oracle": o.Oracle}
	if t.size > 0 {
		inst.Options["n"] = strconv.Itoa(n)
	}
	if o.Oracle == "false" {
		inst.Problem.Oracle = nil
	}
	if known := inst.Known; len(known) > 0 {
		inst.Metrics = func(x, _, _ []float64) map[string]float64 {
			return map[string]float64{"distance_to_optimum": distance(known, x)}
		}
	}
	return inst, nil
}

// distance is the largest component of x - x*, x* the nearest known optimum.
func distance(known []problems.Known, x []float64) float64 {
	best := math.Inf(1)
	for _, k := range known {
		best = min(best, floats.Distance(k.X, x, math.Inf(1)))
	}
	return best
}
