package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/report"
	"github.com/bilevel-go/bilevel/run"
)

// limits holds the flags that end a run.
type limits struct {
	iterations int
	tolerance  float64
	time       time.Duration
	workers    int
}

func (o *limits) define(f *pflag.FlagSet) {
	f.DurationVar(&o.time, "time-limit", 0, "stop after this much wall time, such as 60s (default none)")
	f.IntVar(&o.iterations, "max-iterations", 0, "stop after this many outer iterations (default the method's own)")
	f.Float64Var(&o.tolerance, "tolerance", 0, "tolerance of the method's stopping test (default the method's own)")
	f.IntVar(&o.workers, "workers", 0, "parallel work, without influence on the answer (default one per core)")
}

func (o *limits) check() error {
	switch {
	case o.iterations < 0:
		return &bilevel.SettingError{Field: "max-iterations", Value: o.iterations, Allowed: "an integer >= 0"}
	case !(o.tolerance >= 0) || o.tolerance > 1e300:
		return &bilevel.SettingError{Field: "tolerance", Value: o.tolerance, Allowed: "a finite number >= 0"}
	case o.time < 0:
		return &bilevel.SettingError{Field: "time-limit", Value: o.time, Allowed: "a duration >= 0, such as 60s"}
	case o.workers < 0:
		return &bilevel.SettingError{Field: "workers", Value: o.workers, Allowed: "an integer >= 0"}
	}
	return nil
}

// over puts the limits that were given over those of config.
func (o *limits) over(config *run.Config) {
	if o.iterations > 0 {
		config.MaxIterations = o.iterations
	}
	if o.tolerance > 0 {
		config.Tolerance = o.tolerance
	}
	if o.time > 0 {
		config.TimeLimit = o.time
	}
}

type solveFlags struct {
	choice
	limits
	method string
	out    string
	resume string
	json   bool
	force  bool
}

func (a *app) solveCommand() *cobra.Command {
	o := &solveFlags{}
	c := &cobra.Command{
		Use:   "solve NAME|FILE.yaml",
		Short: "Solve a problem, certify the answer and write a report",
		Long: `Solve a built-in problem, or what a FILE.yaml (the config.yaml of a run) names. The answer is measured
again by code that did not produce it; everything is kept in a run directory with report.html.
Ctrl-C leaves a checkpoint, from which --resume goes on to the same bits.`,
		Example: `  bilevel solve svm
  bilevel solve toy/blocc-2 --method blocc --set gamma=5 --mode faithful
  bilevel solve svm --time-limit 10s --out runs/mine --json
  bilevel solve --resume runs/mine
  bilevel solve --network my-town           which links of a transit network to build
  bilevel solve svm --help                  also lists the settings of svm and of --method`,
		Args: func(c *cobra.Command, args []string) error {
			if (o.resume != "" || o.network != "") && len(args) == 0 {
				return nil
			}
			return exactly(1, "one problem or file")(c, args)
		},
		ValidArgsFunction: completeArg(problemNames),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.limits.check(); err != nil {
				return err
			}
			if o.resume != "" {
				return a.resume(c, args, o)
			}
			if len(args) == 0 {
				args = []string{networkProblem}
			}
			return a.solve(c, args[0], o)
		},
	}
	group(c, "What to solve", func(f *pflag.FlagSet) {
		f.StringVar(&o.method, "method", run.DefaultMethod, "method `name`, see: bilevel list methods")
		o.choice.define(f, true)
		o.choice.defineNetwork(f)
	})
	group(c, "When to stop", o.limits.define)
	group(c, "Output", func(f *pflag.FlagSet) {
		f.StringVar(&o.out, "out", "", "run `directory` (default runs/NAME-METHOD-1, -2, ...)")
		f.BoolVar(&o.force, "force", false, "overwrite the earlier run in --out")
		f.StringVar(&o.resume, "resume", "", "go on with the interrupted or limited run in this `directory`")
		f.BoolVar(&o.json, "json", false, "print the content of result.json")
	})
	register(c, "method", completeFlag(methodNames))
	register(c, "mode", completeModes)
	register(c, "set", completeSet("method"))
	return c
}

