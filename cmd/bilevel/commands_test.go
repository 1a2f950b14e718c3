package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel/run"
)

// interruptWhen cancels the context when the progress of a run shows text.
type interruptWhen struct {
	text   string
	seen   strings.Builder
	cancel context.CancelFunc
}

func (w *interruptWhen) Write(p []byte) (int, error) {
	w.seen.Write(p)
	if strings.Contains(w.seen.String(), w.text) {
		w.cancel()
	}
	return len(p), nil
}

func TestInterruptAndResume(t *testing.T) {
	s := newSession(t)
	const n = "3000"
	args := []string{"solve", "toy/llc", "--method", "pbgd-free", "--mode", "faithful", "--set", "n=10", "--max-iterations", n}
	s.run(append(args, "--out", "whole", "--json")...).want(exitDoubtful)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	errOut := &interruptWhen{text: "iteration 1 ", cancel: cancel}
	var out strings.Builder
	code := Main(ctx, append(args, "--out", "parts"), strings.NewReader(""), &out, errOut)
	if code != exitInterrupted {
		t.Fatalf("exit code %d, want %d\n%s", code, exitInterrupted, errOut.seen.String())
	}
	for _, want := range []string{interrupting, "bilevel solve --resume parts"} {
		if !strings.Contains(errOut.seen.String(), want) {
			t.Errorf("standard error lacks %q:\n%s", want, errOut.seen.String())
		}
	}
	if !strings.Contains(out.String(), "NOT MEASURED") || !strings.Contains(read(t, "parts/report.html"), "interrupted") {
		t.Errorf("an interrupted answer must say so:\n%s", out.String())
	}
	r, err := run.Open("parts")
	if err != nil || r.Document.Stats.Outer < 1 || r.Document.Stats.Outer >= 3000 {
		t.Fatalf("interrupted run: %v, %+v", err, r.Document)
	}
	s.run("solve", "--resume", "parts", "--seed", "2").want(exitInput)
	s.run("solve", "toy/blocc-1", "--resume", "parts").want(exitInput)
	s.run("solve", "toy/llc", "--resume", "parts", "--json").want(exitDoubtful)
	if a, b := untimed(s.out), untimed(read(t, "whole/result.json")); a != b {
		t.Errorf("resumed:\n%s\nuninterrupted:\n%s", a, b)
	}
}

func TestTimeLimit(t *testing.T) {
	s := newSession(t)
	begin := time.Now()
	// alright has no stopping test of its own.
	s.run("solve", "toy/pbgd-positive", "--method", "alright", "--max-iterations", "100000000", "--time-limit", "20ms", "--out", "r").want(exitDoubtful)
	if time.Since(begin) > 30*time.Second || !strings.Contains(s.err, "--resume r --time-limit") {
		t.Errorf("after %v: %s", time.Since(begin), s.err)
	}
	s.run("solve", "--resume", "r").want(exitInput)
	if !strings.Contains(s.err, "time-limit") {
		t.Errorf("resuming a run whose time is used up: %s", s.err)
	}
}

func TestForce(t *testing.T) {
	s := newSession(t)
	args := []string{"solve", "toy/blocc-2", "--method", "blocc", "--out", "r", "--quiet"}
	s.run(args...).want(exitSolved)
	before := read(t, "r/result.json")
	s.run(args...).want(exitInput)
	if read(t, "r/result.json") != before {
		t.Error("a used directory was overwritten")
	}
	s.run(append(args, "--force")...).want(exitSolved)
}

