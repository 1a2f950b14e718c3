package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/evaluate"
	"github.com/bilevel-go/bilevel/llm/generate"
)

type evalFlags struct {
	speakerFlags
	preferences, supervised              string
	preferenceColumns, supervisedColumns string
	template                             string
	maxLength, rows, generate, maxTokens int
	beta                                 float64
	skipBad, asJSON                      bool
}

func (a *app) llmEvalCommand() *cobra.Command {
	var o evalFlags
	c := &cobra.Command{
		Use: "eval MODEL", Short: "Measure a model, tuned or not, on held-out rows",
		Long: `Measure a model with its adapter and head on rows, beside the model without them: DPO loss, accuracy and reward margin on
preferences, whose reference is the model without them; cross-entropy and perplexity of given answers; and, with --generate,
BLEU, exact match and right final numbers of answers that are really generated, greedily. Intervals are of 95 %, from the
spread between rows.
` + modelArgument,
		Example: `  bilevel llm eval ./model --adapter runs/a/adapter --head runs/a/lm_head.safetensors --preferences dpo.jsonl --supervised sft.jsonl
  bilevel llm eval smollm2 --supervised gsm8k_test.jsonl --generate 50 --max-tokens 256`,
		Args: exactly(1, "one model"),
		RunE: func(c *cobra.Command, args []string) error { return a.eval(c, args[0], &o) },
	}
	group(c, "Model", o.speakerFlags.define)
	group(c, "Rows", func(f *pflag.FlagSet) {
		f.StringVar(&o.preferences, "preferences", "", "`files` of preferences, with commas between")
		f.StringVar(&o.supervised, "supervised", "", "`files` of supervised rows, with commas between")
		f.StringVar(&o.preferenceColumns, "preference-columns", "", "which `columns` are what, such as prompt=question,chosen=good,rejected=bad")
		f.StringVar(&o.supervisedColumns, "supervised-columns", "", "which `columns` are what, such as prompt=instruction+input,response=output")
		f.StringVar(&o.template, "template", "", templateUsage("the model's, else alpaca"))
		f.IntVar(&o.maxLength, "max-length", 512, "longest sequence in tokens; longer responses are cut")
		f.IntVar(&o.rows, "rows", 0, "rows of each kind at most; 0: all")
		f.BoolVar(&o.skipBad, "skip-bad", false, "leave bad rows out and count them")
		f.Float64Var(&o.beta, "beta", 0.1, "scale of rewards")
	})
	group(c, "Answers", func(f *pflag.FlagSet) {
		f.IntVar(&o.generate, "generate", 0, "supervised prompts to answer")
		f.IntVar(&o.maxTokens, "max-tokens", 128, "most tokens of an answer")
	})
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	register(c, "template", completeTemplates)
	return c
}

func (o *evalFlags) check() error {
	switch {
	case o.preferences == "" && o.supervised == "":
		return &bilevel.SettingError{Field: "--preferences and --supervised", Value: `""`, Allowed: "at least one of them given"}
	case o.generate > 0 && o.supervised == "":
		return &bilevel.SettingError{Field: "--generate", Value: o.generate, Allowed: "0 without --supervised"}
	case !(o.beta > 0) || math.IsInf(o.beta, 0):
		return &bilevel.SettingError{Field: "--beta", Value: o.beta, Allowed: "a number > 0"}
	case o.maxLength < 8:
		return &bilevel.SettingError{Field: "--max-length", Value: o.maxLength, Allowed: "a whole number >= 8"}
	}
	for _, f := range []struct {
		name string
		v    int
	}{{"--rows", o.rows}, {"--generate", o.generate}} {
		if f.v < 0 {
			return &bilevel.SettingError{Field: f.name, Value: f.v, Allowed: "a whole number >= 0"}
		}
	}
	return nil
}

// evalRows are encoded rows.
type evalRows struct {
	pairs      []data.Preference
	supervised []data.Supervised
	cases      []evaluate.Case
	reports    map[string]*data.Report
}

