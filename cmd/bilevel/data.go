package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/catalog"
	"github.com/bilevel-go/bilevel/run"
)

// dataEntry says whether a problem can be opened here, and where its figures
// come from.
type dataEntry struct {
	Problem string `json:"problem"`
	Ready   bool   `json:"ready"`
	Source  string `json:"source,omitempty"`
	Missing string `json:"missing,omitempty"`
}

func (a *app) dataCommand() *cobra.Command {
	var dir, mode string
	var asJSON bool
	c := &cobra.Command{
		Use:   "data",
		Short: "Say which problems have their data here, and where it comes from",
		Long: `Say for every problem whether its data are there: compiled into the program, or found in the directory of
external data, --data or $` + dataVariable + `.`,
		Example: `  bilevel data
  bilevel data --data ~/bilevel-data --mode faithful`,
		Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("data") {
				dir = os.Getenv(dataVariable)
			}
			m, err := bilevel.ParseMode(mode)
			if err != nil {
				return err
			}
			all, err := dataEntries(dir, m)
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(map[string]any{"data": dir, "mode": m.String(), "problems": all})
			}
			a.writeData(dir, all)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "data", "", "`directory` of external data (default $"+dataVariable+")")
	c.Flags().StringVar(&mode, "mode", "corrected", "corrected or faithful: the published formulation may need other data")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	register(c, "mode", completeModes)
	return c
}

func dataEntries(dir string, mode bilevel.Mode) ([]dataEntry, error) {
	files, err := run.DataFS(dir)
	if err != nil {
		return nil, err
	}
	var all []dataEntry
	for _, e := range catalog.List() {
		inst, err := catalog.Open(e.Name, problems.Request{Mode: mode, Seed: run.DefaultSeed, Data: files})
		if err != nil {
			all = append(all, dataEntry{Problem: e.Name, Missing: oneLine(err.Error())})
			continue
		}
		all = append(all, dataEntry{Problem: e.Name, Ready: true, Source: inst.Source})
	}
	return all, nil
}

func (a *app) writeData(dir string, all []dataEntry) {
	if dir == "" {
		fmt.Fprintf(a.out, "No directory of external data: neither --data nor $%s is set.\n\n", dataVariable)
	} else {
		fmt.Fprintf(a.out, "External data: %s\n\n", dir)
	}
	var rows [][2]string
	for _, e := range all {
		text := e.Source
		if !e.Ready {
			text = "not here: " + e.Missing
		}
		rows = append(rows, [2]string{e.Problem, text})
	}
	table(a.out, rows)
}
