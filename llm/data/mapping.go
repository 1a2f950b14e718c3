package data

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
)

// Mapping says which columns of a file play which role. Written as text it is a list
// of role=column, several columns joined by "+":
//
//	prompt=instruction+input, response=output
//	prompt=question, chosen=good, rejected=bad, system=setup
//	messages=conversation
//
// The first column of prompt is the instruction, the others its input; they
// may be missing or empty. A name with a comma, "+", "=", a quote or space around it stands in double quotes,
// a double quote in it doubled.
//
// The columns of prompt (a single one), chosen, rejected and response may also hold lists of
// messages. Of chosen and rejected the last message counts; where no prompt is
// given, the messages before it are the prompt.
type Mapping struct {
	System   string   // text of the system message; may be missing or empty
	Prompt   []string // instruction, then inputs
	Response string
	Chosen   string
	Rejected string
	Messages string // a whole conversation: the last message is the response, those before it the prompt
}

// roles returns the single-column roles with their names.
func (m *Mapping) roles() []struct {
	name   string
	column *string
} {
	return []struct {
		name   string
		column *string
	}{{"system", &m.System}, {"response", &m.Response}, {"chosen", &m.Chosen}, {"rejected", &m.Rejected}, {"messages", &m.Messages}}
}

// String writes the mapping as [ParseMapping] reads it.
func (m Mapping) String() string {
	var parts []string
	if len(m.Prompt) > 0 {
		quoted := make([]string, len(m.Prompt))
		for i, c := range m.Prompt {
			quoted[i] = quote(c)
		}
		parts = append(parts, "prompt="+strings.Join(quoted, "+"))
	}
	for _, r := range m.roles() {
		if *r.column != "" {
			parts = append(parts, r.name+"="+quote(*r.column))
		}
	}
	return strings.Join(parts, ",")
}

