// Command bilevel solves bilevel optimization problems, measures every answer
// again and says in plain words what was found.
//
//	bilevel solve svm          solve a built-in problem
//	bilevel list problems      what there is to solve
//	bilevel help               everything else
//
// Progress goes to standard error and results to standard output. The exit code
// is 0 when the problem was solved and the certificate does not speak against
// the answer, 1 when it does or a limit was reached, 2 for bad usage or input
// and 3 when the run was interrupted and left a checkpoint.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitSolved      = 0
	exitDoubtful    = 1 // inexact or refuted, a limit, or a failure of the method
	exitInput       = 2 // bad usage, bad input, or files that cannot be written
	exitInterrupted = 3
	exitKilled      = 130 // a second interrupt: the shell's code for it
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for interrupted := false; ; {
			s := <-signals
			if f := interruptTaker.Load(); f != nil && s == os.Interrupt {
				(*f)()
				continue
			}
			if interrupted {
				os.Exit(exitKilled)
			}
			interrupted = true
			cancel()
		}
	}()
	os.Exit(Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// interruptTaker is what takes interrupts (Ctrl-C) in place of ending the program.
var interruptTaker atomic.Pointer[func()]

// onInterrupt lets f take interrupts until the function that it returns is called.
func onInterrupt(f func()) (end func()) {
	interruptTaker.Store(&f)
	return func() { interruptTaker.Store(nil) }
}

// app is what the commands share.
type app struct {
	in             io.Reader
	out, err       io.Writer
	quiet, verbose bool
}

// exitCode ends a command whose output is complete.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Main runs the command line args and returns the exit code. Cancelling ctx
// interrupts a run.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return exitSolved
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(errOut, "bilevel: "+oneLine(err.Error()))
	return exitInput
}

// oneLine joins the lines of a message.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "bilevel",
		Short: "Solve bilevel optimization problems and certify the answers",
		Long: `bilevel solves
    min over x in X of f(x, y)  subject to  y in argmin over y in Y of { g(x, y) : h(x, y) <= 0 },
measures every answer again by code that did not produce it, and says in plain words what was found.`,
		Example: `  bilevel solve svm
  bilevel solve toy/blocc-2 --method blocc --set gamma=5
  bilevel compare toy/blocc-2 --methods auto,blocc,v-pbgd --seeds 1-5
  bilevel report runs/svm-auto-1`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	p := root.PersistentFlags()
	p.BoolVarP(&a.quiet, "quiet", "q", false, "no progress on standard error")
	p.BoolVarP(&a.verbose, "verbose", "v", false, "tell on standard error what the run chooses and why")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return flagError(c, err) })
	root.AddCommand(a.listCommand(), a.solveCommand(), a.compareCommand(), a.certifyCommand(), a.reproCommand(), a.reportCommand(), a.dataCommand(), a.llmCommand(), a.backendCommand(), a.versionCommand())
	setHelp(root)
	return root
}