func TestCompare(t *testing.T) {
	s := newSession(t)
	args := []string{"compare", "toy/quadratic", "--methods", "auto,implicit-cg", "--seeds", "1-2,7", "--json"}
	s.run(append(args, "--out", "a", "--workers", "1")...).want(exitSolved)
	one := s.out
	s.run(append(args, "--out", "b", "--workers", "4")...).want(exitSolved)
	var c run.Comparison
	if err := json.Unmarshal([]byte(s.out), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Runs) != 6 || len(c.Methods) != 2 || c.Methods[0].Method != "auto" || c.Methods[1].Runs != 3 || c.Methods[0].Passed != 3 {
		t.Errorf("comparison %+v", c.Methods)
	}
	if a, b := timeless(t, one), timeless(t, s.out); a != b {
		t.Errorf("one worker gives\n%s\nfour give\n%s", a, b)
	}
	if names, _ := filepath.Glob("b/*/result.json"); len(names) != 6 {
		t.Errorf("run directories: %v", names)
	}
	if !strings.Contains(read(t, "b/report.html"), "By method") {
		t.Error("the comparison has no table by method")
	}
	s.run("compare", "toy/quadratic", "--methods", "auto,pbgd-free", "--set", "gamma=20", "--max-iterations", "20").want(exitDoubtful)
	if !strings.Contains(s.out, "pbgd-free") || !strings.Contains(read(t, "runs/toy-quadratic-compare-1/pbgd-free-1/config.yaml"), `gamma: "20"`) {
		t.Errorf("a setting of one of the methods is applied to it:\n%s", s.out)
	}
}

// timeless is a comparison without its times.
func timeless(t *testing.T, text string) string {
	t.Helper()
	var c run.Comparison
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	for i := range c.Methods {
		c.Methods[i].Wall = run.Spread{}
	}
	for _, d := range c.Runs {
		d.Stats.Wall, d.Stats.CPU = 0, 0
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCertify(t *testing.T) {
	s := newSession(t)
	s.run("solve", "toy/blocc-2", "--out", "r").want(exitSolved)
	s.run("certify", "r", "--json").want(exitSolved)
	if v := s.object()["certificate"].(map[string]any)["verdict"]; v != "verified globally" {
		t.Errorf("verdict %v", v)
	}
	s.runWith(context.Background(), `{"x": [0.986224826650]}`, "certify", "--problem", "toy/blocc-2", "--point", "-").want(exitSolved)
	if !strings.Contains(s.out, "VERIFIED") || !strings.Contains(s.out, "lower-level gap") {
		t.Errorf("summary:\n%s", s.out)
	}
	for name, point := range map[string]string{
		"wrong y": `{"x": [1], "y": [0.5]}`, "not stationary": `{"x": [1.2]}`, "outside X": `{"x": [4]}`, "not a number": `{"x": [null]}`,
		"wrong multiplier": `{"x": [0.986224826650], "y": [0.986224826650], "multipliers": [-3]}`,
	} {
		s.runWith(context.Background(), point, "certify", "--problem", "toy/blocc-2", "--point", "-", "--json").want(exitDoubtful)
		if v := s.object()["certificate"].(map[string]any)["verdict"]; v != "refuted" {
			t.Errorf("%s: verdict %v", name, v)
		}
	}
}

// A design typed in by hand is measured at the response to it.
func TestCertifyOfADesign(t *testing.T) {
	s := newSession(t)
	point := `{"x": [0.880797, 0, 0.880797, 0, 0, 0]}`
	s.runWith(context.Background(), point, "certify", "--problem", "transit/3node", "--point", "-", "--json")
	if profit := s.object()["metrics"].(map[string]any)["profit"].(float64); math.Abs(profit-1.761594) > 1e-6 {
		t.Errorf("profit %v:\n%s", profit, s.out)
	}
	// Of a run as well, whose configuration lists settings that were left out.
	s.run("solve", "transit/3node", "--out", "r").want(exitSolved)
	s.run("certify", "r", "--json").want(exitSolved)
	c := s.object()["certificate"].(map[string]any)
	if checks, ok := c["checks"].([]any); !ok || len(checks) < 4 || c["seen_unique"] != true {
		t.Errorf("certificate of a run:\n%s", s.out)
	}
	s.runWith(context.Background(), `{"x": [0.95, 0, 0.880797, 0, 0, 0]}`, "certify", "--problem", "r/config.yaml", "--point", "-").want(exitDoubtful)
	if !strings.Contains(s.out, "second method") || !strings.Contains(s.out, "REFUTED: y is the follower's best answer to x") {
		t.Errorf("summary:\n%s", s.out)
	}
}

func TestReportCommand(t *testing.T) {
	s := newSession(t)
	s.run("solve", "toy/blocc-2", "--out", "a").want(exitSolved)
	s.run("solve", "toy/blocc-2", "--method", "blocc", "--out", "b").want(exitSolved)
	if err := os.Remove("a/report.html"); err != nil {
		t.Fatal(err)
	}
	s.run("report", "a").want(exitSolved)
	read(t, "a/report.html")
	s.run("report", "a", "b").want(exitSolved)
	if s.out != "comparison.html\n" || !strings.Contains(read(t, "comparison.html"), "Comparison of 2 runs") {
		t.Errorf("printed %q", s.out)
	}
	s.run("report", "a", "b").want(exitInput)
	s.run("report", "a", "b", "--force").want(exitSolved)
}

func TestLists(t *testing.T) {
	s := newSession(t)
	var problems []problemEntry
	s.run("list", "problems", "--json").want(exitSolved)
	if err := json.Unmarshal([]byte(s.out), &problems); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"svm", "toy/blocc-1", "toy/pbgd-negative"} {
		if !slices.ContainsFunc(problems, func(e problemEntry) bool { return e.Name == name && e.Title != "" }) {
			t.Errorf("no problem %q", name)
		}
	}
	var methods []methodEntry
	s.run("list", "methods", "--json").want(exitSolved)
	if err := json.Unmarshal([]byte(s.out), &methods); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"auto", "pbgd-free", "blocc"} {
		if !slices.ContainsFunc(methods, func(e methodEntry) bool { return e.Name == name && e.Doc != "" }) {
			t.Errorf("no method %q", name)
		}
	}
	s.run("list", "settings", "pbgd-free").want(exitSolved)
	if !strings.Contains(s.out, "gamma") || !strings.Contains(s.out, "(0,inf)") {
		t.Errorf("settings:\n%s", s.out)
	}
	for _, args := range [][]string{{"list"}, {"list", "statuses"}, {"list", "problems"}, {"list", "methods"}, {"list", "--json"}, {"list", "statuses", "--json"},
		{"list", "settings", "svm", "--json"}, {"version"}, {"version", "--json"}, {"data"}, {"data", "--json"}, {}} {
		if s.run(args...).want(exitSolved); s.out == "" || s.err != "" {
			t.Errorf("%v: %q, %q", args, s.out, s.err)
		}
	}
	s.run("data").want(exitSolved)
	if !strings.Contains(s.out, "svm/fourclass") || !strings.Contains(s.out, "not here") {
		t.Errorf("what is missing:\n%s", s.out)
	}
}

