package repro

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/llm/tune"
)

// The rows and the model of pbgdfree-table2 in the data directory.
const (
	tuneRows      = "text/instruction-data-with-preference.json"
	tuneModel     = "lm/stories260K.bin"
	tuneTokenizer = "lm/tok512.bin"
)

// tunePublished is table 2 of arXiv 2507.20400: DPO and SFT evaluation losses after
// the bilevel stage and after the head's.
var tunePublished = []struct {
	method               string
	dpo, sft, dpo2, sft2 float64
}{
	{"pbgd-free", .7837, .8516, .8088, .6688},
	{"alright", .8055, .8656, .8201, .7855},
	{"v-pbgd", .8180, 1.0309, .8423, .9533},
	{"bome", .8332, 1.1552, .8402, .9842},
}

// pbgdFreeTable2 repeats table 2 of arXiv 2507.20400 on a small model: a bilevel
// stage on preferences and half of the supervised rows, then the head alone on the
// other half. PBGD-Free takes its steps; the others get as many passes of tokens
// through the backbone as it took.
func pbgdFreeTable2(s *session) error {
	base, err := s.tuneConfig()
	if err != nil {
		return err
	}
	if base.Steps == 0 && base.Passes == 0 {
		base.Steps = 60
	}
	if base.HeadSteps == 0 {
		base.HeadSteps = max(base.Steps, 1)
	}
	for i, p := range tunePublished {
		c := base
		c.Algorithm = p.method
		if i > 0 {
			c.Steps = 0
		}
		r, err := s.tuned(c, p.method)
		if err != nil {
			return fmt.Errorf("%s: %w", p.method, err)
		}
		if i == 0 && base.Passes == 0 {
			base.Passes = int(r.out.Stages[0].Work.Passes())
		}
		s.tuneRows(r, i)
	}
	return nil
}

// tuneConfig is what all methods share: the published settings that fit a small
// model, with the user's over them.
func (s *session) tuneConfig() (tune.Config, error) {
	c := tune.Config{Mode: s.o.Mode.String(), Seed: int(s.o.Seed), Gamma: 10, RateX: 1e-3, RateY: 1e-3, Beta2: 0.95, EvalRows: 64, Samples: -1,
		FlatnessEvery: 20, EvalEvery: 1 << 30}
	missing := func(name string) error {
		return &bilevel.SettingError{Field: "data", Value: fmt.Sprintf("%q without %s", s.o.Data, name), Allowed: "a data directory that holds it (--data DIR or BILEVEL_DATA), or --set model=, upper.files= and lower.files="}
	}
	for _, name := range slices.Sorted(maps.Keys(s.o.Settings)) {
		if name == "algorithm" || name == "mode" || name == "seed" {
			return c, &bilevel.SettingError{Field: "set", Value: name, Allowed: "settings that all methods of the table share"}
		}
		if err := c.Set(name, s.o.Settings[name]); err != nil {
			return c, err
		}
	}
	rows := filepath.Join(s.o.Data, filepath.FromSlash(tuneRows))
	if c.UpperFiles == "" || c.LowerFiles == "" {
		if _, err := os.Stat(rows); s.o.Data == "" || err != nil {
			return c, missing(tuneRows)
		}
	}
	if c.UpperFiles == "" {
		c.UpperFiles, c.UpperColumns = rows, "prompt=instruction+input,chosen=chosen,rejected=rejected"
	}
	if c.LowerFiles == "" {
		c.LowerFiles, c.LowerColumns = rows, "prompt=instruction+input,response=output"
	}
	if c.Model == "" {
		golden := filepath.Join(os.Getenv("BILEVEL_GOLDEN"), "lm", "stories260k")
		model := filepath.Join(s.o.Data, filepath.FromSlash(tuneModel))
		if _, err := os.Stat(golden); err == nil && os.Getenv("BILEVEL_GOLDEN") != "" {
			c.Model = golden
		} else if _, err := os.Stat(model); err == nil && s.o.Data != "" {
			c.Model = model
			if c.Tokenizer == "" {
				c.Tokenizer = filepath.Join(s.o.Data, filepath.FromSlash(tuneTokenizer))
			}
		} else {
			return c, missing(tuneModel)
		}
		if c.Template == "" && c.Mode != bilevel.Faithful.String() {
			c.Template = "plain"
		}
	}
	return c, nil
}

