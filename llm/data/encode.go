package data

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
)

// Tokenizer is what an Encoder needs of a tokenizer; [tokenizer.Tokenizer] is one. It must be safe
// for concurrent use.
type Tokenizer interface {
	Encode(text string, addSpecial bool) []int
	ID(token string) (int, bool)
	Token(id int) (string, bool)
	Special() tokenizer.Special
}

// LongRows says what happens to rows that are too long.
type LongRows string

// What happens to a row that is longer than the limit: its response is cut and loses its end
// token, or the row is left out.
const (
	CutLong  LongRows = "cut"
	DropLong LongRows = "drop"
)

// EncodeSettings say how rows become token ids.
type EncodeSettings struct {
	// MaxLength is the longest sequence, prompt and response, in tokens. Default 2048.
	MaxLength int
	// MinResponse is how many tokens of the response must fit; rows whose prompt
	// leaves less room are left out. Default 1. The published handling has its own rule.
	MinResponse int
	// Long says what happens to rows that are too long. Default [CutLong].
	Long LongRows
	// KeepIdentical keeps pairs whose chosen and rejected tokens are the same. They have no
	// gradient.
	KeepIdentical bool
	// BOS and EOS are the tokens that begin and end a text, "" for the tokenizer's
	// own. BOS may be "none".
	BOS, EOS string
	// Workers is how many goroutines to use, 0 for one per core. Results do not depend on it.
	Workers int
}

// Encoder makes examples of rows. It is safe for concurrent use.
type Encoder struct {
	tok   Tokenizer
	t     *Template
	s     EncodeSettings
	begin []int32 // before a prompt
	end   []int32 // after a response
	eos   int32
}

// NewEncoder checks that the tokenizer has what the template needs.
func NewEncoder(tok Tokenizer, t *Template, s EncodeSettings) (*Encoder, error) {
	if s.MaxLength == 0 {
		s.MaxLength = 2048
	}
	if s.MinResponse == 0 {
		s.MinResponse = 1
	}
	if s.Long == "" {
		s.Long = CutLong
	}
	switch {
	case s.MaxLength < 4 || s.MaxLength > 1<<24:
		return nil, &bilevel.SettingError{Field: "MaxLength", Value: s.MaxLength, Allowed: "an integer in 4..16777216"}
	case s.MinResponse < 1 || s.MinResponse >= s.MaxLength:
		return nil, &bilevel.SettingError{Field: "MinResponse", Value: s.MinResponse, Allowed: "an integer >= 1 and < MaxLength"}
	case s.Long != CutLong && s.Long != DropLong:
		return nil, &bilevel.SettingError{Field: "Long", Value: string(s.Long), Allowed: "cut or drop"}
	}
	e := &Encoder{tok: tok, t: t, s: s}
	id := func(field, token string, own int) (int, error) {
		if token == "" {
			return own, nil
		}
		n, ok := tok.ID(token)
		if !ok {
			return 0, &bilevel.SettingError{Field: field, Value: token, Allowed: "a token of the tokenizer"}
		}
		return n, nil
	}
	for _, token := range t.Needs {
		if _, err := id("tokenizer for template "+t.Name, token, 0); err != nil {
			return nil, err
		}
	}
	eos, err := id("EOS", s.EOS, tok.Special().EOS)
	if err != nil {
		return nil, err
	}
	if e.eos = int32(eos); eos == tokenizer.None && (t.End == "" || t.Whole) {
		return nil, &bilevel.SettingError{Field: "EOS", Value: "none", Allowed: fmt.Sprintf("the token that ends a text, for template %s: the tokenizer does not say which it is", t.Name)}
	}
	e.end = []int32{e.eos}
	if t.End != "" {
		n, err := id("tokenizer for template "+t.Name, t.End, 0)
		if err != nil {
			return nil, err
		}
		e.end = []int32{int32(n)}
	}
	if t.Begin && s.BOS != "none" {
		bos, err := id("BOS", s.BOS, tok.Special().BOS)
		if err != nil {
			return nil, err
		}
		if whole := tok.Encode("", true); s.BOS != "" || bos != tokenizer.None && len(whole) > 0 && whole[0] == bos {
			e.begin = []int32{int32(bos)}
		}
	}
	return e, nil
}

// End returns the id that ends a response, where generation stops.
func (e *Encoder) End() int { return int(e.end[0]) }

// Prompt returns the ids of a row's prompt, as generation starts from it.
func (e *Encoder) Prompt(r *Row) ([]int32, error) {
	text, err := e.t.Prompt(r)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(e.begin), e.ids(text)...), nil
}

