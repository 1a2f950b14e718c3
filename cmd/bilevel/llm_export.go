package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/llm/merge"
)

func (a *app) llmExportCommand() *cobra.Command {
	var tuned tunedFlags
	var o writeFlags
	var apart bool
	c := &cobra.Command{
		Use: "export MODEL --adapter DIR --out DIR", Short: "Write an adapter and a head for transformers and peft",
		Long: `Write what was trained on a model, without the model: the folder of a LoRA adapter as the peft library reads it, with
the output head in it as one of its saved modules, or, with --head-apart, beside it as ` + merge.HeadFile + `.
docs/load_adapter.py loads either in Python. Both are checked against the model.
` + modelArgument,
		Example: `  bilevel llm export ./model --adapter runs/a/adapter --head runs/a/lm_head.safetensors --out tuned-adapter`,
		Args:    exactly(1, "one model"),
		RunE: func(c *cobra.Command, args []string) error {
			stored, err := o.check()
			if err != nil {
				return err
			}
			m, err := a.openModel(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			t, err := tuned.open(c, a, &m.Config)
			if err != nil {
				return err
			}
			r, err := merge.Export(o.out, &m.Config, t, stored, apart)
			if err != nil {
				return err
			}
			return a.written(o, r)
		},
	}
	group(c, "Tuned parts", tuned.define)
	group(c, "Output", func(f *pflag.FlagSet) {
		o.define(f)
		f.BoolVar(&apart, "head-apart", false, "write the head as a file of its own")
	})
	register(c, "type", completeTypes)
	return c
}
