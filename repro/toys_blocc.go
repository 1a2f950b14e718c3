package repro

import (
	"fmt"
	"math"
	"strconv"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/run"
	"gonum.org/v1/gonum/floats"
)

const exactInner = "Corrected: inner problems are solved exactly, so y_gamma = x, and x is a minimum of phi to rounding; the published offset comes from loose inner tolerances and from an inner test in which two changes cancel."

// otherBasin says why corrected runs may end at other minima.
const otherBasin = "The adaptive outer step may pass a minimum that the fixed step of the publication stops at."

// bloccFixed is the run of each BLOCC toy from a fixed start with lambda = 1.
func bloccFixed(s *session) error {
	for _, c := range []struct {
		problem            string
		x, y, outer, inner float64
	}{
		{"toy/blocc-1", 0.29999864, 0.30010739, 64, 67573},
		{"toy/blocc-2", 0.98513164, 0.98524102, 79, 84501},
	} {
		r, job, err := s.solve(run.Config{Problem: c.problem, Method: "blocc"}, nil)
		if err != nil {
			return err
		}
		corrected := s.o.Mode == bilevel.Corrected
		note := replayed
		if corrected {
			note = exactInner + " " + otherBasin
		}
		row := func(metric string, published, ours float64) {
			s.add(Row{"blocc", c.problem, metric, certify.Number(published), certify.Number(ours), none, "", note})
		}
		_, distance := nearest(job.Instance.Known, r.X)
		row("x", c.x, r.X[0])
		row("y_gamma", c.y, r.PenalisedY[0])
		row("distance_to_minimum", math.NaN(), distance)
		row("outer_iterations", c.outer, float64(r.Iterations))
		if !corrected {
			row("inner_iterations", c.inner, float64(r.Counts.Inner))
		}
	}
	return nil
}

// bloccRun is one run from a random start.
type bloccRun struct {
	x, gap, f    float64
	outer, inner float64
	seconds      float64
}

// bloccRuns solves a BLOCC toy from n random starts with changed settings.
func (s *session) bloccRuns(part, problem string, n int, set map[string]string) ([]bloccRun, error) {
	runs := make([]bloccRun, n)
	err := s.each(part, n, func(i int) error {
		seed := s.o.Seed + uint64(i)
		r, job, err := s.solve(run.Config{Problem: problem, Method: "blocc", Seed: &seed,
			ProblemSettings: run.Settings{"start": "random"}, MethodSettings: set}, nil)
		if err != nil {
			return err
		}
		runs[i] = bloccRun{r.X[0], math.Abs(r.X[0] - r.PenalisedY[0]), job.Instance.Problem.Upper.Value(r.X, r.PenalisedY),
			float64(r.Iterations), float64(r.Counts.Inner), r.Wall.Seconds()}
		return nil
	})
	return runs, err
}

// bloccStarts repeats the random starts: where the runs end, and what they cost.
func (size toySize) bloccStarts(s *session) error {
	for _, c := range []struct {
		problem      string
		shares       map[float64]float64 // by minimum, rounded to 3 decimals
		outer, inner float64
		gap          float64
	}{
		{"toy/blocc-1", map[float64]float64{0.301: 58. / 200, 1.163: 142. / 200}, 79.7, 82083, 1.1e-4},
		{"toy/blocc-2", map[float64]float64{0.149: 38. / 200, 0.986: 62. / 200, 2.020: 55. / 200, 2.991: 45. / 200}, 140.7, 150106, 1.1e-4},
	} {
		minima, err := known(c.problem)
		if err != nil {
			return err
		}
		runs, err := s.bloccRuns(c.problem+", random starts", c.problem, size.starts, nil)
		if err != nil {
			return err
		}
		n := float64(len(runs))
		count, offset := make([]float64, len(minima)), 0.0
		var outer, inner, gap []float64
		for _, r := range runs {
			at, d := nearest(minima, []float64{r.x})
			for i := range minima {
				if minima[i].X[0] == at.X[0] {
					count[i]++
				}
			}
			offset = math.Max(offset, d)
			outer, inner, gap = append(outer, r.outer), append(inner, r.inner), append(gap, r.gap)
		}
		note := unseeded + " " + replayed
		if s.o.Mode == bilevel.Corrected {
			note = exactInner + " " + otherBasin + " " + unseeded
		}
		row := func(metric string, published float64, ours, std certify.Number) {
			s.add(Row{"blocc", c.problem, metric, certify.Number(published), ours, std, "", note})
		}
		for i, k := range minima {
			p := count[i] / n
			published, ok := c.shares[math.Round(k.X[0]*1000)/1000]
			if !ok {
				return fmt.Errorf("no published share for the minimum %g of %s", k.X[0], c.problem)
			}
			row(fmt.Sprintf("share_at_%.3f", k.X[0]), published, certify.Number(p), certify.Number(math.Sqrt(p*(1-p)/n)))
		}
		row("largest_distance_to_minimum", math.NaN(), certify.Number(offset), none)
		row("largest_gap_x_y_gamma", c.gap, certify.Number(floats.Max(gap)), none)
		mean, std := summary(outer)
		row("outer_iterations", c.outer, mean, std)
		if s.o.Mode == bilevel.Faithful {
			mean, std = summary(inner)
			row("inner_iterations", c.inner, mean, std)
		}
	}
	return nil
}

