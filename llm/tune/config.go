package tune

import (
	"fmt"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
)

// Config is everything that a training is asked for. Its field names, defaults,
// ranges and meanings are in the tags, which the program's help is made of; zero
// fields are defaults. Lists are separated by commas, durations are written like
// 90s or 5h.
type Config struct {
	Model     string `opt:"model" doc:"model folder, file, hf:owner/name or the name of a pulled model"`
	Tokenizer string `opt:"tokenizer" doc:"tokenizer.json or folder with one, where the model has none of its own"`
	Backend   string `opt:"backend" default:"auto" doc:"go, xla, xla:cpu, xla:cuda, xla:PATH of a plugin, or auto"`
	Algorithm string `opt:"algorithm" default:"pbgd-free" range:"pbgd-free|v-pbgd|f2sa|bome|alright|auto|dpo|sft|dpo-then-sft|sft-then-dpo" doc:"how to train; dpo stands for the upper objective alone, sft for the lower one"`
	Mode      string `opt:"mode" default:"corrected" range:"corrected|faithful" doc:"corrected, or the published split and text handling"`
	Seed      int    `opt:"seed" default:"1" range:"[0,inf)" doc:"seed of every random choice"`

	UpperFiles     string  `opt:"upper.files" doc:"files of preferences, the upper level: JSON, JSONL, CSV or Parquet"`
	UpperEval      string  `opt:"upper.eval_files" doc:"held-out files of the upper level; none: rows are held out"`
	UpperColumns   string  `opt:"upper.columns" doc:"which columns are what, such as prompt=question,chosen=good,rejected=bad; none: found by their names"`
	UpperMax       int     `opt:"upper.max_rows" range:"[0,inf)" doc:"training rows of the upper level at most; 0: all"`
	LowerObjective string  `opt:"lower.objective" default:"sft" range:"sft|distill" doc:"what y minimises: the cross-entropy of responses, or that to a teacher's answers at the same places"`
	LowerFiles     string  `opt:"lower.files" doc:"files of supervised rows, the lower level and stage 2"`
	LowerEval      string  `opt:"lower.eval_files" doc:"held-out files of the lower level; none: rows are held out"`
	LowerColumns   string  `opt:"lower.columns" doc:"which columns are what, such as prompt=instruction+input,response=output"`
	LowerMax       int     `opt:"lower.max_rows" range:"[0,inf)" doc:"training rows of the lower level and stage 2 at most; 0: all"`
	Template       string  `opt:"template" default:"auto" doc:"text of prompts: alpaca, plain, chatml, llama3, zephyr, smollm2, published; model for the one that the model brings; auto: that, else alpaca"`
	MaxLength      int     `opt:"max_length" default:"512" range:"[8,1048576]" doc:"longest sequence in tokens"`
	Long           string  `opt:"long" default:"cut" range:"cut|drop" doc:"whether responses of rows that are too long are cut, or the rows left out"`
	SkipBad        bool    `opt:"skip_bad" doc:"leave bad rows out and count them, instead of refusing the file"`
	EvalShare      float64 `opt:"eval.share" default:"0.1" range:"(0,0.5]" doc:"share of rows held out where there are no files for it"`
	EvalRows       int     `opt:"eval.rows" range:"[0,inf)" doc:"held-out rows that are evaluated of each level; 0: all"`
	EvalEvery      int     `opt:"eval.every" range:"[0,inf)" doc:"steps between evaluations; 0: once per epoch"`

	Rank    int     `opt:"lora.rank" default:"16" range:"[1,4096]" doc:"rank of the updates"`
	Alpha   float64 `opt:"lora.alpha" default:"16" range:"(0,inf)" doc:"updates are scaled by alpha/rank"`
	Dropout float64 `opt:"lora.dropout" range:"[0,1)" doc:"dropout on the updates' inputs"`
	Targets string  `opt:"lora.targets" doc:"layers with updates, comma-separated, a pattern, or all-linear; none: queries and values"`
	RSLoRA  bool    `opt:"lora.rslora" doc:"scale by alpha/sqrt(rank)"`
	Adapter string  `opt:"lora.from" doc:"folder of an adapter to start from"`

	DPOBeta   float64 `opt:"dpo.beta" default:"0.1" range:"(0,inf)" doc:"scale of rewards"`
	Smoothing float64 `opt:"dpo.label_smoothing" range:"[0,0.5)" doc:"share of preferences taken to be wrong"`
	IPO       bool    `opt:"dpo.ipo" doc:"the squared loss of IPO"`
	Teacher   string  `opt:"distill.teacher" doc:"model whose answers distill imitates; none: the base model"`

	Gamma         float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty gamma"`
	Inner         int     `opt:"inner" range:"[0,inf)" doc:"inner steps K; 0: the published number of the algorithm"`
	FlatnessEvery int     `opt:"flatness_every" default:"100" range:"[-1,inf)" doc:"steps between measurements of flatness, each about as dear as ten steps; -1: never"`
	Probability   float64 `opt:"alright.probability" default:"0.5" range:"(0,1)" doc:"probability of the upper objective"`
	Barrier       float64 `opt:"bome.barrier" default:"0.5" range:"(0,inf)" doc:"factor of the barrier"`
	First         int     `opt:"sequential.first" range:"[0,inf)" doc:"steps of the first of two stages; 0: half"`

	UpperBatch int `opt:"batch.upper" default:"8" range:"[1,65536]" doc:"rows of the upper level per step"`
	LowerBatch int `opt:"batch.lower" default:"8" range:"[1,65536]" doc:"rows of the lower level per step"`
	Micro      int `opt:"batch.accumulate" default:"1" range:"[1,65536]" doc:"parts that a step's rows are computed in, to save memory"`
	Lengths    int `opt:"batch.lengths" range:"[0,64]" doc:"padded lengths to choose from; 0: 4 on the go backend, 1 on XLA, where each costs compilations"`

	Optimizer string  `opt:"optimizer" default:"adamw" range:"adamw|sgd" doc:"of both blocks"`
	RateX     float64 `opt:"rate.x" default:"1e-4" range:"(0,inf)" doc:"learning rate of the updates"`
	RateY     float64 `opt:"rate.y" default:"1e-4" range:"(0,inf)" doc:"learning rate of the head"`
	Beta1     float64 `opt:"adam.beta1" default:"0.9" range:"(0,1)" doc:"decay of the first moment"`
	Beta2     float64 `opt:"adam.beta2" default:"0.95" range:"(0,1)" doc:"decay of the second moment"`
	Epsilon   float64 `opt:"adam.epsilon" default:"1e-8" range:"(0,inf)" doc:"added to the root of the second moment"`
	Decay     float64 `opt:"weight_decay" range:"[0,1)" doc:"decoupled weight decay"`
	Clip      float64 `opt:"clip" default:"1" range:"(0,inf]" doc:"largest gradient norm of a block"`
	Schedule  string  `opt:"schedule" default:"constant" range:"constant|linear|cosine" doc:"how rates fall"`
	Warmup    int     `opt:"warmup" range:"[0,inf)" doc:"steps of linear growth of the rates"`

	Steps      int     `opt:"steps" range:"[0,inf)" doc:"steps of the bilevel stage; 0: from epochs"`
	Epochs     float64 `opt:"epochs" default:"1" range:"(0,inf)" doc:"passes over the larger of the two training sets"`
	Time       string  `opt:"time_limit" doc:"training time of the bilevel stage at most, evaluations left out"`
	Passes     int     `opt:"passes" range:"[0,inf)" doc:"token places in forward and backward passes of the backbone after which the bilevel stage ends, for comparisons at equal cost; 0: no limit"`
	HeadSteps  int     `opt:"stage2.steps" range:"[-1,inf)" doc:"steps of stage 2, the head alone on the other half of the supervised rows; 0: one epoch; -1: no stage 2"`
	HeadTime   string  `opt:"stage2.time_limit" doc:"training time of stage 2 at most"`
	HeadObject string  `opt:"stage2.objective" default:"lower" range:"lower|gamma" doc:"g alone, or f/gamma + g"`

	Samples      int    `opt:"samples.count" default:"3" range:"[-1,1000]" doc:"held-out prompts answered before and after; -1: none"`
	SampleTokens int    `opt:"samples.tokens" default:"64" range:"[1,65536]" doc:"length of the answers"`
	Texts        int    `opt:"eval.generate" range:"[0,inf)" doc:"held-out prompts answered for BLEU and exact match at the end; 0: none"`
	Checkpoint   string `opt:"checkpoint.every" default:"2m" doc:"training time between checkpoints"`
	Keep         int    `opt:"checkpoint.keep" default:"2" range:"[1,1000]" doc:"checkpoints kept"`
	Best         string `opt:"best" default:"none" range:"none|upper|lower|sum" doc:"keep the adapter and head with the least held-out loss of a level, or of their sum"`
	TensorBoard  bool   `opt:"tensorboard" doc:"write event files"`
	Recompute    bool   `opt:"recompute" doc:"compute the inside of blocks again in backward passes, to save memory"`
}

