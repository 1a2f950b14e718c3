package bilevel

import (
	"math/rand/v2"

	"github.com/bilevel-go/bilevel/set"
)

// Problem is a bilevel problem on []float64. Nil functions are absent. Value
// functions must be defined on all of X x Y; they are called from one goroutine
// at a time and must not keep their arguments.
type Problem struct {
	// Name identifies the problem in results.
	Name string
	// NX and NY are the lengths of x and y.
	NX, NY int
	// X and Y are the simple feasible sets; nil is the whole space.
	X, Y set.Set
	// Upper is f and Lower is g. Both Values are required.
	Upper, Lower Objective
	// Coupling is h(x, y) <= 0 in the lower level; nil when there is none.
	Coupling *Coupling
	// X0 and Y0 are the starting point; nil is the projection of 0.
	X0, Y0 []float64
	// Structure declares properties that methods and the certificate may use.
	Structure Structure
	// Oracle, when not nil, offers exact or structured computations through any
	// of the optional interfaces [LowerSolver], [Sensitivity], [JointProjector], [Relaxer] and
	// [Bounder]. Methods use an oracle when it is there and a general solver
	// when it is not. The certificate uses [LowerDual], [SecondSolver], [Prober] and [Reviewer].
	Oracle any
}

// Objective is a function of (x, y) with its derivatives. A missing gradient is
// computed by central differences, which the result says. Destinations come
// first and are overwritten.
type Objective struct {
	// Value is the objective at (x, y).
	Value func(x, y []float64) float64
	// GradX and GradY are the partial gradients, of length NX and NY.
	GradX, GradY func(dst, x, y []float64)
	// HessYY sets dst (NY) to the Hessian in y times v (NY).
	HessYY func(dst, x, y, v []float64)
	// HessXY sets dst (NX) to the gradient in x of <grad_y, v>, v of length NY.
	HessXY func(dst, x, y, v []float64)
	// HessYX sets dst (NY) to the derivative of grad_y along u, u of length NX:
	// the transpose of HessXY.
	HessYX func(dst, x, y, u []float64)
	// HessXX sets dst (NX) to the Hessian in x times u (NX).
	HessXX func(dst, x, y, u []float64)
}

// Coupling is the constraint h of the lower level. The first Equalities rows
// are equations h_i = 0, whose multipliers have no sign; the others are
// inequalities h_i <= 0.
type Coupling struct {
	// Rows is the number of components of h, Equalities how many of them, from
	// the front, are equations.
	Rows, Equalities int
	// Value sets dst (Rows) to h(x, y).
	Value func(dst, x, y []float64)
	// JacXT and JacYT set dst (NX or NY) to the transposed Jacobian times mu (Rows).
	JacXT, JacYT func(dst, x, y, mu []float64)
	// JacX and JacY set dst (Rows) to the Jacobian times u (NX) or v (NY).
	JacX, JacY func(dst, x, y, v []float64)
	// Affine declares h affine in (x, y) together: its second derivatives are
	// then zero and the three functions below are not needed.
	Affine bool
	// HessYY sets dst (NY) to sum_i mu_i (Hessian of h_i in y) v.
	HessYY func(dst, x, y, mu, v []float64)
	// HessXY sets dst (NX) to the gradient in x of <JacYT mu, v>.
	HessXY func(dst, x, y, mu, v []float64)
	// HessYX is the transpose of HessXY: dst (NY), u (NX).
	HessYX func(dst, x, y, mu, u []float64)
}

// Structure declares what is known about a problem. The zero value declares
// nothing. Declarations are spot-checked by the certificate, never trusted for
// a verdict they alone would carry.
type Structure struct {
	// LowerConvex: g(x, .) and h(x, .) are convex (equations affine) for every x in X.
	LowerConvex bool
	// LowerModulus m > 0: g(x, .) is m-strongly convex for every x in X.
	LowerModulus float64
	// LowerModuli s >= 0, of length NY: g(x, y) - sum_j s_j y_j²/2 is convex in y for
	// every x in X, and f depends on x and the y_j with s_j > 0 alone. All lower
	// solutions at x then agree in what f sees of them. Nil declares nothing.
	LowerModuli []float64
	// LowerQuadratic: g(x, .) is quadratic and h(x, .) affine.
	LowerQuadratic bool
	// JointlyConvex: f and the inequality rows of h are convex in (x, y)
	// together and the equations affine, so that the high-point relaxation is a
	// convex problem.
	JointlyConvex bool
}

