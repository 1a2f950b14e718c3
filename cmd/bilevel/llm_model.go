package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gomlx/compute"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/generate"
	"github.com/bilevel-go/bilevel/llm/hub"
	"github.com/bilevel-go/bilevel/llm/merge"
	"github.com/bilevel-go/bilevel/llm/modelref"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
)

const modelArgument = "MODEL is a folder or a file (safetensors, GGUF, llama2.c), hf:owner/name, or the name of a pulled model."

// tunedFlags say what was trained on top of a model.
type tunedFlags struct{ adapter, head string }

func (o *tunedFlags) define(f *pflag.FlagSet) {
	f.StringVar(&o.adapter, "adapter", "", "`folder` or hf:owner/name of a LoRA adapter in PEFT's format")
	f.StringVar(&o.head, "head", "", "safetensors `file` with an output head, lm_head.weight (default: the adapter's, or the model's)")
}

// open reads what the flags name and fits it to a model.
func (o *tunedFlags) open(c *cobra.Command, a *app, config *weights.Config) (t merge.Tuned, err error) {
	if o.adapter != "" {
		dir, err := modelref.Resolve(c.Context(), o.adapter, hub.Settings{Progress: a.downloads()})
		if err != nil {
			return t, err
		}
		if t.Adapter, err = weights.ReadAdapter(dir); err != nil {
			return t, err
		}
		if err := t.Adapter.Bind(filepath.Join(dir, weights.AdapterModelFile), config); err != nil {
			return t, err
		}
	}
	if o.head != "" {
		t.Head, err = weights.ReadHead(o.head, config)
	}
	return t, err
}

// openModel opens the files of the model that reference means.
func (a *app) openModel(ctx context.Context, reference string) (*weights.Model, error) {
	return weights.OpenContext(ctx, reference, hub.Settings{Progress: a.downloads()})
}

// speaker is a model on a device with all that it takes to generate text.
type speaker struct {
	backend   compute.Backend
	base      *generate.Model
	model     *generate.Model
	tokenizer *tokenizer.Tokenizer
	// chat is the model's own chat template; nil where it has none.
	chat *data.Template
}

// speakerFlags say which model speaks, on which backend.
type speakerFlags struct {
	tunedFlags
	backend string
}

func (o *speakerFlags) define(f *pflag.FlagSet) {
	o.tunedFlags.define(f)
	f.StringVar(&o.backend, "backend", backend.Auto, "tensor `backend`: "+backend.Allowed)
}

// open loads the model. The caller closes what it returns.
func (o *speakerFlags) open(c *cobra.Command, a *app, reference string) (_ *speaker, err error) {
	stored, err := a.openModel(c.Context(), reference)
	if err != nil {
		return nil, err
	}
	defer stored.Close()
	tuned, err := o.tunedFlags.open(c, a, &stored.Config)
	if err != nil {
		return nil, err
	}
	s := &speaker{}
	if s.tokenizer, err = tokenizer.OfModel(stored); err != nil {
		return nil, err
	}
	if s.chat, err = chatTemplate(stored); err != nil {
		return nil, err
	}
	b, info, err := backend.Open(c.Context(), o.backend)
	if err != nil {
		return nil, err
	}
	if info.Note != "" {
		a.note("%s", info.Note)
	}
	s.backend = b
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.base, err = generate.Load(device.NewSpace(b), stored); err != nil {
		return nil, err
	}
	if tuned.Adapter == nil && tuned.Head == nil {
		s.model = s.base
		return s, nil
	}
	s.model, err = s.base.With(tuned.Adapter, tuned.Head)
	return s, err
}

func (s *speaker) close() {
	if s.model != nil && s.model != s.base {
		s.model.Release()
	}
	if s.base != nil {
		s.base.Release()
	}
	s.backend.Finalize()
}

