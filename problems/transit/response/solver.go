package response

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
)

// Solver computes the travellers' response. It is the workspace of one
// goroutine; its answers depend on the arguments alone, not on earlier calls.
type Solver struct {
	m     *Model
	tree  *tree
	trees forest
	paths *paths
	limit int // of iterations

	gamma, temperature float64
	x                  []float64
	utility            []float64 // u' = u + m/gamma, per pair
	time, length       []float64 // d/T and d/T + lambda, +Inf closed, per link
	begin              []float64 // prices to start from
	open               []int32   // open links
	closed             []bool
	chosen             []int32   // links of the Newton system
	binding            []int32   // links whose capacity is used up
	diagonal           []float64 // of the Newton system, per link
	row                []int32   // of a link in the Newton system, -1: not in it
	served             []int32   // pairs in the master problem
	dist               []float64 // shortest length, per pair

	lambda, slack, dLambda, dSlack, tauLink        []float64 // per link
	p, alt, rho, pull, rest, gain, dp, theta, base []float64 // per pair; alt is w - q
	own                                            []float64 // per pair: its longest step
	joined                                         []bool    // per pair: in the master problem
	flow, z, cost, change, dCost, tau              []float64 // per path
	perNode                                        []float64
	ratio                                          []float64 // theta, per path
	used                                           []bool    // per path: carries flow, in polish
	dust                                           []float64 // per path: a flow too small to matter on any of its links
	demand                                         []float64 // q, per pair
	load, excess                                   []float64 // per link

	newton         assembly
	part, step     float64 // of stepLength and move
	size           float64 // of complementarity products, where pairs are looked at one by one
	rhs            []float64
	kept           struct{ flow, lambda, slack, p, alt []float64 }
	uncongested    bool
	met            bool      // the answer is what the prices to start from induce
	polished       bool      // the answer solves the equations of its active paths and links
	annealed       bool      // prices come from a higher temperature
	between, worth []float64 // of closed links
	goal           []float64 // capacities, while some are widened
	place, before  place     // of narrow and of settle
	everywhere     []float64 // lengths with closed links at no price

	Answer Answer
}

// Answer is the response at one vector of capacities.
type Answer struct {
	// Shares (y) and Costs (p, the generalised cost; +Inf without a path) are per
	// pair; Loads and Prices (lambda) per link. Prices of closed links are the
	// least for which no more than a share of exp(-40) of any pair would use it.
	Shares, Costs, Loads, Prices []float64
	// Primal and Dual are the values of the primal and of the dual solution,
	// without the term in x alone and the constant of the penalised problem: see
	// the package comment. Gap is their difference relative to max(1, |Primal|).
	Primal, Dual, Gap float64
	// Violation is the largest excess of a load over its capacity.
	Violation float64
	// Steps counts Newton steps, Paths the paths of the master problem.
	Steps, Paths int
}

// ErrNumerical is returned where the iteration ended short of its tolerance.
var ErrNumerical = errors.New("the iteration ended short of its tolerance")

// NewSolver returns a solver for m.
func NewSolver(m *Model) *Solver {
	s := &Solver{m: m, tree: newTree(m), paths: newPaths(m), limit: 200}
	link := func() []float64 { return make([]float64, m.Links) }
	pair := func() []float64 { return make([]float64, m.Pairs) }
	s.x, s.length, s.row = link(), link(), make([]int32, m.Links)
	s.lambda, s.slack, s.dLambda, s.dSlack, s.tauLink, s.load, s.excess = link(), link(), link(), link(), link(), link(), link()
	s.utility, s.dist, s.demand = pair(), pair(), pair()
	s.time, s.begin, s.diagonal, s.closed, s.joined = link(), link(), link(), make([]bool, m.Links), make([]bool, m.Pairs)
	s.own = pair()
	s.p, s.alt, s.rho, s.pull, s.rest, s.gain, s.dp, s.theta, s.base = pair(), pair(), pair(), pair(), pair(), pair(), pair(), pair(), pair()
	s.Answer = Answer{Shares: pair(), Costs: pair(), Loads: link(), Prices: link()}
	return s
}

const (
	// The iteration ends where the relative gap is at its tolerance and the
	// complementarity products at the smallest, relative to the mean of the trips:
	// where a price and its slack are both just 0 they are then 1e-8. floor is
	// the gap that is accepted where no further progress is made.
	tolerance = 1e-12
	smallest  = 1e-16
	floor     = 1e-9
	// moderate is the lead of a pair's utility over its path's time that needs no
	// temperature, cooling the factor between temperatures, and hottest the first one at
	// most: larger utilities leave no precision for prices.
	moderate = 6
	cooling  = 1.7
	hottest  = 1e4
	// A path that is dearer by dear than the pair's price and carries less than the
	// part seldom of its demand is dropped while the gap is above early, where there
	// are many paths.
	dear   = 0.1
	seldom = 0.01
	early  = 1e-5
	// ripe is the gap from which on it is clear which prices and path flows are 0.
	ripe = 1e-7
	// slightly is the part of a capacity by which rounding may overload a link that
	// was built for exactly the flow on it, and the gap that this may leave.
	slightly = 1e-10
	// rounding is what sums are taken to be wrong by, relative to their terms.
	rounding = 1e-15
	// hopeless: a pair whose utility of going by the network is lower than that of
	// the alternative by this much sends a share below exp(-hopeless).
	hopeless = 45
	// closed: a capacity below this part of the total demand counts as 0.
	closed = 1e-14
	// ample: a capacity is taken to be at most this part of the total demand, more than
	// any load, for the product with a price that is nearly 0 must stay small.
	ample = 2
)

