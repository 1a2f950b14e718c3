package lower

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/optimize"
)

// LBFGS minimises F on the whole space by the limited-memory BFGS method of
// gonum, finished by Newton steps whose systems are solved by conjugate gradients,
//
//	H p = -grad F to |H p + grad F| <= min(0.1, sqrt|grad F|) |grad F|,   y <- y + p,
//
// taken while they reduce |grad F|, because the line search of L-BFGS stops
// where differences of F drown in rounding, some digits short of 1e-10.
//
// Assumptions: F convex and smooth, Y the whole space, no constraints. Failure
// modes: each solve allocates (gonum's method runs on its own goroutine), so
// methods' inner loops use Newton or APG instead; on nonconvex F it finds a
// stationary point.
//
// Source: Nocedal, Math. Comp. 35 (1980); Dembo, Eisenstat and Steihaug, SIAM J.
// Numer. Anal. 19 (1982) for the inexact Newton steps.
type LBFGS struct {
	// MaxIterations limits the L-BFGS iterations of one solve; 0 is 10000.
	MaxIterations int

	meter         Meter
	g, p, r, d, h []float64
	trial, gt     []float64
}

// Solve implements [Solver]. Problems with a set or constraints are refused.
func (l *LBFGS) Solve(p *Problem, y, mu []float64, tolerance float64, stop func() bool) (Info, error) {
	if p.Rows > 0 || !set.IsWhole(p.Y) {
		return Info{}, unsuited("LBFGS", "a problem on the whole space without constraints")
	}
	far := escape * (1 + floats.Norm(y, 2))
	l.g = resize(l.g, p.N)
	p.Grad(l.g, y)
	if f := p.Value(y); !finite(l.g) || f-f != 0 {
		return Info{}, notFinite()
	}
	stopped, gone := false, false
	prob := optimize.Problem{
		Func: func(y []float64) float64 {
			v := p.Value(y)
			gone = gone || math.IsInf(v, -1) || floats.Norm(y, 2) > far
			return v
		},
		Grad: p.Grad,
		Status: func() (optimize.Status, error) {
			stopped = stop != nil && stop()
			if stopped || gone {
				return optimize.Success, nil
			}
			return optimize.NotTerminated, nil
		},
	}
	limit := l.MaxIterations
	if limit == 0 {
		limit = 10000
	}
	settings := &optimize.Settings{MajorIterations: limit, GradientThreshold: tolerance / math.Sqrt(float64(max(p.N, 1))), Converger: optimize.NeverTerminate{}}
	var info Info
	// An error of gonum is a line search that found no further decrease: the
	// Newton steps take over from the last point.
	res, err := optimize.Minimize(prob, y, settings, &optimize.LBFGS{GradStopThreshold: math.NaN()})
	if res == nil {
		return info, &bilevel.LevelError{Status: bilevel.NumericalFailure, Detail: err.Error()}
	}
	copy(y, res.X)
	info.Iterations = res.MajorIterations
	if gone {
		return info, unbounded(y)
	}
	for !stopped && l.newtonCG(p, y, tolerance) {
		info.Iterations++
		stopped = stop != nil && stop()
	}
	info.Residuals = l.meter.Measure(p, y, mu)
	info.Converged = info.Max() <= tolerance
	return info, nil
}

// newtonCG takes one inexact Newton step from y if the gradient is above the
// tolerance and the step reduces it; it reports whether it moved.
func (l *LBFGS) newtonCG(p *Problem, y []float64, tolerance float64) bool {
	n := p.N
	for _, v := range []*[]float64{&l.g, &l.p, &l.r, &l.d, &l.h, &l.trial, &l.gt} {
		*v = resize(*v, n)
	}
	p.Grad(l.g, y)
	size := floats.Norm(l.g, 2)
	if !(size > tolerance) {
		return false
	}
	clear(l.p)
	floats.ScaleTo(l.r, -1, l.g)
	copy(l.d, l.r)
	rr := size * size
	goal := math.Min(0.1, math.Sqrt(size)) * size
	for range 2 * n {
		p.HessVec(l.h, y, l.d)
		curve := floats.Dot(l.d, l.h)
		if !(curve > 0) {
			break
		}
		alpha := rr / curve
		floats.AddScaled(l.p, alpha, l.d)
		floats.AddScaled(l.r, -alpha, l.h)
		next := floats.Dot(l.r, l.r)
		if math.Sqrt(next) <= goal {
			break
		}
		floats.Scale(next/rr, l.d)
		floats.Add(l.d, l.r)
		rr = next
	}
	floats.AddTo(l.trial, y, l.p)
	p.Grad(l.gt, l.trial)
	if !(floats.Norm(l.gt, 2) < size) {
		return false
	}
	copy(y, l.trial)
	return true
}
