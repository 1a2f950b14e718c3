package device

import (
	"fmt"
)

// Error is a failure of the backend.
type Error struct {
	Doing string // what the space was doing
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("tensor backend, %s: %v", e.Doing, e.Err) }

// Unwrap is the backend's own error.
func (e *Error) Unwrap() error { return e.Err }

// Try runs f and returns the failure of the backend that ended it, if any.
func Try(f func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			err = r
		default:
			panic(r)
		}
	}()
	return f()
}

// fail panics with an *Error.
func fail(doing string, err error) {
	panic(&Error{doing, err})
}

// guard runs f, whose panics with an error, as GoMLX has them, are failures of
// the backend.
func guard(doing string, f func() error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			panic(r)
		case error:
			fail(doing, r)
		default:
			panic(r)
		}
	}()
	if err := f(); err != nil {
		fail(doing, err)
	}
}
