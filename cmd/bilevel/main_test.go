package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// session runs command lines in a fresh working directory.
type session struct {
	t        *testing.T
	out, err string
	code     int
}

func newSession(t *testing.T) *session {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv(dataVariable, "")
	return &session{t: t}
}

func (s *session) run(args ...string) *session {
	s.t.Helper()
	return s.runWith(context.Background(), "", args...)
}

func (s *session) runWith(ctx context.Context, in string, args ...string) *session {
	s.t.Helper()
	var out, errOut bytes.Buffer
	s.code = Main(ctx, args, strings.NewReader(in), &out, &errOut)
	s.out, s.err = out.String(), errOut.String()
	return s
}

// want fails the test when the last command did not end with code.
func (s *session) want(code int) *session {
	s.t.Helper()
	if s.code != code {
		s.t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", s.code, code, s.out, s.err)
	}
	return s
}

func (s *session) object() map[string]any {
	s.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(s.out), &v); err != nil {
		s.t.Fatalf("standard output is no JSON object: %v\n%s", err, s.out)
	}
	return v
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSolve(t *testing.T) {
	s := newSession(t)
	s.run("solve", "toy/blocc-2").want(exitSolved)
	for _, want := range []string{"VERIFIED", "f = 1.72188", "x = (0.986225)", "lower-level gap", "runs/toy-blocc-2-auto-1/report.html"} {
		if !strings.Contains(s.out, want) {
			t.Errorf("summary lacks %q:\n%s", want, s.out)
		}
	}
	if strings.Contains(s.out, "iteration 1 ") || !strings.Contains(s.err, "iteration") {
		t.Errorf("progress belongs on standard error:\n%s", s.err)
	}
	for _, name := range []string{"config.yaml", "result.json", "trace.csv", "log.jsonl", "report.html"} {
		read(t, filepath.Join("runs/toy-blocc-2-auto-1", name))
	}
	if _, err := os.Stat("runs/toy-blocc-2-auto-1/checkpoint"); err == nil {
		t.Error("a finished run keeps a checkpoint")
	}
	s.run("solve", "toy/blocc-2", "--json", "--out", "second", "--quiet").want(exitSolved)
	if s.out != read(t, "second/result.json") {
		t.Error("--json does not print result.json")
	}
	if s.err != "" {
		t.Errorf("--quiet wrote %q", s.err)
	}
	keys := []string{"problem", "method", "mode", "seed", "status", "message", "x", "y", "upper", "lower", "metrics", "certificate", "stats", "version"}
	object := s.object()
	for _, k := range keys {
		if _, ok := object[k]; !ok {
			t.Errorf("result.json lacks %q", k)
		}
	}
	s.run("solve", "second/config.yaml", "--json", "--out", "third").want(exitSolved)
	if a, b := untimed(s.out), untimed(read(t, "second/result.json")); a != b {
		t.Errorf("the run's config.yaml gives\n%s\nwant\n%s", a, b)
	}
	s.run("solve", "toy/quadratic", "--method", "pbgd-free", "--max-iterations", "5").want(exitDoubtful)
	if !strings.Contains(s.err, "bilevel solve --resume runs/toy-quadratic-pbgd-free-1 --max-iterations 10") {
		t.Errorf("a limit must say how to go on:\n%s", s.err)
	}
	s.run("solve", "toy/infeasible", "--method", "blocc").want(exitDoubtful)
}

var times = regexp.MustCompile(`"(wall_s|cpu_s)": [^,\n]*`)

// untimed is a result without its times.
func untimed(text string) string { return times.ReplaceAllString(text, "") }