// chatTemplate is a model's own chat template, nil when it has none.
func chatTemplate(m *weights.Model) (*data.Template, error) {
	v, err := m.Vocabulary()
	if err != nil {
		return nil, err
	}
	if v != nil {
		if v.ChatTemplate == "" {
			return nil, nil
		}
		token := func(id int) string {
			if id < 0 {
				return ""
			}
			return v.Tokens[id]
		}
		t, err := data.JinjaTemplate(v.ChatTemplate, data.JinjaSettings{BOS: token(v.BOS), EOS: token(v.EOS), Date: time.Now()})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		return t, nil
	}
	t, err := data.ModelTemplate(m.Dir(), time.Now())
	var none *bilevel.SettingError
	if errors.As(err, &none) && none.Value == "none" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return t, err
}

// ownTemplate names the model's chat template among the templates.
const ownTemplate = "model"

func templateUsage(otherwise string) string {
	return "how a prompt is laid out, a `name`: " + ownTemplate + " (the model's chat template), " + strings.Join(data.TemplateNames(), ", ") + " (default: " + otherwise + ")"
}

// encoder lays prompts out with the template of a name.
func (s *speaker) encoder(name string) (*data.Encoder, error) { return s.encoderFor(name, 0) }

// encoderFor is an encoder for sequences of at most maxLength tokens; 0 is its default.
func (s *speaker) encoderFor(name string, maxLength int) (*data.Encoder, error) {
	t := s.chat
	if name != ownTemplate {
		var err error
		if t, err = data.NamedTemplate(name); err != nil {
			return nil, &bilevel.SettingError{Field: "--template", Value: name, Allowed: ownTemplate + ", " + strings.Join(data.TemplateNames(), ", ")}
		}
	}
	if t == nil {
		return nil, &bilevel.SettingError{Field: "--template", Value: name, Allowed: strings.Join(data.TemplateNames(), ", ") + ": the model has no chat template of its own"}
	}
	set := data.EncodeSettings{MaxLength: maxLength}
	if eos := s.model.Network.Config().EOS; s.tokenizer.Special().EOS == tokenizer.None && len(eos) > 0 {
		set.EOS, _ = s.tokenizer.Token(eos[0])
	}
	return data.NewEncoder(s.tokenizer, t, set)
}

// samplingFlags say how text is chosen.
type samplingFlags struct{ generate.Settings }

func (o *samplingFlags) define(f *pflag.FlagSet) {
	f.IntVar(&o.MaxTokens, "max-tokens", 256, "most new tokens of a text")
	f.Float64Var(&o.Temperature, "temperature", 0, "divides the logits; 0 is greedy")
	f.IntVar(&o.TopK, "top-k", 0, "keep the `k` most probable tokens; 0 keeps all")
	f.Float64Var(&o.TopP, "top-p", 1, "keep the most probable tokens with this much `probability`")
	f.Float64Var(&o.MinP, "min-p", 0, "drop tokens less probable than this `share` of the most probable one")
	f.Float64Var(&o.RepetitionPenalty, "repetition-penalty", 1, "make tokens that occurred less likely; 1 is none")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the draws")
	f.StringArrayVar(&o.Stop, "stop", nil, "`text` that ends a text, which then lacks it; may be repeated")
}

// settings are those of a generator that also stops at the end token of a template.
func (o *samplingFlags) settings(s *speaker, e *data.Encoder) (generate.Settings, error) {
	if o.MaxTokens < 1 {
		return o.Settings, &bilevel.SettingError{Field: "--max-tokens", Value: o.MaxTokens, Allowed: "a whole number >= 1"}
	}
	if o.TopP == 0 {
		return o.Settings, &bilevel.SettingError{Field: "--top-p", Value: o.TopP, Allowed: "a number in (0, 1]"}
	}
	set := o.Settings
	if e != nil {
		set.EOS = append([]int{e.End()}, s.model.Network.Config().EOS...)
	}
	return set, nil
}

// rate is what is told of a generation.
func rate(s generate.Stats) string {
	text := fmt.Sprintf("%d new tokens after %d of prompts in %.1f s", s.NewTokens, s.PromptTokens, s.Total.Seconds())
	if r := s.TokensPerSecond(); r > 0 {
		text += fmt.Sprintf(", %.0f tokens/s", r)
	}
	if s.Compiling > time.Second/2 {
		text += fmt.Sprintf("; %.1f s went into compiling", s.Compiling.Seconds())
	}
	return text
}
