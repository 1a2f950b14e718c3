package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/method"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/catalog"
)

// Every listed name opens in both modes, is valid and is unique.
func TestEveryNameOpens(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range catalog.List() {
		if seen[e.Name] || e.Title == "" {
			t.Errorf("%q is listed twice or without a title", e.Name)
		}
		seen[e.Name] = true
		if !strings.HasPrefix(e.Name, "toy/") {
			continue // the family's own tests open it, with the data it may need
		}
		for _, mode := range []bilevel.Mode{bilevel.Corrected, bilevel.Faithful} {
			inst, err := catalog.Open(e.Name, problems.Request{Mode: mode, Seed: 1})
			if err != nil {
				t.Errorf("%s: %v", e.Name, err)
				continue
			}
			if inst.Name != e.Name {
				t.Errorf("%s opened as %s", e.Name, inst.Name)
			}
			if err := inst.Problem.Validate(); err != nil {
				t.Errorf("%s: %v", e.Name, err)
			}
		}
	}
	for _, name := range []string{"toy/blocc-1", "toy/blocc-2", "toy/reformulation", "toy/llc", "toy/llsc", "toy/pbgd-negative", "toy/pbgd-positive"} {
		if !seen[name] {
			t.Errorf("%s is not listed", name)
		}
	}
}

func TestUnknownNameSuggests(t *testing.T) {
	_, err := catalog.Open("toy/bloc-2", problems.Request{})
	var setting *bilevel.SettingError
	if !errors.As(err, &setting) || !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), `did you mean "toy/blocc-2"?`) {
		t.Errorf("got %v", err)
	}
	if _, err := catalog.Settings("toy/none-of-these"); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("Settings: %v", err)
	}
}

func TestSplit(t *testing.T) {
	var method struct {
		Gamma float64 `opt:"gamma" range:"(0,inf)"`
		Start string  `opt:"start" range:"a|b"`
	}
	const name = "toy/llc"
	for _, c := range []struct {
		set             map[string]string
		problem, method string // key=value expected there
		refused         string // part of the error
	}{
		{set: map[string]string{"n": "5", "gamma": "2"}, problem: "n=5", method: "gamma=2"},
		{set: map[string]string{"problem.start": "fixed", "method.start": "a"}, problem: "start=fixed", method: "start=a"},
		{set: map[string]string{"start": "fixed"}, refused: "problem.start or method.start"},
		{set: map[string]string{"gama": "2"}, refused: `did you mean "gamma"?`},
		{set: map[string]string{"problem.gamma": "2"}, refused: "problem setting"},
		{set: map[string]string{"n": "5", "problem.n": "6"}, refused: "given once"},
	} {
		p, m, err := catalog.Split(name, &method, c.set)
		if c.refused != "" {
			if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%v: got %v, want an error with %q", c.set, err, c.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", c.set, err)
		}
		for want, got := range map[string]map[string]string{c.problem: p, c.method: m} {
			key, value, _ := strings.Cut(want, "=")
			if len(got) != 1 || got[key] != value {
				t.Errorf("%v: got %v, want %s", c.set, got, want)
			}
		}
	}
	if _, _, err := catalog.Split(name, nil, map[string]string{"n": "5"}); err != nil {
		t.Errorf("without a method: %v", err)
	}
}

// The settings that problems publish and recommend are settings of their methods,
// with allowed values.
func TestPublishedSettingsAreAccepted(t *testing.T) {
	for _, e := range catalog.List() {
		inst, err := catalog.Open(e.Name, problems.Request{Mode: bilevel.Faithful, Seed: 1})
		if err != nil {
			continue // needs data that are not here
		}
		for _, settings := range []map[string]map[string]string{inst.Published, inst.Recommended} {
			for name, set := range settings {
				m, err := method.Lookup(name)
				if err != nil {
					t.Errorf("%s: %v", e.Name, err)
					continue
				}
				for key, value := range set {
					if key == "max_iterations" || key == "tolerance" {
						continue
					}
					if err := option.Set(m, key, value); err != nil {
						t.Errorf("%s, %s: %v", e.Name, name, err)
					}
				}
			}
		}
	}
}

// Every method's and family's defaults lie in their ranges and survive being
// written out and read again, as run directories do.
func TestDefaultsRoundTrip(t *testing.T) {
	var all []any
	for _, m := range method.All() {
		all = append(all, m)
	}
	for _, e := range catalog.List() {
		fields, err := catalog.Settings(e.Name)
		if err != nil || len(fields) == 0 {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	for _, ptr := range all {
		if err := option.Fill(ptr); err != nil {
			t.Errorf("%T: %v", ptr, err)
		}
		for _, f := range option.Fields(ptr) {
			if f.Name == "" || f.Doc == "" {
				t.Errorf("%T: %+v is not described", ptr, f)
			}
			if f.Value == "" {
				continue
			}
			if err := option.Set(ptr, f.Name, f.Value); err != nil {
				t.Errorf("%T: its own value %s=%s is refused: %v", ptr, f.Name, f.Value, err)
			}
		}
	}
}
