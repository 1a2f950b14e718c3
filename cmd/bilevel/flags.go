package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/run"
)

// choice holds the flags that say what is solved.
type choice struct {
	mode string
	seed uint64
	set  []string
	data string
	// network is a folder with a network of the user's own; defined by some commands.
	network string
}

// networkProblem is what --network alone asks for.
const networkProblem = "transit"

// defineNetwork adds --network.
func (o *choice) defineNetwork(f *pflag.FlagSet) {
	f.StringVar(&o.network, "network", "", "`directory` with a transit network of your own, short for --set network=DIR; the problem is then "+networkProblem+" unless named")
}

// dataVariable names the environment variable that stands for --data.
const dataVariable = "BILEVEL_DATA"

func (o *choice) define(f *pflag.FlagSet, seed bool) {
	f.StringVar(&o.mode, "mode", "corrected", "`mode`: corrected, what the mathematics asks for, or faithful, what was published, number for number")
	if seed {
		f.Uint64Var(&o.seed, "seed", run.DefaultSeed, "seed of every random choice")
	}
	f.StringArrayVar(&o.set, "set", nil, "set one of the problem's or the method's own settings, `key=value`; may be repeated")
	f.StringVar(&o.data, "data", "", "`directory` of external data (default $"+dataVariable+")")
}

// config is what the argument names, a problem or a file, with the flags that
// were given put over it.
func (o *choice) config(c *cobra.Command, arg string) (run.Config, error) {
	config := run.Config{Problem: arg}
	if isFile(arg) {
		var err error
		if config, err = run.ReadConfig(arg); err != nil {
			return config, err
		}
	}
	f := c.Flags()
	if f.Changed("mode") {
		config.Mode = o.mode
	}
	if f.Changed("seed") {
		config.Seed = &o.seed
	}
	switch {
	case f.Changed("data"):
		config.Data = o.data
	case config.Data == "":
		config.Data = os.Getenv(dataVariable)
	}
	return config, nil
}

func isFile(arg string) bool {
	ext := strings.ToLower(filepath.Ext(arg))
	return ext == ".yaml" || ext == ".yml"
}

// settings reads the --set flags.
func (o *choice) settings() (map[string]string, error) {
	all := map[string]string{}
	for _, kv := range o.set {
		key, value, ok := strings.Cut(kv, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, &bilevel.SettingError{Field: "set", Value: strconv.Quote(kv), Allowed: "key=value"}
		}
		if _, twice := all[key]; twice {
			return nil, &bilevel.SettingError{Field: "set", Value: strconv.Quote(kv), Allowed: "each key once, and " + key + " was set already"}
		}
		all[key] = strings.TrimSpace(value)
	}
	if o.network != "" {
		if _, twice := all["network"]; twice {
			return nil, &bilevel.SettingError{Field: "network", Value: strconv.Quote(o.network), Allowed: "either --network or --set network="}
		}
		all["network"] = o.network
	}
	return all, nil
}

// parseSeeds reads "1-10", "3" or "1,4,7-9".
func parseSeeds(text string) ([]uint64, error) {
	const most = 10000
	bad := &bilevel.SettingError{Field: "seeds", Value: strconv.Quote(text), Allowed: fmt.Sprintf("numbers and ranges such as 1-10 or 1,4,7-9, at most %d", most)}
	var seeds []uint64
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.ParseUint(from, 10, 64)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(to, 10, 64)
		}
		if err != nil || b < a || b-a >= most-uint64(len(seeds)) {
			return nil, bad
		}
		for s := a; ; s++ {
			seeds = append(seeds, s)
			if s == b {
				break
			}
		}
	}
	return seeds, nil
}

// completeFlag offers names that begin with what was typed.
func completeFlag(names func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		var all []string
		for _, n := range names() {
			if strings.HasPrefix(n, typed) {
				all = append(all, n)
			}
		}
		return all, cobra.ShellCompDirectiveDefault
	}
}

// completeArg is completeFlag for the only argument.
func completeArg(names func() []string) cobra.CompletionFunc {
	of := completeFlag(names)
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return of(c, args, typed)
	}
}

// completeSet offers the settings of the problem named and of the method chosen.
func completeSet(methodFlag string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		var all []string
		add := func(fields []option.Field) {
			for _, f := range fields {
				if strings.HasPrefix(f.Name, typed) {
					all = append(all, f.Name+"=\t"+f.Doc)
				}
			}
		}
		if len(args) > 0 {
			if fields, err := problemSettings(args[0]); err == nil {
				add(fields)
			}
		}
		if f := c.Flags().Lookup(methodFlag); f != nil {
			for name := range strings.SplitSeq(f.Value.String(), ",") {
				if m, err := method.Lookup(name); err == nil {
					add(option.Fields(m))
				}
			}
		}
		return all, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
}

// completeList offers names for the last part of a list with commas.
func completeList(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	at := strings.LastIndex(typed, ",") + 1
	var all []string
	for _, n := range methodNames() {
		if strings.HasPrefix(n, typed[at:]) {
			all = append(all, typed[:at]+n)
		}
	}
	return all, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

func completeModes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"corrected", "faithful"}, cobra.ShellCompDirectiveNoFileComp
}