// tunedRun is one method's training.
type tunedRun struct {
	method  string
	out     *tune.Outcome
	sizes   tune.Sizes
	model   string
	backend string
}

// tuned trains in a directory that does not stay.
func (s *session) tuned(c tune.Config, part string) (*tunedRun, error) {
	dir, err := os.MkdirTemp("", "bilevel-repro-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	j, err := tune.Prepare(s.ctx, c, nil)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	r := &tunedRun{method: part, model: strings.TrimSuffix(filepath.Base(c.Model), filepath.Ext(c.Model)), backend: j.Backend.Name}
	if r.sizes, err = j.Sizes(); err != nil {
		return nil, err
	}
	r.out, err = j.Run(s.ctx, tune.RunSettings{Dir: dir, Watch: &tuneProgress{s: s, part: part, passes: int64(c.Passes)}})
	switch {
	case err != nil:
		return nil, err
	case s.ctx.Err() != nil:
		return nil, s.ctx.Err()
	}
	for _, stage := range r.out.Stages {
		s.count(&bilevel.Result{Iterations: stage.Steps, Counts: stage.Counts})
	}
	return r, nil
}

// tuneProgress tells how far a training is.
type tuneProgress struct {
	s      *session
	part   string
	passes int64
}

func (p *tuneProgress) Step(r tune.StepReport) error {
	if p.s.o.Progress == nil {
		return nil
	}
	part := p.part + ", stage " + r.Stage
	if r.Steps == 0 && p.passes > 0 {
		p.s.o.Progress(part+", % of its passes", int(min(100, 100*r.Work.Passes()/p.passes)), 100)
		return nil
	}
	p.s.o.Progress(part+", steps", r.Step, r.Steps)
	return nil
}

func (p *tuneProgress) Evaluation(tune.Evaluation) error { return nil }

// tuneRows adds the rows of a method.
func (s *session) tuneRows(r *tunedRun, i int) {
	p := tunePublished[i]
	note := fmt.Sprintf("Published: table 2 of arXiv 2507.20400, Llama-3-3b (3.2 billion parameters) after hours on graphics cards, on rm-hh-rlhf and OpenOrca, evaluated in part on training rows. "+
		"Ours: %s (%s parameters), another model on other rows, held out before training, whose reference is the model itself: figures do not compare across the columns, only the order of the methods within one.",
		r.model, millions(r.sizes.Base))
	add := func(metric string, published, ours float64, unit, note string) {
		s.add(Row{r.method, r.model, metric, certify.Number(published), certify.Number(ours), none, unit, note})
	}
	known := func(v *float64) float64 {
		if v == nil {
			return nan
		}
		return *v
	}
	stages := r.out.Stages
	if i == 0 {
		add("dpo_loss_before", nan, known(stages[0].Before.UpperLoss), "", "Before the training; DPO starts at ln 2 = 0.6931 where the reference is the model itself.")
		add("sft_loss_before", nan, known(stages[0].Before.LowerLoss), "", "")
	}
	first, last := stages[0].After, stages[len(stages)-1].After
	add("dpo_loss_bilevel", p.dpo, known(first.UpperLoss), "", note)
	add("sft_loss_bilevel", p.sft, known(first.LowerLoss), "", note)
	add("dpo_loss_head", p.dpo2, known(last.UpperLoss), "", note)
	add("sft_loss_head", p.sft2, known(last.LowerLoss), "", note)
	add("dpo_accuracy_head", nan, known(last.Accuracy), "", "")
	add("passes", nan, float64(stages[0].Work.Passes()), "tokens", "Token places in forward and backward passes of the backbone in the bilevel stage: the budget, equal for all but for the last step's.")
	add("outer_iterations", nan, float64(stages[0].Steps), "", "")
	add("seconds", nan, stages[0].Elapsed.Seconds(), "s", "Time of the bilevel stage without evaluations, compilation of graphs and measurements of flatness included; backend "+r.backend+".")
	if n := len(r.out.Flatness); n > 0 {
		worst := 0.0
		for _, f := range r.out.Flatness {
			worst = max(worst, f.Omitted)
		}
		note := ""
		if r.out.Estimate != nil {
			note = r.out.Estimate.Sentence
		}
		add("omitted_ratio", nan, worst, "", note)
	}
}

// millions writes a number of parameters.
func millions(n int) string { return fmt.Sprintf("%.3g million", float64(n)/1e6) }
