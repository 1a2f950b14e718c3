package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/report"
	"github.com/bilevel-go/bilevel/run"
)

type compareFlags struct {
	choice
	limits
	methods, seeds, out string
	json, force         bool
}

func (a *app) compareCommand() *cobra.Command {
	o := &compareFlags{}
	c := &cobra.Command{
		Use:   "compare NAME|FILE.yaml --methods a,b,c",
		Short: "Run several methods and seeds on one problem",
		Long: `Run several methods and seeds on one problem, side by side, and certify every answer. Each run has a
directory of its own inside --out, next to compare.json and report.html. From a FILE.yaml the problem,
its settings and the mode are taken.`,
		Example: `  bilevel compare toy/blocc-2 --methods auto,blocc,v-pbgd --seeds 1-10 --set start=random
  bilevel compare svm --methods auto,gam --json`,
		Args:              exactly(1, "one problem or file"),
		ValidArgsFunction: completeArg(problemNames),
		RunE:              func(c *cobra.Command, args []string) error { return a.compare(c, args[0], o) },
	}
	group(c, "What to compare", func(f *pflag.FlagSet) {
		f.StringVar(&o.methods, "methods", "", "names of `bilevel list methods`, separated by commas")
		f.StringVar(&o.seeds, "seeds", "1", "seeds such as 1-10 or 1,4,7-9")
		o.choice.define(f, false)
		o.choice.defineNetwork(f)
	})
	group(c, "When to stop each run", o.limits.define)
	group(c, "Output", func(f *pflag.FlagSet) {
		f.StringVar(&o.out, "out", "", "`directory` of the comparison (default runs/NAME-compare-1, -2, ...)")
		f.BoolVar(&o.force, "force", false, "overwrite earlier runs in --out")
		f.BoolVar(&o.json, "json", false, "print the content of compare.json")
	})
	register(c, "methods", completeList)
	register(c, "mode", completeModes)
	register(c, "set", completeSet("methods"))
	return c
}

// jobs prepares every run that the flags ask for.
func (o *compareFlags) jobs(c *cobra.Command, arg string) ([]*run.Job, error) {
	if err := o.limits.check(); err != nil {
		return nil, err
	}
	config, err := o.choice.config(c, arg)
	if err != nil {
		return nil, err
	}
	config.MethodSettings, config.MaxIterations, config.Tolerance, config.TimeLimit = nil, 0, 0, 0
	o.limits.over(&config)
	all := run.Comparing{Config: config}
	if all.Settings, err = o.settings(); err != nil {
		return nil, err
	}
	if all.Seeds, err = parseSeeds(o.seeds); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for name := range strings.SplitSeq(o.methods, ",") {
		if name = strings.TrimSpace(name); name == "" || seen[name] {
			return nil, &bilevel.SettingError{Field: "methods", Value: fmt.Sprintf("%q", o.methods), Allowed: "different names separated by commas, of " + strings.Join(methodNames(), ", ")}
		}
		seen[name] = true
		all.Methods = append(all.Methods, name)
	}
	return all.Jobs()
}

func (a *app) compare(c *cobra.Command, arg string, o *compareFlags) error {
	jobs, err := o.jobs(c, arg)
	if err != nil {
		return err
	}
	var top *run.Dir
	if o.out != "" {
		top, err = run.Create(o.out, o.force)
	} else {
		top, err = run.CreateNext(run.DefaultBase(jobs[0].Config.Problem, "compare"))
	}
	if err != nil {
		return err
	}
	var mu sync.Mutex
	ended := 0
	open := func(job *run.Job) (*run.Dir, error) {
		return run.Create(top.Join(runName(job)), o.force)
	}
	done := func(job *run.Job, d *run.Document) {
		mu.Lock()
		defer mu.Unlock()
		ended++
		verdict := "not measured"
		if d.Certificate != nil {
			verdict = d.Certificate.Verdict.String()
		}
		a.note("%d/%d  %s: %s, %s, f %.6g, %.2g s", ended, len(jobs), runName(job), d.Status, verdict, d.Upper, d.Stats.Wall)
	}
	result, err := run.Compare(c.Context(), jobs, o.workers, open, a.logHandler(a.err), done)
	if err != nil {
		return err
	}
	if err := top.WriteFile("compare.json", func(w io.Writer) error { return run.WriteJSON(w, result) }); err != nil {
		return err
	}
	var runs []*run.Run
	for _, job := range jobs[:len(result.Runs)] {
		r, err := run.Open(top.Join(runName(job)))
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	if len(runs) > 0 {
		if err := top.WriteFile(run.ReportFile, func(w io.Writer) error { return report.Write(w, runs...) }); err != nil {
			return err
		}
	}
	if o.json {
		a.note("directory: %s", top.Path)
		if err := a.json(result); err != nil {
			return err
		}
	} else {
		a.writeComparison(result)
		fmt.Fprintf(a.out, "\nReport: %s\n", filepath.ToSlash(top.Join(run.ReportFile)))
	}
	return comparisonCode(c.Context().Err() != nil, result)
}

// comparisonCode: every run must have passed.
func comparisonCode(interrupted bool, result *run.Comparison) error {
	if interrupted {
		return exitCode(exitInterrupted)
	}
	for _, d := range result.Runs {
		if d.Status != bilevel.Converged || d.Certificate == nil || !d.Certificate.Verdict.OK() {
			return exitCode(exitDoubtful)
		}
	}
	return nil
}

func runName(job *run.Job) string {
	return fmt.Sprintf("%s-%d", job.Config.Method, job.Settings.Seed)
}

// writeComparison prints one row per method.
func (a *app) writeComparison(c *run.Comparison) {
	fmt.Fprintf(a.out, "%s (%s)\n\n", c.Problem, c.Mode)
	keys := map[string]bool{}
	for _, m := range c.Methods {
		for k := range m.Metrics {
			keys[k] = true
		}
	}
	names := sorted(keys)
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "method\truns\tconverged\tpassed\tf (mean ± std)\tbest f\titerations\tseconds")
	for _, n := range names {
		fmt.Fprintf(t, "\t%s", n)
	}
	fmt.Fprintln(t)
	for _, m := range c.Methods {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s", m.Method, m.Runs, m.Converged, m.Passed, spread(m.Upper), number(m.Upper.Min), number(m.Iterations.Mean), number(m.Wall.Mean))
		for _, n := range names {
			fmt.Fprintf(t, "\t%s", spread(m.Metrics[n]))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func spread(s run.Spread) string {
	if !s.Std.Known() || s.Std == 0 {
		return number(s.Mean)
	}
	return fmt.Sprintf("%s ± %.2g", number(s.Mean), float64(s.Std))
}
