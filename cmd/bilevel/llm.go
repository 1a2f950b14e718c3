package main

import "github.com/spf13/cobra"

// llmCommand holds the commands of language models, one file each (llm_NAME.go).
func (a *app) llmCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "llm COMMAND",
		Short: "Post-train language models by bilevel optimization",
		Args:  noCommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		a.llmTrainCommand(),
		a.llmEvalCommand(),
		a.llmConfigCommand(),
		a.llmPullCommand(),
		a.llmGenerateCommand(),
		a.llmChatCommand(),
		a.llmMergeCommand(),
		a.llmExportCommand(),
	)
	return c
}
