package tune

import (
	"context"
	"slices"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/evaluate"
	"github.com/bilevel-go/bilevel/llm/generate"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
)

// Sample is a held-out prompt with its answers before and after the training.
type Sample struct {
	Row    int    `json:"row"`
	Prompt string `json:"prompt"`
	Wanted string `json:"wanted"`
	Before string `json:"before"`
	After  string `json:"after,omitempty"`
}

// Texts compares answers to held-out prompts, really generated, with what was
// wanted, before and after.
type Texts struct {
	Before *evaluate.Report `json:"before"`
	After  *evaluate.Report `json:"after"`
}

// Generator is the model with updates x and head y; nil stands for the base
// model's. Release gives the storage of x and y back.
func (t *Trainer) Generator(x, y []float32) (m *generate.Model, release func()) {
	b := t.b
	arrays := slices.Clone(b.frozen.arrays)
	head := t.headAt.Hold()
	if y != nil {
		head.Release()
		head = b.space.Float32s(y, len(y)).Hold()
	}
	arrays = append(arrays, head)
	key := b.name + " base"
	var updates *device.Array
	if x != nil {
		updates = b.space.Float32s(x, len(x)).Hold()
		arrays, key = append(arrays, updates), b.name+" tuned"
	}
	n := len(b.frozen.arrays)
	bind := func(in []*graph.Node) generate.Bound {
		bound := generate.Bound{Weights: b.frozen.weights(in[:n]), Head: graph.Reshape(in[n], b.head...)}
		if x != nil {
			byName := map[string]*graph.Node{}
			for i, name := range b.x.Names {
				byName[name] = graph.Reshape(graph.Slice(in[n+1], graph.AxisRange(b.x.Part(i))), b.x.Shapes[i]...)
			}
			bound.Adapter = lora.Bind(b.adapter, func(name string) *network.Node { return byName[name] })
		}
		return bound
	}
	return &generate.Model{Network: b.network, Space: b.space, Arrays: arrays, Bind: bind, Key: key}, func() {
		head.Release()
		if updates != nil {
			updates.Release()
		}
	}
}

// prompts are the first held-out supervised rows that leave room for an answer.
func (d *Data) prompts(n, context int) (rows []data.Row, ids [][]int32, err error) {
	for i := range d.lowerRows {
		if len(rows) == n {
			break
		}
		p, err := d.encoder.Prompt(&d.lowerRows[i])
		if err != nil {
			return nil, nil, err
		}
		if len(p) > 0 && len(p) < context {
			rows, ids = append(rows, d.lowerRows[i]), append(ids, p)
		}
	}
	return rows, ids, nil
}

// answer generates answers to prompts, greedily.
func (r *running) answer(ctx context.Context, ids [][]int32, x, y []float32) ([]generate.Result, error) {
	m, release := r.Trainer.Generator(x, y)
	defer release()
	g, err := generate.New(m, r.Tokenizer, generate.Settings{MaxTokens: r.Config.SampleTokens, EOS: r.ends()})
	if err != nil {
		return nil, err
	}
	results, _, err := g.Generate(ctx, ids, nil)
	return results, err
}

// ends are the tokens that end an answer: the template's and the model's.
func (r *running) ends() []int {
	ends := []int{r.Data.encoder.End()}
	for _, id := range r.Model.Config.EOS {
		if !slices.Contains(ends, id) {
			ends = append(ends, id)
		}
	}
	return ends
}

// sample answers a few held-out prompts and writes the answers down.
func (r *running) sample(ctx context.Context, when string, x, y []float32) error {
	n := max(r.Config.Samples, r.Config.Texts)
	if r.Config.Samples < 0 {
		n = r.Config.Texts
	}
	rows, ids, err := r.Data.prompts(n, r.Model.Config.Context)
	if err != nil || len(rows) == 0 {
		return err
	}
	r.s.Say("answering held-out prompts " + when)
	results, err := r.answer(ctx, ids, x, y)
	if err != nil || ctx.Err() != nil {
		return err
	}
	if len(r.out.Samples) != len(rows) {
		r.out.Samples = make([]Sample, len(rows))
	}
	for i := range rows {
		s := &r.out.Samples[i]
		s.Row, s.Prompt, s.Wanted = rows[i].ID, rows[i].Prompt(), rows[i].Response
		if when == "before" {
			s.Before = results[i].Text
		} else {
			s.After = results[i].Text
		}
	}
	return r.writeJSON(SamplesFile, struct{ Samples []Sample }{r.out.Samples})
}

// texts compares the answers to held-out prompts with what was wanted.
func (r *running) texts() {
	n := min(r.Config.Texts, len(r.out.Samples))
	if n == 0 {
		return
	}
	column := func(f func(s *Sample) string) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = f(&r.out.Samples[i])
		}
		return out
	}
	wanted := column(func(s *Sample) string { return s.Wanted })
	r.out.Texts = &Texts{
		Before: evaluate.Compare(column(func(s *Sample) string { return s.Before }), wanted),
		After:  evaluate.Compare(column(func(s *Sample) string { return s.After }), wanted),
	}
}
