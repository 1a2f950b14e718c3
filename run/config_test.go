package run

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
)

func TestConfigRoundTrip(t *testing.T) {
	seed := uint64(1<<63 + 7)
	want := Config{Problem: "svm", Method: "blocc", Mode: "faithful", Seed: &seed, MaxIterations: 12, Tolerance: 1e-300, TimeLimit: 90 * time.Second,
		Data: "some: dir", ProblemSettings: Settings{"split": "3", "file": "a #b.csv", "flag": "true"}, MethodSettings: Settings{"gamma": "1e-3", "alpha": "0.30000000000000004"}}
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ParseConfig("c.yaml", b.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	got.path, got.lines = "", nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v, want %+v\n%s", got, want, &b)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "c.yaml: problem"},
		{"comment", "# nothing\n", "c.yaml: problem"},
		{"unknown key", "problem: svm\nmethd: blocc\n", `c.yaml:2: key = "methd": allowed is one of problem, method`},
		{"unknown key, suggestion", "problem: svm\nmax_iteration: 3\n", `did you mean "max_iterations"?`},
		{"word for a number", "problem: svm\nmethod: auto\nmax_iterations: many\n", "c.yaml:3"},
		{"bad duration", "problem: svm\ntime_limit: soon\n", "c.yaml"},
		{"list for a setting", "problem: svm\nmethod_settings:\n  gamma: [1, 2]\n", "c.yaml:3 = a list"},
		{"map for a setting", "problem: svm\nmethod_settings:\n  gamma:\n    a: 1\n", "not a map"},
		{"references", "problem: svm\nmethod_settings:\n  a: &a [x, x]\n  b: [*a, *a]\n", "c.yaml:3 = a reference"},
		{"deep lists", "problem: " + strings.Repeat("[", 100000) + "\n", "c.yaml:1 = a list"},
		{"deep entries", strings.Repeat("- ", 100000) + "\n", "c.yaml:1 = a list"},
		{"deep maps", "problem: " + strings.Repeat("{a: ", 100000) + "\n", "a map within"},
		{"deep keys", strings.Repeat("? ", 100000) + "\n", "explicit key"},
		{"tag", "problem: !!str svm\n", "a tag"},
		{"not YAML", "problem: [svm\n", "c.yaml:1"},
		{"binary", "\x00\x01\x02\xff\xfe", "c.yaml"},
		{"a list", "- a\n- b\n", "c.yaml:1"},
		{"twice", "problem: svm\nproblem: toy\n", "c.yaml:2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseConfig("c.yaml", []byte(c.text))
			if err == nil {
				t.Fatal("no error")
			}
			if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q", err, c.want)
			}
		})
	}
}

// TestConfigValuesAreLocated reads configurations that are well formed and name
// something that is not there or not allowed.
func TestConfigValuesAreLocated(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"problem", "method: blocc\nproblem: toy/blocc-3\n", "c.yaml:2: problem"},
		{"method", "problem: toy/blocc-2\nmethod: bloc\n", "c.yaml:2: method"},
		{"mode", "problem: toy/blocc-2\n\nmode: fixed\n", "c.yaml:3: mode"},
		{"unknown setting", "problem: toy/blocc-2\nmethod: blocc\nmethod_settings:\n  gama: 3\n", "c.yaml:4: setting"},
		{"setting out of range", "problem: toy/blocc-2\nmethod: blocc\nmethod_settings:\n  gamma: -3\n", "c.yaml:4: gamma"},
		{"problem setting", "problem: toy/blocc-2\nproblem_settings: {start: later}\n", "c.yaml:2: start"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := ParseConfig("c.yaml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Prepare(config, 1)
			if !errors.Is(err, bilevel.ErrInvalid) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("problem: svm\nmethod: auto\nmethod_settings: {gamma: 1e-3}\n"))
	f.Add([]byte("problem: svm\nmethod_settings:\n  gamma: 3\n"))
	f.Add([]byte("time_limit: 3s\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig("c.yaml", data)
		if err != nil {
			if !errors.Is(err, bilevel.ErrInvalid) {
				t.Fatalf("error %v does not match ErrInvalid", err)
			}
			return
		}
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseConfig("c.yaml", b.Bytes()); err != nil {
			t.Fatalf("what was written is refused: %v\n%s", err, &b)
		}
	})
}
