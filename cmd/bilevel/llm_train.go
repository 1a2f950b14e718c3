package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/report"
	"github.com/bilevel-go/bilevel/run"
	"github.com/bilevel-go/bilevel/run/training"
)

type trainFlags struct {
	set                            []string
	model, preferences, supervised string
	method, mode, backend          string
	seed                           int
	time                           time.Duration
	out, resume                    string
	json, force                    bool
}

func (a *app) llmTrainCommand() *cobra.Command {
	o := &trainFlags{}
	c := &cobra.Command{
		Use: "train [CONFIG.yaml]", Short: "Tune a model: preferences above, supervised rows below",
		Long: `Tune a language model as a bilevel problem: the upper level changes low-rank updates of the backbone so that
preferred answers win (DPO), the lower level the output head so that given answers are likely (SFT). A second stage trains
the head alone on rows kept back. Both levels are measured on held-out rows before and after, and the report says whether
the terms that PBGD-Free leaves out were small on these rows.
The settings come from a file, from --set and from the short flags, the later ones over the earlier; ` + "`bilevel llm config`" + `
lists them. Everything is kept in a run directory: adapter, head, config.yaml, result.json, trace.csv, report.html.
Ctrl-C leaves a checkpoint, from which --resume goes on to the same bits.

Exit codes: 0 trained as long as was asked for; 1 a time limit ended it before its planned steps, or a loss was no longer
a number; 2 bad usage or input; 3 interrupted with a checkpoint.`,
		Example: `  bilevel llm train --model ./model --preferences dpo.jsonl --supervised sft.jsonl
  bilevel llm train tune.yaml --set lora.rank=8 --set rate.x=5e-5 --out runs/a
  bilevel llm train --model smollm2 --preferences dpo.json --supervised sft.json --method v-pbgd --time-limit 30m
  bilevel llm train --resume runs/a`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one file at most, not %d; `%s --help` shows how", c.CommandPath(), len(args), c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if o.resume != "" {
				return a.resumeTraining(c, args, o)
			}
			return a.train(c, args, o)
		},
	}
	group(c, "What to train", func(f *pflag.FlagSet) {
		f.StringVar(&o.model, "model", "", "`model`: folder, file, hf:owner/name or the name of a pulled model")
		f.StringVar(&o.preferences, "preferences", "", "`files` of preferences, the upper level (upper.files)")
		f.StringVar(&o.supervised, "supervised", "", "`files` of supervised rows, the lower level (lower.files)")
		f.StringVar(&o.method, "method", "", "`name` of the algorithm: "+strings.Join(trainingMethods(), ", ")+" (default pbgd-free)")
		f.StringVar(&o.mode, "mode", "", "`mode`: corrected (default), or faithful, the published split and text handling")
		f.IntVar(&o.seed, "seed", 1, "seed of every random choice")
		f.StringVar(&o.backend, "backend", "", "tensor `backend`: go, xla, xla:cpu, xla:cuda, xla:PATH or auto (default)")
		f.StringArrayVar(&o.set, "set", nil, "set one of the settings, `key=value`; may be repeated, see: bilevel llm config")
	})
	group(c, "When to stop", func(f *pflag.FlagSet) {
		f.DurationVar(&o.time, "time-limit", 0, "training time of the bilevel stage at most, such as 30m (default: one epoch)")
	})
	group(c, "Output", func(f *pflag.FlagSet) {
		f.StringVar(&o.out, "out", "", "run `directory` (default runs/MODEL-METHOD-1, -2, ...)")
		f.BoolVar(&o.force, "force", false, "overwrite the earlier run in --out")
		f.StringVar(&o.resume, "resume", "", "go on with the interrupted training in this `directory`")
		f.BoolVar(&o.json, "json", false, "print the content of result.json")
	})
	register(c, "method", completeFlag(trainingMethods))
	register(c, "mode", completeModes)
	register(c, "set", func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		var all []string
		for _, f := range option.Fields(&tune.Config{}) {
			if strings.HasPrefix(f.Name, typed) {
				all = append(all, f.Name+"=\t"+f.Doc)
			}
		}
		return all, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func trainingMethods() []string {
	var names []string
	for _, m := range tune.Algorithms() {
		names = append(names, m.Name)
	}
	return names
}

// config is the file's settings with the flags put over them.
func (o *trainFlags) config(c *cobra.Command, args []string) (training.Config, error) {
	var config training.Config
	if len(args) == 1 {
		var err error
		if config, err = training.Read(args[0]); err != nil {
			return config, err
		}
	}
	over := &choice{set: o.set}
	settings, err := over.settings()
	if err != nil {
		return config, err
	}
	for _, f := range []struct{ flag, name, value string }{{"model", "model", o.model}, {"preferences", "upper.files", o.preferences}, {"supervised", "lower.files", o.supervised},
		{"method", "algorithm", o.method}, {"mode", "mode", o.mode}, {"backend", "backend", o.backend}, {"seed", "seed", fmt.Sprint(o.seed)}, {"time-limit", "time_limit", o.time.String()}} {
		if !c.Flags().Changed(f.flag) {
			continue
		}
		if _, twice := settings[f.name]; twice {
			return config, &bilevel.SettingError{Field: "--" + f.flag, Value: f.value, Allowed: "either --" + f.flag + " or --set " + f.name + "="}
		}
		settings[f.name] = f.value
	}
	for _, name := range sorted(settings) {
		if err := config.Override(name, settings[name]); err != nil {
			return config, err
		}
	}
	for _, need := range []struct{ flag, name, value string }{{"model", "model", config.Model}, {"preferences", "upper.files", config.UpperFiles}, {"supervised", "lower.files", config.LowerFiles}} {
		if need.value == "" {
			return config, &bilevel.SettingError{Field: "--" + need.flag, Value: `""`, Allowed: "not empty: give this flag, or " + need.name + " in a file or by --set"}
		}
	}
	return config, config.Absolute("")
}

func (a *app) train(c *cobra.Command, args []string, o *trainFlags) error {
	config, err := o.config(c, args)
	if err != nil {
		return err
	}
	if err := config.Fill(); err != nil {
		return config.Locate(err)
	}
	var dir *run.Dir
	if o.out != "" { // before the model is loaded, which takes long
		dir, err = run.Create(o.out, o.force, training.OwnNames...)
		if err != nil {
			return err
		}
	}
	job, err := a.prepareTraining(c.Context(), &config)
	if err != nil {
		if dir != nil {
			dir.Discard()
		}
		return err
	}
	defer job.Close()
	if dir == nil {
		name := filepath.Base(strings.TrimPrefix(job.Config.Model, "hf:"))
		if dir, err = run.CreateNext(run.DefaultBase(name, job.Config.Algorithm), training.OwnNames...); err != nil {
			return err
		}
	}
	if err := dir.WriteFile(run.ConfigFile, func(w io.Writer) error { return training.Write(w, job.Config) }); err != nil {
		return err
	}
	return a.runTraining(c.Context(), job, dir, o.json, false)
}

// prepareTraining opens everything that the settings name.
func (a *app) prepareTraining(ctx context.Context, config *training.Config) (*tune.Job, error) {
	job, err := tune.Prepare(ctx, config.Config, func(text string) { a.note("%s", text) })
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(a.err, "interrupted before the training began")
			return nil, exitCode(exitInterrupted)
		}
		return nil, config.Locate(err)
	}
	if job.Backend.Note != "" {
		a.note("%s", job.Backend.Note)
	}
	return job, nil
}