// LowerSolver is an exact oracle for the (penalised) lower level: it minimises
// f(x, .)/gamma + g(x, .) over y in Y with h(x, y) <= 0. gamma = +Inf asks for
// the lower level itself. y and mu (multipliers in the scale of g; length 0
// without coupling) hold a warm start and are overwritten with the solution.
// The residual is the largest KKT violation of the returned point. A solver for
// some gamma only returns ErrNoClosedForm for the others.
type LowerSolver interface {
	SolveLower(gamma float64, x, y, mu []float64) (residual float64, err error)
}

// LowerDual evaluates the dual function of the lower level,
//
//	d(x, mu) = min over y in Y of g(x, y) + <mu, h(x, y)>,
//
// up to rounding, for any mu whose inequality multipliers are not negative. By
// weak duality it bounds g(x, .) from below wherever the lower constraints hold,
// so that it proves a lower solution whoever made it. It must share no code with
// the oracle's LowerSolver.
type LowerDual interface {
	LowerDual(x, mu []float64) float64
}

// SecondSolver solves the lower level by another algorithm than the oracle's
// LowerSolver, from nothing, for comparison: it overwrites y (NY) and mu (Rows).
type SecondSolver interface {
	SolveAgain(x, y, mu []float64) error
}

// Prober lists displacements of x that are worth a look when it is measured
// whether phi falls next to x: combinations of components that only together have
// an effect. Their lengths do not matter.
type Prober interface {
	Directions(x []float64) [][]float64
}

// Reviewer measures an answer in terms of the family's own, by code that shares
// nothing with its LowerSolver. The figures become part of the certificate.
type Reviewer interface {
	Review(x, y, mu []float64) ([]Check, error)
}

// Check is a figure of a [Reviewer]: above Tolerance it speaks against the answer. A
// figure that only informs has the tolerance +Inf.
type Check struct {
	Name             string
	Value, Tolerance float64
	// Sentence says what was measured and what the figure means.
	Sentence string
}

// JointProjector projects (x, y) in place onto { x in X, y in Y, h(x, y) <= 0 }.
type JointProjector interface {
	ProjectJoint(x, y []float64) error
}

// Relaxer solves the high-point relaxation: it minimises f over x in X, y in Y,
// h(x, y) <= 0 to optimality, overwriting x and y (a warm start).
type Relaxer interface {
	SolveRelaxation(x, y []float64) error
}

// Bounder returns a proven lower bound on the optimal upper objective and, in a
// few words, where it comes from.
type Bounder interface {
	LowerBound() (value float64, by string, err error)
}

// Searcher looks for the x of least phi(x) = f(x, y_g(x)) by means of its own,
// in rounds: a search that knows what x stands for.
type Searcher interface {
	// SearchState is the length of the state that is kept between rounds.
	SearchState() int
	// Search does one round. state, zero before the first round, is all that it
	// may remember; x (NX) becomes the best point of X found so far. done says
	// that further rounds are not worth their time. Where Stop reports true the
	// round returns at once, and is done again when the run goes on.
	Search(x, state []float64, r SearchRound) (done bool, err error)
}

// SearchRound is what a round of a [Searcher] is given. Results depend on Seed
// but not on Workers, the bound on parallel work (0: one per core).
type SearchRound struct {
	Seed    uint64
	Workers int
	Stop    func() bool
}

// Sensitivity applies the transposed derivative of the lower solution: it sets
// dst (NX) to (dy_g/dx)^T v, v of length NY, at the lower solution y with
// multipliers mu.
type Sensitivity interface {
	Adjoint(dst, x, y, mu, v []float64) error
}

// Batched is implemented by faithful problems whose published run evaluates the
// lower level on mini-batches: one outer iteration is one pass over Batches
// batches; UseBatch selects the rows that g and h see until the next call, and
// shuffles them with rng when k is 0. UseBatch(-1, nil) selects all rows.
type Batched interface {
	Batches() int
	UseBatch(k int, rng *rand.Rand)
}
