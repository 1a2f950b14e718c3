package generate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
)

// Result is the text that followed one prompt.
type Result struct {
	// IDs are the new tokens, without the one that ended the text.
	IDs []int32
	// Text is the new text: the text of the prompt and Text together are that of all
	// tokens. Special tokens are left out.
	Text   string
	Reason Reason
}

// Stats are the counts and times of a call.
type Stats struct {
	PromptTokens int // fed to the model; not those that a cache held already
	NewTokens    int
	Total        time.Duration // of the call
	Compiling    time.Duration // of it, spent compiling graphs
	Prompt       time.Duration // of it, in steps that fed prompts, compiling left out
}

// TokensPerSecond is the rate of new tokens, with the time of compiling and of
// steps that fed prompts left out.
func (s Stats) TokensPerSecond() float64 {
	t := s.Total - s.Compiling - s.Prompt
	if t <= 0 || s.NewTokens == 0 {
		return 0
	}
	return float64(s.NewTokens) / t.Seconds()
}

// Generator generates text with one model. It is used from one goroutine.
type Generator struct {
	model     *Model
	tokenizer *tokenizer.Tokenizer
	settings  Settings
}

// New makes a generator. Without a tokenizer (nil) there are ids and no text, and
// no stop strings.
func New(m *Model, t *tokenizer.Tokenizer, s Settings) (*Generator, error) {
	s, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	c := m.Network.Config()
	if s.EOS == nil {
		s.EOS = c.EOS
	}
	if t == nil && len(s.Stop) > 0 {
		return nil, &bilevel.SettingError{Field: "Stop", Value: s.Stop, Allowed: "nothing without a tokenizer"}
	}
	if t != nil && t.VocabSize() > c.Vocabulary {
		return nil, &bilevel.SettingError{Field: "tokenizer", Value: fmt.Sprintf("%d tokens", t.VocabSize()), Allowed: fmt.Sprintf("at most %d, as the model's vocabulary has", c.Vocabulary)}
	}
	return &Generator{m, t, s}, nil
}

// row is a text under way.
type row struct {
	index   int     // of its prompt
	known   []int32 // prompt and text
	prompt  int     // tokens of the prompt
	fed     int     // tokens that the cache holds
	sampler *Sampler
	writer  *writer // nil without a tokenizer
	result  *Result
	ended   bool
}

// Generate continues each of the prompts, which are token ids, at least one each.
// show, when not nil, is given the texts piece by piece as they come, whole
// characters only, with the index of their prompt. Cancelling ctx ends all texts
// where they are, with the reason Interrupted and without an error.
//
// Errors: an empty prompt, one that leaves no room in the context, an id outside
// the vocabulary, logits that are not finite, failures of the backend
// (*device.Error).
func (g *Generator) Generate(ctx context.Context, prompts [][]int32, show func(i int, piece string)) ([]Result, Stats, error) {
	if err := g.check(prompts); err != nil {
		return nil, Stats{}, err
	}
	c := g.model.Network.Config()
	longest, most := 1, 1
	for _, p := range prompts {
		longest = max(longest, len(p))
		most = max(most, min(len(p)+g.settings.MaxTokens, c.Context))
	}
	var results []Result
	var stats Stats
	err := device.Try(func() (err error) {
		d := newDecoder(g.model, min(g.settings.Rows, len(prompts)), min(fit(sizes, most), c.Context), fit(pieces, longest), g.settings.greedy())
		defer d.release()
		results, stats, err = g.run(ctx, &work{decoder: d}, prompts, show)
		return err
	})
	return results, stats, err
}

func (g *Generator) check(prompts [][]int32) error {
	c := g.model.Network.Config()
	for i, p := range prompts {
		what := fmt.Sprintf("prompt %d", i)
		if len(p) == 0 || len(p) >= c.Context {
			return &bilevel.SettingError{Field: what, Value: fmt.Sprintf("%d tokens", len(p)), Allowed: fmt.Sprintf("1 to %d tokens, which leaves room for one more in the model's context", c.Context-1)}
		}
		if err := g.model.checkIDs(what, p); err != nil {
			return err
		}
	}
	return nil
}

// work is what texts are generated on.
type work struct {
	*decoder
	held []int32 // what the cache of the only row holds, from one call to the next
	draw int     // the first row's number among the sequences of draws
}

