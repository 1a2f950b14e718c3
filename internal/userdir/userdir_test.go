package userdir

import (
	"path/filepath"
	"runtime"
	"testing"
)

func TestPath(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the table is of the Unix custom")
	}
	for _, c := range []struct{ own, data, home, want string }{
		{"/own", "/data", "/home/u", "/own/models/a"},
		{"", "/data", "/home/u", "/data/bilevel/models/a"},
		{"", "relative", "/home/u", "/home/u/.local/share/bilevel/models/a"},
		{"", "", "/home/u", "/home/u/.local/share/bilevel/models/a"},
		{"", "", "", ""},
	} {
		t.Setenv(Variable, c.own)
		t.Setenv("XDG_DATA_HOME", c.data)
		t.Setenv("HOME", c.home)
		got, err := Path("models", "a")
		if got != filepath.FromSlash(c.want) || (err != nil) != (c.want == "") {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}
