package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/run"
)

// setting is one setting in lists and JSON.
type setting struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Range   string `json:"range"`
	Doc     string `json:"doc"`
}

func settingsOf(fields []option.Field) []setting {
	all := []setting{}
	for _, f := range fields {
		all = append(all, setting{f.Name, f.Default, f.Range, f.Doc})
	}
	return all
}

// writeSettings prints settings: name, meaning, default and range.
func writeSettings(w io.Writer, fields []option.Field) {
	if len(fields) == 0 {
		fmt.Fprintln(w, "  none")
		return
	}
	rows := make([][2]string, len(fields))
	for i, f := range fields {
		var limits []string
		if f.Default != "" {
			limits = append(limits, "default "+f.Default)
		}
		switch {
		case strings.Contains(f.Range, "|"):
			limits = append(limits, "one of "+strings.ReplaceAll(f.Range, "|", ", "))
		case f.Range != "":
			limits = append(limits, "in "+f.Range)
		}
		rows[i] = [2]string{f.Name, f.Doc}
		if len(limits) > 0 {
			rows[i][1] += " [" + strings.Join(limits, "; ") + "]"
		}
	}
	table(w, rows)
}

// table prints names with their texts wrapped beside them.
func table(w io.Writer, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		wrap(w, width+4, r[1], "  "+r[0])
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) listCommand() *cobra.Command {
	var asJSON bool
	list := &cobra.Command{
		Use:   "list [problems|methods|statuses|settings NAME]",
		Short: "List problems, methods, statuses, or the settings of one of them",
		Example: `  bilevel list problems
  bilevel list methods --json
  bilevel list settings svm
  bilevel list settings blocc`,
		Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return a.json(map[string]any{"problems": problemList(), "methods": methodList(), "statuses": statusList()})
			}
			fmt.Fprintln(a.out, "Problems")
			a.writeProblems()
			fmt.Fprintln(a.out, "\nMethods")
			a.writeMethods()
			fmt.Fprintln(a.out, "\n`bilevel list settings NAME` lists the settings of a problem or a method.")
			return nil
		},
	}
	list.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	sub := func(name, short string, text func(), value func() any) *cobra.Command {
		return &cobra.Command{Use: name, Short: short, Args: exactly(0, "no argument"), RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.json(value())
			}
			text()
			return nil
		}}
	}
	list.AddCommand(
		sub("problems", "List the built-in problems", a.writeProblems, func() any { return problemList() }),
		sub("methods", "List the methods", a.writeMethods, func() any { return methodList() }),
		sub("statuses", "List how a run can end", a.writeStatuses, func() any { return statusList() }),
		&cobra.Command{Use: "settings NAME", Short: "List the settings of a problem or a method, with default and range",
			Args: exactly(1, "the name of a problem or a method"), ValidArgsFunction: completeArg(func() []string { return append(problemNames(), methodNames()...) }),
			RunE: func(_ *cobra.Command, args []string) error {
				fields, err := settingsNamed(args[0])
				switch {
				case err != nil:
					return err
				case asJSON:
					return a.json(settingsOf(fields))
				}
				writeSettings(a.out, fields)
				return nil
			}})
	return list
}

// settingsNamed lists the settings of the problem or the method called name.
func settingsNamed(name string) ([]option.Field, error) {
	if m, err := method.Lookup(name); err == nil {
		return option.Fields(m), nil
	}
	if fields, err := problemSettings(name); err == nil {
		return fields, nil
	}
	return nil, option.Unknown("problem or method", name, append(problemNames(), methodNames()...))
}

type problemEntry struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

func problemList() []problemEntry {
	all := []problemEntry{}
	for _, e := range entries() {
		all = append(all, problemEntry{e.Name, e.Title})
	}
	return all
}

type methodEntry struct {
	Name     string    `json:"name"`
	Doc      string    `json:"doc"`
	Applies  string    `json:"applies"`
	Settings []setting `json:"settings"`
}

func methodList() []methodEntry {
	all := []methodEntry{}
	for _, e := range method.Entries() {
		all = append(all, methodEntry{e.Name, e.Doc, e.Applies, settingsOf(option.Fields(e.New()))})
	}
	return all
}

type statusEntry struct {
	Name     string `json:"name"`
	Sentence string `json:"sentence"`
}

func statusList() []statusEntry {
	all := []statusEntry{}
	for _, s := range bilevel.Statuses() {
		all = append(all, statusEntry{s.String(), s.Sentence()})
	}
	return all
}

func (a *app) writeProblems() {
	var rows [][2]string
	for _, e := range entries() {
		rows = append(rows, [2]string{e.Name, e.Title})
	}
	table(a.out, rows)
}

func (a *app) writeMethods() {
	var rows [][2]string
	for _, e := range method.Entries() {
		rows = append(rows, [2]string{e.Name, e.Doc + " (" + e.Applies + ")"})
	}
	table(a.out, rows)
}

func (a *app) writeStatuses() {
	var rows [][2]string
	for _, s := range bilevel.Statuses() {
		rows = append(rows, [2]string{s.String(), s.Sentence()})
	}
	table(a.out, rows)
}

func (a *app) json(v any) error { return run.WriteJSON(a.out, v) }

func problemNames() []string {
	var names []string
	for _, e := range entries() {
		names = append(names, e.Name)
	}
	return names
}

func methodNames() []string {
	var names []string
	for _, e := range method.Entries() {
		names = append(names, e.Name)
	}
	return names
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "version", Short: "Print the version", Args: exactly(0, "no argument"), RunE: func(*cobra.Command, []string) error {
		if asJSON {
			return a.json(map[string]string{"version": run.Version()})
		}
		_, err := fmt.Fprintln(a.out, "bilevel", run.Version())
		return err
	}}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