// register sets a flag's completion; the flag exists.
func register(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err)
	}
}

// config is the configuration that the flags ask for.
func (o *solveFlags) config(c *cobra.Command, arg string) (run.Config, error) {
	config, err := o.choice.config(c, arg)
	if err != nil {
		return config, err
	}
	if c.Flags().Changed("method") || config.Method == "" {
		if config.Method != o.method {
			config.MethodSettings = nil // they were another method's
		}
		config.Method = o.method
	}
	o.limits.over(&config)
	settings, err := o.settings()
	if err != nil {
		return config, err
	}
	return config, config.Assign(settings)
}

func (a *app) solve(c *cobra.Command, arg string, o *solveFlags) error {
	if named, err := o.choice.config(c, arg); err != nil {
		return err
	} else if x := findExperiment(named.Problem); x != nil {
		return a.solveExperiment(c, x, named, o)
	}
	config, err := o.config(c, arg)
	if err != nil {
		return err
	}
	job, err := run.Prepare(config, o.workers)
	if err != nil {
		return err
	}
	var dir *run.Dir
	if o.out != "" {
		dir, err = run.Create(o.out, o.force)
	} else {
		dir, err = run.CreateNext(run.DefaultBase(job.Config.Problem, job.Config.Method))
	}
	if err != nil {
		return err
	}
	err = a.execute(c.Context(), job, dir, o.json)
	if errors.Is(err, bilevel.ErrInvalid) {
		dir.Discard()
	}
	return err
}

func (a *app) resume(c *cobra.Command, args []string, o *solveFlags) error {
	r, err := run.Open(o.resume)
	if err != nil {
		return err
	}
	if findExperiment(r.Config.Problem) != nil {
		return &bilevel.SettingError{Field: "resume", Value: o.resume, Allowed: "a run with a checkpoint: " + r.Config.Problem + " takes so little time that it leaves none; run it again"}
	}
	for _, name := range []string{"method", "mode", "seed", "set", "network", "tolerance", "data", "out", "force"} {
		if c.Flags().Changed(name) {
			return &bilevel.SettingError{Field: "--" + name, Value: c.Flags().Lookup(name).Value, Allowed: "not set with --resume: the run keeps its own"}
		}
	}
	if len(args) == 1 && args[0] != r.Config.Problem {
		return &bilevel.SettingError{Field: "problem", Value: args[0], Allowed: r.Config.Problem + ", the problem of " + o.resume}
	}
	job, err := r.Resume(run.Limits{MaxIterations: o.iterations, Time: o.time, Workers: o.workers})
	if err != nil {
		return err
	}
	return a.execute(c.Context(), job, r.Dir, o.json)
}

// execute runs the job, writes the report and prints the outcome.
func (a *app) execute(ctx context.Context, job *run.Job, dir *run.Dir, asJSON bool) error {
	fill := job.Given.MaxIterations
	if job.Settings.Mode == bilevel.Faithful { // published runs have a fixed length
		fill = job.Settings.MaxIterations
	}
	show := a.newDisplay(fill)
	stop := context.AfterFunc(ctx, show.Interrupting)
	out, err := run.Execute(ctx, job, dir, run.Options{Observer: show, Log: a.logHandler(show.Above()), Baselines: true, Command: repeat(job.Given)})
	stop()
	show.Close()
	if err != nil {
		return err
	}
	if err := writeReport(dir); err != nil {
		return err
	}
	if err := a.present(asJSON, dir, out.Document, func() error { return a.summary(out, dir) }); err != nil {
		return err
	}
	return a.ended(out.Document, dir)
}