// Fields lists the settings for help texts.
func (c *Config) Fields() []option.Field { return option.Fields(c) }

// Set assigns one setting from its text.
func (c *Config) Set(name, value string) error { return option.Set(c, name, value) }

// Fill sets zero fields to their defaults and checks all of them. Errors are
// *bilevel.SettingError.
func (c *Config) Fill() error {
	if err := option.Fill(c); err != nil {
		return err
	}
	for _, f := range []struct{ name, value string }{{"model", c.Model}, {"upper.files", c.UpperFiles}, {"lower.files", c.LowerFiles}} {
		if f.value == "" {
			return &bilevel.SettingError{Field: f.name, Value: `""`, Allowed: "not empty"}
		}
	}
	for _, f := range []struct{ name, value string }{{"time_limit", c.Time}, {"stage2.time_limit", c.HeadTime}, {"checkpoint.every", c.Checkpoint}} {
		if _, err := duration(f.value); err != nil {
			return &bilevel.SettingError{Field: f.name, Value: f.value, Allowed: "a duration >= 0 such as 90s or 5h"}
		}
	}
	if c.Passes > 0 && c.Time != "" {
		return &bilevel.SettingError{Field: "passes", Value: c.Passes, Allowed: "0 beside time_limit: one of them ends the training"}
	}
	if _, err := duration(c.Time); err == nil && c.Time != "" && c.Schedule != "constant" && c.Steps == 0 {
		return &bilevel.SettingError{Field: "schedule", Value: c.Schedule, Allowed: "constant where time_limit ends the training, or give steps too"}
	}
	return nil
}

// duration reads a duration, 0 for the empty string.
func duration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = fmt.Errorf("negative")
	}
	return d, err
}

// list splits a comma-separated list.
func list(s string) []string {
	var out []string
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
