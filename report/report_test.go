package report

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/run"
)

// solved is a run of a toy, read back from its directory.
func solved(t *testing.T, c run.Config) *run.Run {
	t.Helper()
	job, err := run.Prepare(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := run.Create(filepath.Join(t.TempDir(), "r"), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Execute(context.Background(), job, d, run.Options{Command: []string{"bilevel", "solve", c.Problem}}); err != nil {
		t.Fatal(err)
	}
	r, err := run.Open(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func html(t *testing.T, runs ...*run.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, runs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wellFormed checks that tags are balanced and ids unique, and that nothing is
// loaded from elsewhere.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict = false
	d.AutoClose = []string{"meta"}
	d.Entity = xml.HTMLEntity
	ids := map[string]bool{}
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
			for _, a := range token.Attr {
				switch a.Name.Local {
				case "src", "href", "srcset", "onload":
					t.Errorf("<%s> has %s=%q: the page must stand alone", token.Name.Local, a.Name.Local, a.Value)
				case "id":
					if ids[a.Value] {
						t.Errorf("id %q twice", a.Value)
					}
					ids[a.Value] = true
				}
			}
			if token.Name.Local == "script" || token.Name.Local == "link" {
				t.Errorf("the page has a <%s>", token.Name.Local)
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != token.Name.Local {
				t.Fatalf("</%s> closes %v", token.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if regexp.MustCompile(`https?://|url\(|@import`).MatchString(page) {
		t.Error("the page refers to something outside")
	}
	for _, m := range regexp.MustCompile(`aria-labelledby="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		for id := range strings.FieldsSeq(m[1]) {
			if !ids[id] {
				t.Errorf("aria-labelledby names %q, which is not there", id)
			}
		}
	}
}

func TestReportOfARun(t *testing.T) {
	r := solved(t, run.Config{Problem: "toy/quadratic", Method: "pbgd-free", MaxIterations: 50})
	page := html(t, r)
	wellFormed(t, page)
	c := r.Document.Certificate
	for _, want := range []string{c.Verdict.String(), "Upper objective f", "Lower objective g", "Stationarity", "bilevel solve toy/quadratic", "method.gamma", "iteration limit"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, row := range c.Sentences() {
		if text := row.Sentence; !strings.Contains(page, escaped(text)) {
			t.Errorf("the page lacks the sentence of %q: %q", row.Name, text)
		}
	}
	if before, _, _ := strings.Cut(page, "<h2"); !strings.Contains(before, c.Verdict.String()) {
		t.Error("the verdict is not at the top")
	}
}

// escaped is text as html/template escapes it.
func escaped(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;", "+", "&#43;").Replace(text)
}

func TestReportEscapes(t *testing.T) {
	r := solved(t, run.Config{Problem: "toy/quadratic", Method: "pbgd-free", MaxIterations: 3})
	evil := `"><script>alert(1)</script>&`
	r.Details.Title, r.Details.Doc, r.Details.Source = evil, evil, evil
	r.Details.Command = []string{evil}
	r.Details.Notes = []bilevel.Note{{Iteration: 1, Text: evil}}
	r.Details.Files, r.Details.Differences = []string{evil}, []string{evil}
	r.Document.Message, r.Document.Certificate.Message = evil, evil
	r.Config.Problem, r.Config.Method = evil, evil
	r.Config.MethodSettings = run.Settings{evil: evil}
	r.Trace[1].Phase = evil
	for _, page := range []string{html(t, r), html(t, r, r)} {
		wellFormed(t, page)
		if strings.Contains(page, "<script") {
			t.Error("a script got in")
		}
	}
}

func TestReportOfAnUnfinishedRun(t *testing.T) {
	r := solved(t, run.Config{Problem: "toy/quadratic", Method: "pbgd-free", MaxIterations: 3})
	r.Document.Certificate = nil
	if page := html(t, r); !strings.Contains(page, "not measured") {
		t.Error("a run without certificate must say so")
	}
	r.Document, r.Trace = nil, nil
	page := html(t, r)
	wellFormed(t, page)
	if !strings.Contains(page, "unfinished") || !strings.Contains(page, "recorded no iteration") {
		t.Error("a run without result must say so")
	}
	wellFormed(t, html(t, r, r))
}

func TestReportOfSeveralRuns(t *testing.T) {
	var runs []*run.Run
	for _, seed := range []uint64{1, 2} {
		for _, method := range []string{"pbgd-free", "v-pbgd"} {
			runs = append(runs, solved(t, run.Config{Problem: "toy/quadratic", Method: method, Seed: &seed, MaxIterations: 30}))
		}
	}
	runs = append(runs, solved(t, run.Config{Problem: "toy/blocc-2", Method: "blocc", MaxIterations: 5}))
	page := html(t, runs...)
	wellFormed(t, page)
	for _, want := range []string{"By method", "pbgd-free, seed 1", "v-pbgd, seed 2", "toy/blocc-2 (corrected)", fmt.Sprintf("Comparison of %d runs", len(runs))} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if err := Write(io.Discard); err == nil {
		t.Error("a report of nothing")
	}
}
