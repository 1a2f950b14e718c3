package tune

import (
	"context"
	"fmt"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// Data is the rows of a training, dealt out and encoded.
type Data struct {
	Split *data.Split
	// Reports say what became of the rows, by part.
	Reports  map[string]*data.Report
	Skipped  map[string]data.Counts // bad rows left out, by level
	Template string
	// Padding is the share of padding in the batches of each stream.
	Padding map[string]float64

	encoder            *data.Encoder
	upper              []data.Preference
	lower, stage2      []data.Supervised
	upperEval          []data.Preference
	lowerEval          []data.Supervised
	upperStream        *data.Stream[data.Preference]
	lowerStream, stage *data.Stream[data.Supervised]
	upperHeld          []*data.Batch
	lowerHeld          []*data.Batch
	lowerRows          []data.Row // held out, for samples and texts
}

// prepareData reads and deals out the rows that c names, and encodes them for a model.
func prepareData(c *Config, m *weights.Model, tok *tokenizer.Tokenizer) (*Data, error) {
	d := &Data{Reports: map[string]*data.Report{}, Skipped: map[string]data.Counts{}, Padding: map[string]float64{}}
	var pools data.Pools
	for _, f := range []struct {
		name, files, columns string
		kind                 data.Kind
		after                *[]data.Row // rows whose ids go before
		to                   *[]data.Row
	}{
		{"upper", c.UpperFiles, c.UpperColumns, data.ForPreference, nil, &pools.Preference},
		{"lower", c.LowerFiles, c.LowerColumns, data.ForSupervised, nil, &pools.Supervised},
		{"upper evaluation", c.UpperEval, c.UpperColumns, data.ForPreference, &pools.Preference, &pools.PreferenceEvaluation},
		{"lower evaluation", c.LowerEval, c.LowerColumns, data.ForSupervised, &pools.Supervised, &pools.SupervisedEvaluation},
	} {
		if f.files == "" {
			continue
		}
		r, err := data.Read(list(f.files), data.ReadSettings{Kind: f.kind, Columns: f.columns, SkipBad: c.SkipBad})
		if err != nil {
			return nil, err
		}
		if r.Skipped.Total() > 0 {
			d.Skipped[f.name] = r.Skipped
		}
		if f.after != nil {
			next := 0
			for _, row := range *f.after {
				next = max(next, row.ID+1)
			}
			for i := range r.Rows {
				r.Rows[i].ID += next
			}
		}
		*f.to = r.Rows
	}
	var err error
	faithful := c.Mode == bilevel.Faithful.String()
	d.Split, err = data.SplitRows(pools, data.SplitSettings{Seed: uint64(c.Seed), Evaluation: c.share(), MaxSupervised: c.LowerMax, MaxPreference: c.UpperMax, Faithful: faithful})
	if err != nil {
		return nil, err
	}
	t, err := template(c, m)
	if err != nil {
		return nil, err
	}
	d.Template = t.Name
	s := data.EncodeSettings{MaxLength: min(c.MaxLength, m.Config.Context), Long: data.LongRows(c.Long)}
	if special := tok.Special(); special.EOS == tokenizer.None && len(m.Config.EOS) > 0 { // a bare tokenizer.json does not say; the model does
		s.EOS, _ = tok.Token(m.Config.EOS[0])
	}
	d.encoder, err = data.NewEncoder(tok, t, s)
	if err != nil {
		return nil, err
	}
	return d, d.encode(c)
}

// share is the share of held-out rows; 0 leaves the published one in faithful mode.
func (c *Config) share() float64 {
	if c.Mode == bilevel.Faithful.String() {
		return 0
	}
	return c.EvalShare
}

// template is the layout of prompts.
func template(c *Config, m *weights.Model) (*data.Template, error) {
	switch c.Template {
	case "auto", "model":
	default:
		return data.NamedTemplate(c.Template)
	}
	if c.Mode == bilevel.Faithful.String() && c.Template == "auto" {
		return data.NamedTemplate("published")
	}
	v, err := m.Vocabulary()
	if err != nil {
		return nil, err
	}
	if v != nil && v.ChatTemplate != "" {
		s := data.JinjaSettings{}
		if v.BOS >= 0 && v.BOS < len(v.Tokens) {
			s.BOS = v.Tokens[v.BOS]
		}
		if v.EOS >= 0 && v.EOS < len(v.Tokens) {
			s.EOS = v.Tokens[v.EOS]
		}
		return data.JinjaTemplate(v.ChatTemplate, s)
	}
	t, err := data.ModelTemplate(m.Dir(), time.Time{})
	if err != nil && c.Template == "auto" {
		return data.NamedTemplate("alpaca")
	}
	return t, err
}

// encode turns the parts into token ids.
func (d *Data) encode(c *Config) (err error) {
	preferences := func(name string, p *data.Part) (out []data.Preference) {
		if err == nil {
			out, d.Reports[name], err = d.encoder.Preference(p.Rows)
			err = unusable(err, name, len(out), len(p.Rows))
		}
		return out
	}
	supervised := func(name string, p *data.Part) (out []data.Supervised) {
		if err == nil {
			out, d.Reports[name], err = d.encoder.Supervised(p.Rows)
			err = unusable(err, name, len(out), len(p.Rows))
		}
		return out
	}
	limit := func(p *data.Part) *data.Part {
		if c.EvalRows > 0 && len(p.Rows) > c.EvalRows {
			return &data.Part{IDs: p.IDs[:c.EvalRows], Rows: p.Rows[:c.EvalRows]}
		}
		return p
	}
	s := d.Split
	d.upper = preferences("upper level", &s.Upper)
	d.lower = supervised("lower level", &s.Lower)
	d.stage2 = supervised("stage 2", &s.Stage2)
	d.upperEval = preferences("upper evaluation", limit(&s.PreferenceEvaluation))
	d.lowerEval = supervised("lower evaluation", limit(&s.SupervisedEvaluation))
	d.lowerRows = limit(&s.SupervisedEvaluation).Rows
	return err
}

// unusable refuses a part of which no row is left.
func unusable(err error, name string, kept, rows int) error {
	if err == nil && kept == 0 {
		return &bilevel.SettingError{Field: "rows of the " + name, Value: fmt.Sprintf("%d rows, none of which can be used", rows), Allowed: "rows with a response that max_length leaves room for"}
	}
	return err
}

// batches makes the streams and the held-out batches.
func (d *Data) batches(c *Config, lengths int, pad int32) (err error) {
	shapes := data.Shapes{Count: lengths}
	if lengths == 1 {
		shapes.Scored = 1
	}
	settings := func(name string, rows int) data.StreamSettings {
		return data.StreamSettings{Name: name, Seed: uint64(c.Seed), Examples: max(1, rows/c.Micro), Micro: c.Micro, Shapes: shapes, Pad: pad}
	}
	for _, f := range []struct {
		name string
		rows int
	}{{"batch.upper", c.UpperBatch}, {"batch.lower", c.LowerBatch}} {
		if f.rows%c.Micro != 0 {
			return &bilevel.SettingError{Field: f.name, Value: f.rows, Allowed: fmt.Sprintf("a multiple of batch.accumulate = %d", c.Micro)}
		}
	}
	if d.upperStream, err = data.NewStream(d.upper, settings("upper", c.UpperBatch)); err != nil {
		return err
	}
	if d.lowerStream, err = data.NewStream(d.lower, settings("lower", c.LowerBatch)); err != nil {
		return err
	}
	if c.HeadSteps >= 0 {
		if d.stage, err = data.NewStream(d.stage2, settings("stage 2", c.LowerBatch)); err != nil {
			return err
		}
	}
	d.Padding["upper"], d.Padding["lower"] = d.upperStream.Waste(0).Padding, d.lowerStream.Waste(0).Padding
	held := settings("evaluation", c.UpperBatch)
	if d.upperHeld, err = data.Sequential(d.upperEval, held); err != nil {
		return err
	}
	held.Examples = max(1, c.LowerBatch/c.Micro)
	d.lowerHeld, err = data.Sequential(d.lowerEval, held)
	return err
}

// logProbs are the reference model's log-probabilities of all preference rows, from
// the cache where they were computed before.
func (d *Data) logProbs(ctx context.Context, t *Trainer, cache *referenceCache, c *Config, pad int32) (LogProbs, error) {
	all := append(append([]data.Preference(nil), d.upper...), d.upperEval...)
	if c.Mode == bilevel.Faithful.String() { // evaluation rows may be training rows
		seen := map[int]bool{}
		unique := all[:0]
		for _, e := range all {
			if !seen[e.Row] {
				seen[e.Row] = true
				unique = append(unique, e)
			}
		}
		all = unique
	}
	key := data.Fingerprint(all)
	if logs := cache.load(key); logs != nil {
		return logs, nil
	}
	list, err := data.Sequential(all, data.StreamSettings{Examples: max(1, c.UpperBatch/c.Micro), Pad: pad, Shapes: data.Shapes{Count: 2, Scored: 1}})
	if err != nil {
		return nil, err
	}
	logs, err := t.Reference(ctx, list)
	if err == nil {
		cache.save(key, logs)
	}
	return logs, err
}
