package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/catalog"
	"github.com/bilevel-go/bilevel/run"
)

// experiment is what solve runs beside the problems of the catalog: something that
// solves by itself, with methods that it chooses, and leaves the same run directory.
type experiment struct {
	problems.Entry
	// method is the one whose answer is the experiment's.
	method string
	// settings makes the options struct, which --set fills.
	settings func() any
	// run does the work and ends the recording; what it returns is printed.
	run func(ctx context.Context, a *app, settings any, seed uint64, r *run.Recording, show display) (*run.Document, error)
	// parts is the length of the progress bar.
	parts int
	// summary prints the outcome for people.
	summary func(a *app, d *run.Document, r *run.Recording) error
}

// experiments lists them in the order of lists.
var experiments = []*experiment{llmDemo}

func findExperiment(name string) *experiment {
	for _, x := range experiments {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// entries lists what solve can be given, problems and experiments.
func entries() []problems.Entry {
	all := catalog.List()
	for _, x := range experiments {
		all = append(all, x.Entry)
	}
	return all
}

// problemSettings lists the settings of a problem or an experiment.
func problemSettings(name string) ([]option.Field, error) {
	if x := findExperiment(name); x != nil {
		return option.Fields(x.settings()), nil
	}
	return catalog.Settings(name)
}

// prepare applies what the configuration and the flags ask for.
func (x *experiment) prepare(c *cobra.Command, config *run.Config, o *solveFlags) (any, error) {
	refuse := func(field string, value any, allowed string) error {
		return &bilevel.SettingError{Field: field, Value: value, Allowed: allowed}
	}
	if c.Flags().Changed("method") {
		config.Method = o.method
	}
	switch config.Method {
	case "", run.DefaultMethod, x.method:
		config.Method = x.method
	default:
		return nil, refuse("method", config.Method, x.method+": "+x.Name+" runs the methods that it compares, and its answer is that of "+x.method)
	}
	if mode, err := bilevel.ParseMode(config.Mode); err != nil {
		return nil, err
	} else if mode != bilevel.Corrected {
		return nil, refuse("mode", config.Mode, "corrected: "+x.Name+" was not published")
	} else {
		config.Mode = mode.String()
	}
	for _, name := range []string{"max-iterations", "tolerance", "workers", "data"} {
		if c.Flags().Changed(name) {
			return nil, refuse("--"+name, c.Flags().Lookup(name).Value, "not set for "+x.Name)
		}
	}
	config.MaxIterations, config.Tolerance, config.Data = 0, 0, ""
	if o.time > 0 {
		config.TimeLimit = o.time
	}
	if config.Seed == nil {
		seed := uint64(run.DefaultSeed)
		config.Seed = &seed
	}
	settings := x.settings()
	given, err := o.settings()
	if err != nil {
		return nil, err
	}
	for _, set := range []map[string]string{config.ProblemSettings, given} {
		for key, value := range set {
			if err := option.Set(settings, key, value); err != nil {
				return nil, err
			}
		}
	}
	if len(config.MethodSettings) > 0 {
		return nil, refuse("method_settings", "set", "none: "+x.Name+" has problem_settings only")
	}
	if err := option.Fill(settings); err != nil {
		return nil, err
	}
	config.ProblemSettings = run.Settings{}
	for _, f := range option.Fields(settings) {
		config.ProblemSettings[f.Name] = f.Value
	}
	return settings, nil
}

func (a *app) solveExperiment(c *cobra.Command, x *experiment, config run.Config, o *solveFlags) error {
	given := config
	settings, err := x.prepare(c, &config, o)
	if err != nil {
		return err
	}
	command := repeat(run.Config{Problem: x.Name, Method: x.method, Mode: config.Mode, Seed: config.Seed})
	changed, err := o.settings()
	if err != nil {
		return err
	}
	for _, set := range []map[string]string{given.ProblemSettings, changed} {
		for _, key := range sorted(set) {
			command = append(command, "--set", key+"="+set[key])
		}
	}
	var dir *run.Dir
	if o.out != "" {
		dir, err = run.Create(o.out, o.force)
	} else {
		dir, err = run.CreateNext(run.DefaultBase(x.Name, x.method))
	}
	if err != nil {
		return err
	}
	show := a.newDisplay(x.parts)
	ctx := c.Context()
	stop := context.AfterFunc(ctx, show.Interrupting)
	defer stop()
	if config.TimeLimit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, config.TimeLimit)
		defer cancel()
	}
	r, err := run.Record(dir, config, &run.Details{Title: x.Title, Command: slices.Clone(command)}, a.logHandler(show.Above()))
	if err != nil {
		show.Close()
		return err
	}
	d, err := x.run(ctx, a, settings, *config.Seed, r, show)
	show.Close()
	if err != nil {
		if errors.Is(err, bilevel.ErrInvalid) {
			dir.Discard()
		}
		return err
	}
	if err := writeReport(dir); err != nil {
		return err
	}
	if err := a.present(o.json, dir, d, func() error { return x.summary(a, d, r) }); err != nil {
		return err
	}
	switch {
	case d.Status == bilevel.Interrupted:
		fmt.Fprintf(a.err, "interrupted; what was finished is in %s\n", quote(dir.Path))
		return exitCode(exitInterrupted)
	case d.Status != bilevel.Converged || d.Certificate == nil || !d.Certificate.Verdict.OK():
		return exitCode(exitDoubtful)
	}
	return nil
}
