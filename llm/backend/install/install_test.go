package install

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/internal/wheel"
	"github.com/bilevel-go/bilevel/llm/backend"
)

// tiny is a made-up plugin for this system, and its wheel, which the made-up pip of
// the test's python3 serves. script is what python3 does when asked for anything else.
func tiny(t *testing.T, platform, script string) Plugin {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the made-up python3 is a shell script")
	}
	content := []byte("a plugin")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("tiny/pjrt_c_api_tiny_plugin.so")
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for name, data := range map[string][]byte{"a.whl": b.Bytes(), "python3": []byte("#!/bin/sh\nPATH=/usr/bin:/bin\nfor a; do [ \"$last\" = --dest ] && dest=$a; last=$a; done\n[ -n \"$dest\" ] && exec cp '" + filepath.Join(home, "a.whl") + "' \"$dest/a.whl\"\n" + script)} {
		if err := os.WriteFile(filepath.Join(home, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", home)
	t.Setenv("HOME", home)
	t.Setenv(backend.Variable, "")
	t.Setenv(userdir.Variable, filepath.Join(home, "data"))
	whole, part := sha256.Sum256(b.Bytes()), sha256.Sum256(content)
	return Plugin{Name: "tiny", Platform: platform, File: wheel.File{
		Package: "tiny-pjrt", Version: "1.0", Wheel: hex.EncodeToString(whole[:]), WheelBytes: int64(b.Len()),
		Member: "tiny/pjrt_c_api_tiny_plugin.so", SHA256: hex.EncodeToString(part[:]), Bytes: int64(len(content)),
		Systems: []string{runtime.GOOS + "/" + runtime.GOARCH},
	}}
}

func TestInstall(t *testing.T) {
	p := tiny(t, "cpu", "")
	for range 2 {
		c, err := p.Install(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(c.Path); err != nil || string(b) != "a plugin" {
			t.Fatalf("%s: %q, %v", c.Path, b, err)
		}
		found := backend.Find(t.Context())
		if len(found) != 1 || found[0] != c || c.Platform != "cpu" || c.Package != "tiny-pjrt" || c.Version != "1.0" {
			t.Fatalf("installed %+v, found %+v", c, found)
		}
	}
	for range 2 {
		if err := p.Remove(); err != nil {
			t.Fatal(err)
		}
		if found := backend.Find(t.Context()); len(found) != 0 {
			t.Errorf("after removal: %+v", found)
		}
	}
}

// Nothing of a plugin that is not the expected one stays.
func TestInstallRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Plugin)
		want   error
	}{
		"another wheel":  {func(p *Plugin) { p.Wheel = p.SHA256 }, ErrChecksum},
		"another system": {func(p *Plugin) { p.Systems = []string{"plan9/arm"} }, ErrUnsupported},
		"no python":      {func(*Plugin) { os.Setenv("PATH", "") }, ErrPython},
	} {
		t.Run(name, func(t *testing.T) {
			p := tiny(t, "cpu", "")
			c.change(&p)
			if _, err := p.Install(t.Context(), Options{}); !errors.Is(err, c.want) {
				t.Errorf("%v; want %v", err, c.want)
			}
			dir, err := backend.Dir()
			if err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// The folder of NVIDIA's libraries is linked from the user's Python, and a folder
// that the user made stays.
func TestLibraries(t *testing.T) {
	site := t.TempDir()
	p := tiny(t, "cuda", "echo; echo "+site+"; echo relative")
	for _, l := range libraries[1:] {
		if err := os.MkdirAll(filepath.Join(site, l.folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	missing := func(want ...string) string {
		t.Helper()
		if _, err := p.Install(t.Context(), Options{}); err != nil {
			t.Fatal(err)
		}
		folder, missing, err := Libraries()
		if err != nil || !slices.Equal(missing, want) {
			t.Errorf("missing in %s: %q, %v; want %q", folder, missing, err, want)
		}
		return folder
	}
	folder := missing("nvidia-cublas-cu12")
	if target, err := os.Readlink(folder); target != site {
		t.Errorf("%s leads to %q, %v", folder, target, err)
	}
	if err := os.Mkdir(filepath.Join(site, "cublas"), 0o755); err != nil {
		t.Fatal(err)
	}
	missing()
	var all []string
	for _, l := range libraries {
		all = append(all, l.pkg)
	}
	if err := errors.Join(os.Remove(folder), os.Mkdir(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	missing(all...)
}

func TestLookup(t *testing.T) {
	for _, p := range Plugins() {
		if got, err := Lookup(p.Name); err != nil || got.Member != p.Member {
			t.Errorf("%s: %+v, %v", p.Name, got, err)
		}
		if len(p.Wheel) != 64 || len(p.SHA256) != 64 || p.Bytes < p.WheelBytes || !strings.HasSuffix(p.Member, ".so") {
			t.Errorf("%+v is not identified", p)
		}
	}
	if _, err := Lookup("cuda"); !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), "cuda12") {
		t.Error(err)
	}
}
