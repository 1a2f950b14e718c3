package option_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
)

type params struct {
	Gamma  float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty"`
	Inner  int     `opt:"inner" default:"3" range:"[1,100]" doc:"steps"`
	Tol    float64 `opt:"tol" range:"[0,1)" doc:"tolerance"`
	Rule   string  `opt:"rule" default:"sgd" range:"sgd|adam" doc:"optimiser"`
	Warm   bool    `opt:"warm" doc:"warm start"`
	Cold   bool    `opt:"cold" default:"true" doc:"cold start"`
	Every  int     `opt:"every" default:"5" range:"[-1,inf)" doc:"period"`
	Hidden int
}

func TestFillSetsDefaults(t *testing.T) {
	p := params{Inner: 7}
	if err := option.Fill(&p); err != nil {
		t.Fatal(err)
	}
	if want := (params{Gamma: 10, Inner: 7, Rule: "sgd", Cold: true, Every: 5}); p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

func TestFillChecksRanges(t *testing.T) {
	for _, c := range []struct {
		p     params
		field string
	}{
		{params{Gamma: -1}, "gamma"},
		{params{Inner: 101}, "inner"},
		{params{Inner: -1}, "inner"},
		{params{Tol: 1}, "tol"},
		{params{Tol: -0.1}, "tol"},
		{params{Rule: "lbfgs"}, "rule"},
		{params{Every: -2}, "every"},
	} {
		err := option.Fill(&c.p)
		var setting *bilevel.SettingError
		if !errors.As(err, &setting) || setting.Field != c.field || !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%+v: got %v, want an error on %s", c.p, err, c.field)
		}
	}
}

func TestSet(t *testing.T) {
	var p params
	for key, value := range map[string]string{"gamma": "2.5", "inner": "100", "tol": "0", "rule": "adam", "warm": "true", "every": "-1"} {
		if err := option.Set(&p, key, value); err != nil {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
	if want := (params{Gamma: 2.5, Inner: 100, Rule: "adam", Warm: true, Every: -1}); p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
	for _, c := range []struct{ key, value, says string }{
		{"gamma", "0", "other than 0, which stands for the default 10"},
		{"gamma", "-2", "(0,inf)"},
		{"gamma", "inf", "(0,inf)"},
		{"gamma", "NaN", "(0,inf)"},
		{"gamma", "two", "a number"},
		{"inner", "1.5", "an integer"},
		{"inner", "0", "default 3"},
		{"inner", "101", "[1,100]"},
		{"every", "0", "default 5"},
		{"cold", "false", "default true"},
		{"warm", "maybe", "true or false"},
		{"rule", "lbfgs", "one of sgd, adam"},
		{"rule", "", "default sgd"},
		{"gama", "1", `did you mean "gamma"?`},
		{"Hidden", "1", "one of gamma, inner, tol, rule, warm, cold, every"},
	} {
		err := option.Set(&p, c.key, c.value)
		if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s=%q: got %v, want an error that says %q", c.key, c.value, err, c.says)
		}
	}
}

// What Fields shows can be set again, as configurations do, whether the parameter
// was set or not; so can no text at all where there is no default.
func TestFieldsRoundTrip(t *testing.T) {
	for _, p := range []params{{}, {Gamma: 4, Tol: 0.5, Warm: true, Every: -1}} {
		q := params{}
		for _, f := range option.Fields(&p) {
			if err := option.Set(&q, f.Name, f.Value); err != nil {
				t.Errorf("%s=%q: %v", f.Name, f.Value, err)
			}
		}
		if err := errors.Join(option.Fill(&p), option.Fill(&q)); err != nil || p != q {
			t.Errorf("%+v became %+v, %v", p, q, err)
		}
	}
	for _, name := range []string{"tol", "warm"} {
		p := params{Tol: 0.5, Warm: true}
		if err := option.Set(&p, name, ""); err != nil || p.Tol > 0 && p.Warm {
			t.Errorf("%s without text: %v, %+v", name, err, p)
		}
	}
}

func TestFields(t *testing.T) {
	fields := option.Fields(&params{Gamma: 4})
	if len(fields) != 7 || len(option.Names(&params{})) != 7 || option.Names(nil) != nil {
		t.Fatalf("%d fields", len(fields))
	}
	if f := fields[0]; f.Name != "gamma" || f.Default != "10" || f.Value != "4" || f.Range != "(0,inf)" || f.Doc != "penalty" {
		t.Errorf("%+v", f)
	}
	if f := fields[1]; f.Value != "3" {
		t.Errorf("an unset field shows %q, not its default", f.Value)
	}
	if !option.Has(&params{}, "tol") || option.Has(&params{}, "Hidden") {
		t.Error("Has is wrong")
	}
}

func TestNearest(t *testing.T) {
	names := []string{"pbgd-free", "v-pbgd", "f2sa", "blocc", "lv-hba"}
	for given, want := range map[string]string{"bloc": "blocc", "BLOCC": "blocc", "pbgd_free": "pbgd-free", "v-pgbd": "v-pbgd", "bolcc": "blocc", "f2": "", "hbav": "", "simulated-annealing": "", "": ""} {
		if got := option.Nearest(given, names); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
	if err := option.Unknown("method", "x", nil); !strings.Contains(err.Error(), "no method at all here") {
		t.Error(err)
	}
}

// Whatever the text, Set either refuses it as the user's mistake or leaves a
// value that Fill accepts and keeps.
func FuzzSet(f *testing.F) {
	for _, seed := range [][2]string{{"gamma", "1e3"}, {"gamma", "nan"}, {"inner", "0x10"}, {"tol", "-0"}, {"rule", "sgd|adam"}, {"warm", "T"}, {"every", "-1"}, {"", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		var p params
		if err := option.Set(&p, key, value); err != nil {
			if !errors.Is(err, bilevel.ErrInvalid) || err.Error() == "" {
				t.Errorf("%q=%q: %v is not a user's mistake", key, value, err)
			}
			return
		}
		set := p
		if err := option.Fill(&p); err != nil {
			t.Errorf("%q=%q was accepted, but Fill says %v", key, value, err)
		}
		for i, field := range option.Fields(&set) {
			if field.Name == key && option.Fields(&p)[i].Value != field.Value {
				t.Errorf("%q=%q became %s", key, value, option.Fields(&p)[i].Value)
			}
		}
	})
}
