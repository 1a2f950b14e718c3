package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/generate"
)

const chatHelp = `  /help          this list
  /reset         forget the conversation
  /system TEXT   set the system message and forget the conversation; without a text, drop it
  /quit          leave; so does the end of the input (Ctrl-D)
Ctrl-C ends a reply; twice at the prompt, the program.`

func (a *app) llmChatCommand() *cobra.Command {
	var speaks speakerFlags
	var sampling samplingFlags
	var template, system string
	c := &cobra.Command{
		Use: "chat MODEL", Short: "Talk with a language model",
		Long: `Talk with a language model: each line is a message, and the reply is shown as it comes. The conversation goes into
every prompt, its oldest messages left out where the model's context is full. Lines also come from a pipe.

` + chatHelp + `

` + modelArgument,
		Example: `  bilevel llm chat smollm2
  echo "Name three colours." | bilevel llm chat smollm2 --quiet`,
		Args: exactly(1, "one model"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := speaks.open(c, a, args[0])
			if err != nil {
				return err
			}
			defer s.close()
			if template == "" {
				template = ownTemplate
			}
			encoder, err := s.encoder(template)
			if err != nil {
				return err
			}
			set, err := sampling.settings(s, encoder)
			if err != nil {
				return err
			}
			g, err := generate.New(s.model, s.tokenizer, set)
			if err != nil {
				return err
			}
			chat := &chat{app: a, encoder: encoder, session: g.Session(), system: system, room: s.model.Network.Config().Context - 1}
			chat.reserve = min(set.MaxTokens, chat.room/2)
			defer chat.session.Close()
			return chat.run(c.Context())
		},
	}
	group(c, "Model", speaks.define)
	group(c, "Choice of tokens", sampling.define)
	c.Flags().StringVar(&template, "template", "", templateUsage("the model's chat template"))
	c.Flags().StringVar(&system, "system", "", "system message")
	register(c, "template", completeTemplates)
	return c
}

// chat is a conversation.
type chat struct {
	*app
	encoder *data.Encoder
	session *generate.Session
	system  string
	history []data.Message
	room    int // most tokens of a prompt
	reserve int // tokens that a reply should have room for
}

// run reads lines until the input ends. An interrupt ends a reply; at the prompt a
// first one says how to leave, and a second leaves.
func (c *chat) run(ctx context.Context) error {
	lines, failed := c.lines(ctx)
	interrupts := make(chan struct{}, 1)
	defer onInterrupt(func() {
		select {
		case interrupts <- struct{}{}:
		default:
		}
	})()
	c.note("Type a message; /help lists the commands.")
	asked := false // to leave, by an interrupt
	for {
		c.prompt()
		select {
		case <-ctx.Done():
			return exitCode(exitInterrupted)
		case <-interrupts:
			if asked {
				fmt.Fprintln(c.out)
				return nil
			}
			asked = true
			c.note("\n/quit or another Ctrl-C leaves.")
			continue
		case line, ok := <-lines:
			asked = false
			if !ok {
				return <-failed
			}
			if leave, err := c.line(ctx, strings.TrimSpace(line), interrupts); leave || err != nil {
				return err
			}
		}
	}
}

// prompt asks for a line where somebody may type one.
func (c *chat) prompt() {
	if terminal(c.in) && !c.quiet {
		fmt.Fprint(c.err, "> ")
	}
}

func terminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// lines reads the input line by line beside the conversation, so that an interrupt
// is noticed while nobody types. The error comes after the last line.
func (c *chat) lines(ctx context.Context) (<-chan string, <-chan error) {
	const longest = 1 << 20
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(c.in)
		s.Buffer(nil, longest)
		for s.Scan() {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				failed <- nil
				return
			}
		}
		failed <- s.Err()
	}()
	return lines, failed
}

// line carries out a command or answers a message.
func (c *chat) line(ctx context.Context, line string, interrupts <-chan struct{}) (leave bool, err error) {
	command, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "":
	case command == "/quit" || command == "/exit":
		return true, nil
	case command == "/help":
		fmt.Fprintln(c.out, chatHelp)
	case command == "/reset":
		c.history = nil
		c.note("The conversation is forgotten.")
	case command == "/system":
		c.system, c.history = strings.TrimSpace(rest), nil
		c.note("The system message is set and the conversation forgotten.")
	case strings.HasPrefix(line, "/"):
		c.note("%s is no command; /help lists them.", command)
	default:
		return false, c.answer(ctx, line, interrupts)
	}
	return false, nil
}

// answer shows the reply to a message and adds both to the conversation. A message
// that cannot be answered is told and left out.
func (c *chat) answer(ctx context.Context, message string, interrupts <-chan struct{}) error {
	prompt, err := c.fit(message)
	if err != nil {
		c.note("%s", oneLine(err.Error()))
		return nil
	}
	reply, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		select {
		case <-interrupts:
			cancel()
		case <-done:
		}
	}()
	begun := false
	r, stats, err := c.session.Generate(reply, prompt, func(piece string) {
		if !begun {
			piece = strings.TrimLeftFunc(piece, unicode.IsSpace)
			begun = piece != ""
		}
		fmt.Fprint(c.out, piece)
	})
	close(done)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	if r.Reason != generate.EndOfText && r.Reason != generate.StopString {
		c.note("[%s]", r.Reason)
	}
	if c.verbose {
		c.note("%s", rate(stats))
	}
	c.history = append(c.history, data.Message{Role: "user", Content: message}, data.Message{Role: "assistant", Content: strings.TrimSpace(r.Text)})
	return nil
}

// fit lays the conversation out with a message at its end, without its oldest
// messages where they leave no room for a reply.
func (c *chat) fit(message string) ([]int32, error) {
	forgotten := 0
	for {
		ids, err := c.encoder.Prompt(&data.Row{System: c.system, History: c.history, Instruction: message})
		if errors.Is(err, data.NoTurns) && len(c.history) > 0 { // this template has no place for earlier turns
			c.history = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(ids) <= c.room-c.reserve || len(ids) <= c.room && len(c.history) == 0 {
			if forgotten > 0 {
				c.note("[the %d oldest messages no longer fit into the model's context]", forgotten)
			}
			return ids, nil
		}
		if len(c.history) == 0 {
			return nil, &bilevel.SettingError{Field: "message", Value: fmt.Sprintf("%d tokens", len(ids)), Allowed: fmt.Sprintf("at most %d with the system message", c.room)}
		}
		c.history = c.history[min(2, len(c.history)):]
		forgotten += 2
	}
}
