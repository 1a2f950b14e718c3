package certify

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
)

// sharing is a problem with solvers of its own:
//
//	g = sum_j (y_j ln y_j - y_j + d_j y_j) over the first three + z,  h: y_1 + y_2 <= x,  y_3 <= z <= 1,
//	f = x - 2 y_1 - y_2 - y_3,  0 <= x <= 2,
//
// whose follower sends y_j = exp(-d_j) as far as x allows and does not mind any z
// above y_3 where z has no cost. f does not see z.
func sharing(cost float64) *bilevel.Problem {
	d := []float64{0.5, 1, 1.5}
	box, err := set.Box([]float64{1e-9, 1e-9, 1e-9, 0}, []float64{1, 1, 1, 1})
	if err != nil {
		panic(err)
	}
	x, err := set.Box([]float64{0}, []float64{2})
	if err != nil {
		panic(err)
	}
	p := &bilevel.Problem{Name: "sharing", NX: 1, NY: 4, X: x, Y: box, X0: []float64{1}}
	p.Upper.Value = func(x, y []float64) float64 { return x[0] - 2*y[0] - y[1] - y[2] }
	p.Upper.GradX = func(dst, _, _ []float64) { dst[0] = 1 }
	p.Upper.GradY = func(dst, _, _ []float64) { copy(dst, []float64{-2, -1, -1, 0}) }
	p.Lower.Value = func(_, y []float64) float64 {
		sum := cost * y[3]
		for j, v := range d {
			sum += y[j]*math.Log(y[j]) - y[j] + v*y[j]
		}
		return sum
	}
	p.Lower.GradX = func(dst, _, _ []float64) { clear(dst) }
	p.Lower.GradY = func(dst, _, y []float64) {
		for j, v := range d {
			dst[j] = math.Log(y[j]) + v
		}
		dst[3] = cost
	}
	p.Lower.HessYY = func(dst, _, y, v []float64) {
		for j := range d {
			dst[j] = v[j] / y[j]
		}
		dst[3] = 0
	}
	p.Coupling = &bilevel.Coupling{Rows: 2, Affine: true,
		Value: func(dst, x, y []float64) { dst[0], dst[1] = y[0]+y[1]-x[0], y[2]-y[3] },
		JacX:  func(dst, _, _, u []float64) { dst[0], dst[1] = -u[0], 0 },
		JacY:  func(dst, _, _, v []float64) { dst[0], dst[1] = v[0]+v[1], v[2]-v[3] },
		JacXT: func(dst, _, _, mu []float64) { dst[0] = -mu[0] },
		JacYT: func(dst, _, _, mu []float64) { copy(dst, []float64{mu[0], mu[0], mu[1], -mu[1]}) },
	}
	p.Structure = bilevel.Structure{LowerConvex: true, LowerModuli: []float64{1, 1, 1, 0}}
	p.Oracle = &sharer{d: d, cost: cost}
	return p
}

// sharer solves sharing in closed form, or as told.
type sharer struct {
	d       []float64
	cost    float64
	off     float64 // of its lower solutions from the right ones
	lie     float64 // added to the dual function
	shift   float64 // of the value added away from the lower solution
	refuses bool
	checks  []bilevel.Check
	reviews error
	asked   int
}

func (s *sharer) SolveLower(gamma float64, x, y, mu []float64) (float64, error) {
	if s.asked++; s.refuses || !math.IsInf(gamma, 1) {
		return math.NaN(), bilevel.ErrNoClosedForm
	}
	both := math.Exp(-s.d[0]) + math.Exp(-s.d[1])
	mu[0] = math.Max(0, math.Log(both/x[0]))
	mu[1] = s.cost
	for j := range 3 {
		y[j] = math.Exp(-s.d[j] - mu[min(j, 2)/2])
	}
	y[0] += s.off
	y[3] = y[2]
	return 0, nil
}

func (s *sharer) LowerDual(x, mu []float64) float64 {
	least := func(t float64) float64 { // of y ln y - y + t y over [1e-9, 1]
		y := math.Min(1, math.Max(1e-9, math.Exp(-t)))
		return y*math.Log(y) - y + t*y
	}
	sum := s.lie + least(s.d[0]+mu[0]) + least(s.d[1]+mu[0]) + least(s.d[2]+mu[1]) + math.Min(0, s.cost-mu[1]) - mu[0]*x[0]
	if math.Abs(mu[1]-s.cost) > 1e-3 {
		sum += s.shift
	}
	return sum
}

func (s *sharer) Review(_, _, _ []float64) ([]bilevel.Check, error) { return s.checks, s.reviews }