func (a *app) resumeTraining(c *cobra.Command, args []string, o *trainFlags) error {
	if len(args) > 0 {
		return &bilevel.SettingError{Field: "file", Value: args[0], Allowed: "none with --resume: the training keeps its own settings"}
	}
	for _, name := range []string{"set", "model", "preferences", "supervised", "method", "mode", "seed", "backend", "out", "force"} {
		if c.Flags().Changed(name) {
			return &bilevel.SettingError{Field: "--" + name, Value: c.Flags().Lookup(name).Value, Allowed: "not set with --resume: the training keeps its own"}
		}
	}
	r, err := training.Open(o.resume)
	if err != nil {
		return err
	}
	if !training.Checkpointed(r.Dir) {
		why := "it has no checkpoint"
		if r.Document != nil && r.Document.Certificate != nil {
			why = "it has ended"
		}
		return &bilevel.SettingError{Field: "--resume", Value: o.resume, Allowed: "a training with a checkpoint (" + why + ")"}
	}
	if c.Flags().Changed("time-limit") {
		r.Config.Time = o.time.String()
	}
	job, err := a.prepareTraining(c.Context(), &r.Config)
	if err != nil {
		return err
	}
	defer job.Close()
	return a.runTraining(c.Context(), job, r.Dir, o.json, true)
}

