package generate

import (
	"context"

	"github.com/bilevel-go/bilevel/llm/device"
)

// Session continues one conversation: what a prompt has in common with the tokens
// before it is in the cache already and is not fed again. Close it after use.
type Session struct {
	g    *Generator
	work *work
}

// Session starts a conversation with an empty cache.
func (g *Generator) Session() *Session { return &Session{g: g} }

// Generate is Generator.Generate for one prompt, which usually holds the
// conversation so far. Every call draws numbers of its own.
func (s *Session) Generate(ctx context.Context, prompt []int32, show func(piece string)) (Result, Stats, error) {
	g := s.g
	prompts := [][]int32{prompt}
	if err := g.check(prompts); err != nil {
		return Result{}, Stats{}, err
	}
	var piece func(int, string)
	if show != nil {
		piece = func(_ int, p string) { show(p) }
	}
	var results []Result
	var stats Stats
	err := device.Try(func() (err error) {
		c := g.model.Network.Config()
		size := min(fit(sizes, len(prompt)+g.settings.MaxTokens), c.Context)
		if s.work == nil {
			s.work = &work{decoder: newDecoder(g.model, 1, size, fit(pieces, len(prompt)), g.settings.greedy())}
		} else if size > s.work.size {
			s.work.grow(size)
		}
		s.work.piece = fit(pieces, len(prompt)-common(s.work.held, prompt))
		results, stats, err = g.run(ctx, s.work, prompts, piece)
		s.work.draw++
		return err
	})
	if err != nil {
		s.Close()
		return Result{}, stats, err
	}
	return results[0], stats, nil
}

// Close forgets the conversation and gives its cache back. The session can be used
// again.
func (s *Session) Close() {
	if s.work != nil {
		s.work.release()
	}
	s.work = nil
}
