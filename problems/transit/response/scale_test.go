//go:build unix

package response_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/problems/transit/response"
	"github.com/bilevel-go/bilevel/report"
)

// plotVariable names the file to which BenchmarkScale draws its figures.
const plotVariable = "BILEVEL_PLOT"

func processorSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + 1e-6*float64(u.Utime.Usec+u.Stime.Usec)
}

// BenchmarkScale measures the exact response of generated cities at capacities of half
// to one and a half times what everybody needs on the shortest path: cold, in wall and
// in processor time.
func BenchmarkScale(b *testing.B) {
	var stations, processor []float64
	for _, n := range []int{4, 6, 8, 10, 12, 14, 16, 18, 20} {
		b.Run(fmt.Sprintf("%d", n*n), func(b *testing.B) {
			net, err := network.Grid(n, n, 1)
			if err != nil {
				b.Fatal(err)
			}
			m, err := response.NewModel(net)
			if err != nil {
				b.Fatal(err)
			}
			open := response.NewPricing(m)
			open.Evaluate(make([]float64, m.Links))
			rng, x := rand.New(rand.NewPCG(1, 1)), make([]float64, m.Links)
			for e, v := range open.Loads {
				x[e] = v * (0.5 + rng.Float64())
			}
			s := response.NewSolver(m)
			used := processorSeconds(b)
			for b.Loop() {
				if err := s.Solve(math.Inf(1), x, nil); err != nil {
					b.Fatal(err)
				}
			}
			used = (processorSeconds(b) - used) / float64(b.N)
			b.ReportMetric(used, "cpu-s/op")
			b.ReportMetric(float64(s.Answer.Steps), "steps")
			b.ReportMetric(float64(s.Answer.Paths), "paths")
			stations = append(stations, float64(n*n))
			processor = append(processor, used)
		})
	}
	path := os.Getenv(plotVariable)
	if path == "" {
		return
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	p := report.Plot{Title: "Exact response of a generated city, seconds of processor time", XLabel: "stations", Log: true,
		Series: []report.Series{{X: stations, Y: processor}}}
	if err := p.WriteSVG(f); err != nil {
		b.Fatal(err)
	}
}
