package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/generate"
)

type generateFlags struct {
	speakerFlags
	samplingFlags
	file, template, system string
	rows                   int
	asJSON                 bool
}

// generated is one text in the JSON output.
type generated struct {
	Prompt string  `json:"prompt"`
	Text   string  `json:"text"`
	IDs    []int32 `json:"ids"`
	Reason string  `json:"reason"`
}

func (a *app) llmGenerateCommand() *cobra.Command {
	var o generateFlags
	c := &cobra.Command{
		Use: "generate MODEL [PROMPT]...", Short: "Continue prompts with a language model",
		Long: `Continue each prompt, or answer it where --template lays it out as a question, and print what the model writes.
Without a prompt, --file, whose lines are prompts, or standard input, as a whole one prompt, is read.
` + modelArgument + `

The choice is greedy unless --temperature is set; the same seed gives the same text on one backend. Several prompts are
worked on together. Ctrl-C ends the texts where they are.`,
		Example: `  bilevel llm generate smollm2 --template model "Name three colours."
  bilevel llm generate ./model --adapter ./adapter --temperature 0.8 --top-p 0.95 "Once upon a time"`,
		Args: atLeastModel,
		RunE: func(c *cobra.Command, args []string) error { return a.generate(c, args, &o) },
	}
	f := c.Flags()
	group(c, "Model", o.speakerFlags.define)
	group(c, "Choice of tokens", o.samplingFlags.define)
	group(c, "Prompts", func(f *pflag.FlagSet) {
		f.StringVar(&o.file, "file", "", "`file` with a prompt on each line")
		f.StringVar(&o.template, "template", "", templateUsage("the prompt as it is"))
		f.StringVar(&o.system, "system", "", "system message, with a template")
		f.IntVar(&o.rows, "rows", 16, "prompts worked on at a time")
	})
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	register(c, "template", completeTemplates)
	return c
}

func completeTemplates(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return append([]string{ownTemplate}, data.TemplateNames()...), cobra.ShellCompDirectiveNoFileComp
}

// atLeastModel asks for a model among the arguments.
func atLeastModel(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s takes a model; `%s --help` shows how", c.CommandPath(), c.CommandPath())
	}
	return nil
}

func (a *app) generate(c *cobra.Command, args []string, o *generateFlags) error {
	prompts, err := a.prompts(args[1:], o.file)
	if err != nil {
		return err
	}
	if o.system != "" && o.template == "" {
		return &bilevel.SettingError{Field: "--system", Value: o.system, Allowed: "nothing without --template, which has a place for it"}
	}
	s, err := o.speakerFlags.open(c, a, args[0])
	if err != nil {
		return err
	}
	defer s.close()
	var encoder *data.Encoder
	if o.template != "" {
		if encoder, err = s.encoder(o.template); err != nil {
			return err
		}
	}
	ids := make([][]int32, len(prompts))
	for i, p := range prompts {
		if encoder != nil {
			if ids[i], err = encoder.Prompt(&data.Row{System: o.system, Instruction: p}); err != nil {
				return fmt.Errorf("prompt %d: %w", i+1, err)
			}
			continue
		}
		for _, id := range s.tokenizer.Encode(p, true) {
			ids[i] = append(ids[i], int32(id))
		}
	}
	set, err := o.samplingFlags.settings(s, encoder)
	if err != nil {
		return err
	}
	set.Rows = o.rows
	g, err := generate.New(s.model, s.tokenizer, set)
	if err != nil {
		return err
	}
	var show func(int, string)
	if len(prompts) == 1 && !o.asJSON {
		show = func(_ int, piece string) { fmt.Fprint(a.out, piece) }
	}
	results, stats, err := g.Generate(c.Context(), ids, show)
	if err != nil {
		return err
	}
	if o.asJSON {
		err = a.jsonTexts(prompts, results, stats)
	} else {
		a.writeTexts(prompts, results, stats, o.template == "")
	}
	if err != nil {
		return err
	}
	if c.Context().Err() != nil {
		return exitCode(exitInterrupted)
	}
	return nil
}

func (a *app) jsonTexts(prompts []string, results []generate.Result, stats generate.Stats) error {
	texts := make([]generated, len(prompts))
	for i, r := range results {
		texts[i] = generated{prompts[i], r.Text, append([]int32{}, r.IDs...), r.Reason.String()}
	}
	return a.json(map[string]any{"texts": texts, "stats": map[string]any{
		"prompt_tokens": stats.PromptTokens, "new_tokens": stats.NewTokens, "tokens_per_s": stats.TokensPerSecond(),
		"wall_s": stats.Total.Seconds(), "compile_s": stats.Compiling.Seconds(),
	}})
}

// writeTexts writes several texts, each with its prompt, which a continued text
// follows on the same line. A single one was shown as it came.
func (a *app) writeTexts(prompts []string, results []generate.Result, stats generate.Stats, continued bool) {
	switch {
	case len(prompts) == 1:
		fmt.Fprintln(a.out)
	case continued:
		for i, r := range results {
			fmt.Fprintf(a.out, "%s%s\n\n", prompts[i], r.Text)
		}
	default:
		for i, r := range results {
			fmt.Fprintf(a.out, "> %s\n%s\n\n", prompts[i], strings.TrimSpace(r.Text))
		}
	}
	for i, r := range results {
		if r.Reason == generate.TokenLimit || r.Reason == generate.ContextLimit {
			a.note("text %d ended at the %s", i+1, r.Reason)
		}
	}
	a.note("%s", rate(stats))
}

// prompts are those of the command line, of a file or of standard input.
func (a *app) prompts(args []string, file string) ([]string, error) {
	switch {
	case len(args) > 0 && file != "":
		return nil, &bilevel.SettingError{Field: "--file", Value: file, Allowed: "nothing beside prompts on the command line"}
	case len(args) > 0:
		return args, nil
	case file == "":
		b, err := io.ReadAll(a.in)
		if err != nil {
			return nil, err
		}
		text := strings.TrimRight(string(b), "\r\n")
		if text == "" {
			return nil, errors.New("no prompt: give one on the command line, in --file or on standard input")
		}
		return []string{text}, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var prompts []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			prompts = append(prompts, line)
		}
	}
	if len(prompts) == 0 {
		return nil, &bilevel.SettingError{Field: "--file", Value: file, Allowed: "a file with a prompt on each line"}
	}
	return prompts, nil
}