// responseOf is the closed form.
func responseOf(t testing.TB, p *bilevel.Problem, x float64) (y, mu []float64) {
	t.Helper()
	y, mu = make([]float64, 4), make([]float64, 2)
	s := p.Oracle.(*sharer)
	if _, err := (&sharer{d: s.d, cost: s.cost}).SolveLower(math.Inf(1), []float64{x}, y, mu); err != nil {
		t.Fatal(err)
	}
	return y, mu
}

// The leader's optimum: with total x <= S = e^-0.5 + e^-1 the shares of it are fixed, so
// that f falls with slope 1 - (2 e^-0.5 + e^-1)/S up to x = S, where nothing more is used.
func TestProverAccepts(t *testing.T) {
	best := math.Exp(-0.5) + math.Exp(-1)
	for _, cost := range []float64{0, 0.3} {
		for _, refuses := range []bool{false, true} {
			p := sharing(cost)
			s := p.Oracle.(*sharer)
			s.refuses = refuses
			y, mu := responseOf(t, p, best)
			y[3] = 0.5 * (y[2] + 1) // as good when it is free
			if cost > 0 {
				y[3] = y[2]
			}
			c := measure(t, p, []float64{best}, y, mu)
			if c.Verdict > VerifiedLocally || c.Hypergradient.Differentiable {
				t.Errorf("cost %g, refuses %v: %v, differentiable %v: %s", cost, refuses, c.Verdict, c.Hypergradient.Differentiable, c.Message)
			}
			if c.SeenUnique == refuses || !refuses && !(float64(c.UpperError) < 1e-6) {
				t.Errorf("cost %g, refuses %v: unique in what f sees %v, error %v", cost, refuses, c.SeenUnique, c.UpperError)
			}
			if !(float64(c.LowerGap[1]) <= 1e-9) || len(c.FalseDeclarations) > 0 {
				t.Errorf("cost %g, refuses %v: gap %v, %v", cost, refuses, c.LowerGap, c.FalseDeclarations)
			}
		}
	}
}

// twice is a sharer with a second solver, right or wrong.
type twice struct {
	sharer
	wrong float64
	again int
}

func (s *twice) SolveAgain(x, y, mu []float64) error {
	s.again++
	right := sharer{d: s.d, cost: s.cost}
	_, err := right.SolveLower(math.Inf(1), x, y, mu)
	y[0] += s.wrong
	return err
}

// The second solver stands in where the first one fails, as far as its answers are
// proven, and the other way round.
func TestSecondSolver(t *testing.T) {
	best := math.Exp(-0.5) + math.Exp(-1)
	for name, c := range map[string]struct {
		refuses bool
		wrong   float64
		seen    bool
	}{
		"both":          {false, 0, true},
		"second alone":  {true, 0, true},
		"first alone":   {false, -0.01, true},
		"neither works": {true, -0.01, false},
	} {
		p := sharing(0.3)
		s := &twice{sharer: *p.Oracle.(*sharer), wrong: c.wrong}
		s.refuses = c.refuses
		y, mu := responseOf(t, p, best)
		p.Oracle = s
		got := measure(t, p, []float64{best}, y, mu)
		if got.Verdict > VerifiedLocally || got.SeenUnique != c.seen || s.again == 0 {
			t.Errorf("%s: %v, own solvers used: %v, second asked %d times: %s", name, got.Verdict, got.SeenUnique, s.again, got.Message)
		}
		if got.Hypergradient.Directions != 2 || !(got.Hypergradient.Slope > 0) {
			t.Errorf("%s: slope %v in %d directions", name, got.Hypergradient.Slope, got.Hypergradient.Directions)
		}
	}
}

// An answer of the oracle that is not proven is not used, and one that a wrong answer
// rests on does not help it.
func TestProverRefuses(t *testing.T) {
	best := math.Exp(-0.5) + math.Exp(-1)
	for name, c := range map[string]struct {
		spoil func(s *sharer, y, mu []float64)
		want  string
	}{
		"the solver is wrong in the same way": {func(s *sharer, y, _ []float64) { s.off = -0.01; y[0] -= 0.01 }, "lower objective smaller"},
		"the multipliers are wrong":           {func(s *sharer, _, mu []float64) { mu[1] = 1 }, "multipliers do not belong"},
		"the dual function claims it":         {func(s *sharer, y, _ []float64) { s.off, s.lie = -0.01, 1e-4; y[0] -= 0.01 }, "lower objective smaller"},
		"a check of the family's": {func(s *sharer, _, _ []float64) {
			s.checks = []bilevel.Check{{Name: "weight", Value: 1, Tolerance: 1e-4}}
		}, "weight is 1"},
		"a check that is not a number": {func(s *sharer, _, _ []float64) {
			s.checks = []bilevel.Check{{Name: "weight", Value: math.NaN(), Tolerance: 1}}
		}, "weight is NaN"},
	} {
		p := sharing(0.3)
		y, mu := responseOf(t, p, best)
		c.spoil(p.Oracle.(*sharer), y, mu)
		got := measure(t, p, []float64{best}, y, mu)
		if got.Verdict != Refuted || !strings.Contains(got.Message, c.want) {
			t.Errorf("%s: %v: %s", name, got.Verdict, got.Message)
		}
	}
}

