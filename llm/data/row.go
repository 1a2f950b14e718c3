package data

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Message is a turn of a conversation. Role is "system", "user" or "assistant".
type Message struct {
	Role, Content string
}

// Row is a row of text.
type Row struct {
	// ID is the row's place among all rows of its files, from 0, unusable ones counted.
	ID int
	// File and Line say where it begins; Line is 0 in formats without lines.
	File string
	Line int
	// System is the system message, "" for none.
	System string
	// History are the turns before the prompt, by user and assistant.
	History []Message
	// Instruction and Input are the prompt. Most rows have no Input.
	Instruction, Input string
	// Response is what to answer, in supervised data.
	Response string
	// Chosen and Rejected are a good and a worse answer, in preference data.
	Chosen, Rejected string
}

// Prompt is the instruction and, on a new line, the input.
func (r *Row) Prompt() string {
	if r.Input == "" {
		return r.Instruction
	}
	return r.Instruction + "\n" + r.Input
}

// Messages returns the conversation up to and with the prompt.
func (r *Row) Messages() []Message {
	var out []Message
	if r.System != "" {
		out = append(out, Message{"system", r.System})
	}
	out = append(out, r.History...)
	return append(out, Message{"user", r.Prompt()})
}

// Key identifies the prompt with all that stands before it; rows with equal keys ask the
// same. Spaces around its parts do not count.
func (r *Row) Key() string {
	var b strings.Builder
	for _, m := range r.Messages() {
		b.WriteString(m.Role)
		b.WriteByte(0)
		b.WriteString(strings.TrimSpace(m.Content))
		b.WriteByte(0)
	}
	return b.String()
}