// Solve computes the response at capacities x (per link, >= 0) for the penalty
// gamma (+Inf: the lower level itself). prices, if not nil, are link prices to
// start from. The answer is in s.Answer, which the next call overwrites.
func (s *Solver) Solve(gamma float64, x, prices []float64) error {
	if err := s.check(gamma, x, prices); err != nil {
		return err
	}
	s.polished, s.met = false, false
	s.prepare(gamma, x)
	nearly := false
	if s.uncongested, nearly = s.fits(); s.uncongested {
		return nil
	}
	if nearly { // as where the capacities are the flows of that case
		clear(s.begin)
		if s.met = s.meets(s.begin); s.met {
			return nil
		}
	}
	if prices != nil {
		copy(s.begin, prices)
		if s.met = s.meets(s.begin); s.met || s.near() || s.run(s.begin) {
			return nil
		}
	}
	if s.anneal() || s.narrow() {
		return nil
	}
	return ErrNumerical
}

func (s *Solver) check(gamma float64, x, prices []float64) error {
	m := s.m
	switch {
	case !(gamma > 0):
		return &bilevel.SettingError{Field: "gamma", Value: gamma, Allowed: "a number > 0, or +Inf"}
	case len(x) != m.Links:
		return &bilevel.SettingError{Field: "len(x)", Value: len(x), Allowed: fmt.Sprintf("the number of links, %d", m.Links)}
	case prices != nil && len(prices) != m.Links:
		return &bilevel.SettingError{Field: "len(prices)", Value: len(prices), Allowed: fmt.Sprintf("the number of links, %d", m.Links)}
	}
	for e, v := range x {
		if !(v >= 0) || math.IsInf(v, 0) {
			return &bilevel.SettingError{Field: fmt.Sprintf("x[%d]", e), Value: v, Allowed: "a finite capacity >= 0"}
		}
	}
	for e, v := range prices {
		if math.IsNaN(v) {
			return &bilevel.SettingError{Field: fmt.Sprintf("prices[%d]", e), Value: v, Allowed: "a number"}
		}
	}
	return nil
}

// prepare finds the open links, and the pairs that can use them.
func (s *Solver) prepare(gamma float64, x []float64) {
	m := s.m
	s.gamma = gamma
	for e, v := range x {
		s.x[e] = min(v, ample*m.Total)
	}
	s.heat(1)
	s.open = s.open[:0]
	for e, v := range x {
		if s.closed[e] = !(v > closed*m.Total); !s.closed[e] {
			s.open = append(s.open, int32(e))
		}
	}
	s.join()
}

// join puts the pairs that may travel at the present temperature in the master
// problem, with the shortest path at no prices.
func (s *Solver) join() {
	m := s.m
	s.newton.reset(s.m.Links)
	for e := range s.lambda {
		s.lambda[e], s.length[e] = 0, math.Inf(1)
		if !s.closed[e] {
			s.length[e] = s.time[e]
		}
	}
	s.forget()
	s.served = s.served[:0]
	s.sweep(func(k int, t *tree) {
		s.demand[k] = 0
		if s.joined[k] = m.Trips[k] > 0 && s.utility[k]-s.dist[k] > -hopeless; s.joined[k] {
			s.served = append(s.served, int32(k))
			s.paths.add(k, t)
		}
	})
}

// fits answers at once where all travellers fit on their shortest paths; nearly tells
// that they do but for rounding.
func (s *Solver) fits() (fit, nearly bool) {
	m := s.m
	s.fit()
	for i := range s.paths.node {
		k := s.paths.pair[i]
		y := sigmoid(s.utility[k] - s.dist[k])
		s.flow[i] = m.Trips[k] * y
		s.demand[k], s.alt[k], s.p[k] = s.flow[i], m.Trips[k]*sigmoid(s.dist[k]-s.utility[k]), s.dist[k]
	}
	s.loads()
	over := 0.0
	for _, e := range s.open {
		over = max(over, s.load[e]/s.x[e]-1)
	}
	if over > 0 {
		return false, over <= slightly
	}
	s.Answer.Steps = 0
	s.finish(s.primal(), s.dual())
	return true, true
}

