package data

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
)

// Template lays a row out as text. The prompt's text and the response's text are tokenised
// apart and joined as ids, so that the boundary between what is given and what is
// scored is exact and the same ids follow a prompt in training and in generation. The published
// layout alone is tokenised as one text and cut.
type Template struct {
	// Name is how the template is asked for.
	Name string
	// Prompt is the text before the response.
	Prompt func(r *Row) (string, error)
	// Response is the text of a response to r; nil is the response itself.
	Response func(r *Row, response string) (string, error)
	// Begin says whether the beginning-of-text token is put before the prompt where the
	// tokenizer puts one before a text. Chat templates write theirs themselves.
	Begin bool
	// End are tokens, written as text, that end a response; "" is the tokenizer's
	// end-of-text token. They must be single tokens of the tokenizer.
	End string
	// Whole asks for the published handling: one text, cut at the number of tokens of the prompt.
	Whole bool
	// Needs are tokens that the tokenizer must know.
	Needs []string
}

// templates by name.
var templates = map[string]func() *Template{
	"plain":     plain,
	"alpaca":    alpaca,
	"published": published,
	"chatml":    func() *Template { return chatML("chatml", "") },
	"smollm2":   func() *Template { return chatML("smollm2", smolSystem) },
	"llama3":    llama3,
	"zephyr":    func() *Template { return zephyr("zephyr") },
	"tinyllama": func() *Template { return zephyr("tinyllama") },
}

// TemplateNames lists the named templates.
func TemplateNames() []string { return slices.Sorted(maps.Keys(templates)) }

// NamedTemplate returns a template by name:
//
//	plain      "{prompt}\n"
//	alpaca     Stanford Alpaca's, with and without input; a system message replaces its opening sentence
//	published  "User: {prompt}\nAssistant: ", the handling of the published runs; system messages are not used
//	chatml     <|im_start|>role ... <|im_end|>
//	smollm2    chatml with SmolLM2's system message where a row has none
//	llama3     Llama 3's headers and <|eot_id|>
//	zephyr     <|user|>, <|assistant|> and end-of-text, as TinyLlama-Chat (also named tinyllama)
func NamedTemplate(name string) (*Template, error) {
	make, ok := templates[name]
	if !ok {
		return nil, &bilevel.SettingError{Field: "template", Value: name, Allowed: strings.Join(TemplateNames(), ", ")}
	}
	return make(), nil
}

func plain() *Template {
	return &Template{Name: "plain", Begin: true, Prompt: func(r *Row) (string, error) {
		var b strings.Builder
		for _, m := range r.Messages() {
			b.WriteString(m.Content)
			b.WriteByte('\n')
		}
		return b.String(), nil
	}}
}

const (
	alpacaInput = "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request."
	alpacaPlain = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)

func alpaca() *Template {
	return &Template{Name: "alpaca", Begin: true, Prompt: func(r *Row) (string, error) {
		if r.History != nil {
			return "", fmt.Errorf("%w: %d earlier turns, alpaca has room for one prompt", NoTurns, len(r.History))
		}
		opening, input := alpacaPlain, ""
		if r.Input != "" {
			opening, input = alpacaInput, "### Input:\n"+r.Input+"\n\n"
		}
		if r.System != "" {
			opening = r.System
		}
		return opening + "\n\n### Instruction:\n" + r.Instruction + "\n\n" + input + "### Response:\n", nil
	}}
}

func published() *Template {
	return &Template{Name: "published", Whole: true, Prompt: func(r *Row) (string, error) {
		var b strings.Builder
		for _, m := range r.History {
			speaker := "User: "
			if m.Role == "assistant" {
				speaker = "Assistant: "
			}
			b.WriteString(speaker + m.Content + "\n")
		}
		b.WriteString("User: " + r.Prompt() + "\nAssistant: ")
		return b.String(), nil
	}}
}

const smolSystem = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

func chatML(name, system string) *Template {
	return &Template{Name: name, End: "<|im_end|>", Needs: []string{"<|im_start|>"}, Prompt: func(r *Row) (string, error) {
		turns := r.Messages()
		if r.System == "" && system != "" {
			turns = slices.Insert(turns, 0, Message{"system", system})
		}
		var b strings.Builder
		for _, m := range turns {
			b.WriteString("<|im_start|>" + m.Role + "\n" + m.Content + "<|im_end|>\n")
		}
		b.WriteString("<|im_start|>assistant\n")
		return b.String(), nil
	}}
}

func llama3() *Template {
	header := func(role string) string { return "<|start_header_id|>" + role + "<|end_header_id|>\n\n" }
	return &Template{
		Name: "llama3", End: "<|eot_id|>", Needs: []string{"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"},
		Prompt: func(r *Row) (string, error) {
			var b strings.Builder
			b.WriteString("<|begin_of_text|>")
			for _, m := range r.Messages() {
				b.WriteString(header(m.Role) + strings.TrimSpace(m.Content) + "<|eot_id|>")
			}
			b.WriteString(header("assistant"))
			return b.String(), nil
		},
		Response: func(_ *Row, response string) (string, error) { return strings.TrimSpace(response), nil },
	}
}

// zephyr ends every turn with the tokenizer's end-of-text token, which Llama's
// tokenizers write as </s>.
func zephyr(name string) *Template {
	return &Template{Name: name, End: "</s>", Prompt: func(r *Row) (string, error) {
		var b strings.Builder
		for _, m := range r.Messages() {
			b.WriteString("<|" + m.Role + "|>\n" + m.Content + "</s>\n")
		}
		b.WriteString("<|assistant|>\n")
		return b.String(), nil
	}}
}