// row makes a Row of a record. The error is the reason and a detail.
func (m Mapping) row(fields map[string]any, kind Kind) (Row, Reason, string) {
	var r Row
	var ok bool
	fail := func(reason Reason, format string, args ...any) (Row, Reason, string) {
		return Row{}, reason, fmt.Sprintf(format, args...)
	}
	missing := func(column string) (Row, Reason, string) {
		return fail(MissingColumn, "%q; the row has %s", column, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
	}
	if m.System != "" {
		if r.System, ok = text(fields[m.System]); !ok {
			return fail(WrongType, "column %q is %s, want text", m.System, kindOf(fields[m.System]))
		}
	}
	conversation := m.Messages
	if len(m.Prompt) == 1 && isList(fields[m.Prompt[0]]) {
		conversation = m.Prompt[0]
	}
	switch {
	case conversation != "":
		v, there := fields[conversation]
		if !there {
			return missing(conversation)
		}
		turns, why := messages(v)
		if why != "" {
			return fail(BadMessages, "column %q: %s", conversation, why)
		}
		if m.Messages != "" {
			last := len(turns) - 1
			if turns[last].Role != "assistant" {
				return fail(BadMessages, "column %q ends with a message of role %q, want \"assistant\"", conversation, turns[last].Role)
			}
			r.Response, turns = turns[last].Content, turns[:last]
		}
		if why := r.converse(turns); why != "" {
			return fail(BadMessages, "column %q: %s", conversation, why)
		}
	case len(m.Prompt) > 0:
		for i, column := range m.Prompt {
			v, there := fields[column]
			if !there && i == 0 {
				return missing(column)
			}
			s, ok := text(v)
			switch {
			case !ok:
				return fail(WrongType, "column %q is %s, want text", column, kindOf(v))
			case i == 0:
				r.Instruction = s
			case s != "" && r.Input != "":
				r.Input += "\n" + s
			case s != "":
				r.Input = s
			}
		}
	}
	hasPrompt := conversation != "" || len(m.Prompt) > 0
	answers := []struct {
		column string
		text   *string
	}{{m.Response, &r.Response}}
	if kind == ForPreference {
		answers = []struct {
			column string
			text   *string
		}{{m.Chosen, &r.Chosen}, {m.Rejected, &r.Rejected}}
	}
	for i, a := range answers {
		if a.column == "" { // the response came with the messages
			continue
		}
		v, there := fields[a.column]
		if !there {
			return missing(a.column)
		}
		if !isList(v) {
			s, ok := text(v)
			if !ok {
				return fail(WrongType, "column %q is %s, want text or messages", a.column, kindOf(v))
			}
			*a.text = s
			continue
		}
		turns, why := messages(v)
		if why == "" && turns[len(turns)-1].Role != "assistant" {
			why = fmt.Sprintf("ends with a message of role %q, want \"assistant\"", turns[len(turns)-1].Role)
		}
		if why == "" && !hasPrompt && i == 0 {
			why = r.converse(turns[:len(turns)-1])
		}
		if why != "" {
			return fail(BadMessages, "column %q: %s", a.column, why)
		}
		*a.text = turns[len(turns)-1].Content
	}
	if strings.TrimSpace(r.Prompt()) == "" {
		if !hasPrompt && r.History == nil {
			return fail(EmptyPrompt, "there is no column for the prompt: map one with prompt=COLUMN")
		}
		return fail(EmptyPrompt, "")
	}
	for _, a := range answers {
		if strings.TrimSpace(*a.text) == "" {
			if a.column == "" {
				return fail(EmptyResponse, "last message of column %q", conversation)
			}
			return fail(EmptyResponse, "column %q", a.column)
		}
	}
	return r, "", ""
}

// converse takes the system message, history and prompt from turns.
func (r *Row) converse(turns []Message) string {
	if len(turns) > 0 && turns[0].Role == "system" {
		r.System, turns = turns[0].Content, turns[1:]
	}
	if len(turns) == 0 {
		return "no message of role \"user\""
	}
	last := len(turns) - 1
	if turns[last].Role != "user" {
		return fmt.Sprintf("the prompt ends with a message of role %q, want \"user\"", turns[last].Role)
	}
	for i, t := range turns[:last] {
		if t.Role == "system" {
			return fmt.Sprintf("message %d of %d is a system message, want only the first to be one", i+1, len(turns))
		}
	}
	r.Instruction = turns[last].Content
	if last > 0 {
		r.History = slices.Clone(turns[:last])
	}
	return ""
}

// text reads a value as text: null is empty, numbers are as they are written.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// isList reports whether a value is a list of messages: a list, or the JSON text of one.
func isList(v any) bool {
	switch v := v.(type) {
	case []any:
		return true
	case string:
		s := strings.TrimSpace(v)
		return strings.HasPrefix(s, `[{"role"`) || strings.HasPrefix(s, `[{"content"`) || strings.HasPrefix(s, `[{"from"`)
	}
	return false
}

// messages reads a list of {role, content}, or of {from, value} with the speakers human and
// gpt. The content may be a list of parts {type: text, text}. It returns at least one
// message, or what is wrong.
func messages(v any) ([]Message, string) {
	if s, ok := v.(string); ok {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		var list []any
		if err := d.Decode(&list); err != nil {
			return nil, "not a list of messages: " + err.Error()
		}
		v = list
	}
	list, ok := v.([]any)
	if !ok {
		return nil, "is " + kindOf(v) + ", want a list of messages"
	}
	if len(list) == 0 {
		return nil, "no messages"
	}
	out := make([]Message, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Sprintf("message %d is %s, want an object", i+1, kindOf(v))
		}
		role, there := m["role"]
		if !there {
			role = m["from"]
		}
		content, there := m["content"]
		if !there {
			content = m["value"]
		}
		name, _ := role.(string)
		switch name {
		case "human":
			name = "user"
		case "gpt":
			name = "assistant"
		case "system", "user", "assistant":
		default:
			return nil, fmt.Sprintf("message %d has role %.40q, want system, user or assistant", i+1, fmt.Sprint(role))
		}
		s, ok := content.(string)
		if parts, isList := content.([]any); isList {
			s, ok = joinParts(parts)
		}
		if !ok {
			return nil, fmt.Sprintf("message %d has a content that is %s, want text", i+1, kindOf(content))
		}
		out[i] = Message{name, s}
	}
	return out, ""
}

func joinParts(parts []any) (string, bool) {
	var b strings.Builder
	for _, p := range parts {
		m, _ := p.(map[string]any)
		s, ok := m["text"].(string)
		if !ok {
			return "", false
		}
		b.WriteString(s)
	}
	return b.String(), true
}
