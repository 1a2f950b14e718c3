package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/merge"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// writtenTypes are the number types that files can be written in.
var writtenTypes = map[string]weights.Type{"f32": weights.F32, "f16": weights.F16, "bf16": weights.BF16}

func parseType(name string) (weights.Type, error) {
	t, ok := writtenTypes[strings.ToLower(name)]
	if !ok {
		return 0, &bilevel.SettingError{Field: "--type", Value: name, Allowed: "f32, f16 or bf16"}
	}
	return t, nil
}

func completeTypes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"f32", "f16", "bf16"}, cobra.ShellCompDirectiveNoFileComp
}

// writeFlags say where and how files are written.
type writeFlags struct {
	out, numbers string
	asJSON       bool
}

func (o *writeFlags) define(f *pflag.FlagSet) {
	f.StringVar(&o.out, "out", "", "new or empty `folder` to write (required)")
	f.StringVar(&o.numbers, "type", "f32", "`type` of the numbers: f32, f16 or bf16")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
}

func (o *writeFlags) check() (weights.Type, error) {
	if o.out == "" {
		return 0, &bilevel.SettingError{Field: "--out", Value: `""`, Allowed: "the folder to write"}
	}
	return parseType(o.numbers)
}

func (a *app) llmMergeCommand() *cobra.Command {
	var tuned tunedFlags
	var o writeFlags
	var shard float64
	c := &cobra.Command{
		Use: "merge MODEL --adapter DIR --out DIR", Short: "Write a tuned model as one folder in Hugging Face's layout",
		Long: `Add an adapter's updates to the weights of a model, replace its output head where there is another, and write a folder
that transformers, vLLM, llama.cpp's converter and this program load: config.json, safetensors (in shards with an index
above --shard), and the tokenizer's files. Memory holds one tensor at a time. Without an adapter or a head the model is
converted only, as from GGUF.
` + modelArgument,
		Example: `  bilevel llm merge ./model --adapter runs/a/adapter --out tuned --type bf16
  bilevel llm merge smollm2 --out smollm2-hf`,
		Args: exactly(1, "one model"),
		RunE: func(c *cobra.Command, args []string) error {
			stored, err := o.check()
			if err != nil {
				return err
			}
			if !(shard > 0 && shard <= 1e9) {
				return &bilevel.SettingError{Field: "--shard", Value: shard, Allowed: "a number of GB > 0"}
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
			r, err := merge.Write(o.out, m, t, merge.Settings{Type: stored, Shard: max(1, int64(shard*1e9))})
			if err != nil {
				return err
			}
			return a.written(o, r)
		},
	}
	group(c, "Tuned parts", tuned.define)
	group(c, "Output", func(f *pflag.FlagSet) {
		o.define(f)
		f.Float64Var(&shard, "shard", float64(merge.DefaultShard)/1e9, "most `GB` of weights in one file")
	})
	register(c, "type", completeTypes)
	return c
}

// written tells what a folder holds.
func (a *app) written(o writeFlags, r *merge.Report) error {
	if o.asJSON {
		return a.json(map[string]any{
			"folder": o.out, "files": r.Files, "tensors": r.Tensors, "bytes": r.Bytes, "changed": r.Changed, "untied": r.Untied, "missing": r.Missing,
		})
	}
	fmt.Fprintf(a.out, "%s: %d tensors in %s\n", o.out, r.Tensors, strings.Join(r.Files, ", "))
	if r.Changed > 0 {
		fmt.Fprintf(a.out, "%d tensors differ from the base model's.\n", r.Changed)
	}
	if r.Untied {
		fmt.Fprintln(a.out, "The head was the embedding and is now a tensor of its own.")
	}
	if r.Missing != "" {
		a.note("%s", r.Missing)
	}
	return nil
}
