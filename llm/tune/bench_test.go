package tune

import (
	"os"
	"syscall"
	"testing"

	"github.com/bilevel-go/bilevel/vec"
)

// The steps of the methods beside what practitioners do: a preference step of the
// updates and a supervised step of the head. BENCH_BACKEND chooses the backend
// (default go). cpu-ms/op is the processor time of a step, which other work on the
// machine does not change.
func BenchmarkSteps(b *testing.B) {
	spec := os.Getenv("BENCH_BACKEND")
	if spec == "" {
		spec = "go"
	}
	l := newLabOf(b, spec, "stories260k")
	stage := func(name string) Stage {
		s := l.stage(b, name, b.N)
		s.Choice.FlatnessEvery = -1
		s.EvalUpper, s.EvalLower = nil, nil
		return s
	}
	measure := func(b *testing.B, run func(n int)) {
		run(2) // compiles
		before := cpu()
		b.ResetTimer()
		run(b.N)
		b.ReportMetric(1e3*(cpu()-before)/float64(b.N), "cpu-ms/op")
	}
	b.Run("dpo step of x and sft step of y", func(b *testing.B) {
		m := newModel(l.t, stage("dpo").Upper, stage("dpo").Lower)
		defer m.release()
		s := stage("dpo")
		x, y := l.t.b.space.Vector(l.t.x0), l.t.b.space.Vector(l.t.head)
		dx, dy := x.New(), y.New()
		ox, oy := s.OptimizeX.New(new(vec.Scratch), "x", x), s.OptimizeY.New(new(vec.Scratch), "y", y)
		measure(b, func(n int) {
			for k := range n {
				if err := m.Sample(k); err != nil {
					b.Fatal(err)
				}
				m.UpperGradX(dx, x, y)
				ox.Step(x, dx)
				l.t.b.space.Run()
				m.LowerGradY(dy, x, y)
				oy.Step(y, dy)
				l.t.b.space.Run()
			}
			vec.Norm(x)
		})
	})
	for _, name := range []string{"pbgd-free", "v-pbgd", "bome", "alright", "dpo"} {
		b.Run(name, func(b *testing.B) {
			measure(b, func(n int) {
				s := stage(name)
				s.Steps = n
				if _, err := l.t.Train(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// cpu is the processor time of the process so far, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
