package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"

	"github.com/bilevel-go/bilevel"
)

// JinjaSettings are what a chat template in Jinja sees besides the messages.
type JinjaSettings struct {
	// BOS and EOS are bos_token and eos_token.
	BOS, EOS string
	// Date is what strftime_now tells. When it is zero strftime_now is not defined, and templates
	// write the date they have for that case, so that the text does not change from day to day.
	Date time.Time
}

// ModelTemplate reads the chat template of a model folder: chat_template.jinja, else chat_template
// in tokenizer_config.json (of several, the one named default), with the tokens that
// tokenizer_config.json names.
func ModelTemplate(folder string, date time.Time) (*Template, error) {
	file := filepath.Join(folder, "tokenizer_config.json")
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var c struct {
		Template json.RawMessage `json:"chat_template"`
		BOS      configToken     `json:"bos_token"`
		EOS      configToken     `json:"eos_token"`
	}
	if raw != nil {
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	var source string
	own := filepath.Join(folder, "chat_template.jinja")
	if text, err := os.ReadFile(own); err == nil {
		source, file = string(text), own
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	} else if source, err = namedSource(c.Template); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	t, err := JinjaTemplate(source, JinjaSettings{BOS: string(c.BOS), EOS: string(c.EOS), Date: date})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// configToken is a token in tokenizer_config.json: a string or an object with a content.
type configToken string

func (t *configToken) UnmarshalJSON(raw []byte) error {
	var o struct{ Content string }
	if json.Unmarshal(raw, &o) == nil {
		*t = configToken(o.Content)
		return nil
	}
	return json.Unmarshal(raw, (*string)(t))
}

// namedSource reads chat_template: a string, or a list of {name, template}.
func namedSource(raw json.RawMessage) (string, error) {
	var one string
	var several []struct{ Name, Template string }
	switch {
	case json.Unmarshal(raw, &one) == nil && one != "":
		return one, nil
	case json.Unmarshal(raw, &several) == nil:
		for _, t := range several {
			if t.Name == "default" {
				return t.Template, nil
			}
		}
	}
	return "", &bilevel.SettingError{Field: "chat_template", Value: "none", Allowed: "a template in the model's folder; or choose one of " + strings.Join(TemplateNames(), ", ")}
}

// generation marks what the assistant wrote; it does not change the text.
var generation = regexp.MustCompile(`(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})`)

// probe stands for a response in the text that shows how the template ends one.
const probe = "\u2603response\u2603"

// JinjaTemplate makes a template of a chat template as Hugging Face models have
// it. The prompt is the text that it makes of the messages with a generation
// prompt; the response is what it adds to that when the response is one of the messages, up to and with the
// token that ends it. Rows that it refuses (raise_exception) are counted as [NotRendered].
func JinjaTemplate(source string, s JinjaSettings) (*Template, error) {
	j, err := compileJinja(source, s)
	if err != nil {
		return nil, err
	}
	t := &Template{Name: "jinja", Prompt: func(r *Row) (string, error) { return j.render(r.Messages(), true) }}
	row := Row{Instruction: "x"}
	whole, err := j.response(&row, probe)
	if err != nil {
		return nil, err
	}
	_, after, ok := strings.Cut(whole, probe)
	if !ok {
		return nil, &bilevel.SettingError{Field: "chat_template", Value: fmt.Sprintf("%.80q", whole), Allowed: "a template that writes what the assistant says"}
	}
	t.End = strings.TrimSpace(after)
	t.Response = func(r *Row, response string) (string, error) {
		text, err := j.response(r, response)
		if err != nil || t.End == "" {
			return text, err
		}
		text, ok := strings.CutSuffix(strings.TrimRight(text, " \t\r\n"), t.End)
		if !ok {
			return "", fmt.Errorf("%w: the response does not end with %q", NotRendered, t.End)
		}
		return text, nil
	}
	return t, nil
}

// jinja is a compiled chat template.
type jinja struct {
	t *exec.Template
	s JinjaSettings
}

// jinjaSource is a loader of one template; there is nothing it could include.
type jinjaSource string

const jinjaName = "chat_template"

func (s jinjaSource) Read(path string) (io.Reader, error) {
	if path != jinjaName {
		return nil, fmt.Errorf("%q: a chat template cannot read other files", path)
	}
	return strings.NewReader(string(s)), nil
}

func (s jinjaSource) Resolve(path string) (string, error) { return path, nil }

func (s jinjaSource) Inherit(string) (loaders.Loader, error) { return s, nil }

func compileJinja(source string, s JinjaSettings) (j *jinja, err error) {
	defer caught(&err)
	source = generation.ReplaceAllStringFunc(source, func(tag string) string {
		if strings.Contains(tag, "endgeneration") {
			return strings.Replace(tag, "endgeneration", "endif", 1)
		}
		return strings.Replace(tag, "generation", "if true", 1)
	})
	c := config.New()
	c.TrimBlocks, c.LeftStripBlocks = true, true
	environment := &exec.Environment{
		Context: exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables),
		Filters: jinjaFilters, Tests: builtins.Tests, ControlStructures: builtins.ControlStructures, Methods: builtins.Methods,
	}
	t, err := exec.NewTemplate(jinjaName, c, jinjaSource(source), environment)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return &jinja{t, s}, nil
}

// jinjaList is a list whose index -n is its first entry when it has n; the engine's own lists
// have nothing there.
type jinjaList []any

// GetItem returns the entry at an index, which may count from the end.
func (l jinjaList) GetItem(key any) (*exec.Value, bool) {
	i, ok := key.(int)
	if ok && i < 0 {
		i += len(l)
	}
	if !ok || i < 0 || i >= len(l) {
		return exec.AsValue(nil), false
	}
	return exec.AsValue(l[i]), true
}

// caught makes an error of a panic of the template engine.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", NotRendered, p)
	}
}

