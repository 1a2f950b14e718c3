package method

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// continuation raises the weight c of a penalty by stages and extrapolates their
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
	u     [continuationStages]vec.Vector // persistent: solutions of the last stages
	c     [continuationStages]*float64   // and their weights
	count *float64                       // stages so far
	p, q  vec.Vector
}

const continuationStages = 5

func newContinuation(e *bilevel.Env, u vec.Vector) *continuation {
	s := &continuation{count: e.Scalar("stage.count", 0), p: u.New(), q: u.New()}
	for i := range s.u {
		s.u[i], s.c[i] = e.Block(fmt.Sprintf("stage.u%d", i), u), e.Scalar(fmt.Sprintf("stage.c%d", i), 0)
	}
	return s
}

// add records the solution of the stage of weight c, which is above those
// before it.
func (s *continuation) add(c float64, u vec.Vector) {
	i := int(*s.count) % continuationStages
	s.u[i].Copy(u)
	*s.c[i] = c
	*s.count++
}

// at sets dst to the value at 1/c = t of the polynomial of the last k stages.
func (s *continuation) at(dst vec.Vector, t float64, k int) {
	n := int(*s.count)
	dst.Zero()
	for j := n - k; j < n; j++ {
		tj, weight := 1 / *s.c[j%continuationStages], 1.0
		for i := n - k; i < n; i++ {
			if i != j {
				ti := 1 / *s.c[i%continuationStages]
				weight *= (t - ti) / (tj - ti)
			}
		}
		dst.Add(weight, s.u[j%continuationStages])
	}
}

// predict sets u to what is expected of the stage of weight c.
func (s *continuation) predict(u vec.Vector, c float64) {
	if k := min(int(*s.count), continuationStages); k > 1 {
		s.at(u, 1/c, min(k, 3))
	}
}

// limit sets dst to the extrapolated limit and returns the estimate of its
// error in the first n variables (all where n is 0), +Inf before the second stage.
func (s *continuation) limit(dst vec.Vector, n int) float64 {
	best := math.Inf(1)
	last := min(int(*s.count), continuationStages)
	if last == 0 {
		return best
	}
	s.at(s.p, 0, 1)
	dst.Copy(s.p)
	for k := 2; k <= last; k++ {
		s.at(s.q, 0, k)
		s.p.Add(-1, s.q)
		var d float64
		if n > 0 {
			d = vec.Norm(s.p.(vec.Dense)[:n])
		} else {
			d = vec.Norm(s.p)
		}
		if d < best {
			best = d
			dst.Copy(s.q)
		}
		s.p.Copy(s.q)
	}
	return best
}
