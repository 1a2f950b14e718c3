package wheel

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const member = "tiny/plugin.so"

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// archive is a wheel with one member, and what identifies it.
func archive(t *testing.T, content []byte) ([]byte, File) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range map[string][]byte{member: content, "tiny/__init__.py": []byte("raise SystemExit")} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), File{Package: "tiny", Version: "1.2.3", Wheel: sum(b.Bytes()), WheelBytes: int64(b.Len()), Member: member, SHA256: sum(content), Bytes: int64(len(content)), Needs: "glibc 2.27"}
}

// fake puts a python3 that runs script on the path, alone, with the wheel at
// $WHEEL. The variable dest is pip's --dest.
func fake(t *testing.T, script string, whl []byte) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the made-up python3 is a shell script")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.whl"), whl, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WHEEL", filepath.Join(dir, "a.whl"))
	head := "#!/bin/sh\nPATH=/usr/bin:/bin\nfor a; do [ \"$last\" = --dest ] && dest=$a; last=$a; done\n"
	if err := os.WriteFile(filepath.Join(dir, Python), []byte(head+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestFetch(t *testing.T) {
	content := bytes.Repeat([]byte("plugin "), 5000)
	whl, f := archive(t, content)
	fake(t, `[ "$*" = "-m pip download --no-deps --only-binary :all: --no-input --disable-pip-version-check --progress-bar off --quiet --dest $dest tiny==1.2.3" ] || exit 9
echo once >>"${WHEEL%/*}/calls"
cp "$WHEEL" "$dest/tiny-1.2.3-py3-none-any.whl"`, whl)
	dir := t.TempDir()
	dest := filepath.Join(dir, "p.so")
	var told []string
	o := Options{Log: func(s string) { told = append(told, s) }}
	for range 2 { // the second finds it there
		if err := f.Fetch(t.Context(), dest, o); err != nil {
			t.Fatal(err)
		}
	}
	if calls, _ := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv("WHEEL")), "calls")); string(calls) != "once\n" || len(told) != 2 {
		t.Errorf("pip was called %q, and told was %q", calls, told)
	}
	if err := os.WriteFile(dest, []byte("spoilt"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(dest); !errors.Is(err, ErrChecksum) {
		t.Errorf("a spoilt file: %v", err)
	}
	if err := f.Fetch(t.Context(), dest, Options{Wheel: os.Getenv("WHEEL")}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(dest)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v; want the member's %d", len(got), err, len(content))
	}
	only(t, dir, "p.so")
}

func TestFetchRefuses(t *testing.T) {
	content := []byte("the plugin")
	whl, good := archive(t, content)
	copies := `cp "$WHEEL" "$dest/a.whl"`
	change := func(f func(*File)) File { c := good; f(&c); return c }
	for name, c := range map[string]struct {
		file   File
		script string
		want   error
		says   string
	}{
		"another wheel":    {change(func(f *File) { f.Wheel = sum(content) }), copies, ErrChecksum, "nothing was unpacked"},
		"a longer wheel":   {change(func(f *File) { f.WheelBytes-- }), copies, ErrChecksum, "bytes, not"},
		"another member":   {change(func(f *File) { f.SHA256 = sum(whl) }), copies, ErrChecksum, sum(content)},
		"a longer member":  {change(func(f *File) { f.Bytes-- }), copies, ErrChecksum, "nothing of it was kept"},
		"a shorter member": {change(func(f *File) { f.Bytes++ }), copies, ErrChecksum, "nothing of it was kept"},
		"no such member":   {change(func(f *File) { f.Member = "tiny/none.so" }), copies, ErrChecksum, "tiny/none.so"},
		"no archive":       {change(func(f *File) { f.Wheel, f.WheelBytes = sum(content), int64(len(content)) }), `printf 'the plugin' >"$dest/a.whl"`, nil, "zip"},
		"no wheel":         {good, "true", ErrDownload, "0 wheels"},
		"two wheels":       {good, copies + `; cp "$WHEEL" "$dest/b.whl"`, ErrDownload, "2 wheels"},
		"no pip":           {good, "echo /usr/bin/python3: No module named pip >&2; exit 1", ErrPip, "ensurepip"},
		"no network":       {good, "echo 'WARNING: Retrying after connection broken'; echo 'ERROR: Could not find a version that satisfies the requirement tiny==1.2.3 (from versions: none)' >&2; echo 'ERROR: No matching distribution found for tiny==1.2.3' >&2; exit 1", ErrDownload, "No matching distribution found for tiny==1.2.3; either the network"},
		"full disk":        {good, "echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device'; exit 1", ErrDownload, "are needed"},
		"silent failure":   {good, "exit 3", ErrDownload, "exit status 3"},
		"another system":   {change(func(f *File) { f.Systems = []string{"plan9/arm", "linux/mips"} }), copies, ErrUnsupported, "it is for plan9/arm, linux/mips with glibc 2.27"},
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, c.script, whl)
			dir := t.TempDir()
			err := c.file.Fetch(t.Context(), filepath.Join(dir, "p.so"), Options{})
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %v with %q", err, c.want, c.says)
			}
			only(t, dir)
		})
	}
}

func TestNoPython(t *testing.T) {
	_, f := archive(t, []byte("x"))
	t.Setenv("PATH", t.TempDir())
	if err := f.Fetch(t.Context(), filepath.Join(t.TempDir(), "p.so"), Options{}); !errors.Is(err, ErrPython) {
		t.Error(err)
	}
	if err := f.Fetch(t.Context(), filepath.Join(t.TempDir(), "none", "p.so"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Cancelling ends pip and leaves nothing.
func TestCancel(t *testing.T) {
	whl, f := archive(t, []byte("x"))
	fake(t, `echo part >"$dest/part"; exec sleep 60`, whl)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	dir := t.TempDir()
	if err := f.Fetch(ctx, filepath.Join(dir, "p.so"), Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	only(t, dir)
}

// A disk that is full when the member is written says how much is needed.
func TestSpace(t *testing.T) {
	_, f := archive(t, []byte("x"))
	full := &fs.PathError{Op: "write", Path: "p", Err: syscall.ENOSPC}
	f.WheelBytes, f.Bytes = 60e6, 200e6
	if err := f.space(full, "/dir"); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "260 MB are needed") {
		t.Error(err)
	}
	if err := f.space(fs.ErrPermission, "/dir"); err != fs.ErrPermission {
		t.Error(err)
	}
}

// only fails when dir holds anything but names.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}
