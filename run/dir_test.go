package run

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
)

func TestCreate(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "a", "b")
	d, err := Create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string) {
		if err := d.WriteFile(name, func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err }); err != nil {
			t.Fatal(err)
		}
	}
	write(ResultFile)
	write("notes.txt")
	_, err = Create(path, false)
	if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("used directory: %v", err)
	}
	if d, err = Create(path, true); err != nil {
		t.Fatal(err)
	}
	if d.Has(ResultFile) || !d.Has("notes.txt") {
		t.Error("--force removes the earlier run and nothing else")
	}
	d.Discard()
	if !d.Has("notes.txt") {
		t.Error("Discard removed a directory that was there before")
	}
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "sub")} {
		if _, err := Create(bad, true); !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	fresh, err := Create(filepath.Join(top, "fresh"), false)
	if err != nil {
		t.Fatal(err)
	}
	fresh.Discard()
	if _, err := os.Stat(fresh.Path); !errors.Is(err, os.ErrNotExist) {
		t.Error("Discard left a directory that Create made")
	}
}

func TestCreateUnwritable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	top := t.TempDir()
	if err := os.Chmod(top, 0o555); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(top, false); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

func TestCreateNext(t *testing.T) {
	base := filepath.Join(t.TempDir(), DefaultBase("toy/blocc-2", "auto"))
	for _, want := range []string{"runs/toy-blocc-2-auto-1", "runs/toy-blocc-2-auto-2"} {
		d, err := CreateNext(base)
		if err != nil || !strings.HasSuffix(filepath.ToSlash(d.Path), want) {
			t.Errorf("directory %v, %v, want %s", d, err, want)
		}
	}
	if got := DefaultBase("../../etc/passwd", "auto"); got != filepath.Join("runs", "etc-passwd-auto") {
		t.Errorf("base %q leaves runs/", got)
	}
}

func TestFamilyFileNames(t *testing.T) {
	d, err := Create(filepath.Join(t.TempDir(), "r"), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"../x", "/etc/x", "", ResultFile, "./" + ConfigFile} {
		if _, err := d.create(bad); err == nil {
			t.Errorf("file %q was opened", bad)
		}
	}
	f, err := d.create("models/a.model")
	if err != nil {
		t.Fatal(err)
	}
	if d.Has("models/a.model") {
		t.Error("the name is there before the file is complete")
	}
	io.WriteString(f, "w\n")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(d.Join("models/a.model")); string(b) != "w\n" {
		t.Errorf("file holds %q", b)
	}
}
