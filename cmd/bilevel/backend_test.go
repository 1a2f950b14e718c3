package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/llm/backend"
)

// asProgram makes the test binary the program, for commands that start it again.
const asProgram = "BILEVEL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// noPlugins hides the plugins of the machine.
func noPlugins(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("PATH", home)
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv(userdir.Variable, filepath.Join(home, "data"))
	t.Setenv(backend.Variable, "")
	t.Setenv(asProgram, "1")
}

func TestBackendList(t *testing.T) {
	s := newSession(t)
	noPlugins(t)
	s.run("backend", "list").want(exitSolved)
	for _, want := range []string{"* go", "works: ", "bilevel backend install cpu"} {
		if !strings.Contains(s.out, want) {
			t.Errorf("the list lacks %q:\n%s", want, s.out)
		}
	}
	bad := filepath.Join(t.TempDir(), "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(bad, []byte("no plugin"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(backend.Variable, bad)
	s.run("backend", "list", "--json").want(exitSolved)
	list := s.object()["backends"].([]any)
	if len(list) != 2 {
		t.Fatalf("%d backends: %s", len(list), s.out)
	}
	first, second := list[0].(map[string]any), list[1].(map[string]any)
	if first["ok"] != true || first["auto"] != true || second["ok"] != false || second["auto"] != false || second["backend"] != "xla:"+bad || second["error"] == "" {
		t.Errorf("%s", s.out)
	}
}

// A plugin that ends the process that loads it does not end the list.
func TestBackendCrash(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil || !slices.Contains(backend.Available(), backend.XLA) {
		t.Skip("needs a C compiler and a build with XLA")
	}
	s := newSession(t)
	path := filepath.Join(t.TempDir(), "pjrt_c_api_cpu_plugin.so")
	c := exec.Command(cc, "-shared", "-fPIC", "-x", "c", "-o", path, "-")
	c.Stdin = strings.NewReader("#include <stdlib.h>\n__attribute__((constructor)) static void end(void) { abort(); }\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Skipf("the C compiler makes no shared library: %s", out)
	}
	noPlugins(t)
	t.Setenv(backend.Variable, path)
	s.run("backend", "list").want(exitSolved)
	if !strings.Contains(s.out, "does not work: the check's process ended") {
		t.Errorf("%s", s.out)
	}
}

func TestBackendCheck(t *testing.T) {
	s := newSession(t)
	noPlugins(t)
	s.run("backend", "check", "go").want(exitSolved)
	s.run("backend", "check", "--json").want(exitSolved)
	if o := s.object(); o["ok"] != true || o["backend"] != "go" {
		t.Errorf("%s", s.out)
	}
	s.run("backend", "check", "xla").want(exitDoubtful)
	s.run("backend", "check", "gpu").want(exitDoubtful)
	if !strings.Contains(s.out, backend.Allowed[:10]) {
		t.Errorf("%s", s.out)
	}
	s.run("backend", "check", "go", "xla").want(exitInput)
}

func TestBackendInstall(t *testing.T) {
	s := newSession(t)
	noPlugins(t)
	s.run("backend", "install", "cpu").want(exitInput)
	if !strings.Contains(s.err, "Python") && !strings.Contains(s.err, "not for this system") {
		t.Errorf("without Python: %s", s.err)
	}
	s.run("backend", "install", "cuda").want(exitInput)
	if !strings.Contains(s.err, "cuda12") {
		t.Errorf("%s", s.err)
	}
	s.run("backend", "install").want(exitInput)
	wheel := filepath.Join(t.TempDir(), "a.whl")
	if err := os.WriteFile(wheel, []byte("no wheel"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run("backend", "install", "cpu", "--wheel", wheel).want(exitInput)
	if !strings.Contains(s.err, fmt.Sprint(len("no wheel"))+" bytes, not") && !strings.Contains(s.err, "not for this system") {
		t.Errorf("%s", s.err)
	}
	s.run("backend", "remove", "cpu").want(exitSolved)
}