// present prints the document of a run, or its summary.
func (a *app) present(asJSON bool, dir *run.Dir, d *run.Document, summary func() error) error {
	if !asJSON {
		return summary()
	}
	a.note("run directory: %s", dir.Path)
	return a.json(d)
}

// ended is the exit code for a document, with a word on how to go on.
func (a *app) ended(d *run.Document, dir *run.Dir) error {
	switch {
	case d.Status == bilevel.Interrupted:
		fmt.Fprintf(a.err, "interrupted at iteration %d; go on with: bilevel solve --resume %s\n", d.Stats.Outer, quote(dir.Path))
		return exitCode(exitInterrupted)
	case d.Certificate == nil:
		fmt.Fprintf(a.err, "interrupted before the answer was measured; measure it with: bilevel certify %s\n", quote(dir.Path))
		return exitCode(exitInterrupted)
	case d.Status.Limit():
		fmt.Fprintf(a.err, "%s after %d iterations and %.3g s; go on with: bilevel solve --resume %s %s\n", d.Status, d.Stats.Outer, d.Stats.Wall, quote(dir.Path), raise(d))
		return exitCode(exitDoubtful)
	case d.Status != bilevel.Converged || !d.Certificate.Verdict.OK():
		return exitCode(exitDoubtful)
	}
	return nil
}

// raise is the flag that lets a limited run go on twice as long.
func raise(d *run.Document) string {
	if d.Status == bilevel.TimeLimit {
		return fmt.Sprintf("--time-limit %v", (2*time.Duration(float64(d.Stats.Wall)*float64(time.Second))).Round(time.Second)+time.Second)
	}
	return fmt.Sprintf("--max-iterations %d", 2*d.Stats.Outer)
}

// writeReport writes the report of the run in dir.
func writeReport(dir *run.Dir) error {
	r, err := run.Open(dir.Path)
	if err != nil {
		return err
	}
	return dir.WriteFile(run.ReportFile, func(w io.Writer) error { return report.Write(w, r) })
}

// repeat is the command line that repeats a run.
func repeat(c run.Config) []string {
	args := []string{"bilevel", "solve", c.Problem, "--method", c.Method, "--mode", c.Mode, "--seed", strconv.FormatUint(*c.Seed, 10)}
	for _, s := range []struct {
		owner string
		set   run.Settings
	}{{"problem", c.ProblemSettings}, {"method", c.MethodSettings}} {
		for _, key := range slices.Sorted(maps.Keys(s.set)) {
			args = append(args, "--set", s.owner+"."+key+"="+s.set[key])
		}
	}
	if c.MaxIterations > 0 {
		args = append(args, "--max-iterations", strconv.Itoa(c.MaxIterations))
	}
	if c.Tolerance > 0 {
		args = append(args, "--tolerance", strconv.FormatFloat(c.Tolerance, 'g', -1, 64))
	}
	if c.Data != "" {
		args = append(args, "--data", c.Data)
	}
	return args
}

// quote quotes s for a shell where it needs that.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=+:,@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// note tells something beside the result.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// logHandler shows the log on w when that is asked for.
func (a *app) logHandler(w io.Writer) slog.Handler {
	if !a.verbose {
		return nil
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attr
	}})
}

// settingsHelp lists the settings of the problem and the method on the command
// line of `solve --help`.
func settingsHelp(args []string) string {
	var b strings.Builder
	methodName := run.DefaultMethod
	for i, arg := range args {
		if v, ok := strings.CutPrefix(arg, "--method="); ok {
			methodName = v
		}
		if arg == "--method" && i+1 < len(args) {
			methodName = args[i+1]
		}
		if fields, err := problemSettings(arg); err == nil {
			fmt.Fprintf(&b, "\nSettings of %s:\n", arg)
			writeSettings(&b, fields)
		}
	}
	if m, err := method.Lookup(methodName); err == nil {
		fmt.Fprintf(&b, "\nSettings of method %s:\n", methodName)
		writeSettings(&b, option.Fields(m))
	}
	return b.String()
}
