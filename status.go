package bilevel

import "fmt"

// Status says how a run ended. A limit reached is a status, not an error.
type Status int

// The statuses. Running is the state of an unfinished run.
const (
	Running Status = iota
	Converged
	IterationLimit
	TimeLimit
	Interrupted
	LowerInfeasible
	LowerUnbounded
	Diverged
	NumericalFailure
	InvalidProblem
	numStatus
)

// statusTable is the single source of names, sentences and docs/statuses.md.
var statusTable = [numStatus]struct{ name, sentence string }{
	Running:          {"running", "The run has not ended."},
	Converged:        {"converged", "The method's own stopping test holds; read the certificate to learn what the answer is worth."},
	IterationLimit:   {"iteration limit", "The method stopped at its iteration limit before its stopping test held; raise the limit, or continue from this point."},
	TimeLimit:        {"time limit", "The method stopped at its time limit before its stopping test held; raise the limit, or continue from this point."},
	Interrupted:      {"interrupted", "The run was interrupted and returns the best point so far; resume it from its checkpoint."},
	LowerInfeasible:  {"lower level infeasible", "No y in Y satisfies the coupling constraint at the x reached; restrict X so that the lower level stays feasible, or start elsewhere."},
	LowerUnbounded:   {"lower level unbounded", "The lower objective has no minimum at the x reached; bound Y, or add curvature to g."},
	Diverged:         {"diverged", "The iterates grew without bound or lost finiteness, in the block and at the iteration named; take smaller steps or a smaller penalty."},
	NumericalFailure: {"numerical failure", "An inner computation failed, as the message says; rescale the problem or choose another method."},
	InvalidProblem:   {"invalid problem", "The problem was refused before any work, for the reason given; correct the field named."},
}

// String is the status's name.
func (s Status) String() string {
	if s < 0 || s >= numStatus {
		return fmt.Sprintf("bilevel.Status(%d)", int(s))
	}
	return statusTable[s].name
}

// Sentence says in one full sentence what happened and what to do next.
func (s Status) Sentence() string {
	if s < 0 || s >= numStatus {
		return s.String()
	}
	return statusTable[s].sentence
}

// Limit reports whether the run stopped at a limit or an interruption rather
// than at its own test or a failure.
func (s Status) Limit() bool {
	return s == IterationLimit || s == TimeLimit || s == Interrupted
}

// Statuses lists every final status in order.
func Statuses() []Status {
	all := make([]Status, 0, numStatus-1)
	for s := Converged; s < numStatus; s++ {
		all = append(all, s)
	}
	return all
}

// MarshalText writes the status's name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a status's name.
func (s *Status) UnmarshalText(b []byte) error {
	for i, e := range statusTable {
		if e.name == string(b) {
			*s = Status(i)
			return nil
		}
	}
	return &SettingError{Field: "status", Value: string(b), Allowed: "one of the names in docs/statuses.md"}
}
