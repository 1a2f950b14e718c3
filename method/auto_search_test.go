package method

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/set"
)

// combed has phi(x) = (x-3)^2/50 + sin(5x)^2 over [-10, 10], with dozens of local
// minima; y_g = x.
func combed(t *testing.T, oracle any) *bilevel.Problem {
	t.Helper()
	box, err := set.Box([]float64{-10}, []float64{10})
	if err != nil {
		t.Fatal(err)
	}
	return &bilevel.Problem{
		Name: "combed", NX: 1, NY: 1, X: box, X0: []float64{-8}, Y0: []float64{0}, Oracle: oracle,
		Structure: bilevel.Structure{LowerConvex: true, LowerModulus: 1},
		Upper: bilevel.Objective{
			Value: func(_, y []float64) float64 { return (y[0]-3)*(y[0]-3)/50 + math.Pow(math.Sin(5*y[0]), 2) },
			GradX: func(dst, _, _ []float64) { dst[0] = 0 },
			GradY: func(dst, _, y []float64) { dst[0] = (y[0]-3)/25 + 5*math.Sin(10*y[0]) },
		},
		Lower: bilevel.Objective{
			Value: func(x, y []float64) float64 { return (y[0] - x[0]) * (y[0] - x[0]) / 2 },
			GradX: func(dst, x, y []float64) { dst[0] = x[0] - y[0] },
			GradY: func(dst, x, y []float64) { dst[0] = y[0] - x[0] },
		},
	}
}

// grid is a search that tries ten points a round, from the left on, and refines
// nothing.
type grid struct {
	calls int
}

func (g *grid) SearchState() int { return 3 } // points tried, best x, best value

func (g *grid) Search(x, state []float64, r bilevel.SearchRound) (bool, error) {
	g.calls++
	if state[0] == 0 {
		state[2] = math.Inf(1)
	}
	for range 10 {
		if r.Stop() {
			return false, nil
		}
		at := -10 + 0.01*state[0]
		if v := (at-3)*(at-3)/50 + math.Pow(math.Sin(5*at), 2); v < state[2] {
			state[1], state[2] = at, v
		}
		state[0]++
	}
	x[0] = state[1]
	return state[0] >= 2000, nil
}

// The best of the minima near 3 is at a multiple of pi/5: 3 + 0.1416 = pi.
func TestAutoGoesOnFromTheProblemsOwnSearch(t *testing.T) {
	g := new(grid)
	r, err := bilevel.Solve(context.Background(), combed(t, g), new(Auto), bilevel.Settings{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	// phi' = (x-3)/25 + 5 sin(10x) = 0 near pi.
	want := math.Pi
	for range 50 {
		want -= ((want-3)/25 + 5*math.Sin(10*want)) / (0.04 + 50*math.Cos(10*want))
	}
	if g.calls != 200 || math.Abs(r.X[0]-want) > 1e-7 || r.Status != bilevel.Converged {
		t.Errorf("x = %.9f after %d rounds (%s), want %.9f after 200", r.X[0], g.calls, r.Status, want)
	}
}

// verdicts collects the verdicts of a run by iteration.
type verdicts map[int]string

func (v verdicts) Record(p *bilevel.Progress) error {
	if p.Verdict != "" {
		v[p.Iteration] = p.Verdict
	}
	return nil
}

// The answer of the first round is measured before the search goes on.
func TestAutoMeasuresASearchsFirstAnswer(t *testing.T) {
	v := verdicts{}
	r, err := bilevel.Solve(context.Background(), combed(t, new(grid)), new(Auto), bilevel.Settings{Seed: 1, Recorder: v})
	if err != nil {
		t.Fatal(err)
	}
	if v[2] == "" || v[r.Iterations] != certify.Verified.String() {
		t.Errorf("verdicts %v of %d iterations, want one at the second and %q at the last", v, r.Iterations, certify.Verified)
	}
	if n := r.Notes[0]; n.Iteration != 1 || !strings.Contains(n.Text, v[2]) {
		t.Errorf("first note %+v, want the verdict %q", n, v[2])
	}
}

// guess is a search that answers with one point and a bound, and never ends by itself.
type guess struct {
	at, bound float64
	calls     int
}

func (g *guess) SearchState() int                     { return 1 }
func (g *guess) LowerBound() (float64, string, error) { return g.bound, "known", nil }

func (g *guess) Search(x, _ []float64, _ bilevel.SearchRound) (bool, error) {
	g.calls++
	x[0] = g.at
	return false, nil
}

// A first answer that is proven ends the run.
func TestAutoEndsWhereASearchsFirstAnswerIsProven(t *testing.T) {
	best, err := bilevel.Solve(context.Background(), combed(t, new(grid)), new(Auto), bilevel.Settings{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	// A bound that the search takes for missed and the certificate for attained.
	g := &guess{at: best.X[0], bound: best.Upper - 3e-8}
	r, err := bilevel.Solve(context.Background(), combed(t, g), new(Auto), bilevel.Settings{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != bilevel.Converged || g.calls != 1 || r.Iterations != 2 || r.X[0] != g.at {
		t.Errorf("%s after %d rounds and %d iterations at %v, want converged after 1 and 2 at %v", r.Status, g.calls, r.Iterations, r.X[0], g.at)
	}
}

func TestAutoResumesASearch(t *testing.T) {
	whole, err := bilevel.Solve(context.Background(), combed(t, new(grid)), new(Auto), bilevel.Settings{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	part, err := bilevel.Solve(context.Background(), combed(t, new(grid)), new(Auto), bilevel.Settings{Seed: 1, MaxIterations: 77})
	if err != nil || part.State == nil {
		t.Fatal(err, part.Status)
	}
	g := new(grid)
	rest, err := bilevel.Solve(context.Background(), combed(t, g), new(Auto), bilevel.Settings{Seed: 1, Resume: part.State})
	if err != nil {
		t.Fatal(err)
	}
	if rest.X[0] != whole.X[0] || rest.Iterations != whole.Iterations || g.calls != 200-76 { // the second iteration measures the first answer
		t.Errorf("resumed: x = %v after %d iterations, %d rounds; uninterrupted: %v after %d", rest.X[0], rest.Iterations, g.calls, whole.X[0], whole.Iterations)
	}
}
