package repro

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/run"
	"gonum.org/v1/gonum/floats"
)

// distances records ln(|x - x*|/|x*|) at the iterations asked for.
type distances struct {
	optimum problems.Known
	want    []int
	got     []float64
}

func (r *distances) Record(p *bilevel.Progress) error {
	if len(r.got) < len(r.want) && p.Iteration == r.want[len(r.got)] {
		x := make([]float64, p.X.Len())
		p.X.Read(x)
		r.got = append(r.got, math.Log(floats.Distance(x, r.optimum.X, 2)/floats.Norm(r.optimum.X, 2)))
	}
	return nil
}

// llcScript repeats the published run on the merely convex toy, with the
// published step of theta and lambda and with a tenth of it: both diverge.
func llcScript(s *session) error {
	const problem = "toy/llc"
	const diverges = "The published steps diverge: theta and lambda are updated at once on a bilinear coupling of rank one and size sqrt(2n). With a tenth of the step they diverge later."
	optima, err := known(problem)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		eta       string
		at        []int
		published []float64
	}{
		{"0.01", []int{1, 10, 100, 500, 1500}, []float64{3.407, 0.692, 2.717, 4.890, 4.776}},
		{"0.001", []int{100, 500, 1000, 1500}, []float64{3.005, 0.370, 1.718, 5.484}},
	} {
		rec := &distances{optimum: optima[0], want: c.at}
		if _, _, err := s.solve(run.Config{Problem: problem, Method: "lv-hba", MethodSettings: run.Settings{"eta": c.eta}}, rec); err != nil {
			return err
		}
		for i, d := range rec.got {
			s.add(Row{"lv-hba", problem + " (eta " + c.eta + "), iteration " + text(float64(c.at[i])), "ln_relative_distance",
				certify.Number(c.published[i]), certify.Number(d), none, "", diverges + " " + replayed})
		}
	}
	return nil
}