func (e *Encoder) ids(text string) []int32 {
	ids := e.tok.Encode(text, false)
	out := make([]int32, len(ids), len(ids)+len(e.end))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}

// Supervised makes supervised examples of rows, in their order. Rows that cannot be used
// are counted in the report.
func (e *Encoder) Supervised(rows []Row) ([]Supervised, *Report, error) {
	return encodeAll(e, rows, func(r *Row) (Supervised, int, error) {
		prompt, responses, cut, err := e.encode(r, []string{r.Response})
		if err != nil {
			return Supervised{}, 0, err
		}
		return Supervised{prompt, responses[0], r.ID}, cut, nil
	})
}

// Preference makes preference examples of rows, in their order. Rows that cannot be used
// are counted in the report.
func (e *Encoder) Preference(rows []Row) ([]Preference, *Report, error) {
	return encodeAll(e, rows, func(r *Row) (Preference, int, error) {
		prompt, responses, cut, err := e.encode(r, []string{r.Chosen, r.Rejected})
		if err == nil && !e.s.KeepIdentical && slices.Equal(responses[0], responses[1]) {
			err = Identical
		}
		if err != nil {
			return Preference{}, 0, err
		}
		return Preference{prompt, responses[0], responses[1], r.ID}, cut, nil
	})
}

// encode returns the ids of a row's prompt and responses and how many tokens were
// cut. The error wraps a Reason.
func (e *Encoder) encode(r *Row, responses []string) (prompt []int32, out [][]int32, cut int, err error) {
	if e.t.Whole {
		return e.encodeWhole(r, responses)
	}
	if prompt, err = e.Prompt(r); err != nil {
		return nil, nil, 0, err
	}
	if len(prompt) == 0 {
		return nil, nil, 0, NothingScored // the first token of a response has nothing to be predicted from
	}
	room := e.s.MaxLength - len(prompt)
	if room < e.s.MinResponse {
		return nil, nil, 0, PromptTooLong
	}
	for _, response := range responses {
		if e.t.Response != nil {
			if response, err = e.t.Response(r, response); err != nil {
				return nil, nil, 0, err
			}
		}
		ids := append(e.ids(response), e.end...)
		if len(ids) > room {
			if e.s.Long == DropLong {
				return nil, nil, 0, TooLong
			}
			cut += len(ids) - room
			ids = ids[:room:room]
		}
		out = append(out, ids)
	}
	return prompt, out, cut, nil
}

// encodeWhole is the handling of the published runs: the text of prompt and response loses
// trailing newlines and gets " " and the end-of-text token unless it ends with it;
// it is tokenised whole and cut at MaxLength, its last token is made the end-of-text
// token, and the first tokens, as many as the prompt alone has, are the prompt. Rows whose
// prompt has MaxLength-2 tokens or more are left out.
func (e *Encoder) encodeWhole(r *Row, responses []string) (prompt []int32, out [][]int32, cut int, err error) {
	text, err := e.t.Prompt(r)
	if err != nil {
		return nil, nil, 0, err
	}
	n := len(e.ids(text))
	if n >= e.s.MaxLength-2 {
		return nil, nil, 0, PromptTooLong
	}
	for i, response := range responses {
		whole := strings.TrimRight(text+response, "\n")
		end, _ := e.tok.Token(int(e.eos))
		var ids []int32
		if strings.HasSuffix(whole, end) {
			ids = e.ids(whole)
		} else if ids = e.ids(whole + " " + end); len(ids) == 0 || ids[len(ids)-1] != e.eos {
			// A tokenizer that does not find special tokens in text.
			ids = append(e.ids(whole+" "), e.eos)
		}
		if len(ids) > e.s.MaxLength {
			cut += len(ids) - e.s.MaxLength
			ids = ids[:e.s.MaxLength]
		}
		ids[len(ids)-1] = e.eos
		if n == 0 || n >= len(ids) {
			return nil, nil, 0, NothingScored
		}
		if i == 0 {
			prompt = ids[:n:n]
		} else if !slices.Equal(prompt, ids[:n]) {
			// The response changed how the prompt's last characters are split; the
			// example keeps one prompt, so the ids that differ become part of both responses.
			same := 0
			for prompt[same] == ids[same] {
				same++
			}
			if same == 0 {
				return nil, nil, 0, NothingScored
			}
			out[0] = append(slices.Clone(prompt[same:]), out[0]...)
			prompt, n = prompt[:same:same], same
		}
		out = append(out, ids[n:])
	}
	return prompt, out, cut, nil
}