// run works through the prompts.
func (g *Generator) run(ctx context.Context, d *work, prompts [][]int32, show func(int, string)) ([]Result, Stats, error) {
	begin, compiled := time.Now(), g.model.Space.Stats().Compiling
	results := make([]Result, len(prompts))
	// Prompts of like length follow each other, so that they are fed together.
	order := make([]int, len(prompts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(prompts[a]) - len(prompts[b]) })

	var stats Stats
	rows := make([]*row, d.rows)
	active := 0
	for {
		// Rows are filled when a group of them is free: feeding prompts makes every
		// other row wait.
		if len(order) > 0 && d.rows-active >= d.group && ctx.Err() == nil {
			for r := range rows {
				if rows[r] == nil && len(order) > 0 {
					i := order[0]
					order = order[1:]
					rows[r] = g.begin(i, prompts[i], &results[i], d.draw+i)
					rows[r].fed = common(d.held, prompts[i])
					d.held = nil
					stats.PromptTokens += len(prompts[i]) - rows[r].fed
					active++
				}
			}
		}
		if active == 0 || ctx.Err() != nil {
			break
		}
		stepBegin, stepCompiled := time.Now(), g.model.Space.Stats().Compiling
		feeding, err := g.step(d.decoder, rows, show)
		if err != nil {
			return nil, stats, err
		}
		for r, w := range rows {
			if w != nil && w.ended {
				stats.NewTokens += len(w.result.IDs)
				d.keep(w)
				rows[r] = nil
				active--
			}
		}
		if feeding {
			stats.Prompt += time.Since(stepBegin) - (g.model.Space.Stats().Compiling - stepCompiled)
		}
	}
	for _, w := range rows {
		if w != nil {
			g.end(w, Interrupted, show)
			stats.NewTokens += len(w.result.IDs)
			d.keep(w)
		}
	}
	for _, i := range order {
		results[i].Reason = Interrupted
	}
	stats.Total, stats.Compiling = time.Since(begin), g.model.Space.Stats().Compiling-compiled
	return results, stats, nil
}

// keep remembers what the cache of a text holds, for a call that continues it.
func (d *work) keep(w *row) {
	if d.rows == 1 {
		d.held = w.known[:w.fed]
	}
}

// common is how many tokens of a prompt a cache holds; the last is always fed
// again, because what follows it is wanted.
func common(held, prompt []int32) int {
	n := 0
	for n < len(held) && n < len(prompt)-1 && held[n] == prompt[n] {
		n++
	}
	return n
}

func (g *Generator) begin(i int, prompt []int32, result *Result, draw int) *row {
	w := &row{index: i, known: slices.Clone(prompt), prompt: len(prompt), sampler: newSampler(g.settings, draw), result: result}
	if g.tokenizer != nil {
		w.writer = newWriter(g.tokenizer, g.settings.Stop, prompt)
	}
	return w
}

// step feeds a group of rows tokens that the cache lacks, where some row lacks
// several, and otherwise every row the one that it lacks; a row that then lacks none
// gets its next token.
func (g *Generator) step(d *decoder, rows []*row, show func(int, string)) (feeding bool, err error) {
	var group []int32
	for r, w := range rows {
		if w != nil && len(w.known)-w.fed > 1 && len(group) < d.group {
			group = append(group, int32(r))
		}
	}
	feeding = len(group) > 0
	n, length, fed := d.rows, 1, rows
	if feeding {
		n, length, fed = d.group, d.piece, nil
		for _, r := range group {
			fed = append(fed, rows[r])
		}
	}
	if d.rows == 1 {
		group = nil
	}
	for group != nil && len(group) < n {
		group = append(group, -1)
	}
	ids, start, last := make([]int32, n*length), make([]int32, n), make([]int32, n)
	for i, w := range fed {
		if w == nil {
			continue // token 0 at position 0, which the next text of the row overwrites
		}
		k := copy(ids[i*length:(i+1)*length], w.known[w.fed:])
		start[i], last[i] = int32(w.fed), int32(k-1)
		w.fed += k
	}
	out, err := d.step(ids, length, start, last, group)
	if err != nil {
		return feeding, err
	}
	for i, w := range fed {
		if w == nil || w.fed < len(w.known) {
			continue
		}
		var next int32
		if d.greedy {
			next = out.tokens[i]
		} else if next, err = w.sampler.Next(out.row(i), w.known); err != nil {
			return feeding, fmt.Errorf("prompt %d: %w", w.index, err)
		}
		g.take(w, next, show)
	}
	return feeding, nil
}

// take gives a text its next token.
func (g *Generator) take(w *row, id int32, show func(int, string)) {
	if slices.Contains(g.settings.EOS, int(id)) {
		g.end(w, EndOfText, show)
		return
	}
	w.known = append(w.known, id)
	if w.writer != nil {
		piece, stopped := w.writer.push(id)
		if piece != "" && show != nil {
			show(w.index, piece)
		}
		if stopped {
			g.finish(w, StopString)
			return
		}
	}
	switch {
	case len(w.known)-w.prompt >= g.settings.MaxTokens:
		g.end(w, TokenLimit, show)
	case len(w.known) >= g.model.Network.Config().Context:
		g.end(w, ContextLimit, show)
	}
}

// end ends a text with what its writer still holds.
func (g *Generator) end(w *row, reason Reason, show func(int, string)) {
	if w.writer != nil {
		if piece := w.writer.flush(); piece != "" && show != nil {
			show(w.index, piece)
		}
	}
	g.finish(w, reason)
}

func (g *Generator) finish(w *row, reason Reason) {
	w.result.IDs, w.result.Reason, w.ended = w.known[w.prompt:], reason, true
	if w.writer != nil {
		w.result.Text = w.writer.text.String()
	}
}
