package main

import (
	"context"
	"io"
	"strings"
	"testing"
)

// A conversation through a pipe: replies on standard output, commands carried out,
// the conversation in every prompt.
func TestChat(t *testing.T) {
	slow(t)
	model := goldenModel(t, "stories260k")
	s := newSession(t)
	args := []string{"llm", "chat", model, "--backend", "go", "--template", "plain", "--max-tokens", "10"}
	chat := func(lines string) []string {
		t.Helper()
		s.runWith(context.Background(), lines, args...).want(exitSolved)
		return strings.Split(strings.TrimSuffix(s.out, "\n"), "\n")
	}
	const first = "One day, Lily went to the park."
	alone := chat(first + "\n")
	if len(alone) < 1 || alone[0] == "" {
		t.Fatalf("%q", s.out)
	}
	twice := chat(first + "\n" + first + "\n/reset\n" + first)
	again := chat(first + "\n/reset\n\n" + first + "\n/quit\n" + first)
	if strings.Join(again, "\n") != strings.Join(append(alone, alone...), "\n") {
		t.Errorf("after /reset: %q, want %q twice", again, alone)
	}
	if len(twice) < 3 || strings.Join(twice, "\n") == strings.Join([]string{alone[0], alone[0], alone[0]}, "\n") {
		t.Errorf("the conversation is not in the prompt: %q", twice)
	}
	chat("/system Tom is sad.\n" + first + "\n/help\n/nonsense\n/quit\n")
	if !strings.Contains(s.out, "/reset") || !strings.Contains(s.err, "/nonsense is no command") || !strings.Contains(s.err, "system message is set") {
		t.Errorf("%s\n%s", s.out, s.err)
	}
	if strings.HasPrefix(s.out, alone[0]) {
		t.Error("the system message is not in the prompt")
	}
	s.run("llm", "chat", model, "--backend", "go").want(exitInput)
	if !strings.Contains(s.err, "no chat template") {
		t.Errorf("%s", s.err)
	}
}

// What no longer fits is left out, oldest first; a message that never fits is told.
func TestChatForgets(t *testing.T) {
	slow(t)
	model := goldenModel(t, "stories260k")
	s := newSession(t)
	long := strings.Repeat("Lily and Tom went to the park. ", 10)
	lines := strings.Repeat(long+"\n", 6) + strings.Repeat(long, 10) + "\nHello\n"
	s.runWith(context.Background(), lines, "llm", "chat", model, "--backend", "go", "--template", "plain", "--max-tokens", "4").want(exitSolved)
	if !strings.Contains(s.err, "oldest messages") || strings.Count(s.err, "message = ") != 1 {
		t.Errorf("%s", s.err)
	}
	if replies := strings.Count(s.err, "[token limit]") + strings.Count(s.err, "[context limit]"); replies != 7 {
		t.Errorf("%d replies, want 7: %s", replies, s.err)
	}
}

// press interrupts when text was written.
type press struct {
	text string
	seen strings.Builder
	done bool
}

func (p *press) Write(b []byte) (int, error) {
	p.seen.Write(b)
	if f := interruptTaker.Load(); f != nil && !p.done && strings.Contains(p.seen.String(), p.text) {
		p.done = true
		(*f)()
	}
	return len(b), nil
}

// An interrupt ends a reply, and the conversation goes on; two of them while
// nothing is said leave.
func TestChatInterrupts(t *testing.T) {
	model := goldenModel(t, "stories260k")
	newSession(t)
	args := []string{"llm", "chat", model, "--backend", "go", "--template", "plain", "--max-tokens", "100"}
	out := &press{text: " "}
	var errOut strings.Builder
	in := strings.NewReader("One day\nA dog\n")
	if code := Main(context.Background(), args, in, out, &errOut); code != exitSolved || !strings.Contains(errOut.String(), "[interrupted]") {
		t.Errorf("exit code %d\n%s", code, errOut.String())
	}
	if reply, second, _ := strings.Cut(out.seen.String(), "\n"); len(reply) > 60 || len(second) < 80 {
		t.Errorf("%q, then %q", reply, second)
	}

	silent, _ := io.Pipe()
	errPress := &pressAgain{}
	if code := Main(context.Background(), args, silent, io.Discard, errPress); code != exitSolved || !strings.Contains(errPress.seen.String(), "another Ctrl-C leaves") {
		t.Errorf("exit code %d\n%s", code, errPress.seen.String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if code := Main(ctx, args, silent, io.Discard, io.Discard); code == exitSolved {
		t.Errorf("exit code %d after the program was told to end", code)
	}
}

// pressAgain interrupts at the greeting and at the answer to that.
type pressAgain struct{ seen strings.Builder }

func (p *pressAgain) Write(b []byte) (int, error) {
	p.seen.Write(b)
	if f := interruptTaker.Load(); f != nil {
		(*f)()
	}
	return len(b), nil
}
