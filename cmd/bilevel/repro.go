package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/repro"
	"github.com/bilevel-go/bilevel/run"
)

type reproFlags struct {
	choice
	workers     int
	out         string
	json, force bool
}

// The files of a repeated experiment.
const (
	reproJSON = "repro.json"
	reproText = "repro.txt"
)

func (a *app) reproCommand() *cobra.Command {
	o := &reproFlags{}
	c := &cobra.Command{
		Use:   "repro NAME",
		Short: "Repeat a published table or figure, published values beside ours",
		Long: `Repeat a published experiment and print its figures beside ours: in faithful mode number for number, in
corrected mode as the methods mean it. A note says why figures differ.`,
		Example: `  bilevel repro toys
  bilevel repro toys --mode faithful --out toys-faithful
  bilevel repro pbgdfree-table2 --set steps=100 --set model=smollm2     settings are those of: bilevel llm config`,
		Args: func(c *cobra.Command, args []string) error {
			return exactly(1, "one of "+strings.Join(experimentNames(), ", "))(c, args)
		},
		ValidArgsFunction: completeArg(experimentNames),
		RunE:              func(c *cobra.Command, args []string) error { return a.repro(c, args[0], o) },
	}
	var long strings.Builder
	for _, e := range repro.List() {
		fmt.Fprintf(&long, "\n  %-16s %s", e.Name, e.Title)
	}
	c.Long += "\n\nExperiments:" + long.String()
	group(c, "What to repeat", func(f *pflag.FlagSet) {
		o.choice.define(f, true)
		f.IntVar(&o.workers, "workers", 0, "parallel runs, without influence on the figures (default one per core)")
	})
	group(c, "Output", func(f *pflag.FlagSet) {
		f.StringVar(&o.out, "out", "", "`directory` for "+reproJSON+" and "+reproText+" (default: none is written)")
		f.BoolVar(&o.force, "force", false, "overwrite the earlier files in --out")
		f.BoolVar(&o.json, "json", false, "print JSON")
	})
	register(c, "mode", completeModes)
	return c
}

func experimentNames() []string {
	var names []string
	for _, e := range repro.List() {
		names = append(names, e.Name)
	}
	return names
}

func (a *app) repro(c *cobra.Command, name string, o *reproFlags) error {
	config, err := o.choice.config(c, name)
	if err != nil {
		return err
	}
	mode, err := bilevel.ParseMode(o.mode)
	if err != nil {
		return err
	}
	if o.workers < 0 {
		return &bilevel.SettingError{Field: "workers", Value: o.workers, Allowed: "an integer >= 0"}
	}
	if _, err := run.DataFS(config.Data); err != nil {
		return err
	}
	settings, err := o.choice.settings()
	if err != nil {
		return err
	}
	var dir *run.Dir
	if o.out != "" {
		if dir, err = run.Create(o.out, o.force); err != nil {
			return err
		}
	}
	table, err := repro.Run(c.Context(), name, repro.Options{Mode: mode, Seed: o.seed, Workers: o.workers, Data: config.Data, Settings: settings, Progress: a.partProgress()})
	if err != nil {
		if dir != nil {
			dir.Discard()
		}
		if c.Context().Err() != nil {
			fmt.Fprintln(a.err, "interrupted: a repeated experiment leaves no checkpoint")
			return exitCode(exitInterrupted)
		}
		return err
	}
	if dir != nil {
		if err := dir.WriteFile(reproJSON, func(w io.Writer) error { return run.WriteJSON(w, table) }); err != nil {
			return err
		}
		if err := dir.WriteFile(reproText, func(w io.Writer) error { return writeTable(w, table) }); err != nil {
			return err
		}
		a.note("written: %s", filepath.ToSlash(dir.Join(reproJSON)))
	}
	if o.json {
		return a.json(table)
	}
	return writeTable(a.out, table)
}

// partProgress tells on standard error how far each part is, at most once a second.
func (a *app) partProgress() func(part string, done, total int) {
	var last time.Time
	return func(part string, done, total int) {
		if done == total || time.Since(last) > time.Second {
			last = time.Now()
			a.note("%s: %d of %d", part, done, total)
		}
	}
}

// writeTable prints the figures, then the notes by number: equal ones once.
func writeTable(w io.Writer, table *repro.Table) error {
	fmt.Fprintf(w, "%s (%s)\n\n", table.Name, table.Mode)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "method\tdata\tmetric\tpublished\tours\tunit\tnote")
	var notes []string
	place := map[string]int{}
	for _, r := range table.Rows {
		mark := ""
		if r.Note != "" {
			if place[r.Note] == 0 {
				notes = append(notes, r.Note)
				place[r.Note] = len(notes)
			}
			mark = fmt.Sprintf("[%d]", place[r.Note])
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", orDash(r.Method), orDash(r.Dataset), r.Metric, number(r.Published), spread(run.Spread{Mean: r.Ours, Std: r.Std}), r.Unit, mark)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, n := range notes {
		wrap(w, 5, n, fmt.Sprintf("[%d]", i+1))
	}
	_, err := fmt.Fprintf(w, "\n%d outer iterations, %.3g s\n", table.Stats.Outer, float64(table.Stats.Wall))
	return err
}