// read reads and encodes the rows for a model.
func (o *evalFlags) read(a *app, s *speaker) (*evalRows, *data.Encoder, error) {
	name := o.template
	if name == "" {
		name = "alpaca"
		if s.chat != nil {
			name = ownTemplate
		}
	}
	encoder, err := s.encoderFor(name, min(o.maxLength, s.model.Network.Config().Context))
	if err != nil {
		return nil, nil, err
	}
	r := &evalRows{reports: map[string]*data.Report{}}
	load := func(files, columns string, kind data.Kind) ([]data.Row, error) {
		rows, err := data.Read(strings.Split(files, ","), data.ReadSettings{Kind: kind, Columns: columns, SkipBad: o.skipBad, Limit: o.rows})
		if err != nil {
			return nil, err
		}
		if rows.Skipped.Total() > 0 {
			a.note("bad rows left out of %s: %s", files, rows.Skipped)
		}
		return rows.Rows, nil
	}
	unusable := func(files string, n int) error {
		return &bilevel.SettingError{Field: files, Value: fmt.Sprintf("%d rows, none of which can be used", n), Allowed: "rows with a response that --max-length leaves room for"}
	}
	if o.preferences != "" {
		rows, err := load(o.preferences, o.preferenceColumns, data.ForPreference)
		if err != nil {
			return nil, nil, err
		}
		if r.pairs, r.reports["preferences"], err = encoder.Preference(rows); err != nil {
			return nil, nil, err
		}
		if len(r.pairs) == 0 {
			return nil, nil, unusable(o.preferences, len(rows))
		}
	}
	if o.supervised == "" {
		return r, encoder, nil
	}
	rows, err := load(o.supervised, o.supervisedColumns, data.ForSupervised)
	if err != nil {
		return nil, nil, err
	}
	if r.supervised, r.reports["supervised"], err = encoder.Supervised(rows); err != nil {
		return nil, nil, err
	}
	if len(r.supervised) == 0 {
		return nil, nil, unusable(o.supervised, len(rows))
	}
	for i := range rows {
		if len(r.cases) == o.generate {
			break
		}
		prompt, err := encoder.Prompt(&rows[i])
		if err != nil {
			return nil, nil, err
		}
		if len(prompt) > 0 && len(prompt) < s.model.Network.Config().Context {
			r.cases = append(r.cases, evaluate.Case{Prompt: prompt, Reference: rows[i].Response})
		}
	}
	return r, encoder, nil
}

// evaluated is what rows say of one model.
type evaluated struct {
	name   string
	values map[string]certify.Number // by metric; name_low and name_high are its interval
}

func (m *evaluated) add(name string, v, stdErr float64) {
	m.values[name] = certify.Number(v)
	if stdErr-stdErr == 0 {
		m.values[name+"_low"], m.values[name+"_high"] = certify.Number(v-1.96*stdErr), certify.Number(v+1.96*stdErr)
	}
}

func (m *evaluated) addShare(name string, share float64, n int) {
	low, high := evaluate.ShareInterval(share, n)
	m.values[name], m.values[name+"_low"], m.values[name+"_high"] = certify.Number(share), certify.Number(low), certify.Number(high)
}

// evalMetrics are the metrics in the order of the table.
var evalMetrics = []string{"dpo_loss", "dpo_accuracy", "dpo_margin", "sft_loss", "perplexity", "bleu", "sentence_bleu", "exact_match", "answer_accuracy"}