func quote(s string) string {
	if strings.ContainsAny(s, `,+="`) || strings.TrimSpace(s) != s {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

// ParseMapping reads a mapping. "" is the zero Mapping, for which [Read] detects the columns.
func ParseMapping(s string) (Mapping, error) {
	var m Mapping
	if strings.TrimSpace(s) == "" {
		return m, nil
	}
	bad := func(value, allowed string) (Mapping, error) {
		return Mapping{}, &bilevel.SettingError{Field: "columns", Value: value, Allowed: allowed}
	}
	for rest := s; ; {
		role, after, ok := strings.Cut(rest, "=")
		role = strings.TrimSpace(role)
		if !ok {
			return bad(strings.TrimSpace(rest), "role=column, with role one of prompt, response, chosen, rejected, messages, system")
		}
		var columns []string
		var end byte
		for {
			var column string
			if column, end, after, ok = nextColumn(after); !ok {
				return bad(s, `column names, in double quotes where they hold , + = or "`)
			}
			columns = append(columns, column)
			if end != '+' {
				break
			}
		}
		if role == "prompt" {
			if m.Prompt != nil {
				return bad(role, "each role once")
			}
			m.Prompt = columns
		} else {
			i := slices.IndexFunc(m.roles(), func(r struct {
				name   string
				column *string
			}) bool {
				return r.name == role
			})
			switch {
			case i < 0:
				return bad(role, "one of the roles prompt, response, chosen, rejected, messages, system")
			case *m.roles()[i].column != "":
				return bad(role, "each role once")
			case len(columns) > 1:
				return bad(role+"="+strings.Join(columns, "+"), "one column for a role other than prompt")
			}
			*m.roles()[i].column = columns[0]
		}
		if end == 0 {
			return m, nil
		}
		rest = after
	}
}

// nextColumn cuts the first column name from s and says what ended it: '+', ',' or 0.
func nextColumn(s string) (column string, end byte, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	if strings.HasPrefix(s, `"`) {
		for i := 1; i < len(s); i++ {
			if s[i] != '"' {
				continue
			}
			if i+1 < len(s) && s[i+1] == '"' {
				i++
				continue
			}
			column, s = strings.ReplaceAll(s[1:i], `""`, `"`), strings.TrimLeft(s[i+1:], " \t")
			switch {
			case s == "":
				return column, 0, "", column != ""
			case s[0] == '+' || s[0] == ',':
				return column, s[0], s[1:], column != ""
			}
			return "", 0, "", false
		}
		return "", 0, "", false
	}
	if i := strings.IndexAny(s, `+,="`); i >= 0 {
		if s[i] == '=' || s[i] == '"' {
			return "", 0, "", false
		}
		end, rest, s = s[i], s[i+1:], s[:i]
	}
	column = strings.TrimSpace(s)
	return column, end, rest, column != ""
}

// Kind says what rows are for.
type Kind int

// Kinds of rows: a prompt with a response, or with a chosen and a rejected one.
const (
	ForSupervised Kind = iota
	ForPreference
)

// String returns "supervised" or "preference".
func (k Kind) String() string {
	if k == ForPreference {
		return "preference"
	}
	return "supervised"
}

// known are the column names that files use, in order of preference.
var known = struct{ system, prompt, input, response, messages []string }{
	system:   []string{"system", "system_prompt"},
	prompt:   []string{"instruction", "prompt", "question", "query"},
	input:    []string{"input", "context"},
	response: []string{"output", "response", "completion", "answer"},
	messages: []string{"messages", "conversations", "conversation"},
}

// Detect chooses the mapping for rows that have the given columns: Alpaca's
// instruction, input and output; prompt and response, completion, chosen and rejected;
// question and answer; messages. Rows of preferences serve as supervised ones, with chosen as the
// response, where there is no other.
func Detect(columns []string, kind Kind) (Mapping, error) {
	first := func(names []string) string {
		for _, n := range names {
			if slices.Contains(columns, n) {
				return n
			}
		}
		return ""
	}
	var m Mapping
	m.System = first(known.system)
	if p := first(known.prompt); p != "" {
		m.Prompt = []string{p}
		if in := first(known.input); in != "" && p == "instruction" {
			m.Prompt = append(m.Prompt, in)
		}
	}
	paired := slices.Contains(columns, "chosen") && slices.Contains(columns, "rejected")
	messages := first(known.messages)
	switch {
	case kind == ForPreference && paired:
		m.Chosen, m.Rejected = "chosen", "rejected"
		if m.Prompt == nil && messages != "" {
			m.Prompt = []string{messages}
		}
		return m, nil
	case kind == ForSupervised && m.Prompt != nil && first(known.response) != "":
		m.Response = first(known.response)
		return m, nil
	case kind == ForSupervised && messages != "":
		return Mapping{System: m.System, Messages: messages}, nil
	case kind == ForSupervised && paired:
		m.Response = "chosen"
		return m, nil
	}
	want := "instruction, input, output; prompt, response; question, answer; or messages"
	if kind == ForPreference {
		want = "prompt, chosen, rejected"
	}
	return Mapping{}, &bilevel.SettingError{Field: fmt.Sprintf("columns of %s data", kind), Value: strings.Join(columns, ", "), Allowed: want + "; or a mapping such as prompt=COLUMN,response=COLUMN"}
}

// check says whether the mapping serves rows of a kind.
func (m Mapping) check(kind Kind) error {
	bad := func(allowed string) error {
		return &bilevel.SettingError{Field: fmt.Sprintf("columns of %s data", kind), Value: m.String(), Allowed: allowed}
	}
	switch {
	case kind == ForPreference && (m.Chosen == "" || m.Rejected == ""):
		return bad("a mapping with chosen and rejected")
	case kind == ForPreference && m.Messages != "":
		return bad("prompt=COLUMN for a list of messages that chosen and rejected answer")
	case kind == ForSupervised && m.Messages == "" && m.Response == "":
		return bad("a mapping with prompt and response, or with messages")
	case m.Messages != "" && (m.Prompt != nil || m.Response != ""):
		return bad("messages, or prompt and response, not both")
	}
	return nil
}
