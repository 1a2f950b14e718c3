package response

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/network"
)

// city is a generated city of n x n stations, with capacities around what everybody
// needs.
func city(tb testing.TB, n int, seed uint64, part float64) (*Model, []float64) {
	net, err := network.Grid(n, n, seed)
	if err != nil {
		tb.Fatal(err)
	}
	m := model(tb, net)
	return m, capacities(m, rand.New(rand.NewPCG(seed, 1)), NewSolver(m), part)
}

// Cities in which a product far below the others used to end the iteration.
func TestCities(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		part float64
	}{{4, 1}, {4, 1.5}, {5, 1}, {6, 1.5}} {
		m, x := city(t, 10, c.seed, c.part)
		proven(t, NewSolver(m), math.Inf(1), x, nil)
	}
}

// A city with so many paths that its pairs are looked at side by side: the answer does
// not depend on the number of workers, nor on earlier calls.
func TestCityWorkers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	m, x := city(t, 12, 1, 1)
	s := NewSolver(m)
	var want []float64
	for i, workers := range []int{1, 3, 2} {
		if i == 2 {
			s = NewSolver(m)
		}
		runtime.GOMAXPROCS(workers)
		if err := s.Solve(math.Inf(1), x, nil); err != nil || s.Answer.Gap > floor {
			t.Fatalf("%d workers: gap %g, %v", workers, s.Answer.Gap, err)
		}
		got := slices.Concat(s.Answer.Prices, s.Answer.Shares, s.Answer.Loads)
		if want == nil {
			want = got
		} else if !slices.Equal(got, want) {
			t.Errorf("the answer by %d workers differs", workers)
		}
	}
}
