package bilevel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/bilevel-go/bilevel/vec"
)

// Solve runs method on p from its starting point. It returns an error only for a
// user's mistake (errors.Is ErrInvalid), with a Result whose Status is
// InvalidProblem, or for a failing recorder or checkpoint; every other end is a
// Status. Cancelling ctx stops within one inner iteration and returns the best
// point so far.
func Solve(ctx context.Context, p *Problem, method Method, s Settings) (*Result, error) {
	if err := p.Validate(); err != nil {
		return refused(p.Name, method, s, err)
	}
	if s.CheckDerivatives {
		if err := p.CheckDerivatives(); err != nil {
			return refused(p.Name, method, s, err)
		}
	}
	x0, y0 := p.start()
	r, err := SolveModel(ctx, p.Name, NewModel(p), vec.Dense(x0), vec.Dense(y0), method, s)
	if r != nil {
		r.Differences = p.differences()
	}
	return r, err
}

func refused(name string, method Method, s Settings, err error) (*Result, error) {
	return &Result{Problem: name, Method: method.Name(), Mode: s.Mode, Seed: s.Seed,
		Status: InvalidProblem, Message: InvalidProblem.Sentence() + " " + err.Error(), Gamma: math.NaN(),
		Upper: math.NaN(), Lower: math.NaN()}, err
}

// SolveModel is Solve for a model whose variables may live anywhere. x0 and y0
// are the start, which SolveModel projects on X and Y.
func SolveModel(ctx context.Context, name string, m Model, x0, y0 vec.Vector, method Method, s Settings) (*Result, error) {
	if err := s.validate(); err != nil {
		return refused(name, method, s, err)
	}
	if r := s.Resume; r != nil && (r.Problem != name || r.Method != method.Name()) {
		err := &SettingError{"Resume", r.Problem + " by " + r.Method, "a checkpoint of " + name + " by " + method.Name()}
		return refused(name, method, s, err)
	}
	e := &Env{Model: m, Settings: s, run: &runState{x0: vec.Clone(x0), y0: vec.Clone(y0), resumed: s.Resume}}
	m.ProjectX(e.run.x0)
	m.ProjectY(e.run.y0)
	var before time.Duration
	if r := s.Resume; r != nil {
		e.run.outer, before = r.Iteration, r.Elapsed
		e.run.notes = append(e.run.notes, r.Notes...)
		*m.Counts() = r.Counts
	}
	begin := time.Now()
	elapsed := func() time.Duration { return before + time.Since(begin) }
	if s.Clock != nil {
		elapsed = func() time.Duration { return before + s.Clock() }
	}
	e.run.elapsed = elapsed
	stop := ctx
	if s.TimeLimit > 0 && s.Clock == nil {
		var cancel context.CancelFunc
		stop, cancel = context.WithTimeout(ctx, max(s.TimeLimit-before, 0))
		defer cancel()
	}
	defer context.AfterFunc(stop, func() { e.run.stop.Store(true) })()

	maxIter, tol := method.Defaults(s.Mode)
	if e.Settings.MaxIterations == 0 {
		e.Settings.MaxIterations = maxIter
	}
	if e.Settings.Tolerance == 0 {
		e.Settings.Tolerance = tol
	}
	it, err := method.Start(e)
	if err != nil {
		var level *LevelError
		if errors.As(err, &level) {
			return e.result(name, method, level.Status, level.Detail, &Progress{X: e.run.x0, Y: e.run.y0, Gamma: math.NaN()}, elapsed()), nil
		}
		return refused(name, method, s, err)
	}
	return e.loop(ctx, stop, name, method, it, elapsed)
}

