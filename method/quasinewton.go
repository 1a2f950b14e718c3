package method

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

// quasiNewton makes search directions of a projected L-BFGS method for an spg,
//
//	d = Proj_X(x - H r) - x,   r = x - Proj_X(x - grad phi(x)),
//
// with H the limited-memory BFGS matrix of the pairs
// s = x+ - x, u = r(x+) - r(x) with <s, u> > 0, and H = <s, u>/<u, u> I before
// them. While the iterates stay on one flat face of X, r is the gradient of phi on
// that face, and this is L-BFGS there: it takes over where the spectral step,
// whose long steps a badly conditioned phi rejects, degenerates to steepest
// descent. After a change of face a pair or more is meaningless. The
// directions are therefore proposals: one that is not a descent direction, or along
// which a few trials find no decrease, clears the pairs, and the
// spectral step is taken.
//
// Assumption: grad phi Lipschitz. Source: Nocedal and Wright, Numerical
// Optimization, algorithm 7.4, on the face found by projected gradients.
type quasiNewton struct {
	s, u  [quasiPairs]vec.Vector // persistent
	count *float64               // pairs stored since the last clearing
	r     vec.Vector             // at x
	coef  [quasiPairs]float64
}

const (
	quasiPairs  = 20
	quasiTrials = 4
	// quasiReach bounds lambda |grad phi|/|x| of spectral steps: a part of the gradient
	// normal to X that is multiplied by more would not cancel to rounding, and
	// leave the iterate outside X.
	quasiReach = 1e3
	// quasiCurvature is the least <s, u>/(|s| |u|) of a pair that is used.
	quasiCurvature = 1e-12
)

func newQuasiNewton(e *bilevel.Env, x vec.Vector) *quasiNewton {
	q := &quasiNewton{count: e.Scalar("spg.pairs", 0), r: x.New()}
	for i := range q.s {
		q.s[i], q.u[i] = e.Block(fmt.Sprintf("spg.s%d", i), x), e.Block(fmt.Sprintf("spg.u%d", i), x)
	}
	return q
}

func (q *quasiNewton) clear() { *q.count = 0 }

// at sets the point of the next direction: w is Proj_X(x - grad phi(x)) - x.
func (q *quasiNewton) at(w vec.Vector) {
	q.r.Copy(w)
	q.r.Scale(-1)
}

// learn takes over the step t d to the point whose w is given.
func (q *quasiNewton) learn(t float64, d, w vec.Vector) {
	i := int(*q.count) % quasiPairs
	s, u := q.s[i], q.u[i]
	s.Copy(d)
	s.Scale(t)
	u.Copy(q.r)
	u.Add(1, w)
	u.Scale(-1)
	q.at(w)
	if s.Dot(u) > quasiCurvature*vec.Norm(s)*vec.Norm(u) {
		*q.count++
	}
}

// direction sets d to -H r, or -lambda r where there are no pairs, made no longer than x.
func (q *quasiNewton) direction(d, x vec.Vector, lambda float64) {
	n := int(*q.count)
	first := max(0, n-quasiPairs)
	d.Copy(q.r)
	for k := n - 1; k >= first; k-- {
		i := k % quasiPairs
		q.coef[i] = q.s[i].Dot(d) / q.s[i].Dot(q.u[i])
		d.Add(-q.coef[i], q.u[i])
	}
	if n > 0 {
		last := (n - 1) % quasiPairs
		lambda = q.s[last].Dot(q.u[last]) / q.u[last].Dot(q.u[last])
	}
	d.Scale(lambda)
	for k := first; k < n; k++ {
		i := k % quasiPairs
		d.Add(q.coef[i]-q.u[i].Dot(d)/q.s[i].Dot(q.u[i]), q.s[i])
	}
	d.Scale(-1)
	if size, most := vec.Norm(d), math.Max(1, vec.Norm(x)); size > most {
		d.Scale(most / size)
	}
}
