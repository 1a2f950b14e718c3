package bilevel

import "time"

// Result is the answer of a run. X and Y are the point reported; their worth is
// for certify.Measure to say.
type Result struct {
	Problem string
	Method  string
	Mode    Mode
	Seed    uint64
	Status  Status
	Message string // the status's sentence, with the particulars of this run
	X, Y    []float64
	// Multipliers of the coupling constraint at Y, in the scale of g; nil
	// without coupling, or when the method has none.
	Multipliers []float64
	// PenalisedY and PenalisedMultipliers are y_gamma(x) and its multipliers in
	// the scale of g, where the method has them.
	PenalisedY, PenalisedMultipliers []float64
	Gamma                            float64 // the last penalty used; NaN when none
	Upper, Lower                     float64 // f and g at (X, Y)
	Iterations                       int     // outer iterations
	Counts                           Counts
	Wall                             time.Duration
	Differences                      []string // derivatives that were computed by finite differences
	Notes                            []Note   // what the method chose and why
	// State continues the run when it was limited or interrupted.
	State *State
}
