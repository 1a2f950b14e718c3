package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/report"
	"github.com/bilevel-go/bilevel/run"
	"github.com/bilevel-go/bilevel/run/training"
)

func (a *app) reportCommand() *cobra.Command {
	var out string
	var force bool
	c := &cobra.Command{
		Use:   "report RUN_DIR...",
		Short: "Write the HTML report of a run, or of several side by side",
		Long:  `Write a self-contained HTML page: of one run into its directory, of several runs as a comparison to --out.`,
		Example: `  bilevel report runs/svm-auto-1
  bilevel report runs/svm-auto-1 runs/svm-blocc-1 --out both.html`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%s takes one or more run directories; `%s --help` shows how", c.CommandPath(), c.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && training.Is(args[0]) {
				return a.trainingReport(args[0], out, force)
			}
			var runs []*run.Run
			for _, path := range args {
				if training.Is(path) {
					return &bilevel.SettingError{Field: "run directory", Value: path, Allowed: "one of a solved problem, beside others; a training has a report of its own"}
				}
				r, err := run.Open(path)
				if err != nil {
					return err
				}
				runs = append(runs, r)
			}
			path := out
			switch {
			case path == "" && len(runs) == 1:
				path, force = runs[0].Dir.Join(run.ReportFile), true // the run's own report, written anew
			case path == "":
				path = "comparison.html"
			}
			if _, err := os.Stat(path); err == nil && !force {
				return &bilevel.SettingError{Field: "out", Value: path, Allowed: "a new file, or --force to overwrite this one"}
			}
			if err := run.WriteFile(path, func(w io.Writer) error { return report.Write(w, runs...) }); err != nil {
				return err
			}
			_, err := fmt.Fprintln(a.out, filepath.ToSlash(path))
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "`file` to write (default report.html in the run directory, comparison.html for several)")
	c.Flags().BoolVar(&force, "force", false, "overwrite the file")
	return c
}

// trainingReport writes the report of a training anew, or elsewhere.
func (a *app) trainingReport(dir, out string, force bool) error {
	r, err := training.Open(dir)
	if err != nil {
		return err
	}
	if out == "" {
		out, force = r.Dir.Join(run.ReportFile), true
	}
	if _, err := os.Stat(out); err == nil && !force {
		return &bilevel.SettingError{Field: "out", Value: out, Allowed: "a new file, or --force to overwrite this one"}
	}
	if err := run.WriteFile(out, func(w io.Writer) error { return report.WriteTraining(w, r) }); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, filepath.ToSlash(out))
	return err
}