// A dual function above some Lagrangian is found out, also where only other multipliers show it.
func TestFalseDual(t *testing.T) {
	for name, lie := range map[string]func(s *sharer){
		"everywhere":  func(s *sharer) { s.lie = 1e-9 },
		"grossly":     func(s *sharer) { s.lie = 1 },
		"other mu":    func(s *sharer) { s.shift = 0.5 },
		"not defined": func(s *sharer) { s.lie = math.NaN() },
	} {
		p := sharing(0.3)
		s := p.Oracle.(*sharer)
		lie(s)
		y, mu := responseOf(t, p, 0.7)
		y[0] *= 0.999 // a gap of about 1e-7
		c := measure(t, p, []float64{0.7}, y, mu)
		if c.SeenUnique || c.Verdict.OK() {
			t.Errorf("%s: %v, own solvers used: %v: %s", name, c.Verdict, c.SeenUnique, c.Message)
		}
		if lo := float64(c.LowerGap[0]); !(lo > 1e-8) {
			t.Errorf("%s: gap %v", name, c.LowerGap)
		}
		found := slices.ContainsFunc(c.FalseDeclarations, func(f string) bool { return strings.Contains(f, "LowerDual") })
		if (name == "other mu" || name == "everywhere") && !found {
			t.Errorf("%s: false declarations %v", name, c.FalseDeclarations)
		}
	}
}

// Moduli are sampled: of g, and of what f depends on.
func TestFalseModuli(t *testing.T) {
	for name, moduli := range map[string][]float64{
		"too large":         {1, 1, 3, 0},
		"f sees more":       {1, 1, 0, 0},
		"no curvature":      {1, 1, 1, 1},
		"as they should be": {1, 1, 1, 0},
	} {
		p := sharing(0.3)
		p.Structure.LowerModuli = moduli
		y, mu := responseOf(t, p, 0.7)
		c := measure(t, p, []float64{0.7}, y, mu)
		if right := name == "as they should be"; right != (len(c.FalseDeclarations) == 0) || right != c.SeenUnique {
			t.Errorf("%s: %v, used: %v", name, c.FalseDeclarations, c.SeenUnique)
		}
	}
	p := sharing(0)
	for _, bad := range [][]float64{{1}, {1, 1, 1, -1}, {1, 1, math.NaN(), 0}} {
		p.Structure.LowerModuli = bad
		if err := p.Validate(); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// The message tells a wrong y from an x that is not the best.
func TestMessageOfAnImprovableX(t *testing.T) {
	p := sharing(0.3)
	y, mu := responseOf(t, p, 0.7)
	const right = "y is the follower's best answer to x, proven by duality, but the leader can do better: x is not a local minimum"
	if c := measure(t, p, []float64{0.7}, y, mu); c.Verdict != Refuted || !strings.HasPrefix(c.Message, right) {
		t.Errorf("%v: %s", c.Verdict, c.Message)
	}
	y[0] *= 1 - 1e-5 // inexact
	if c := measure(t, p, []float64{0.7}, y, mu); c.Verdict != Refuted || strings.Contains(c.Message, "best answer to x") {
		t.Errorf("%v: %s", c.Verdict, c.Message)
	}
}

// Checks that pass or only inform, and a review that fails, change nothing.
func TestReview(t *testing.T) {
	best := math.Exp(-0.5) + math.Exp(-1)
	p := sharing(0.3)
	y, mu := responseOf(t, p, best)
	plain := measure(t, p, []float64{best}, y, mu)
	s := p.Oracle.(*sharer)
	s.checks = []bilevel.Check{{Name: "length", Value: 1e-9, Tolerance: 1e-8}, {Name: "width", Value: 5, Tolerance: math.Inf(1), Sentence: "It is five."}}
	c := measure(t, p, []float64{best}, y, mu)
	if c.Verdict != plain.Verdict || len(c.Checks) != 2 || c.Checks[1].Tolerance.Known() {
		t.Errorf("%v, %v", c.Verdict, c.Checks)
	}
	if rows := c.Sentences(); !slices.ContainsFunc(rows, func(r Row) bool { return r.Name == "width" && r.Value == "5" && r.Sentence == "It is five." }) {
		t.Errorf("%v", rows)
	}
	s.reviews = errors.New("no ruler")
	if c := measure(t, p, []float64{best}, y, mu); c.Verdict != plain.Verdict || !strings.Contains(strings.Join(c.Notes, "; "), "no ruler") {
		t.Errorf("%v, %v", c.Verdict, c.Notes)
	}
}