func (a *app) eval(c *cobra.Command, reference string, o *evalFlags) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := o.speakerFlags.open(c, a, reference)
	if err != nil {
		return err
	}
	defer s.close()
	rows, encoder, err := o.read(a, s)
	if err != nil {
		return err
	}
	for _, kind := range sorted(rows.reports) {
		a.note("%s: %s", kind, rows.reports[kind])
	}
	models := []*generate.Model{s.base}
	all := []*evaluated{{name: "model", values: map[string]certify.Number{}}}
	if s.model != s.base {
		models = append(models, s.model)
		all = append(all, &evaluated{name: "tuned", values: map[string]certify.Number{}})
	}
	var base [][2]float64
	for i, m := range models {
		if base, err = a.evalModel(c.Context(), s, m, all[i], rows, encoder, o, base); err != nil {
			if c.Context().Err() != nil {
				fmt.Fprintln(a.err, "interrupted: an evaluation leaves no checkpoint")
				return exitCode(exitInterrupted)
			}
			return err
		}
	}
	last := all[len(all)-1]
	if o.asJSON {
		out := map[string]any{"model": reference, "adapter": o.adapter, "head": o.head, "metrics": last.values, "pairs": len(rows.pairs), "supervised": len(rows.supervised), "answers": len(rows.cases)}
		if len(all) > 1 {
			out["base_metrics"] = all[0].values
		}
		return a.json(out)
	}
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "metric")
	for _, m := range all {
		fmt.Fprint(t, "\t"+m.name+"\t95 % interval")
	}
	fmt.Fprintln(t)
	for _, name := range evalMetrics {
		if _, ok := last.values[name]; !ok {
			continue
		}
		fmt.Fprint(t, name)
		for _, m := range all {
			interval := ""
			if lo, ok := m.values[name+"_low"]; ok {
				interval = fmt.Sprintf("%.4g to %.4g", float64(lo), float64(m.values[name+"_high"]))
			}
			value := "-"
			if v, ok := m.values[name]; ok {
				value = fmt.Sprintf("%.5g", float64(v))
			}
			fmt.Fprint(t, "\t"+value+"\t"+interval)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// evalModel measures one model, whose reference has the log-probabilities base: its
// own where that is nil. It returns the reference's.
func (a *app) evalModel(ctx context.Context, s *speaker, m *generate.Model, to *evaluated, rows *evalRows, encoder *data.Encoder, o *evalFlags, base [][2]float64) ([][2]float64, error) {
	a.note("measuring %s", to.name)
	if len(rows.pairs) > 0 {
		logs, err := evaluate.PairLogs(ctx, m, rows.pairs)
		if err != nil {
			return nil, err
		}
		own := base == nil // its own reference: neither accuracy nor margin has a meaning
		if own {
			base = logs
		}
		p, err := evaluate.Rank(logs, base, o.beta)
		if err != nil {
			return nil, err
		}
		to.add("dpo_loss", p.Loss, p.LossErr)
		if !own {
			to.addShare("dpo_accuracy", p.Accuracy, p.Pairs)
			to.add("dpo_margin", p.Margin, p.MarginErr)
		}
	}
	if len(rows.supervised) > 0 {
		l, err := evaluate.ResponseLoss(ctx, m, rows.supervised)
		if err != nil {
			return nil, err
		}
		to.add("sft_loss", l.CrossEntropy, l.StdErr)
		to.values["perplexity"] = certify.Number(l.Perplexity())
		if l.StdErr-l.StdErr == 0 {
			to.values["perplexity_low"], to.values["perplexity_high"] = certify.Number(math.Exp(l.CrossEntropy-1.96*l.StdErr)), certify.Number(math.Exp(l.CrossEntropy+1.96*l.StdErr))
		}
	}
	if len(rows.cases) == 0 {
		return base, nil
	}
	set := generate.Settings{MaxTokens: o.maxTokens, EOS: append([]int{encoder.End()}, m.Network.Config().EOS...)}
	g, err := generate.New(m, s.tokenizer, set)
	if err != nil {
		return nil, err
	}
	texts, err := evaluate.Texts(ctx, g, rows.cases)
	if err != nil {
		return nil, err
	}
	to.values["bleu"], to.values["sentence_bleu"] = certify.Number(texts.BLEU), certify.Number(texts.SentenceBLEU)
	to.addShare("exact_match", texts.ExactMatch, len(rows.cases))
	if texts.Answers > 0 {
		to.addShare("answer_accuracy", texts.AnswerAccuracy, texts.Answers)
	}
	return base, nil
}
