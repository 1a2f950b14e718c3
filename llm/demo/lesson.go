package demo

import (
	"slices"

	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/data/synthetic"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// lesson is the data of one seed.
type lesson struct {
	tokenizer   *tokenizer.Tokenizer
	base, lower *data.Stream[data.Supervised]
	stage2      *data.Stream[data.Supervised]
	upper       *data.Stream[data.Preference]
	allUpper    []*data.Batch // every training pair once
	heldLower   []*data.Batch
	heldUpper   []*data.Batch
	prompts     [][]int32
	asked       []data.Row // the held-out rows of prompts, supervised
}

// newLesson generates, splits and encodes the rows.
func newLesson(s *Settings, seed uint64) (*lesson, error) {
	set, err := synthetic.Generate(synthetic.Settings{Seed: seed, Train: trainRows, Evaluation: s.HeldOut, Conflict: s.Conflict})
	if err != nil {
		return nil, err
	}
	split, err := data.SplitRows(set.Pools(), data.SplitSettings{Seed: seed})
	if err != nil {
		return nil, err
	}
	l := &lesson{}
	if l.tokenizer, err = synthetic.Tokenizer(); err != nil {
		return nil, err
	}
	template, err := data.NamedTemplate("plain")
	if err != nil {
		return nil, err
	}
	e, err := data.NewEncoder(l.tokenizer, template, data.EncodeSettings{MaxLength: window})
	if err != nil {
		return nil, err
	}
	pad := int32(l.tokenizer.Special().PAD)
	stream := func(name string, from []data.Row, k kind) (*data.Stream[data.Supervised], []data.Supervised, error) {
		examples, _, err := e.Supervised(from)
		if err != nil {
			return nil, nil, err
		}
		st, err := data.NewStream(examples, streamSettings(name, seed, pad, k))
		return st, examples, err
	}
	if l.base, _, err = stream("base", set.Base, bases); err != nil {
		return nil, err
	}
	if l.lower, _, err = stream("lower", split.Lower.Rows, rows); err != nil {
		return nil, err
	}
	if l.stage2, _, err = stream("stage 2", split.Stage2.Rows, rows); err != nil {
		return nil, err
	}
	upper, _, err := e.Preference(split.Upper.Rows)
	if err != nil {
		return nil, err
	}
	if l.upper, err = data.NewStream(upper, streamSettings("upper", seed, pad, pairs)); err != nil {
		return nil, err
	}
	if l.allUpper, err = data.Sequential(upper, streamSettings("", seed, pad, pairs)); err != nil {
		return nil, err
	}
	heldPairs, _, err := e.Preference(split.PreferenceEvaluation.Rows)
	if err != nil {
		return nil, err
	}
	if l.heldUpper, err = data.Sequential(heldPairs, streamSettings("", seed, pad, pairs)); err != nil {
		return nil, err
	}
	heldRows, _, err := e.Supervised(split.SupervisedEvaluation.Rows)
	if err != nil {
		return nil, err
	}
	if l.heldLower, err = data.Sequential(heldRows, streamSettings("", seed, pad, rows)); err != nil {
		return nil, err
	}
	l.asked = slices.Clone(split.SupervisedEvaluation.Rows[:min(s.Prompts, len(split.SupervisedEvaluation.Rows))])
	for i := range l.asked {
		p, err := e.Prompt(&l.asked[i])
		if err != nil {
			return nil, err
		}
		l.prompts = append(l.prompts, p)
	}
	return l, nil
}

// kind is the one shape of all batches of a kind of rows, in training and in
// measurements, so that they share their programs.
type kind struct{ length, scored int }

// The kinds. The longest prompts with a courteous response have 24 tokens, those with a
// bare one 16; numbers of scored positions are multiples of what batches need.
var (
	bases = kind{24, 192}
	pairs = kind{24, 384}
	rows  = kind{16, 64}
)

func streamSettings(name string, seed uint64, pad int32, k kind) data.StreamSettings {
	return data.StreamSettings{Name: name, Seed: seed, Examples: batchRows, Shapes: data.Shapes{Lengths: []int{k.length}, Multiple: k.scored}, Pad: pad}
}

// model is the architecture that learns the language.
func (l *lesson) model() weights.Config {
	special := l.tokenizer.Special()
	return weights.Config{Architecture: weights.Llama, Vocabulary: l.tokenizer.VocabSize(), Hidden: hidden, Intermediate: 2 * hidden, Layers: layers,
		Heads: heads, KVHeads: heads, HeadSize: hidden / heads, Context: window, Epsilon: 1e-5, Activation: weights.SiLU,
		Rope: weights.Rope{Base: 10000, Dims: hidden / heads}, BOS: special.BOS, PAD: special.PAD, EOS: []int{special.EOS}}
}

func places(b *data.Batch) int64 { return int64(len(b.IDs)) }
