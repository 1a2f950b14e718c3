package set

import (
	"errors"
	"fmt"
)

// ErrInvalid is matched (errors.Is) by every error of this package.
var ErrInvalid = errors.New("invalid input")

// Error reports an argument of a constructor with a value that is not allowed.
type Error struct {
	Set     string // the constructor's name
	Field   string // the argument, with its index
	Value   any    // the value given
	Allowed string // what is allowed, in words
}

// Error names the set, the field, the value and what is allowed.
func (e *Error) Error() string {
	return fmt.Sprintf("set.%s: %s = %v: allowed is %s", e.Set, e.Field, e.Value, e.Allowed)
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *Error) Is(target error) bool { return target == ErrInvalid }

// allFinite returns an error for the first component of v that is not finite.
func allFinite(set, field string, v []float64) error {
	for i, a := range v {
		if a-a != 0 {
			return &Error{set, fmt.Sprintf("%s[%d]", field, i), a, "a finite number"}
		}
	}
	return nil
}
