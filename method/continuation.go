package method

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// continuation raises a weight c by stages (c of the gap methods, gamma of the
// penalty methods) and extrapolates their
// solutions u(c), which are O(1/c) away from what is wanted, to 1/c = 0. Where
// the active constraints no longer change, u is a smooth function of 1/c, and the
// polynomial through the last k stages has the error O(1/(c_1 ... c_k)) there:
// the limit is reached at weights that neither multiply rounding errors much nor
// make the stages badly conditioned.
//
//	u(1/c = t) ~ sum_j u_j prod_(i != j) (t - t_i)/(t_j - t_i),   t_j = 1/c_j
//
// The error of the polynomial of k stages is estimated by how far it is from
// that of k - 1, and the k with the least estimate is taken.
//
// Assumptions: stages solved so well that their own errors do not show, active
// constraints as in the limit. Failure mode: a false limit where two estimates
// agree by chance, which the certificate of the answer shows.
//
// Source: Fiacco and McCormick, Nonlinear Programming: Sequential Unconstrained
// Minimization Techniques (1968), section 5.4; Neville's polynomials.
type continuation struct {
	stages
	e       *bilevel.Env
	name    string   // of c
	c       *float64 // the weight of the present stage
	u       vec.Vector
	project func(vec.Vector)
	n       int     // of the variables of u whose limit is sought; 0: all
	growth  float64 // of c from stage to stage
	end     float64 // the largest c
	settle  float64 // change of the limit, relative to max(1, |u|), at which it is taken for settled
	limit   vec.Vector
}

// newContinuation returns the continuation of u in the weight c, both persistent.
func newContinuation(e *bilevel.Env, name string, c *float64, u vec.Vector, project func(vec.Vector), growth, end, settle float64) *continuation {
	return &continuation{stages: newStages(e, u), e: e, name: name, c: c, u: u, project: project, growth: growth, end: math.Max(*c, end), settle: settle, limit: u.New()}
}

// advance ends the stage of which u is the solution, if solved says so. It moves u
// to its limit and reports true when that has settled, or c cannot be raised, and
// else raises c and moves u to what is expected there. u is projected on its set.
func (s *continuation) advance(solved bool) (done bool) {
	if solved {
		s.add(*s.c, s.u)
		change := s.extrapolate(s.limit, s.n)
		settled := change <= s.settle*math.Max(1, s.norm(s.limit, s.n))
		last := *s.c >= s.end
		switch {
		case settled || !last:
		case change < math.Inf(1):
			s.e.Note("%s has reached its end %g while x, extrapolated to 1/%s = 0, still changes by %.2g", s.name, s.end, s.name, change)
		default:
			s.e.Note("x is that of %s = %g: no earlier stage was solved well enough to extrapolate from", s.name, s.end)
		}
		if settled || last {
			s.u.Copy(s.limit)
			s.project(s.u)
			return true
		}
	}
	*s.c = math.Min(s.growth**s.c, s.end)
	if s.predict(s.u, *s.c) {
		s.project(s.u)
	}
	return false
}

// stages are the solutions of the last stages.
type stages struct {
	at    [continuationStages]vec.Vector // persistent
	inv   [continuationStages]*float64   // their 1/c
	count *float64                       // stages so far
	p, q  vec.Vector
}

const (
	// continuationStages is the largest number of stages extrapolated from.
	continuationStages = 5
	// stageGrowth is the growth of the weight where the stages are solved by
	// methods that choose their steps.
	stageGrowth = 10
)

func newStages(e *bilevel.Env, u vec.Vector) stages {
	s := stages{count: e.Scalar("stage.count", 0), p: u.New(), q: u.New()}
	for i := range s.at {
		s.at[i], s.inv[i] = e.Block(fmt.Sprintf("stage.u%d", i), u), e.Scalar(fmt.Sprintf("stage.inv%d", i), 0)
	}
	return s
}

func (s *stages) add(c float64, u vec.Vector) {
	i := int(*s.count) % continuationStages
	s.at[i].Copy(u)
	*s.inv[i] = 1 / c
	*s.count++
}

// polynomial sets dst to the value at t of the polynomial of the last k stages.
func (s *stages) polynomial(dst vec.Vector, t float64, k int) {
	n := int(*s.count)
	dst.Zero()
	for j := n - k; j < n; j++ {
		tj, weight := *s.inv[j%continuationStages], 1.0
		for i := n - k; i < n; i++ {
			if i != j {
				ti := *s.inv[i%continuationStages]
				weight *= (t - ti) / (tj - ti)
			}
		}
		dst.Add(weight, s.at[j%continuationStages])
	}
}

// predict sets u to what is expected at the weight c, if there are two stages or more.
func (s *stages) predict(u vec.Vector, c float64) bool {
	k := min(int(*s.count), 3)
	if k < 2 {
		return false
	}
	s.polynomial(u, 1/c, k)
	return true
}

// extrapolate sets dst to the limit and returns the estimate of its error in the
// first n variables, +Inf before the second stage.
func (s *stages) extrapolate(dst vec.Vector, n int) float64 {
	best := math.Inf(1)
	s.polynomial(s.p, 0, 1)
	dst.Copy(s.p)
	for k := 2; k <= min(int(*s.count), continuationStages); k++ {
		s.polynomial(s.q, 0, k)
		s.p.Add(-1, s.q)
		if d := s.norm(s.p, n); d < best {
			best = d
			dst.Copy(s.q)
		}
		s.p.Copy(s.q)
	}
	return best
}

// norm is that of the first n variables; n = 0: of all.
func (s *stages) norm(v vec.Vector, n int) float64 {
	if n > 0 {
		return vec.Norm(v.(vec.Dense)[:n])
	}
	return vec.Norm(v)
}
