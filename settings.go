package bilevel

import (
	"log/slog"
	"math"
	"time"

	"github.com/bilevel-go/bilevel/vec"
)

// Mode says which version of a published experiment is run.
type Mode int

// The modes.
const (
	Corrected Mode = iota // what the mathematics asks for
	Faithful              // what was published, number for number
)

// String is the mode's name.
func (m Mode) String() string {
	if m == Faithful {
		return "faithful"
	}
	return "corrected"
}

// ParseMode reads a mode's name; the empty string is Corrected.
func ParseMode(s string) (Mode, error) {
	switch s {
	case "", "corrected":
		return Corrected, nil
	case "faithful":
		return Faithful, nil
	}
	return 0, &SettingError{"mode", s, "corrected or faithful"}
}

// Settings limit and observe a run. The zero value is usable.
type Settings struct {
	// Mode: corrected (default) or faithful.
	Mode Mode
	// Seed of every random choice.
	Seed uint64
	// MaxIterations limits outer iterations; 0 is the method's own default.
	MaxIterations int
	// TimeLimit limits wall time; 0 is no limit.
	TimeLimit time.Duration
	// Clock, when not nil, is the time that counts in place of wall time, since the
	// start: a run that is measured on the way can leave that out. The limit is then
	// checked between outer iterations.
	Clock func() time.Duration
	// Tolerance of the method's stopping test; 0 is the method's own default.
	Tolerance float64
	// Workers bounds parallel work; 0 is one per core. Results do not depend on it.
	Workers int
	// Optimizer, when not nil, makes the optimiser of every block in the methods
	// that take one, in place of those that their own settings name. Its state is
	// to be kept in st. Steps then are as long as the optimiser makes them.
	Optimizer func(st vec.Store, block string, like vec.Vector) vec.Optimizer
	// Recorder, when not nil, sees the progress after every outer iteration.
	Recorder Recorder
	// Log, when not nil, receives what a method chose and why.
	Log *slog.Logger
	// CheckDerivatives compares every given derivative with differences at the
	// start and refuses the problem when one is wrong.
	CheckDerivatives bool
	// Resume continues from a checkpoint of the same problem, method and settings.
	Resume *State
	// DropState: a run that reaches its iteration limit is over, and its state is not
	// copied into the Result or a checkpoint. For states that are large.
	DropState bool
	// Checkpoint, when not nil, is called with the state every CheckpointEvery
	// (default 10 s) and once when the run is interrupted or limited.
	Checkpoint      func(*State) error
	CheckpointEvery time.Duration
}

func (s *Settings) validate() error {
	switch {
	case s.MaxIterations < 0:
		return &SettingError{"MaxIterations", s.MaxIterations, "an integer >= 0"}
	case s.TimeLimit < 0:
		return &SettingError{"TimeLimit", s.TimeLimit, "a duration >= 0"}
	case !(s.Tolerance >= 0) || math.IsInf(s.Tolerance, 0):
		return &SettingError{"Tolerance", s.Tolerance, "a finite number >= 0"}
	case s.Workers < 0:
		return &SettingError{"Workers", s.Workers, "an integer >= 0"}
	case s.CheckpointEvery < 0:
		return &SettingError{"CheckpointEvery", s.CheckpointEvery, "a duration >= 0"}
	case s.Mode != Corrected && s.Mode != Faithful:
		return &SettingError{"Mode", int(s.Mode), "Corrected or Faithful"}
	}
	return nil
}

// Recorder sees a run as it goes.
type Recorder interface {
	// Record is called after every outer iteration. p and its vectors are
	// reused: copy what is kept. An error ends the run with that error.
	Record(p *Progress) error
}

// Note is one thing that a run chose, and why.
type Note struct {
	Iteration int    `json:"iteration"`
	Text      string `json:"text"`
}
