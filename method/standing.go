package method

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/vec"
)

// verifiedStationarity is the projected hypergradient up to which an answer
// that could not be verified still counts as stationary.
const verifiedStationarity = 1e-5

// standing is the best answer that auto has had certified, in persistent state.
type standing struct {
	x, y, mu                  vec.Vector
	rank, upper, stationarity *float64
}

func newStanding(e *bilevel.Env, x, y, mu vec.Vector) *standing {
	s := &standing{x: e.Block("best.x", x), y: e.Block("best.y", y), rank: e.Scalar("best.rank", math.MaxInt32),
		upper: e.Scalar("best.upper", math.MaxFloat64), stationarity: e.Scalar("best.stationarity", math.MaxFloat64)}
	if mu != nil {
		s.mu = e.Block("best.mu", mu)
	}
	return s
}

func (s *standing) kept() bool { return *s.rank < math.MaxInt32 }

// offer keeps (x, y, mu) if its verdict is better, or as good with a lower f.
func (s *standing) offer(x, y, mu vec.Vector, c *certify.Certificate) {
	rank, upper := float64(c.Verdict), float64(c.Upper)
	if rank > *s.rank || rank == *s.rank && !(upper < *s.upper) {
		return
	}
	*s.rank, *s.upper = rank, upper
	*s.stationarity = math.MaxFloat64
	if n := float64(c.Hypergradient.Norm); n-n == 0 {
		*s.stationarity = n
	}
	s.x.Copy(x)
	s.y.Copy(y)
	if s.mu != nil && mu != nil {
		s.mu.Copy(mu)
	}
}

// restore copies the kept answer, if there is one.
func (s *standing) restore(x, y, mu vec.Vector) {
	if !s.kept() {
		return
	}
	x.Copy(s.x)
	y.Copy(s.y)
	if s.mu != nil && mu != nil {
		mu.Copy(s.mu)
	}
}