// TestRefused gives the program every kind of bad input: one line on standard
// error that names the field, the value and what is allowed, and nothing written.
func TestRefused(t *testing.T) {
	s := newSession(t)
	for name, text := range map[string]string{
		"empty.yaml": "", "binary.yaml": "\x00\x01\xff", "cut.yaml": "problem: [svm\n", "key.yaml": "problem: svm\nmethd: blocc\n",
		"setting.yaml": "problem: toy/blocc-2\nmethod: blocc\nmethod_settings:\n  gama: 3\n",
		"cut.json":     `{"x": [1`, "key.json": `{"z": [1]}`, "long.json": `{"x": [1, 2]}`, "nox.json": `{"y": [1]}`, "two.json": `{"x": [1]} {"x": [1]}`,
		"empty.csv": "", "class.libsvm": "1 1:0.5\n1 1:0.25\n", "unsorted.libsvm": "1 2:0.5 1:3\n-1 1:1\n", "double.libsvm": "1 1:0.5 1:3\n-1 1:1\n", "nan.libsvm": "1 1:nan\n-1 1:1\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("used", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("used/mine.txt", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	before := listing(t)
	for _, c := range []struct{ args, want string }{
		{"slve", `did you mean "solve"?`},
		{"solve", "takes one problem"},
		{"solve a b", "takes one problem"},
		{"solve --metod auto svm", "did you mean --method?"},
		{"solve toy/blocc-3", `did you mean "toy/blocc-`},
		{"solve svn", `did you mean "svm"?`},
		{"solve toy/blocc-2 --method bloc", `did you mean "blocc"?`},
		{"solve toy/blocc-2 --method blocc --set gama=3", `did you mean "gamma"?`},
		{"solve toy/blocc-2 --method blocc --set gamma", "key=value"},
		{"solve toy/blocc-2 --method blocc --set gamma=1 --set gamma=2", "each key once"},
		{"solve toy/blocc-2 --method blocc --set gamma=-1", "gamma = -1"},
		{"solve toy/blocc-2 --method blocc --set gamma=nan", "gamma = NaN"},
		{"solve toy/blocc-2 --method blocc --set gamma=ten", `gamma = "ten"`},
		{"solve toy/blocc-2 --method pbgd-free --set eta=0", "eta = 0"},
		{"solve toy/blocc-2 --method pbgd-free --set eta=-0.1", "eta = -0.1"},
		{"solve toy/blocc-2 --mode published", "corrected or faithful"},
		{"solve toy/blocc-2 --seed -1", `--seed = "-1"`},
		{"solve toy/blocc-2 --max-iterations many", `--max-iterations = "many"`},
		{"solve toy/blocc-2 --max-iterations -1", "max-iterations = -1"},
		{"solve toy/blocc-2 --tolerance -1", "tolerance = -1"},
		{"solve toy/blocc-2 --tolerance nan", "tolerance = NaN"},
		{"solve toy/blocc-2 --time-limit soon", `--time-limit = "soon"`},
		{"solve toy/blocc-2 --time-limit -5s", "time-limit = -5s"},
		{"solve toy/blocc-2 --workers -1", "workers = -1"},
		{"solve toy/blocc-2 --out used", "used: allowed is a new or empty directory"},
		{"solve toy/blocc-2 --out empty.csv", "output directory = empty.csv"},
		{"solve toy/blocc-2 --data nowhere", "data = nowhere"},
		{"solve toy/infeasible --method f2sa", "no coupling constraint"},
		{"solve toy/infeasible --method f2sa --out a/b/c", "no coupling constraint"},
		{"solve missing.yaml", "missing.yaml"},
		{"solve empty.yaml", "empty.yaml"},
		{"solve binary.yaml", "binary.yaml"},
		{"solve cut.yaml", "cut.yaml:1"},
		{"solve key.yaml", "key.yaml:2"},
		{"solve setting.yaml", "setting.yaml:4"},
		{"solve --resume nowhere", "nowhere"},
		{"solve --resume used", "used"},
		{"solve svm --set file=missing.csv", "missing.csv"},
		{"solve svm --set file=empty.csv", "empty.csv"},
		{"solve svm --set file=class.libsvm", "class.libsvm"},
		{"solve svm --set file=unsorted.libsvm", "unsorted.libsvm:1"},
		{"solve svm --set file=double.libsvm", "double.libsvm:1"},
		{"solve svm --set file=nan.libsvm", "nan.libsvm:1"},
		{"solve svm --set train=100000", "train"},
		{"certify", "takes one run directory"},
		{"certify nowhere", "nowhere"},
		{"certify --problem toy/blocc-2", "--point"},
		{"certify --problem toy/blocc-2 --point missing.json", "missing.json"},
		{"certify --problem toy/blocc-2 --point cut.json", "cut.json"},
		{"certify --problem toy/blocc-2 --point key.json", "key.json"},
		{"certify --problem toy/blocc-2 --point nox.json", "nox.json"},
		{"certify --problem toy/blocc-2 --point two.json", "two.json"},
		{"certify --problem toy/blocc-2 --point long.json", "len(x) = 2"},
		{"compare toy/blocc-2", "methods"},
		{"compare toy/blocc-2 --methods auto,", "methods"},
		{"compare toy/blocc-2 --methods auto,auto", "methods"},
		{"compare toy/blocc-2 --methods auto,bloc", `did you mean "blocc"?`},
		{"compare toy/blocc-2 --methods auto --seeds 5-1", "seeds"},
		{"compare toy/blocc-2 --methods auto --seeds 1-99999999999", "seeds"},
		{"compare toy/blocc-2 --methods auto,blocc --set gama=1", "gama"},
		{"repro nothing", `experiment = "nothing"`},
		{"report", "run directories"},
		{"report nowhere", "nowhere"},
		{"list probems", `did you mean "problems"?`},
		{"list settings bloc", `did you mean "blocc"?`},
		{"data --data nowhere", "nowhere"},
	} {
		t.Run(c.args, func(t *testing.T) {
			s.t = t
			s.run(append(strings.Fields(c.args), "--quiet")...).want(exitInput)
			if !strings.Contains(s.err, c.want) || strings.Count(s.err, "\n") != 1 || !strings.HasPrefix(s.err, "bilevel: ") {
				t.Errorf("standard error %q, want one line with %q", s.err, c.want)
			}
			if s.out != "" {
				t.Errorf("standard output %q", s.out)
			}
			if after := listing(t); after != before {
				t.Errorf("files were written: %s", after)
			}
		})
	}
}

// listing names every file below the working directory.
func listing(t *testing.T) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}
