package evaluate

import (
	"context"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/generate"
)

// Case is a prompt, as token ids, with the response that is wanted.
type Case struct {
	Prompt    []int32
	Reference string
}

// Sample is what a model answered to a case.
type Sample struct {
	Response string  // white space dropped at both ends
	Reason   string  // why it ended
	BLEU     float64 // of this response alone
	Exact    bool
	Right    bool // the final answers are equal, see SameAnswer
}

// Report sums up the samples.
type Report struct {
	Cases        int     `json:"cases"`
	BLEU         float64 `json:"bleu"`          // of the corpus
	SentenceBLEU float64 `json:"sentence_bleu"` // mean
	ExactMatch   float64 `json:"exact_match"`   // share of cases
	// Answers counts references with a number; AnswerAccuracy is the share of them
	// whose final answer was found.
	Answers        int            `json:"answers"`
	AnswerAccuracy float64        `json:"answer_accuracy"`
	Stats          generate.Stats `json:"-"`
	Samples        []Sample       `json:"-"`
}

// Texts lets a generator answer all prompts and compares the answers with the
// references. A cancelled ctx is an error here, as half of the cases measure
// something else.
func Texts(ctx context.Context, g *generate.Generator, cases []Case) (*Report, error) {
	if len(cases) == 0 {
		return nil, &bilevel.SettingError{Field: "cases", Value: 0, Allowed: "at least one"}
	}
	prompts := make([][]int32, len(cases))
	for i, c := range cases {
		prompts[i] = c.Prompt
	}
	results, stats, err := g.Generate(ctx, prompts, nil)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	responses, references := make([]string, len(cases)), make([]string, len(cases))
	for i := range cases {
		responses[i], references[i] = results[i].Text, cases[i].Reference
	}
	r := Compare(responses, references)
	r.Stats = stats
	for i := range r.Samples {
		r.Samples[i].Reason = results[i].Reason.String()
	}
	return r, nil
}

// Compare measures responses against references, one for each.
func Compare(responses, references []string) *Report {
	r := &Report{Cases: len(responses)}
	var corpus BLEU
	exact, right := 0, 0
	for i, response := range responses {
		response = strings.TrimSpace(response)
		words, wanted := Words(response), Words(references[i])
		corpus.Add(words, wanted)
		s := Sample{
			Response: response, BLEU: SentenceBLEU(words, wanted),
			Exact: ExactMatch(response, references[i]), Right: SameAnswer(response, references[i]),
		}
		r.SentenceBLEU += s.BLEU / float64(len(responses))
		if s.Exact {
			exact++
		}
		if _, ok := Answer(references[i]); ok {
			r.Answers++
		}
		if s.Right {
			right++
		}
		r.Samples = append(r.Samples, s)
	}
	r.BLEU = corpus.Score()
	if len(responses) > 0 {
		r.ExactMatch = float64(exact) / float64(len(responses))
	}
	if r.Answers > 0 {
		r.AnswerAccuracy = float64(right) / float64(r.Answers)
	}
	return r
}
