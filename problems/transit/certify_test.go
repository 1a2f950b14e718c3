package transit

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
)

func certified(t testing.TB, p *bilevel.Problem, x, y, mu []float64) *certify.Certificate {
	t.Helper()
	c, err := certify.Measure(context.Background(), p, x, y, mu, certify.Settings{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// designs keeps what found has computed.
var designs = map[string][]float64{}

// found is the design after some rounds of the problem's own search.
func found(t testing.TB, p *bilevel.Problem, rounds int) (x []float64) {
	t.Helper()
	if key := fmt.Sprint(p.Name, p.X, rounds); p.Oracle.(*searching).plain {
		if x, ok := designs[key]; ok {
			return slices.Clone(x)
		}
		defer func() { designs[key] = slices.Clone(x) }()
	}
	s := p.Oracle.(bilevel.Searcher)
	x = slices.Clone(p.X0)
	state := make([]float64, s.SearchState())
	for range rounds {
		if _, err := s.Search(x, state, bilevel.SearchRound{Seed: 1, Stop: func() bool { return false }}); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// response is the lower solution of the problem's own solver.
func respond(t testing.TB, p *bilevel.Problem, x []float64) (y, mu []float64) {
	t.Helper()
	y, mu = make([]float64, p.NY), make([]float64, p.Coupling.Rows)
	solveLevel(t, p, math.Inf(1), x, y, mu)
	return y, mu
}

func check(c *certify.Certificate, name string) certify.Check {
	for _, k := range c.Checks {
		if k.Name == name {
			return k
		}
	}
	return certify.Check{Value: certify.Number(math.NaN())}
}

// Designs where the search ends pass, with closed links, full links and ties; what
// the certificate says of the response it takes from nobody: y is given, and left out.
func TestCertificateOfDesigns(t *testing.T) {
	for _, c := range []struct {
		name   string
		rounds int
	}{{"transit/3node", 2}, {"transit/9node", 4}, {"transit/seville", 3}} {
		p := openInstance(t, c.name, nil).Problem
		x := found(t, p, c.rounds)
		y, mu := respond(t, p, x)
		for _, given := range []bool{true, false} {
			if !given && p.NX > 50 {
				continue // long
			}
			if !given {
				y, mu = nil, nil
			}
			cert := certified(t, p, x, y, mu)
			if cert.Verdict > certify.VerifiedLocally {
				t.Errorf("%s: %v: %s", c.name, cert.Verdict, cert.Message)
			}
			g := math.Abs(float64(cert.Lower))
			if !(float64(cert.LowerGap[1]) <= 1e-12*g) || !cert.SeenUnique || !(float64(cert.UpperError) <= 1e-5*math.Max(1, g)) {
				t.Errorf("%s: gap %v, unique in what f sees %v, f open by %v", c.name, cert.LowerGap, cert.SeenUnique, cert.UpperError)
			}
			if v := float64(check(cert, "built links").Value); !(v <= 1e-6) {
				t.Errorf("%s: the profit rises with slope %g over the prices of built links: %s", c.name, v, check(cert, "built links").Sentence)
			}
			for _, k := range cert.Checks {
				if !(k.Value <= k.Tolerance) {
					t.Errorf("%s: %s is %v: %s", c.name, k.Name, k.Value, k.Sentence)
				}
			}
			if v := float64(check(cert, "second method").Value); !(v <= 1e-8*math.Max(1, math.Abs(float64(cert.Upper)))) {
				t.Errorf("%s: the second method's profit differs by %g", c.name, v)
			}
			if len(cert.FalseDeclarations) > 0 {
				t.Errorf("%s: %v", c.name, cert.FalseDeclarations)
			}
			if cert.Hypergradient.Slope < 0 || cert.Hypergradient.Directions < p.NX && cert.Bound == nil {
				t.Errorf("%s: slope %v in %d directions", c.name, cert.Hypergradient.Slope, cert.Hypergradient.Directions)
			}
		}
	}
}

// The optimum of three stations has the known profit, and a design by hand that is
// not optimal is told so, with the response proven all the same.
func TestCertificateByHand(t *testing.T) {
	p := openInstance(t, "transit/3node", nil).Problem
	x := make([]float64, p.NX)
	x[0], x[2] = sigma(2), sigma(2)
	if c := certified(t, p, x, nil, nil); c.Verdict != certify.VerifiedGlobally || math.Abs(float64(c.Upper)+2*sigma(2)) > 1e-9 {
		t.Errorf("%v, f = %v: %s", c.Verdict, c.Upper, c.Message)
	}
	for _, name := range []string{"transit/3node", "transit/9node", "transit/seville"} {
		p := openInstance(t, name, nil).Problem
		rng := rand.New(rand.NewPCG(21, 22))
		x := make([]float64, p.NX)
		for e := range x {
			if rng.IntN(4) > 0 {
				x[e] = math.Round(8*rng.Float64()) / 2
			}
		}
		c := certified(t, p, x, nil, nil)
		if c.Verdict != certify.Refuted || !strings.Contains(c.Message, "x is not a local minimum") || strings.Contains(c.Message, "another y") {
			t.Errorf("%s: %v: %s", name, c.Verdict, c.Message)
		}
		if !(float64(c.LowerGap[1]) <= 1e-9*math.Abs(float64(c.Lower))) || len(c.Y) != p.NY {
			t.Errorf("%s: gap %v", name, c.LowerGap)
		}
	}
}

// Wrong answers are refused, whoever claims them.
func TestCertificateRefuses(t *testing.T) {
	p := openInstance(t, "transit/9node", nil).Problem
	d := len(p.Structure.LowerModuli) - 30*9 // pairs
	best := found(t, p, 4)
	wide := slices.Clone(p.X0)
	type answer struct{ x, y, mu []float64 }
	for name, c := range map[string]struct {
		x     []float64
		spoil func(a *answer)
		want  string
	}{
		"no response at all": {best, func(a *answer) { clear(a.y) }, "another y has a lower objective smaller"},
		"response to more":   {best, func(a *answer) { a.y, a.mu = respond(t, p, wide) }, "violated"},
		"response to less": {best, func(a *answer) {
			z := slices.Clone(a.x)
			z[slices.Index(z, slices.Max(z))] /= 2
			a.y, a.mu = respond(t, p, z)
		}, "lower objective smaller"},
		"shares without flows":     {best, func(a *answer) { a.y[3] += 0.01 }, "upper objective at y differs"},
		"a negative flow":          {best, func(a *answer) { a.y[d+5] = -0.01 }, "response gap"},
		"a detour":                 {wide, func(a *answer) { detour(p, a.y) }, "lower objective smaller"},
		"no multipliers":           {best, func(a *answer) { clear(a.mu) }, "multipliers do not belong"},
		"prices too high":          {best, func(a *answer) { a.mu[len(a.mu)-30+slices.Index(a.x, slices.Max(a.x))] += 0.1 }, "response gap"},
		"a negative price":         {best, func(a *answer) { a.mu[len(a.mu)-1] = -0.1 }, "response gap"},
		"negative capacity":        {best, func(a *answer) { a.x[0] = -0.1 }, "from X"},
		"x is not a number":        {best, func(a *answer) { a.x[0] = math.NaN() }, "not a finite number"},
		"y is not a number":        {best, func(a *answer) { a.y[0] = math.NaN() }, "not a finite number"},
		"an infinite multiplier":   {best, func(a *answer) { a.mu[0] = math.Inf(1) }, "not a finite number"},
		"capacity that is wasted":  {best, func(a *answer) { a.x[slices.Index(a.x, slices.Max(a.x))] *= 1.1; a.y, a.mu = respond(t, p, a.x) }, "not a local minimum"},
		"everything, right answer": {wide, func(*answer) {}, "not a local minimum"},
	} {
		a := answer{x: slices.Clone(c.x)}
		a.y, a.mu = respond(t, p, a.x)
		c.spoil(&a)
		if got := certified(t, p, a.x, a.y, a.mu); got.Verdict != certify.Refuted || !strings.Contains(got.Message, c.want) {
			t.Errorf("%s: %v: %s, want %q", name, got.Verdict, got.Message, c.want)
		}
	}
}

// detour sends some flow of the first origin around a pair of opposite links.
func detour(p *bilevel.Problem, y []float64) {
	in := openDesign(p)
	for e := range in.from {
		for g := range in.from {
			if in.from[g] == in.to[e] && in.to[g] == in.from[e] && in.to[g] != in.m.Origins[0].Station && in.to[e] != in.m.Origins[0].Station {
				y[in.pairs+e] += 0.01
				y[in.pairs+g] += 0.01
				return
			}
		}
	}
}

func openDesign(p *bilevel.Problem) *design { return p.Oracle.(*searching).reviewer.d }

// d(x, mu) is no larger than the Lagrangian at any y, is attained at the response, and
// is a minimum for other multipliers too.
func TestLowerDual(t *testing.T) {
	for _, name := range []string{"transit/3node", "transit/9node"} {
		p := openInstance(t, name, nil).Problem
		dual := p.Oracle.(bilevel.LowerDual)
		rng := rand.New(rand.NewPCG(31, 32))
		x := slices.Clone(p.X0)
		for e := range x {
			x[e] *= 0.8 * rng.Float64()
		}
		y, mu := respond(t, p, x)
		h := make([]float64, p.Coupling.Rows)
		lagrangian := func(y, mu []float64) float64 {
			p.Coupling.Value(h, x, y)
			sum := p.Lower.Value(x, y)
			for i, c := range h {
				sum += mu[i] * c
			}
			return sum
		}
		g := p.Lower.Value(x, y)
		if d := dual.LowerDual(x, mu); math.Abs(d-g) > 1e-11*math.Abs(g) {
			t.Errorf("%s: d = %.15g, g = %.15g at the response", name, d, g)
		}
		grad, hess, one := make([]float64, p.NY), make([]float64, p.NY), slices.Repeat([]float64{1}, p.NY)
		for range 20 {
			for i := range mu {
				mu[i] += rng.NormFloat64()
				if i >= p.Coupling.Equalities {
					mu[i] = math.Abs(mu[i])
				}
			}
			d := dual.LowerDual(x, mu)
			for i := range y {
				y[i] = rng.Float64()
			}
			p.Y.Project(y, y)
			if l := lagrangian(y, mu); d > l {
				t.Errorf("%s: d = %g above the Lagrangian %g", name, d, l)
			}
			// The Lagrangian is a sum over components: Newton's steps for the shares,
			// a bound for the flows.
			for range 200 {
				p.Lower.GradY(grad, x, y)
				p.Coupling.JacYT(hess, x, y, mu)
				for i := range grad {
					grad[i] += hess[i]
				}
				p.Lower.HessYY(hess, x, y, one)
				for i, v := range grad {
					if hess[i] > 0 {
						y[i] -= 0.5 * v / hess[i]
					} else {
						y[i] -= 1e3 * v
					}
				}
				p.Y.Project(y, y)
			}
			if l := lagrangian(y, mu); math.Abs(d-l) > 1e-9*math.Max(1, math.Abs(l)) {
				t.Errorf("%s: d = %.15g, the least Lagrangian is %.15g", name, d, l)
			}
		}
	}
}

// A link that is hardly open, where the first method may end short of its
// tolerance, has a proven response and a profit all the same.
func TestCertificateOfTinyCapacities(t *testing.T) {
	in := openInstance(t, "transit/9node", nil)
	p := in.Problem
	for _, tiny := range []float64{1e-9, 1e-7, 1e-6, 1e-5} {
		x := found(t, p, 4)
		x[slices.Index(x, 0)] = tiny
		y, mu := make([]float64, p.NY), make([]float64, p.Coupling.Rows)
		if err := p.Oracle.(bilevel.SecondSolver).SolveAgain(x, y, mu); err != nil {
			t.Fatal(err)
		}
		if gap := p.Lower.Value(x, y) - p.Oracle.(bilevel.LowerDual).LowerDual(x, mu); !(math.Abs(gap) <= 1e-9*p.Lower.Value(x, y)) {
			t.Errorf("capacity %g: gap %g", tiny, gap)
		}
		if profit, ok := in.Metrics(x, nil, nil)["profit"]; !ok || math.Abs(profit+p.Upper.Value(x, y)) > 1e-6 {
			t.Errorf("capacity %g: profit %g, %g by the second method", tiny, profit, -p.Upper.Value(x, y))
		}
	}
}

// Under limits the response is proven as without them.
func TestCertificateWithLimits(t *testing.T) {
	for _, set := range []map[string]string{{"symmetric": "true"}, {"budget": "60"}, {"force": "1>2:4", "forbid": "3>4"}} {
		p := openInstance(t, "transit/9node", set).Problem
		x := found(t, p, 4)
		p.X.Project(x, x)
		c := certified(t, p, x, nil, nil)
		if !(float64(c.LowerGap[1]) <= 1e-9*float64(c.Lower)) || len(c.Checks) != 4 || len(c.FalseDeclarations) > 0 {
			t.Errorf("%v: %v, gap %v: %s", set, c.Verdict, c.LowerGap, c.Message)
		}
	}
}

// BenchmarkCertificate measures one certificate of a design where the search ends.
func BenchmarkCertificate(b *testing.B) {
	for _, name := range []string{"transit/3node", "transit/9node", "transit/seville"} {
		p := openInstance(b, name, nil).Problem
		x := found(b, p, 3)
		y, mu := respond(b, p, x)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				certified(b, p, x, y, mu)
			}
		})
	}
}