func (e *Env) loop(ctx, stop context.Context, name string, method Method, it Iteration, elapsed func() time.Duration) (*Result, error) {
	s := &e.Settings
	every := s.CheckpointEvery
	if every == 0 {
		every = 10 * time.Second
	}
	p := &Progress{X: e.run.x0, Y: e.run.y0, Iteration: e.run.outer}
	good := newShadow(e)
	good.take(p)
	saved := elapsed()
	status, detail := Running, ""
	for status == Running {
		switch {
		case ctx.Err() != nil:
			status = Interrupted
			continue
		case stop.Err() != nil, s.TimeLimit > 0 && s.Clock != nil && elapsed() >= s.TimeLimit:
			status = TimeLimit
			continue
		case s.MaxIterations > 0 && e.run.outer >= s.MaxIterations:
			status = IterationLimit
			continue
		}
		p.reset()
		var err error
		if sampler, ok := e.Model.(Sampler); ok {
			if err = sampler.Sample(e.run.outer); err != nil {
				return e.result(name, method, NumericalFailure, err.Error(), p, elapsed()), fmt.Errorf("drawing the samples of iteration %d: %w", e.run.outer+1, err)
			}
		}
		status, err = it.Step(p)
		if err != nil {
			var level *LevelError
			if !errors.As(err, &level) {
				return e.result(name, method, NumericalFailure, err.Error(), p, elapsed()), err
			}
			status, detail = level.Status, level.Detail
			continue
		}
		if status == Running && e.Stopped() {
			good.restore(p) // an unfinished iteration is taken back
			continue
		}
		e.run.outer++
		p.Iteration, p.Elapsed, p.Counts = e.run.outer, elapsed(), *e.Counts()
		if block := lostBlock(p); block != "" {
			status = Diverged
			detail = fmt.Sprintf("Block %s is no longer finite after iteration %d; the last finite point is returned.", block, e.run.outer)
			good.restore(p)
			continue
		}
		good.take(p)
		if s.Recorder != nil {
			if err := s.Recorder.Record(p); err != nil {
				return e.result(name, method, NumericalFailure, err.Error(), p, elapsed()), fmt.Errorf("recording iteration %d: %w", e.run.outer, err)
			}
		}
		if s.Checkpoint != nil && status == Running && elapsed()-saved >= every {
			if err := s.Checkpoint(e.snapshot(name, method, elapsed())); err != nil {
				return e.result(name, method, NumericalFailure, err.Error(), p, elapsed()), fmt.Errorf("writing the checkpoint of iteration %d: %w", e.run.outer, err)
			}
			saved = elapsed()
		}
	}
	var st *State
	if status.Limit() && !(s.DropState && status == IterationLimit) {
		st = e.snapshot(name, method, elapsed())
		if s.Checkpoint != nil {
			if err := s.Checkpoint(st); err != nil {
				return e.result(name, method, status, detail, p, elapsed()), fmt.Errorf("writing the checkpoint of iteration %d: %w", e.run.outer, err)
			}
		}
	}
	if f, ok := it.(Finisher); ok && s.Mode == Corrected && (status == Converged || status == IterationLimit || status == TimeLimit) {
		e.run.stop.Store(false)
		defer context.AfterFunc(ctx, func() { e.run.stop.Store(true) })()
		if err := f.Finish(p); err != nil {
			var level *LevelError
			if !errors.As(err, &level) {
				return e.result(name, method, NumericalFailure, err.Error(), p, elapsed()), nil
			}
			status, detail = level.Status, level.Detail
		}
	}
	r := e.result(name, method, status, detail, p, elapsed())
	r.State = st
	return r, nil
}

// lostBlock names a block of p that is not finite.
func lostBlock(p *Progress) string {
	for _, b := range [...]struct {
		name string
		v    vec.Vector
	}{{"x", p.X}, {"y", p.Y}, {"mu", p.Mu}, {"y_gamma", p.PenalisedY}, {"mu_gamma", p.PenalisedMu}} {
		if b.v != nil && !b.v.Finite() {
			return b.name
		}
	}
	return ""
}

func (e *Env) snapshot(name string, method Method, elapsed time.Duration) *State {
	st := &State{Problem: name, Method: method.Name(), Iteration: e.run.outer, Elapsed: elapsed, Counts: *e.Counts(),
		Notes: append([]Note(nil), e.run.notes...)}
	e.run.state.save(st)
	return st
}

func (e *Env) result(name string, method Method, status Status, detail string, p *Progress, wall time.Duration) *Result {
	r := &Result{Problem: name, Method: method.Name(), Mode: e.Settings.Mode, Seed: e.Settings.Seed, Status: status,
		Message: status.Sentence(), X: copied(p.X), Y: copied(p.Y), Multipliers: copied(p.Mu), PenalisedY: copied(p.PenalisedY),
		PenalisedMultipliers: copied(p.PenalisedMu), Gamma: p.Gamma, Iterations: e.run.outer, Wall: wall, Notes: e.run.notes}
	if detail != "" {
		r.Message += " " + detail
	}
	r.Counts = *e.Counts()
	r.Upper, r.Lower = e.Upper(p.X, p.Y), e.Lower(p.X, p.Y)
	return r
}

func copied(v vec.Vector) []float64 {
	if v == nil {
		return nil
	}
	s := make([]float64, v.Len())
	v.Read(s)
	return s
}
