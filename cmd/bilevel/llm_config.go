package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/run/training"
)

func (a *app) llmConfigCommand() *cobra.Command {
	var yaml, asJSON bool
	c := &cobra.Command{
		Use: "config", Short: "List the settings of a training",
		Long: `List every setting of ` + "`bilevel llm train`" + ` with its default, its range and its meaning. In a configuration file
the names may be nested: lora.rank is rank below lora.`,
		Example: `  bilevel llm config
  bilevel llm config --yaml > tune.yaml      a file to begin with`,
		Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			switch {
			case yaml:
				return training.Template(a.out)
			case asJSON:
				return a.json(settingsJSON(option.Fields(&tune.Config{})))
			}
			var b strings.Builder
			writeSettings(&b, option.Fields(&tune.Config{}))
			_, err := fmt.Fprint(a.out, b.String())
			return err
		},
	}
	c.Flags().BoolVar(&yaml, "yaml", false, "print a commented configuration file to begin with")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("yaml", "json")
	return c
}

// settingsJSON is a list of settings as JSON has it.
func settingsJSON(fields []option.Field) []map[string]string {
	all := make([]map[string]string, len(fields))
	for i, f := range fields {
		all[i] = map[string]string{"name": f.Name, "default": f.Default, "range": f.Range, "doc": f.Doc}
	}
	return all
}