func (j *jinja) render(turns []Message, generate bool) (text string, err error) {
	defer caught(&err)
	messages := make(jinjaList, len(turns))
	for i, m := range turns {
		messages[i] = map[string]any{"role": m.Role, "content": m.Content}
	}
	c := exec.NewContext(map[string]any{
		"messages": messages, "add_generation_prompt": generate, "bos_token": j.s.BOS, "eos_token": j.s.EOS,
		"raise_exception": func(why string) (string, error) { return "", errors.New(why) },
	})
	if date := j.s.Date; !date.IsZero() {
		c.Set("strftime_now", func(format string) (string, error) { return strftime(date, format) })
	}
	var b bytes.Buffer
	if err := j.t.Execute(&b, c); err != nil {
		return "", fmt.Errorf("%w: %s", NotRendered, err.Error())
	}
	return b.String(), nil
}

// response is what the template adds to the prompt for a response.
func (j *jinja) response(r *Row, response string) (string, error) {
	turns := r.Messages()
	prompt, err := j.render(turns, true)
	if err != nil {
		return "", err
	}
	whole, err := j.render(append(turns, Message{"assistant", response}), false)
	if err != nil {
		return "", err
	}
	text, ok := strings.CutPrefix(whole, prompt)
	if !ok {
		return "", fmt.Errorf("%w: the conversation with the response does not begin with the prompt", NotRendered)
	}
	return text, nil
}

// strftime writes a date by the directives that chat templates use.
func strftime(date time.Time, format string) (string, error) {
	layouts := map[byte]string{'d': "02", 'b': "Jan", 'B': "January", 'Y': "2006", 'y': "06", 'm': "01", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'A': "Monday", 'a': "Mon", 'j': "002", 'F': "2006-01-02", '%': "%"}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) || layouts[format[i]] == "" {
			return "", fmt.Errorf("strftime_now(%q): the directive at byte %d is not known", format, i-1)
		}
		b.WriteString(date.Format(layouts[format[i]]))
	}
	return b.String(), nil
}
