package generate

import (
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
)

// Settings say how text is generated. The zero value is greedy decoding of at most
// 256 tokens.
type Settings struct {
	// MaxTokens is the most new tokens of a text, default 256. The model's context
	// ends a text too.
	MaxTokens int
	// Temperature divides the logits, >= 0. Default 0: the most probable token, the
	// first of equals.
	Temperature float64
	// TopK keeps the k most probable tokens. Default 0: all.
	TopK int
	// TopP keeps the most probable tokens with this much probability, in (0, 1].
	// Default 0 means 1: all.
	TopP float64
	// MinP drops tokens less probable than this share of the most probable one, in
	// [0, 1). Default 0: none.
	MinP float64
	// RepetitionPenalty makes tokens that occurred in the prompt or the text less
	// likely, > 0. Default 0 means 1: none.
	RepetitionPenalty float64
	// Seed of the draws. Row i of a call has its own sequence of numbers.
	Seed uint64
	// EOS are the ids that end a text. Default nil: those of the model's Config. An
	// empty slice: none.
	EOS []int
	// Stop are strings that end a text, which does not include them.
	Stop []string
	// Rows is how many prompts are worked on at a time, default 16. No more are
	// used than there are prompts.
	Rows int
}

// withDefaults checks the settings and fills in defaults.
func (s Settings) withDefaults() (Settings, error) {
	bad := func(field string, value any, allowed string) (Settings, error) {
		return s, &bilevel.SettingError{Field: field, Value: value, Allowed: allowed}
	}
	if s.MaxTokens == 0 {
		s.MaxTokens = 256
	}
	if s.Rows == 0 {
		s.Rows = 16
	}
	if s.TopP == 0 {
		s.TopP = 1
	}
	if s.RepetitionPenalty == 0 {
		s.RepetitionPenalty = 1
	}
	const most = 1 << 10
	switch {
	case s.MaxTokens < 0:
		return bad("MaxTokens", s.MaxTokens, "an integer >= 1, or 0 for 256")
	case s.Rows < 0 || s.Rows > most:
		return bad("Rows", s.Rows, fmt.Sprintf("an integer from 1 to %d, or 0 for 16", most))
	case !(s.Temperature >= 0) || math.IsInf(s.Temperature, 1):
		return bad("Temperature", s.Temperature, "a finite number >= 0, where 0 is greedy")
	case s.TopK < 0:
		return bad("TopK", s.TopK, "an integer >= 0, where 0 keeps all tokens")
	case !(s.TopP > 0 && s.TopP <= 1):
		return bad("TopP", s.TopP, "a number in (0, 1]")
	case !(s.MinP >= 0 && s.MinP < 1):
		return bad("MinP", s.MinP, "a number in [0, 1)")
	case !(s.RepetitionPenalty > 0) || math.IsInf(s.RepetitionPenalty, 1):
		return bad("RepetitionPenalty", s.RepetitionPenalty, "a finite number > 0, where 1 is no penalty")
	case slices.Contains(s.Stop, ""):
		return bad("Stop", `""`, "strings that are not empty")
	}
	return s, nil
}

// greedy reports whether the device can choose the token.
func (s *Settings) greedy() bool { return s.Temperature == 0 && s.RepetitionPenalty == 1 }

// Reason says why a text ended.
type Reason int

// The reasons.
const (
	EndOfText    Reason = iota // the model wrote an end-of-text token
	StopString                 // one of Settings.Stop occurred
	TokenLimit                 // Settings.MaxTokens
	ContextLimit               // the text fills the model's context
	Interrupted                // the call's context was cancelled
)

var reasons = [...]string{"end of text", "stop string", "token limit", "context limit", "interrupted"}

// String is the reason in words.
func (r Reason) String() string {
	if r < 0 || int(r) >= len(reasons) {
		return fmt.Sprintf("Reason(%d)", int(r))
	}
	return reasons[r]
}
