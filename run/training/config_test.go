package training

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/llm/tune"
)

// Settings come back from YAML as they were written.
func TestConfigRoundTrip(t *testing.T) {
	want := tune.Config{Model: "a model: #1", UpperFiles: "a.json,b \"c\".json", LowerFiles: "-x.csv", UpperColumns: "prompt=a+b,chosen=c", RateX: 1e-300, Targets: "all-linear",
		Time: "90s", Seed: 7, Steps: 12, TensorBoard: true, Alpha: 0.30000000000000004, Template: "plain"}
	if err := want.Fill(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, want); err != nil {
		t.Fatal(err)
	}
	got, err := Parse("c.yaml", b.Bytes())
	if err == nil {
		err = got.Fill()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	if got.Config != want {
		t.Errorf("read back %+v, want %+v\n%s", got.Config, want, &b)
	}
}

// The template is a file that is read, and names every setting.
func TestTemplate(t *testing.T) {
	var b bytes.Buffer
	if err := Template(&b); err != nil {
		t.Fatal(err)
	}
	c, err := Parse("t.yaml", b.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	if want := (tune.Config{Model: "model", UpperFiles: "preferences.jsonl", LowerFiles: "supervised.jsonl"}); c.Config != want {
		t.Errorf("%+v", c.Config)
	}
	// With every setting that has a default given, it says the same.
	var all []string
	for _, line := range strings.Split(b.String(), "\n") {
		if bare, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "# "); ok && strings.Contains(bare, ": ") && option.Has(&c.Config, setting(all, line, bare)) {
			line = strings.Replace(line, "# ", "", 1)
		}
		all = append(all, line)
	}
	full, err := Parse("t.yaml", []byte(strings.Join(all, "\n")))
	if err == nil {
		err = errors.Join(full.Fill(), c.Fill())
	}
	if err != nil || full.Config != c.Config {
		t.Errorf("%v\n%+v\n%+v\n%s", err, full.Config, c.Config, strings.Join(all, "\n"))
	}
}

// setting is the dotted name of a line of the template, from the lines before it.
func setting(before []string, line, bare string) string {
	name, _, _ := strings.Cut(bare, ":")
	if !strings.HasPrefix(line, " ") {
		return name
	}
	for i := len(before) - 1; i >= 0; i-- {
		if group, ok := strings.CutSuffix(before[i], ":"); ok && !strings.HasPrefix(group, " ") {
			return group + "." + name
		}
	}
	return name
}

func TestConfigForms(t *testing.T) {
	for _, c := range []struct {
		name, text string
		of         func(c *Config) any
		want       any
	}{
		{"nested", "lora:\n  rank: 8\n", func(c *Config) any { return c.Rank }, 8},
		{"dotted", "lora.rank: 8\n", func(c *Config) any { return c.Rank }, 8},
		{"flow", "lora: {rank: 8, alpha: 2}\n", func(c *Config) any { return c.Alpha }, 2.0},
		{"list", "upper:\n  files: [a.json, b.json]\n", func(c *Config) any { return c.UpperFiles }, "a.json,b.json"},
		{"block list", "upper:\n  files:\n  - a.json\n  - b.json\n", func(c *Config) any { return c.UpperFiles }, "a.json,b.json"},
		{"columns as a map", "upper:\n  columns: {prompt: [task, details], chosen: good}\n", func(c *Config) any { return c.UpperColumns }, "prompt=task+details,chosen=good"},
		{"infinity", "clip: .inf\n", func(c *Config) any { return c.Clip > 1e308 }, true},
		{"own text", "rate.x: 1e-3\n", func(c *Config) any { return c.RateX }, 1e-3},
		{"group without settings", "lora:\n", func(c *Config) any { return c.Rank }, 0},
		{"no value", "upper.columns:\n", func(c *Config) any { return c.UpperColumns }, ""},
		{"version", "version: 1.2\nseed: 3\n", func(c *Config) any { return c.Seed }, 3},
		{"empty", "", func(c *Config) any { return c.Seed }, 0},
	} {
		got, err := Parse("c.yaml", []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if v := c.of(&got); v != c.want {
			t.Errorf("%s: %v, want %v", c.name, v, c.want)
		}
	}
}

// Mistakes are told with the file, the line and what is allowed.
func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown", "model: m\nlora:\n  rnak: 8\n", `c.yaml:3: setting = "lora.rnak"`},
		{"suggestion", "model: m\nlora:\n  rnak: 8\n", `did you mean "lora.rank"?`},
		{"unknown group", "model: m\nlor: {rank: 8}\n", "c.yaml:2"},
		{"group as a value", "model: m\nlora: 8\n", "c.yaml:2"},
		{"word for a number", "model: m\n\ngamma: much\n", "c.yaml:3: gamma"},
		{"out of range", "gamma: -1\n", "c.yaml:1: gamma"},
		{"twice", "lora.rank: 8\nlora: {rank: 9}\n", "line 1 has it"},
		{"map for a number", "gamma: {a: 1}\n", "c.yaml:1"},
		{"list in a list", "upper:\n  files: [[a]]\n", "c.yaml:2 = a list within a list"},
		{"comma", "upper:\n  files: ['a,b']\n", "names without commas"},
		{"reference", "model: &m x\n", "c.yaml:1 = a reference"},
		{"tag", "model: !!str x\n", "a tag"},
		{"list", "- a\n", "c.yaml:1"},
		{"word", "tune\n", "c.yaml:1"},
		{"two documents", "seed: 1\n---\nseed: 2\n", "a second document"},
		{"no YAML", "model: [a\n", "c.yaml"},
		{"deep", "model: " + strings.Repeat("[", 100000) + "\n", "c.yaml:1"},
		{"deep entries", strings.Repeat("- ", 100000) + "\n", "c.yaml:1"},
		{"binary", "\xff\xfe", "UTF-8"},
	} {
		_, err := Parse("c.yaml", []byte(c.text))
		if err == nil {
			t.Errorf("%s: no error", c.name)
		} else if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q, want one line with %q", c.name, err, c.want)
		}
	}
	// What only Fill finds is located too, unless it was set from elsewhere.
	c, err := Parse("c.yaml", []byte("model: m\nupper.files: a\nlower.files: b\ntime_limit: soon\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Locate(c.Fill()); err == nil || !strings.HasPrefix(err.Error(), "c.yaml:4: time_limit") {
		t.Errorf("%v", err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("%v", err)
	}
}

// Paths are relative to the file; names of models are no paths.
func TestConfigPaths(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "here"), 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(path, []byte("model: smollm2\ntokenizer: here\nupper.files: [a.json, /b.json]\nlower.files: sub/c.json\nlora.from: sub/adapter\ndistill.teacher: hf:a/b\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	c, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range [][2]string{{c.Model, "smollm2"}, {c.Tokenizer, filepath.Join(dir, "here")}, {c.UpperFiles, filepath.Join(dir, "a.json") + ",/b.json"},
		{c.LowerFiles, filepath.Join(dir, "sub", "c.json")}, {c.Adapter, filepath.Join(dir, "sub", "adapter")}, {c.Teacher, "hf:a/b"}} {
		if p[0] != p[1] {
			t.Errorf("%s, want %s", p[0], p[1])
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("model: m\nlora: {rank: 8}\nrate.x: 1e-3\n"))
	f.Add([]byte("upper:\n  files:\n  - a\n  - b\n  columns: {prompt: x}\nclip: .inf\n"))
	f.Add([]byte("model: |\n  text\nseed: 0x10\n"))
	f.Add([]byte("model: \" 10\"\n"))
	f.Add([]byte("model: \"\\u00e9 \\x41\"\n# comment\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("c.yaml", data)
		if err != nil {
			if !errors.Is(err, bilevel.ErrInvalid) {
				t.Fatalf("%v does not match ErrInvalid", err)
			}
			return
		}
		for _, required := range []*string{&c.Model, &c.UpperFiles, &c.LowerFiles} {
			if *required == "" {
				*required = "x"
			}
		}
		if c.Fill() != nil {
			return
		}
		var b bytes.Buffer
		if err := Write(&b, c.Config); err != nil {
			t.Fatal(err)
		}
		again, err := Parse("c.yaml", b.Bytes())
		if err == nil {
			err = again.Fill()
		}
		if err != nil || again.Config != c.Config {
			t.Fatalf("%v: %+v, want %+v\n%s", err, again.Config, c.Config, &b)
		}
	})
}
