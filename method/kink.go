package method

// Descent across kinks of phi by gradient sampling. Where the spectral method
// (spg.go) is stuck at x, gradients g_0 .. g_m of phi are taken at x and at
// random points of X within the radius rho of x, and
//
//	d = argmin over x + d in X of  max_i <g_i, d> + |d|²/2
//	  = Proj_X(x - G l) - x,   l in the unit simplex maximising the dual function
//
// is the direction. -d is the shortest element of their convex hull where X is
// the whole space, so |d| = 0 says that x is stationary in the sense of Clarke,
// within rho. If |d| is at most the tolerance, or kinkTolerance where that is
// larger, rho is divided by 10, and at
// kinkSmallest x counts as stationary; else x moves by the first t of 1, 1/2, ..
// with phi(x + t d) <= phi(x) - 1e-4 t |d|², and rho is divided by 10 where there
// is none. A rho that has become too small starts at its largest again, kinkCycles
// times, for the samples may have missed a piece.
//
// Assumptions: phi locally Lipschitz and piecewise smooth, few variables: each
// iteration takes m = min(2 NX, 100) + 1 lower solves. Failure mode: with m below the
// number of smooth pieces that meet at x the hull is too small and |d| too large.
// Source: Burke, Lewis and Overton, SIAM J. Optim. 15 (2005) 751-779.

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/lower"
	"github.com/bilevel-go/bilevel/set"
	"github.com/bilevel-go/bilevel/vec"
)

const (
	kinkVariables = 200  // the largest NX for which gradients are sampled
	kinkLargest   = 1e-4 // radii, relative to max(1, |x|)
	kinkSmallest  = 1e-6
	kinkCycles    = 5
	// kinkTolerance is what |d| can be brought to: values of phi see |d|² only.
	kinkTolerance = 1e-6
	// kinkCurvature is the curvature from which on a step counts as stuck at a kink.
	kinkCurvature = 1e8
)

// sampler holds what gradient sampling needs.
type sampler struct {
	rng    *rand.Rand
	radius *float64 // relative; 0: none yet
	cycles *float64
	g      blas64.General // gradients by rows
	l      []float64
	w, d   []float64 // G l, and the direction
	x      []float64
	prob   lower.Problem
	solver lower.APG
	stop   func() bool
}

func newSampler(e *bilevel.Env) *sampler {
	return &sampler{stop: e.Stopped, rng: e.Rand("kink"), radius: e.Scalar("kink.radius", 0), cycles: e.Scalar("kink.cycles", 0)}
}

// prepare makes the storage.
func (k *sampler) prepare(e *bilevel.Env, n int) error {
	m := min(2*n, 100) + 1
	k.g = blas64.General{Rows: m, Cols: n, Stride: n, Data: make([]float64, m*n)}
	k.l, k.w, k.d = make([]float64, m), make([]float64, n), make([]float64, n)
	simplex, err := set.Simplex(m, 1)
	if err != nil {
		return err
	}
	project := e.Dense().X
	k.prob = lower.Problem{N: m, Y: simplex,
		Value: func(l []float64) float64 {
			k.direction(project, l)
			return -floats.Dot(k.w, k.d) - floats.Dot(k.d, k.d)/2
		},
		Grad: func(dst, l []float64) {
			k.direction(project, l)
			blas64.Gemv(blas.NoTrans, -1, k.g, blas64.Vector{N: n, Inc: 1, Data: k.d}, 0, blas64.Vector{N: m, Inc: 1, Data: dst})
		},
	}
	return nil
}

// direction sets w = G l and d = Proj_X(x - w) - x.
func (k *sampler) direction(project set.Set, l []float64) {
	n := len(k.w)
	blas64.Gemv(blas.Trans, 1, k.g, blas64.Vector{N: len(l), Inc: 1, Data: l}, 0, blas64.Vector{N: n, Inc: 1, Data: k.w})
	floats.SubTo(k.d, k.x, k.w)
	if project != nil {
		project.Project(k.d, k.d)
	}
	floats.Sub(k.d, k.x)
}

// sample does one iteration at x, with the gradient of phi at x in g. still
// means that it did not move; done that x is stationary.
func (s *spg) sample() (still, done bool, err error) {
	k := s.kink
	if k.l == nil {
		if err := k.prepare(s.e, s.x.Len()); err != nil {
			return false, false, err
		}
	}
	size := math.Max(1, vec.Norm(s.x))
	if *k.radius == 0 {
		*k.radius = kinkLargest
	}
	k.x = s.x.(vec.Dense)
	n := len(k.x)
	copy(k.g.Data, s.g.(vec.Dense))
	for i := 1; i < k.g.Rows; i++ {
		if s.e.Stopped() {
			return true, false, nil
		}
		trial := s.x1.(vec.Dense)
		for j := range trial {
			trial[j] = k.rng.NormFloat64()
		}
		scale := *k.radius * size * math.Pow(k.rng.Float64(), 1/float64(n)) / floats.Norm(trial, 2)
		floats.Scale(scale, trial)
		floats.Add(trial, k.x)
		s.project(s.x1)
		if _, err := s.objective.value(s.x1); err != nil {
			return false, false, err
		}
		if err := s.objective.grad(s.g1, s.x1); err != nil {
			return false, false, err
		}
		copy(k.g.Data[i*n:], s.g1.(vec.Dense))
	}
	for i := range k.l {
		k.l[i] = 1 / float64(len(k.l))
	}
	if _, err := k.solver.Solve(&k.prob, k.l, nil, 1e-3*s.e.Settings.Tolerance, k.stop); err != nil {
		return false, false, err
	}
	k.direction(s.e.Dense().X, k.l)
	length := floats.Norm(k.d, 2)
	s.stationarity = length
	if length <= math.Max(s.e.Settings.Tolerance, kinkTolerance) {
		_, err := s.objective.value(s.x)
		if *k.radius < 2*kinkSmallest {
			return true, true, err
		}
		*k.radius /= 10
		return true, false, err
	}
	for t := 1.0; t*length > 1e-3**k.radius*size; t /= 2 {
		floats.AddScaledTo(s.x1.(vec.Dense), k.x, t, k.d)
		phi, err := s.objective.value(s.x1)
		if s.e.Stopped() {
			return true, false, nil
		}
		if err != nil {
			return false, false, err
		}
		if phi <= s.phi-spgArmijo*t*length*length {
			s.x.Copy(s.x1)
			s.moved = t * length
			s.restart()
			return false, false, nil
		}
	}
	if *k.radius /= 10; *k.radius < kinkSmallest/2 && *k.cycles < kinkCycles {
		*k.cycles++
		*k.radius = kinkLargest
	}
	_, err = s.objective.value(s.x)
	return true, false, err
}
