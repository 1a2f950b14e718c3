package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/run"
)

type certifyFlags struct {
	choice
	problem, point string
	json           bool
}

// measured is what `certify --json` prints.
type measured struct {
	Problem     string                    `json:"problem"`
	Mode        string                    `json:"mode"`
	Seed        uint64                    `json:"seed"`
	X           []certify.Number          `json:"x"`
	Y           []certify.Number          `json:"y"`
	Multipliers []certify.Number          `json:"multipliers"`
	Upper       certify.Number            `json:"upper"`
	Lower       certify.Number            `json:"lower"`
	Metrics     map[string]certify.Number `json:"metrics"`
	Certificate *certify.Certificate      `json:"certificate"`
	Version     string                    `json:"version"`
}

func (a *app) certifyCommand() *cobra.Command {
	o := &certifyFlags{}
	c := &cobra.Command{
		Use:   "certify RUN_DIR | --problem NAME|FILE.yaml --point point.json",
		Short: "Measure an answer again: of a run, or a point of your own",
		Long: `Measure an answer again, from the problem and the point alone. The point is the one of a run directory, or a file
  {"x": [...], "y": [...], "multipliers": [...]}
in which y and multipliers may be left out: the lower level is then solved here. --point - reads standard input.`,
		Example: `  bilevel certify runs/svm-auto-1
  echo '{"x": [0.986224826650]}' | bilevel certify --problem toy/blocc-2 --point -`,
		Args: func(c *cobra.Command, args []string) error {
			if o.network != "" && o.problem == "" {
				o.problem = networkProblem
			}
			if o.problem != "" || o.point != "" {
				switch {
				case len(args) > 0:
					return &bilevel.SettingError{Field: "RUN_DIR", Value: args[0], Allowed: "either a run directory, or --problem and --point"}
				case o.problem == "" || o.point == "":
					return fmt.Errorf("--problem and --point are needed together; `bilevel certify --help` shows how")
				}
				return nil
			}
			return exactly(1, "one run directory (or --problem and --point)")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error { return a.certify(c, args, o) },
	}
	group(c, "A point of your own", func(f *pflag.FlagSet) {
		f.StringVar(&o.problem, "problem", "", "problem or FILE.yaml that the point is an answer to")
		f.StringVar(&o.point, "point", "", "`file` with the point, or - for standard input")
		o.choice.define(f, true)
		o.choice.defineNetwork(f)
	})
	group(c, "Output", func(f *pflag.FlagSet) { f.BoolVar(&o.json, "json", false, "print JSON") })
	register(c, "problem", completeFlag(problemNames))
	register(c, "mode", completeModes)
	register(c, "set", completeSet(""))
	return c
}

// subject is the problem and the point to be measured.
func (a *app) subject(c *cobra.Command, args []string, o *certifyFlags) (run.Config, *run.Point, error) {
	if len(args) == 1 {
		r, err := run.Open(args[0])
		if err != nil {
			return run.Config{}, nil, err
		}
		if r.Point == nil {
			return run.Config{}, nil, &bilevel.SettingError{Field: "run directory", Value: args[0], Allowed: "a run with a " + run.ResultFile + " (go on with `bilevel solve --resume`)"}
		}
		return r.Config, r.Point, nil
	}
	config, err := o.choice.config(c, o.problem)
	if err != nil {
		return config, nil, err
	}
	settings, err := o.settings()
	if err != nil {
		return config, nil, err
	}
	if err := config.Assign(settings); err != nil {
		return config, nil, err
	}
	if o.point == "-" {
		p, err := run.ParsePoint("standard input", a.in)
		return config, p, err
	}
	f, err := os.Open(o.point)
	if err != nil {
		return config, nil, &bilevel.SettingError{Field: "--point", Value: o.point, Allowed: "a file that can be read (" + oneLine(err.Error()) + ")"}
	}
	defer f.Close()
	p, err := run.ParsePoint(o.point, f)
	return config, p, err
}

func (a *app) certify(c *cobra.Command, args []string, o *certifyFlags) error {
	config, p, err := a.subject(c, args, o)
	if err != nil {
		return err
	}
	mode, err := bilevel.ParseMode(config.Mode)
	if err != nil {
		return err
	}
	seed := uint64(run.DefaultSeed)
	if config.Seed != nil {
		seed = *config.Seed
	}
	inst, err := run.OpenProblem(config, mode, seed)
	if err != nil {
		return err
	}
	show := a.newDisplay(0)
	show.Phase("measuring the answer")
	x, y, mu := run.Plain(p.X), run.Plain(p.Y), run.Plain(p.Multipliers)
	cert, err := certify.Measure(c.Context(), inst.Problem, x, y, mu, certify.Settings{Seed: seed})
	show.Close()
	if err != nil {
		if c.Context().Err() != nil {
			return exitCode(exitInterrupted)
		}
		return fmt.Errorf("%s: %w", source(args, o), err)
	}
	m := &measured{Problem: inst.Name, Mode: mode.String(), Seed: seed, X: p.X, Y: run.Floats(cert.Y), Multipliers: run.Floats(cert.Multipliers),
		Upper: cert.Upper, Lower: cert.Lower, Metrics: metricsAt(inst, p.X, cert.Y), Certificate: cert, Version: run.Version()}
	if o.json {
		if err := a.json(m); err != nil {
			return err
		}
	} else {
		a.writeMeasured(m, inst)
	}
	if !cert.Verdict.OK() {
		return exitCode(exitDoubtful)
	}
	return nil
}

// source names where the point came from.
func source(args []string, o *certifyFlags) string {
	if len(args) == 1 {
		return args[0]
	}
	return o.point
}

func metricsAt(inst *problems.Instance, x []certify.Number, y []float64) map[string]certify.Number {
	all := map[string]certify.Number{}
	if inst.Metrics != nil && len(y) == inst.Problem.NY {
		for k, v := range inst.Metrics(run.Plain(x), y, nil) {
			all[k] = certify.Number(v)
		}
	}
	return all
}

func (a *app) writeMeasured(m *measured, inst *problems.Instance) {
	fmt.Fprintf(a.out, "%s: %s\n", m.Problem, inst.Title)
	a.writeNotices(inst.Notices)
	fmt.Fprintln(a.out)
	a.writeVerdict(m.Certificate)
	fmt.Fprintf(a.out, "f = %s, g = %s\n", number(m.Upper), number(m.Lower))
	a.writeCertificate(m.Certificate)
	a.writeMetrics(m.Metrics, nil, 0)
}
