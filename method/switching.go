package method

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
)

// Switching is [PBGDFree] for as long as the terms that it omits stay small, and
// [VPBGD] from there on. The omitted terms are
//
//	r = gamma |grad_x g(x,y_gamma) - grad_x g(x,y_g)| / |grad_x f(x,y_gamma)|,
//
// measured every FlatnessEvery iterations as PBGD-Free measures them. At the
// Patience-th measurement in a row with r > Threshold the run goes over to V-PBGD,
// from the x and y reached, with fresh optimisers, for good.
//
// Assumptions: those of the two methods. Failure modes: f that becomes flat only
// later on still pays for V-PBGD; away from []float64 r is an estimate from
// continued steps, which small steps make small.
// Stationarity is that of the method in use.
//
// Sources: arXiv 2507.20400; arXiv 2302.05185.
type Switching struct {
	Gamma         float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty gamma"`
	Beta          float64 `opt:"beta" default:"0.01" range:"(0,inf)" doc:"inner step"`
	Eta           float64 `opt:"eta" default:"0.01" range:"(0,inf)" doc:"outer step"`
	Inner         int     `opt:"inner" range:"[0,inf)" doc:"inner steps K per outer iteration; 0: the default of the method in use"`
	Rule          string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser of every block"`
	FlatnessEvery int     `opt:"flatness_every" default:"50" range:"[1,inf)" doc:"outer iterations between measurements of flatness"`
	Threshold     float64 `opt:"threshold" default:"0.1" range:"(0,inf)" doc:"size of the omitted terms relative to grad_x f from which they count"`
	Patience      int     `opt:"patience" default:"2" range:"[1,inf)" doc:"measurements in a row above the threshold before the switch"`
}

// Name is "switching".
func (m *Switching) Name() string { return "switching" }

// Defaults are 20,000 iterations and tolerance 1e-8.
func (m *Switching) Defaults(bilevel.Mode) (int, float64) { return 20000, 1e-8 }

type switching struct {
	e              *bilevel.Env
	o              Switching
	free           *bilevel.Env // the environment of PBGD-Free
	part           bilevel.Iteration
	switched, seen *float64 // whether V-PBGD runs; measurements in a row above the threshold
}

// Start checks the parameters and prepares the iteration at the start.
func (m *Switching) Start(e *bilevel.Env) (bilevel.Iteration, error) {
	o := *m
	if err := option.Fill(&o); err != nil {
		return nil, err
	}
	if rows, _ := e.Rows(); rows > 0 {
		return nil, noCoupling(rows, "blocc")
	}
	it := &switching{e: e, o: o, free: e.Sub("pbgd-free"), switched: e.Scalar("switched", 0), seen: e.Scalar("above", 0)}
	var err error
	if *it.switched == 0 {
		it.part, err = (&PBGDFree{Gamma: o.Gamma, Beta: o.Beta, Eta: o.Eta, Inner: o.Inner, Rule: o.Rule, FlatnessEvery: o.FlatnessEvery}).Start(it.free)
	} else {
		err = it.startPenalty()
	}
	return it, err
}

func (it *switching) startPenalty() (err error) {
	o := &it.o
	it.part, err = (&VPBGD{Gamma: o.Gamma, Beta: o.Beta, Eta: o.Eta, Inner: o.Inner, Rule: o.Rule}).Start(it.e.Sub("v-pbgd"))
	return err
}

// Step does one outer iteration of the method in use.
func (it *switching) Step(p *bilevel.Progress) (bilevel.Status, error) {
	p.Phase = "pbgd-free"
	if *it.switched == 1 {
		p.Phase = "v-pbgd"
	}
	status, err := it.part.Step(p)
	if err != nil || it.e.Stopped() || *it.switched == 1 || p.Omitted != p.Omitted {
		return status, err
	}
	if p.Omitted <= it.o.Threshold {
		*it.seen = 0
		return status, nil
	}
	if *it.seen++; *it.seen < float64(it.o.Patience) {
		return status, nil
	}
	it.e.Note("PBGD-Free omits terms of %.3g times grad_x f, more than %g at %d measurements in a row (delta = %.3g): switching to V-PBGD, which computes them", p.Omitted, it.o.Threshold, it.o.Patience, p.Delta)
	it.e.SetStart(p.X, p.Y)
	*it.switched = 1
	if err := it.startPenalty(); err != nil {
		return bilevel.Running, err
	}
	it.free.Discard()
	p.X, p.Y, p.PenalisedY = it.e.StartX(), it.e.StartY(), nil
	return bilevel.Running, nil
}

// Finish completes the answer of the method in use.
func (it *switching) Finish(p *bilevel.Progress) error {
	if f, ok := it.part.(bilevel.Finisher); ok {
		return f.Finish(p)
	}
	return nil
}
