package bilevel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/vec"
)

func solve(t *testing.T, m bilevel.Method, s bilevel.Settings) *bilevel.Result {
	t.Helper()
	r, err := bilevel.Solve(context.Background(), bowl(), m, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStatuses(t *testing.T) {
	stop := func(at int, status bilevel.Status, err error) walker {
		return walker{during: func(_ *walk, k int) (bilevel.Status, error) {
			if k == at {
				return status, err
			}
			return bilevel.Running, nil
		}}
	}
	level := func(s bilevel.Status) error { return &bilevel.LevelError{Status: s, Detail: "at x = 3"} }
	for _, c := range []struct {
		name       string
		method     walker
		settings   bilevel.Settings
		status     bilevel.Status
		iterations int
		says       string
	}{
		{"own test", stop(7, bilevel.Converged, nil), bilevel.Settings{}, bilevel.Converged, 7, ""},
		{"limit of the settings", walker{}, bilevel.Settings{MaxIterations: 4}, bilevel.IterationLimit, 4, ""},
		{"limit of the method", walker{}, bilevel.Settings{}, bilevel.IterationLimit, 50, ""},
		{"lower level infeasible", stop(3, bilevel.Running, level(bilevel.LowerInfeasible)), bilevel.Settings{}, bilevel.LowerInfeasible, 2, "at x = 3"},
		{"lower level unbounded", stop(1, bilevel.Running, fmt.Errorf("lower: %w", level(bilevel.LowerUnbounded))), bilevel.Settings{}, bilevel.LowerUnbounded, 0, "at x = 3"},
		{"inner failure", stop(2, bilevel.Running, level(bilevel.NumericalFailure)), bilevel.Settings{}, bilevel.NumericalFailure, 1, "at x = 3"},
		{"infeasible at the start", walker{start: func(*bilevel.Env) error { return level(bilevel.LowerInfeasible) }}, bilevel.Settings{}, bilevel.LowerInfeasible, 0, "at x = 3"},
	} {
		r := solve(t, c.method, c.settings)
		if r.Status != c.status || r.Iterations != c.iterations {
			t.Errorf("%s: %v after %d iterations, want %v after %d", c.name, r.Status, r.Iterations, c.status, c.iterations)
		}
		if !strings.HasPrefix(r.Message, c.status.Sentence()) || !strings.Contains(r.Message, c.says) {
			t.Errorf("%s: message %q", c.name, r.Message)
		}
		if (r.State != nil) != c.status.Limit() {
			t.Errorf("%s: state %v", c.name, r.State)
		}
		finite(t, c.name+": x", r.X)
		finite(t, c.name+": y", r.Y)
		p := bowl()
		if r.Upper != p.Upper.Value(r.X, r.Y) || r.Lower != p.Lower.Value(r.X, r.Y) {
			t.Errorf("%s: f, g = %g, %g are not those of the point", c.name, r.Upper, r.Lower)
		}
	}
}

func TestUnexpectedErrors(t *testing.T) {
	boom := errors.New("boom")
	fail := walker{during: func(*walk, int) (bilevel.Status, error) { return bilevel.Running, boom }}
	r, err := bilevel.Solve(context.Background(), bowl(), fail, bilevel.Settings{})
	if !errors.Is(err, boom) || r.Status != bilevel.NumericalFailure {
		t.Errorf("from Step: %v, %v", r.Status, err)
	}
	r, err = bilevel.Solve(context.Background(), bowl(), walker{}, bilevel.Settings{Recorder: &recorder{fail: boom}})
	if !errors.Is(err, boom) || r.Iterations != 1 {
		t.Errorf("from the recorder: %v", err)
	}
	_, err = bilevel.Solve(context.Background(), bowl(), walker{}, bilevel.Settings{MaxIterations: 3, Checkpoint: func(*bilevel.State) error { return boom }})
	if !errors.Is(err, boom) {
		t.Errorf("from the checkpoint: %v", err)
	}
	start := walker{start: func(*bilevel.Env) error {
		return &bilevel.SettingError{Field: "gamma", Value: -1, Allowed: "a positive number"}
	}}
	r, err = bilevel.Solve(context.Background(), bowl(), start, bilevel.Settings{})
	if !errors.Is(err, bilevel.ErrInvalid) || r.Status != bilevel.InvalidProblem {
		t.Errorf("from Start: %v, %v", r.Status, err)
	}
}

// endless works in the inner loop of step at without end, after moving x.
func endless(at int, enter func()) walker {
	return walker{during: func(it *walk, k int) (bilevel.Status, error) {
		if k == at {
			enter()
			for !it.e.Stopped() {
				it.x.Scale(1.5)
				it.x.Clamp(-1e100, 1e100)
			}
		}
		return bilevel.Running, nil
	}}
}

// A cancelled run leaves its inner loop at once and returns the last finished
// iteration, from which it continues to the bits of an undisturbed run.
func TestInterruptWithinAnInnerIteration(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var saved *bilevel.State
	r, err := bilevel.Solve(ctx, bowl(), endless(6, cancel), bilevel.Settings{Seed: 9, Checkpoint: func(s *bilevel.State) error { saved = s; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != bilevel.Interrupted || r.Iterations != 5 || saved == nil || r.State == nil {
		t.Fatalf("%v after %d iterations, state %v", r.Status, r.Iterations, saved)
	}
	five := solve(t, walker{}, bilevel.Settings{Seed: 9, MaxIterations: 5})
	if !reflect.DeepEqual(r.X, five.X) || r.Counts != five.Counts {
		t.Errorf("interrupted at %v with %+v, five iterations give %v with %+v", r.X, r.Counts, five.X, five.Counts)
	}
	whole := solve(t, walker{}, bilevel.Settings{Seed: 9, MaxIterations: 20})
	rest := solve(t, walker{}, bilevel.Settings{Seed: 9, MaxIterations: 20, Resume: saved})
	if !reflect.DeepEqual(rest.X, whole.X) || rest.Counts != whole.Counts {
		t.Errorf("resumed to %v, undisturbed %v", rest.X, whole.X)
	}
}

func TestCancelledBeforeTheStart(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := bilevel.Solve(ctx, bowl(), walker{}, bilevel.Settings{})
	if err != nil || r.Status != bilevel.Interrupted || r.Iterations != 0 {
		t.Errorf("%v after %d iterations, %v", r.Status, r.Iterations, err)
	}
}

func TestTimeLimit(t *testing.T) {
	r := solve(t, endless(3, func() {}), bilevel.Settings{TimeLimit: 200 * time.Millisecond})
	if r.Status != bilevel.TimeLimit || r.Iterations != 2 || r.State == nil {
		t.Errorf("%v after %d iterations", r.Status, r.Iterations)
	}
	// The limit is of the whole run: what was used before a checkpoint counts.
	again := solve(t, walker{}, bilevel.Settings{TimeLimit: 200 * time.Millisecond, Resume: r.State})
	if again.Status != bilevel.TimeLimit || again.Iterations != 2 {
		t.Errorf("resumed: %v after %d iterations", again.Status, again.Iterations)
	}
}

func TestDivergedReturnsTheLastFinitePoint(t *testing.T) {
	lost := walker{during: func(it *walk, k int) (bilevel.Status, error) {
		if k == 4 {
			it.y.Scale(math.NaN())
		}
		return bilevel.Running, nil
	}}
	r := solve(t, lost, bilevel.Settings{})
	three := solve(t, walker{}, bilevel.Settings{MaxIterations: 3})
	if r.Status != bilevel.Diverged || !reflect.DeepEqual(r.X, three.X) || !reflect.DeepEqual(r.Y, three.Y) {
		t.Errorf("%v at %v, %v; the last finite point is %v", r.Status, r.X, r.Y, three.X)
	}
	if !strings.Contains(r.Message, "Block y") || !strings.Contains(r.Message, "iteration 4") {
		t.Errorf("message %q does not name the block and the iteration", r.Message)
	}
}

// A run cut into pieces whose states go through JSON ends with the bits of the
// whole run.
func TestResumeIsBitEqual(t *testing.T) {
	whole := solve(t, walker{}, bilevel.Settings{Seed: 3, MaxIterations: 30})
	var state *bilevel.State
	var r *bilevel.Result
	for _, upTo := range []int{1, 7, 8, 30} {
		r = solve(t, walker{}, bilevel.Settings{Seed: 3, MaxIterations: upTo, Resume: state})
		text, err := json.Marshal(r.State)
		if err != nil {
			t.Fatal(err)
		}
		state = new(bilevel.State)
		if err := json.Unmarshal(text, state); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(r.X, whole.X) || !reflect.DeepEqual(r.Y, whole.Y) || r.Counts != whole.Counts || r.Iterations != 30 {
		t.Errorf("in pieces %v, at once %v", r.X, whole.X)
	}
	if !reflect.DeepEqual(r.State.Blocks, whole.State.Blocks) || !reflect.DeepEqual(r.State.Scalars, whole.State.Scalars) || !reflect.DeepEqual(r.State.Streams, whole.State.Streams) {
		t.Error("the states differ")
	}
	if other := solve(t, walker{}, bilevel.Settings{Seed: 4, MaxIterations: 30}); reflect.DeepEqual(other.X, whole.X) {
		t.Error("the seed has no influence")
	}
}

func TestRecorderSeesEveryIteration(t *testing.T) {
	rec := new(recorder)
	r := solve(t, walker{}, bilevel.Settings{MaxIterations: 5, Recorder: rec})
	solve(t, walker{}, bilevel.Settings{MaxIterations: 7, Recorder: rec, Resume: r.State})
	if want := []int{1, 2, 3, 4, 5, 6, 7}; !reflect.DeepEqual(rec.seen, want) {
		t.Errorf("recorded %v, want %v", rec.seen, want)
	}
}

func TestCheckpointEvery(t *testing.T) {
	n := 0
	solve(t, walker{}, bilevel.Settings{MaxIterations: 6, CheckpointEvery: 1, Checkpoint: func(s *bilevel.State) error { n++; return nil }})
	if n != 7 { // after every iteration, and once at the limit
		t.Errorf("%d checkpoints", n)
	}
}

// Finish completes the answer in corrected mode only, and its failures are statuses.
func TestFinish(t *testing.T) {
	m := walker{finish: func(p *bilevel.Progress) error { p.Y.Zero(); return nil }}
	if r := solve(t, m, bilevel.Settings{MaxIterations: 3}); r.Y[0] != 0 {
		t.Error("corrected mode did not finish")
	}
	if r := solve(t, m, bilevel.Settings{MaxIterations: 3, Mode: bilevel.Faithful}); r.Y[0] == 0 {
		t.Error("faithful mode finished")
	}
	m.finish = func(*bilevel.Progress) error { return &bilevel.LevelError{Status: bilevel.LowerUnbounded} }
	if r := solve(t, m, bilevel.Settings{MaxIterations: 3}); r.Status != bilevel.LowerUnbounded {
		t.Errorf("status %v", r.Status)
	}
	m.finish = func(*bilevel.Progress) error { return errors.New("singular") }
	if r := solve(t, m, bilevel.Settings{MaxIterations: 3}); r.Status != bilevel.NumericalFailure || !strings.Contains(r.Message, "singular") {
		t.Errorf("%v: %s", r.Status, r.Message)
	}
}

// Notes reach the result and the log; those of an iteration taken back do not stay.
func TestNotes(t *testing.T) {
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := walker{during: func(it *walk, k int) (bilevel.Status, error) {
		it.e.Note("step %d", k)
		if k == 3 {
			cancel()
			for !it.e.Stopped() {
			}
		}
		return bilevel.Running, nil
	}}
	r, err := bilevel.Solve(ctx, bowl(), m, bilevel.Settings{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if want := []bilevel.Note{{Iteration: 0, Text: "step 1"}, {Iteration: 1, Text: "step 2"}}; !reflect.DeepEqual(r.Notes, want) {
		t.Errorf("notes %v, want %v", r.Notes, want)
	}
	if !strings.Contains(log.String(), "step 3") {
		t.Errorf("log %q", log.String())
	}
}

// The loop, the counted functions and the state kept for taking back allocate
// nothing per iteration.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	allocs := func(n int) float64 {
		return testing.AllocsPerRun(5, func() { solve(t, walker{}, bilevel.Settings{MaxIterations: n}) })
	}
	if few, many := allocs(20), allocs(420); many > few {
		t.Errorf("400 more iterations allocate %g times", many-few)
	}
}

// sampled is a model with samples, which records the draws.
type sampled struct {
	bilevel.Model
	drawn *[]int
}

func (s sampled) Sample(k int) error {
	*s.drawn = append(*s.drawn, k)
	return nil
}

// Samples are drawn by the number of the iteration, in a resumed run too.
func TestSamplesAreDrawnByIteration(t *testing.T) {
	var drawn []int
	p := bowl()
	run := func(s bilevel.Settings) *bilevel.Result {
		x, y := make(vec.Dense, p.NX), make(vec.Dense, p.NY)
		r, err := bilevel.SolveModel(context.Background(), p.Name, sampled{bilevel.NewModel(p), &drawn}, x, y, walker{}, s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	part := run(bilevel.Settings{MaxIterations: 2, Tolerance: 1e-300})
	run(bilevel.Settings{MaxIterations: 4, Tolerance: 1e-300, Resume: part.State})
	if want := []int{0, 1, 2, 3}; !slices.Equal(drawn, want) {
		t.Errorf("samples %v, want %v", drawn, want)
	}
}