func TestHelp(t *testing.T) {
	s := newSession(t)
	s.run("solve", "toy/blocc-2", "--method", "pbgd-free", "--help").want(exitSolved)
	for _, want := range []string{"Examples:", "What to solve:", "When to stop:", "Output:", "--time-limit", "Settings of toy/blocc-2", "Settings of method pbgd-free", "penalty gamma"} {
		if !strings.Contains(s.out, want) {
			t.Errorf("help lacks %q:\n%s", want, s.out)
		}
	}
	for _, c := range []string{"list", "compare", "certify", "repro", "report", "data", "completion"} {
		s.run(c, "--help").want(exitSolved)
		if !strings.Contains(s.out, "Usage:") || s.err != "" {
			t.Errorf("help of %s:\n%s%s", c, s.out, s.err)
		}
	}
}

func TestCompletion(t *testing.T) {
	s := newSession(t)
	for _, c := range []struct{ typed, want string }{
		{"solve toy/bl", "toy/blocc-1\ntoy/blocc-2\n"},
		{"solve toy/blocc-2 --method blo", "blocc\n"},
		{"solve toy/blocc-2 --mode f", "faithful\n"},
		{"solve toy/blocc-2 --method blocc --set gam", "gamma="},
		{"solve toy/blocc-2 --set sta", "start="},
		{"compare toy/blocc-2 --methods auto,blo", "auto,blocc\n"},
		{"certify --problem toy/refo", "toy/reformulation\n"},
		{"list settings blo", "blocc\n"},
		{"repro toy", "toys\n"},
	} {
		s.run(append([]string{"__complete"}, strings.Fields(c.typed)...)...).want(exitSolved)
		if !strings.Contains(s.out, c.want) {
			t.Errorf("%q completes to %q, want %q", c.typed, s.out, c.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if s.run("completion", shell).want(exitSolved); !strings.Contains(s.out, "bilevel") {
			t.Errorf("no completion script for %s", shell)
		}
	}
}

func TestParseSeeds(t *testing.T) {
	for _, c := range []struct {
		text string
		want []uint64
	}{{"1-3", []uint64{1, 2, 3}}, {"7", []uint64{7}}, {"1, 4,7-8", []uint64{1, 4, 7, 8}}, {"18446744073709551615", []uint64{1<<64 - 1}}, {"", nil}, {"a", nil}, {"1-", nil}, {"-1", nil},
		{"1-3-5", nil}, {"0-10000", nil}} {
		got, err := parseSeeds(c.text)
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%q: %v, %v, want %v", c.text, got, err, c.want)
		}
	}
}

func TestRepeatIsACommandLine(t *testing.T) {
	s := newSession(t)
	s.run("solve", "toy/blocc-2", "--method", "blocc", "--set", "gamma=7", "--set", "start=random", "--seed", "5", "--tolerance", "1e-7", "--out", "a", "--json").want(exitSolved)
	want := untimed(s.out)
	r, err := run.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	s.run(append(r.Details.Command[1:], "--json", "--out", "b")...).want(exitSolved)
	if got := untimed(s.out); got != want {
		t.Errorf("%v gives\n%s\nwant\n%s", r.Details.Command, got, want)
	}
}

// A network of the user's own is named by --network alone, by its problem, or by --set.
func TestNetworkFlag(t *testing.T) {
	s := newSession(t)
	if err := os.Mkdir("town", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"network.yaml": "name: town\ntime_weight: 0.1\ncoordinates: none\n",
		"stations.csv": "id\na\nb\nfar\n",
		"links.csv":    "from,to,time,cost\na,b,8,0.6\nb,a,8,0.6\n",
		"demand.csv":   "from,to,trips,alternative,margin\na,b,900,20,1.2\nb,a,800,20,1.2\na,far,5,20,1\n",
	} {
		if err := os.WriteFile(filepath.Join("town", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.run("solve", "--network", "town", "--out", "r", "--json", "--quiet").want(exitSolved)
	alone := untimed(s.out)
	s.run("solve", "transit", "--set", "network=town", "--out", "r2", "--json", "--quiet").want(exitSolved)
	if got := untimed(s.out); got != alone {
		t.Errorf("--set network=town gives\n%s\n--network town gives\n%s", got, alone)
	}
	s.run("certify", "--network", "town", "--point", "r/design.json", "--json").want(exitSolved)
	s.run("certify", "--network", "town", "--point", "r/design.json").want(exitSolved)
	for _, want := range []string{"1 pair cannot be served", "a to far.", "1 station has no candidate link: far."} {
		if !strings.Contains(strings.Join(strings.Fields(s.out), " "), want) {
			t.Errorf("the summary lacks %q:\n%s", want, s.out)
		}
	}
	// The run is measured again from anywhere.
	if err := os.Mkdir("elsewhere", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir("elsewhere")
	s.run("certify", "../r").want(exitSolved)
	t.Chdir("..")
	s.run("solve", "--network", "town", "--set", "network=town").want(exitInput)
	s.run("solve", "--network", "nowhere").want(exitInput)
	if !strings.Contains(s.err, "nowhere") {
		t.Errorf("message %q", s.err)
	}
}
