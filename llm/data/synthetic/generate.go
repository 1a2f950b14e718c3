package synthetic

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
)

// Settings say what to generate.
type Settings struct {
	// Seed chooses prompts, their order and the forms of responses.
	Seed uint64
	// Train and Evaluation are numbers of prompts. Default 1200 and 200, together at most [Prompts].
	Train, Evaluation int
	// Conflict is the share of pairs whose rejected response is the supervised one, in
	// [0, 1]. Default 0.75; NoConflict sets it to 0.
	Conflict float64
	// NoConflict makes every rejected response a wrong answer in the preferred style.
	NoConflict bool
}

// Set is a generated set. Row i of Supervised, Preference and Base has the same prompt and
// the id i, and the evaluation rows go on from there; no evaluation prompt is a training prompt.
type Set struct {
	Base                                       []data.Row // right answers in both styles, for the model to start from
	Supervised, Preference                     []data.Row
	SupervisedEvaluation, PreferenceEvaluation []data.Row
}

// Pools returns the rows as [data.SplitRows] takes them.
func (s *Set) Pools() data.Pools {
	return data.Pools{Supervised: s.Supervised, Preference: s.Preference, SupervisedEvaluation: s.SupervisedEvaluation, PreferenceEvaluation: s.PreferenceEvaluation}
}

// question is a prompt with its answer and the wrong ones to choose from.
type question struct {
	prompt, answer string
	wrong          []string
	held           bool // may be held out: what it asks about is asked in other words too
}

// Generate makes the set of a seed.
func Generate(s Settings) (*Set, error) {
	if s.Train == 0 {
		s.Train = 1200
	}
	if s.Evaluation == 0 {
		s.Evaluation = 200
	}
	if s.Conflict == 0 && !s.NoConflict {
		s.Conflict = .75
	}
	all := questions()
	switch {
	case s.Train < 1 || s.Evaluation < 1 || s.Train+s.Evaluation > len(all):
		return nil, &bilevel.SettingError{Field: "Train + Evaluation", Value: fmt.Sprintf("%d + %d", s.Train, s.Evaluation), Allowed: fmt.Sprintf("positive numbers, together at most %d", len(all))}
	case !(s.Conflict >= 0 && s.Conflict <= 1) || s.NoConflict && s.Conflict > 0:
		return nil, &bilevel.SettingError{Field: "Conflict", Value: s.Conflict, Allowed: "a number in [0, 1], 0 with NoConflict"}
	}
	rng := rand.New(rand.NewPCG(s.Seed, 0x73796e7468))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	// Evaluation takes from the end what may be held out.
	var train, held []question
	for i := len(all) - 1; i >= 0; i-- {
		if len(held) < s.Evaluation && all[i].held {
			held = append(held, all[i])
		} else {
			train = append(train, all[i])
		}
	}
	if len(held) < s.Evaluation || len(train) < s.Train {
		return nil, &bilevel.SettingError{Field: "Evaluation", Value: s.Evaluation, Allowed: fmt.Sprintf("at most %d", len(held))}
	}
	out := &Set{}
	for i, q := range append(train[:s.Train:s.Train], held...) {
		row := func() data.Row {
			return data.Row{ID: i, File: "synthetic", Line: i + 1, Instruction: q.prompt}
		}
		answer := fill(bare, q.answer)
		courteous := fill(polite[rng.IntN(len(polite))], q.answer)
		sft, dpo, base := row(), row(), row()
		sft.Response = answer
		dpo.Chosen, dpo.Rejected = courteous, answer
		if rng.Float64() >= s.Conflict {
			dpo.Rejected = fill(polite[rng.IntN(len(polite))], q.wrong[rng.IntN(len(q.wrong))])
		}
		if i >= s.Train {
			out.SupervisedEvaluation = append(out.SupervisedEvaluation, sft)
			out.PreferenceEvaluation = append(out.PreferenceEvaluation, dpo)
			continue
		}
		base.Response = answer
		if rng.IntN(2) == 0 {
			base.Response = courteous
		}
		out.Base = append(out.Base, base)
		out.Supervised = append(out.Supervised, sft)
		out.Preference = append(out.Preference, dpo)
	}
	return out, nil
}

// Prompts is how many different prompts the language has.
func Prompts() int { return len(questions()) }

// questions returns every prompt of the language.
func questions() []question {
	var out []question
	for a := range 11 {
		for b := range 11 {
			for _, form := range []string{"add %s %s", "what is %s plus %s"} {
				out = append(out, number(fmt.Sprintf(form, numbers[a], numbers[b]), a+b))
			}
			if a >= b {
				for _, form := range []string{"subtract %s from %s", "what is %[2]s minus %[1]s"} {
					out = append(out, number(fmt.Sprintf(form, numbers[b], numbers[a]), a-b))
				}
			}
		}
	}
	for _, list := range lists() {
		text := strings.Join(list, " ")
		back := slices.Clone(list)
		slices.Reverse(back)
		out = append(out,
			question{"reverse " + text, strings.Join(back, " "), []string{text, back[0]}, true},
			question{"first of " + text, list[0], list[1:], true},
			question{"last of " + text, list[len(list)-1], list[:len(list)-1], true},
			number("how many are "+text, len(list)),
		)
	}
	for _, f := range facts {
		for i, subject := range f.subjects {
			var wrong []string
			for _, a := range f.answers {
				if a != f.answers[i] && !slices.Contains(wrong, a) {
					wrong = append(wrong, a)
				}
			}
			for k, form := range f.forms {
				// One of the four forms may be held out, a different one from fact to fact.
				out = append(out, question{fill(form, subject), f.answers[i], wrong, k == i%4})
			}
		}
	}
	return out
}

// number is a question whose answer is a number; near ones are wrong.
func number(prompt string, n int) question {
	var wrong []string
	for d := -2; d <= 2; d++ {
		if d != 0 && n+d >= 0 && n+d < len(numbers) {
			wrong = append(wrong, numbers[n+d])
		}
	}
	return question{prompt, numbers[n], wrong, true}
}

// lists are all ordered choices of two or three different colours.
func lists() [][]string {
	var out [][]string
	for _, a := range colours {
		for _, b := range colours {
			if a == b {
				continue
			}
			out = append(out, []string{a, b})
			for _, c := range colours {
				if c != a && c != b {
					out = append(out, []string{a, b, c})
				}
			}
		}
	}
	return out
}