// runTraining trains, writes the report and prints the outcome.
func (a *app) runTraining(ctx context.Context, job *tune.Job, dir *run.Dir, asJSON, resume bool) error {
	sizes, err := job.Sizes()
	if err != nil {
		return err
	}
	a.note("%d updates x, head y of %d, %d frozen; %d and %d training rows, %d and %d held out; run directory %s",
		sizes.X, sizes.Y, sizes.Base, sizes.Upper, sizes.Lower+sizes.Stage2, sizes.EvalUpper, sizes.EvalLower, filepath.ToSlash(dir.Path))
	show := a.newTrainingDisplay(newTrainingPlan(sizes))
	stop := context.AfterFunc(ctx, show.Interrupting)
	out, err := training.Execute(ctx, job, dir, training.Options{Observer: show, Log: a.logHandler(show.Above()), Resume: resume,
		Command: []string{"bilevel", "llm", "train", quote(filepath.ToSlash(dir.Join(run.ConfigFile)))},
		Try: func(adapter, head string) []string {
			return []string{"bilevel", "llm", "chat", quote(job.Config.Model), "--adapter", quote(filepath.ToSlash(adapter)), "--head", quote(filepath.ToSlash(head))}
		}})
	stop()
	show.Close()
	if err != nil {
		return a.failedTraining(err, dir)
	}
	if err := writeTrainingReport(dir); err != nil {
		return err
	}
	if err := a.present(asJSON, dir, out.Document, func() error { return a.trainingSummary(out, dir) }); err != nil {
		return err
	}
	switch d := out.Document; {
	case d.Status == bilevel.Interrupted:
		fmt.Fprintf(a.err, "interrupted; go on with: bilevel llm train --resume %s\n", quote(dir.Path))
		return exitCode(exitInterrupted)
	case d.Certificate == nil:
		fmt.Fprintf(a.err, "interrupted before the answer was measured; measure it with: bilevel llm train --resume %s\n", quote(dir.Path))
		return exitCode(exitInterrupted)
	case out.Early || !d.Certificate.Verdict.OK():
		return exitCode(exitDoubtful)
	}
	return nil
}

// failedTraining says what is left of a training that an error ended.
func (a *app) failedTraining(err error, dir *run.Dir) error {
	kept := training.Checkpointed(dir)
	if errors.Is(err, tune.ErrLoss) {
		fmt.Fprintln(a.err, "bilevel: "+oneLine(err.Error()))
		if kept {
			fmt.Fprintf(a.err, "the last checkpoint, of finite values, is kept in %s\n", filepath.ToSlash(dir.Join(run.CheckpointDir)))
		}
		return exitCode(exitDoubtful)
	}
	if kept {
		return fmt.Errorf("%w; the last checkpoint is kept, go on with: bilevel llm train --resume %s", err, quote(dir.Path))
	}
	return err
}

func writeTrainingReport(dir *run.Dir) error {
	r, err := training.Open(dir.Path)
	if err != nil {
		return err
	}
	return dir.WriteFile(run.ReportFile, func(w io.Writer) error { return report.WriteTraining(w, r) })
}