// meets answers at once where the capacities are those that the prices induce, as of
// designs that Pricing evaluates: everybody fits on the shortest paths, ties taken as
// there, and the gap is closed.
func (s *Solver) meets(prices []float64) bool {
	m := s.m
	for _, e := range s.open {
		s.lambda[e] = max(0, prices[e])
		s.length[e] = s.time[e] + s.lambda[e] + tie*m.Cost[e]
	}
	s.forget()
	s.sweep(s.route)
	s.fit()
	for _, e := range s.open {
		s.length[e] = s.time[e] + s.lambda[e]
	}
	s.across(s.cost, s.length)
	for r, k := range s.paths.pair {
		lead := s.utility[k] - s.cost[r]
		s.flow[r] = m.Trips[k] * sigmoid(lead)
		s.demand[k], s.alt[k], s.p[k], s.z[r] = s.flow[r], m.Trips[k]*sigmoid(-lead), s.cost[r], 0
	}
	s.loads()
	for _, e := range s.open {
		if s.misfits(e) {
			return false
		}
	}
	s.Answer.Steps = 0
	return s.recover() && s.Answer.Gap <= slightly
}

// misfits reports that the load of link e is not what its capacity and its price ask for.
func (s *Solver) misfits(e int32) bool {
	return s.load[e] > s.x[e]*(1+slightly) || s.lambda[e]*(s.x[e]-s.load[e]) > slightly*s.m.Total
}

// forget drops all paths.
func (s *Solver) forget() {
	s.paths.reset()
	s.dust = s.dust[:0]
}

// fit makes room for the present paths.
func (s *Solver) fit() {
	n, v, known := len(s.paths.node), len(s.paths.link), len(s.dust)
	for _, b := range []*[]float64{&s.flow, &s.z, &s.dust, &s.ratio, &s.cost, &s.change, &s.dCost, &s.tau} {
		for len(*b) < n {
			*b = append(*b, 0)
		}
		*b = (*b)[:n]
	}
	for len(s.perNode) < v {
		s.perNode = append(s.perNode, 0)
	}
	s.perNode = s.perNode[:v]
	for len(s.used) < n {
		s.used = append(s.used, false)
	}
	for r := min(known, n); r < n; r++ {
		s.dust[r] = math.Inf(1)
		for v := s.paths.node[r]; s.paths.link[v] >= 0; v = s.paths.parent[v] {
			s.dust[r] = min(s.dust[r], negligible*s.x[s.paths.link[v]])
		}
	}
}

// loads sets load to what the path flows put on the links.
func (s *Solver) loads() {
	clear(s.load)
	s.along(s.load, s.flow)
}

// along adds to dst, per link, the sum of amount over the paths through it.
func (s *Solver) along(dst, amount []float64) {
	clear(s.perNode)
	for i, v := range s.paths.node {
		s.perNode[v] = amount[i]
	}
	s.paths.loads(dst, s.perNode)
}

// across sets dst, per path, to the sum of length over its links.
func (s *Solver) across(dst, length []float64) {
	s.paths.lengths(s.perNode, length)
	for i, v := range s.paths.node {
		dst[i] = s.perNode[v]
	}
}

// primal is the value of the present path flows.
func (s *Solver) primal() float64 {
	m := s.m
	sum := 0.0
	for k, w := range m.Trips {
		if w > 0 && s.demand[k] == 0 {
			sum += w * s.utility[k]
		}
	}
	for _, k := range s.served {
		if q := s.demand[k]; q > 0 {
			w, a := m.Trips[k], s.alt[k]
			sum += xlogy(q, q/w) + xlogy(a, a/w) + a*s.utility[k]
		}
	}
	for _, e := range s.open {
		sum += s.time[e] * s.load[e]
	}
	return sum
}

// dual is the value of the present prices, for which dist must stand.
func (s *Solver) dual() float64 {
	sum := 0.0
	for k, w := range s.m.Trips {
		sum += w * logsum(s.utility[k], s.dist[k])
	}
	for _, e := range s.open {
		sum -= s.lambda[e] * s.x[e]
	}
	return sum
}

// finish fills the answer from the present state.
func (s *Solver) finish(primal, dual float64) {
	m, a := s.m, &s.Answer
	for k, w := range m.Trips {
		a.Costs[k] = s.dist[k]
		if w > 0 && s.demand[k] > 0 {
			a.Shares[k] = min(1, s.demand[k]/w)
		} else {
			a.Shares[k] = 0
			if w == 0 {
				a.Shares[k] = sigmoid(s.utility[k] - s.dist[k])
			}
		}
	}
	copy(a.Loads, s.load)
	copy(a.Prices, s.lambda)
	a.Violation = 0
	for e, v := range a.Loads {
		a.Violation = max(a.Violation, v-s.x[e])
	}
	a.Primal, a.Dual, a.Gap = primal, dual, gap(primal, dual)
	a.Paths = len(s.paths.node)
	s.closedPrices()
}

func gap(primal, dual float64) float64 { return (primal - dual) / max(1, math.Abs(primal)) }

// sigmoid is 1/(1+exp(-t)) without overflow.
func sigmoid(t float64) float64 {
	if t >= 0 {
		return 1 / (1 + math.Exp(-t))
	}
	e := math.Exp(t)
	return e / (1 + e)
}

// logsum is -ln(exp(-a) + exp(-b)) without overflow; b may be +Inf.
func logsum(a, b float64) float64 {
	return min(a, b) - math.Log1p(math.Exp(-math.Abs(a-b)))
}

// xlogy is x ln y, 0 at x = 0.
func xlogy(x, y float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(y)
}
