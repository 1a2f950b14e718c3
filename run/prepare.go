package run

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/catalog"
)

// Job is a run that is ready to be executed.
type Job struct {
	// Given is what was asked for, and Config what the run directory keeps:
	// everything resolved.
	Given, Config Config
	Instance      *problems.Instance
	Method        bilevel.Method
	Settings      bilevel.Settings
	cpu           float64 // of the earlier parts of a resumed run
}

// DefaultMethod and DefaultSeed are used where a Config names none.
const (
	DefaultMethod = "auto"
	DefaultSeed   = 1
)

// Prepare opens the problem and the method that c names and applies the settings,
// the more particular over the more general: the method's defaults, what the
// problem recommends (or published, in faithful mode) for the method, and c.
// workers bounds parallel work; 0 is one per core. Errors are the user's
// mistakes and match bilevel.ErrInvalid, or are those of reading data.
func Prepare(c Config, workers int) (*Job, error) {
	job, err := prepare(c, workers)
	if err != nil {
		return nil, c.locate(err)
	}
	return job, nil
}

func prepare(c Config, workers int) (*Job, error) {
	mode, err := bilevel.ParseMode(c.Mode)
	if err != nil {
		return nil, err
	}
	if c.Method == "" {
		c.Method = DefaultMethod
	}
	seed := uint64(DefaultSeed)
	if c.Seed != nil {
		seed = *c.Seed
	}
	c.Mode, c.Seed = mode.String(), &seed
	given := c
	m, err := method.Lookup(c.Method)
	if err != nil {
		return nil, err
	}
	inst, err := OpenProblem(c, mode, seed)
	if err != nil {
		return nil, err
	}
	if err := inst.Problem.Validate(); err != nil {
		return nil, err
	}
	s := bilevel.Settings{Mode: mode, Seed: seed, Workers: workers, TimeLimit: c.TimeLimit}
	s.MaxIterations, s.Tolerance = m.Defaults(mode)
	usual := inst.Recommended
	if mode == bilevel.Faithful {
		usual = inst.Published
	}
	for key, value := range usual[c.Method] {
		if err := set(m, &s, key, value); err != nil {
			return nil, err
		}
	}
	for key, value := range c.MethodSettings {
		if err := option.Set(m, key, value); err != nil {
			return nil, err
		}
	}
	if err := option.Fill(m); err != nil {
		return nil, err
	}
	if c.MaxIterations != 0 {
		s.MaxIterations = c.MaxIterations
	}
	if c.Tolerance != 0 {
		s.Tolerance = c.Tolerance
	}
	c.MaxIterations, c.Tolerance, c.Version = s.MaxIterations, s.Tolerance, Version()
	c.path, c.lines = "", nil
	c.Problem, c.ProblemSettings, c.MethodSettings = inst.Name, Settings(inst.Options), Settings{}
	for _, f := range option.Fields(m) {
		if f.Value != "" {
			c.MethodSettings[f.Name] = f.Value
		}
	}
	return &Job{Given: given, Config: c, Instance: inst, Method: m, Settings: s}, nil
}

// set applies one published or recommended setting.
func set(m bilevel.Method, s *bilevel.Settings, key, value string) error {
	run := struct {
		MaxIterations int     `opt:"max_iterations" range:"[0,inf)"`
		Tolerance     float64 `opt:"tolerance" range:"[0,inf)"`
	}{s.MaxIterations, s.Tolerance}
	if !option.Has(&run, key) {
		return option.Set(m, key, value)
	}
	err := option.Set(&run, key, value)
	s.MaxIterations, s.Tolerance = run.MaxIterations, run.Tolerance
	return err
}

// OpenProblem opens the problem that c names.
func OpenProblem(c Config, mode bilevel.Mode, seed uint64) (*problems.Instance, error) {
	data, err := DataFS(c.Data)
	if err != nil {
		return nil, err
	}
	return catalog.Open(c.Problem, problems.Request{Mode: mode, Seed: seed, Method: c.Method, Set: c.ProblemSettings, Data: data})
}

// DataFS is the directory of external data at path; nil when path is empty.
func DataFS(path string) (fs.FS, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = errors.New("it is a file")
	}
	if err != nil {
		return nil, &bilevel.SettingError{Field: "data", Value: path, Allowed: "a directory that can be read (" + reason(err).Error() + ")"}
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return os.DirFS(path), nil
}

// Assign puts settings among the problem's or the method's of c, whichever has
// them; problem.key and method.key say which where both do.
func (c *Config) Assign(settings map[string]string) error {
	name := c.Method
	if name == "" {
		name = DefaultMethod
	}
	m, err := method.Lookup(name)
	if err != nil {
		return err
	}
	forProblem, forMethod, err := catalog.Split(c.Problem, m, settings)
	if err != nil {
		return err
	}
	c.ProblemSettings, c.MethodSettings = merged(c.ProblemSettings, forProblem), merged(c.MethodSettings, forMethod)
	return nil
}

// merged is a copy of base with over put over it.
func merged(base, over map[string]string) Settings {
	all := make(Settings, len(base)+len(over))
	maps.Copy(all, base)
	maps.Copy(all, over)
	return all
}
