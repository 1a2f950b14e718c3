package bilevel

import (
	"errors"
	"fmt"

	"github.com/bilevel-go/bilevel/set"
)

// ErrInvalid is matched (errors.Is) by every error that reports a user's
// mistake in a problem, a set or a setting.
var ErrInvalid = set.ErrInvalid

// ErrNoClosedForm is returned by a [LowerSolver] for a gamma that it does not
// solve, y and mu untouched; a general solver is used instead.
var ErrNoClosedForm = errors.New("no closed form at this gamma")

// SettingError reports a setting or field with a value that is not allowed.
type SettingError struct {
	Field   string // the setting's name
	Value   any    // the value given
	Allowed string // what is allowed, in words
}

// Error names the field, the value and what is allowed.
func (e *SettingError) Error() string {
	return fmt.Sprintf("%s = %v: allowed is %s", e.Field, e.Value, e.Allowed)
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *SettingError) Is(target error) bool { return target == ErrInvalid }

// LevelError reports that a (penalised) lower level has no solution at x; a
// method that meets one ends with the Status.
type LevelError struct {
	Status Status // LowerInfeasible, LowerUnbounded, Diverged or NumericalFailure
	Detail string
}

// Error says what was found.
func (e *LevelError) Error() string { return e.Status.String() + ": " + e.Detail }