// The penalties and outer steps of the sensitivity tables.
var (
	tableGammas = []float64{0.001, 0.01, 0.1, 1}
	tableEtas   = []float64{0.001, 0.01, 0.1, 1, 10}
)

// bloccGamma repeats the table over gamma on toy 2.
func (size toySize) bloccGamma(s *session) error {
	gap := [...]float64{0.017, 0.011, 0.011, 0.000}
	value := [...]float64{0.004, 0.003, 0.010, 0.000}
	seconds := [...]float64{5.888, 2.881, 0.961, 0.777}
	for i, gamma := range tableGammas {
		set := map[string]string{"gamma": text(gamma)}
		note := unseeded + " " + carried + " In exact arithmetic gamma has no influence; the table measures the error of the inner solver. Another seed of the published code gives gaps of 0.018, 0.017, 0.025 and 0.0002."
		if s.o.Mode == bilevel.Corrected {
			note = exactInner + " gamma has no influence, as the closed form says."
		}
		if err := s.cell(size.sensitivity, set, "gamma "+text(gamma), gap[i], value[i], seconds[i], note); err != nil {
			return err
		}
	}
	return nil
}

// carried explains means smaller than their spread.
const carried = "Means of gaps and errors are carried by a few runs in which the signed inner test stops far from the solution, or the outer step overshoots."

const spread = "The spreads printed beside the published errors and times are those of the gaps, and are left out."

// bloccEta repeats the table over the outer step and gamma on toy 2.
func (size toySize) bloccEta(s *session) error {
	gap := [5][4]float64{{.019, .012, .026, 0}, {.016, .013, .008, 0}, {.009, .018, .005, 0}, {.029, .026, .012, 0}, {.021, .027, .014, 0}}
	value := [5][4]float64{{.004, .004, .012, .003}, {.005, .004, .002, 0}, {.079, .145, .063, .072}, {.004, .004, .003, 0}, {.106, .062, .035, .063}}
	seconds := [5][4]float64{{4.152, 4.112, 2.083, 1.884}, {3.231, 2.743, 0.978, 0.477}, {3.709, 4.186, 0.593, 0.535}, {8.707, 8.017, 3.192, 1.599}, {6.381, 4.685, 2.668, 1.692}}
	for i, eta := range tableEtas {
		for j, gamma := range tableGammas {
			set := map[string]string{"gamma": text(gamma), "eta": text(eta)}
			if err := s.cell(size.sensitivity, set, "eta "+text(eta)+", gamma "+text(gamma), gap[i][j], value[i][j], seconds[i][j], unseeded+" "+carried+" "+spread); err != nil {
				return err
			}
		}
	}
	return nil
}

// cell adds the rows of one cell of a sensitivity table: the gap |x - y_gamma|,
// the distance of f(x, y_gamma) to the value of the nearest minimum (the published
// list has the end x = 3 too) and the time of a run.
func (s *session) cell(n int, set map[string]string, at string, gap, value, seconds float64, note string) error {
	const problem = "toy/blocc-2"
	minima, err := known(problem)
	if err != nil {
		return err
	}
	minima = append(minima, problems.Known{X: []float64{3}, Upper: 2.445844335663})
	runs, err := s.bloccRuns(problem+", "+at, problem, n, set)
	if err != nil {
		return err
	}
	var gaps, values, times []float64
	for _, r := range runs {
		k, _ := nearest(minima, []float64{r.x})
		gaps, values, times = append(gaps, r.gap), append(values, math.Abs(r.f-k.Upper)), append(times, r.seconds)
	}
	for _, m := range []struct {
		metric, unit string
		published    float64
		v            []float64
	}{{"gap_x_y_gamma", "", gap, gaps}, {"f_error", "", value, values}, {"time", "s", seconds, times}} {
		mean, std := summary(m.v)
		s.add(Row{"blocc", problem + " (" + at + ")", m.metric, certify.Number(m.published), mean, std, m.unit, note})
	}
	return nil
}

func text(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
