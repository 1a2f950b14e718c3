package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/llm/tune"
)

// noCommand refuses a word that is no command.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return option.Unknown("command", args[0], names)
}

// flagError is the error for a flag that does not exist or has a bad value.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedName() != "" {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := option.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return fmt.Errorf("%w; did you mean --%s? `%s --help` lists the flags", err, near, c.CommandPath())
		}
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		f := invalid.GetFlag()
		return &bilevel.SettingError{Field: "--" + f.Name, Value: strconv.Quote(invalid.GetValue()), Allowed: allowedValues[f.Value.Type()]}
	}
	return fmt.Errorf("%w; `%s --help` lists the flags", err, c.CommandPath())
}

// allowedValues says what a flag of each type takes.
var allowedValues = map[string]string{"uint64": "a whole number >= 0", "int": "a whole number", "float64": "a number", "duration": "a duration such as 90s or 1h30m", "bool": "true or false"}

// exactly asks for n arguments, named by what.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%s takes %s, not %d arguments; `%s --help` shows how", c.CommandPath(), what, len(args), c.CommandPath())
		}
		return nil
	}
}

// groupKey is the flag annotation that holds the heading of its group in --help.
const groupKey = "group"

// group puts the flags that define adds to c under one heading.
func group(c *cobra.Command, heading string, define func(f *pflag.FlagSet)) {
	f := pflag.NewFlagSet(heading, pflag.ContinueOnError)
	f.SortFlags = false
	define(f)
	f.VisitAll(func(flag *pflag.Flag) { flag.Annotations = map[string][]string{groupKey: {heading}} })
	c.Flags().AddFlagSet(f)
}

// setHelp gives root and its commands their help page.
func setHelp(root *cobra.Command) {
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		fmt.Fprint(c.OutOrStdout(), helpPage(c))
		if c.Name() == "solve" {
			fmt.Fprint(c.OutOrStdout(), settingsHelp(args))
		}
		if c.CommandPath() == "bilevel llm config" || c.CommandPath() == "bilevel llm train" {
			fmt.Fprintln(c.OutOrStdout(), "\nSettings:")
			writeSettings(c.OutOrStdout(), option.Fields(&tune.Config{}))
		}
	})
}

func helpPage(c *cobra.Command) string {
	var b strings.Builder
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	usage := c.UseLine()
	if c.HasAvailableSubCommands() && !c.HasParent() {
		usage = c.CommandPath() + " COMMAND [flags]"
	}
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s\n", text, usage)
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nCommands:\n")
		for _, s := range c.Commands() {
			if s.IsAvailableCommand() || s.Name() == "help" {
				fmt.Fprintf(&b, "  %-12s %s\n", s.Name(), s.Short)
			}
		}
	}
	if c.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	var headings []string
	sets := map[string]*pflag.FlagSet{}
	c.LocalFlags().SortFlags = false
	collect := func(f *pflag.Flag) {
		heading := "Other flags"
		if g := f.Annotations[groupKey]; len(g) > 0 {
			heading = g[0]
		}
		if sets[heading] == nil {
			headings = append(headings, heading)
			sets[heading] = pflag.NewFlagSet(heading, pflag.ContinueOnError)
			sets[heading].SortFlags = false
		}
		sets[heading].AddFlag(f)
	}
	c.Flags().SortFlags = false
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Annotations[groupKey] != nil {
			collect(f)
		}
	})
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Annotations[groupKey] == nil {
			collect(f)
		}
	})
	c.InheritedFlags().VisitAll(collect)
	for _, h := range headings {
		fmt.Fprintf(&b, "\n%s:\n%s", h, sets[h].FlagUsagesWrapped(100))
	}
	return b.String()
}
