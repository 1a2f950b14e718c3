package evaluate_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/device"
	"github.com/bilevel-go/bilevel/llm/evaluate"
	"github.com/bilevel-go/bilevel/llm/generate"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// The examples of NLTK's documentation and of the BLEU paper; values of NLTK 3.10's
// sentence_bleu and corpus_bleu with SmoothingFunction().method1.
var (
	guide = []string{
		"It is a guide to action that ensures that the military will forever heed Party commands",
		"It is the guiding principle which guarantees the military forces always being under the command of the Party",
		"It is the practical guide for the army always to heed the directions of the party",
	}
	hypothesis1 = "It is a guide to action which ensures that the military always obeys the commands of the party"
	hypothesis2 = "It is to insure the troops forever hearing the activity guidebook that party direct"
	read        = "he read the book because he was interested in world history"
	reread      = "he was interested in world history because he read the book"
	cat         = []string{"the cat is on the mat", "there is a cat on the mat"}
	the         = "the the the the the the the"
)

func split(texts ...string) [][]string {
	var all [][]string
	for _, t := range texts {
		all = append(all, strings.Fields(t))
	}
	return all
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12*math.Max(1, want) {
		t.Errorf("%s: %.17g, want %.17g", what, got, want)
	}
}

func TestSentenceBLEU(t *testing.T) {
	for _, c := range []struct {
		name, hypothesis string
		references       []string
		want             float64
	}{
		{"NLTK 1", hypothesis1, guide, 0.5045666840058485},
		{"NLTK 2", hypothesis2, guide, 0.03703131191121491},
		{"other order", read, []string{reread}, 0.7400828044922853},
		{"clipped", the, cat, 0.039281465090051315},
		{"two words", "It is", guide, 0.0002883623968383479},
		{"one word", "It", guide, 5.439797980315243e-08},
		{"equal", reread, []string{reread}, 1},
		{"no match", "xyz abc", guide, 0},
		{"empty", "", guide, 0},
		{"closest length, the shorter", "a b c", []string{"a b", "a b c d"}, 0.5623413251903491},
	} {
		near(t, c.name, evaluate.SentenceBLEU(split(c.hypothesis)[0], split(c.references...)...), c.want)
	}
}

func TestCorpusBLEU(t *testing.T) {
	type pair struct {
		hypothesis string
		references []string
	}
	for _, c := range []struct {
		name  string
		pairs []pair
		want  float64
	}{
		{"NLTK", []pair{{hypothesis1, guide}, {read, []string{reread}}}, 0.5920778868801042},
		{"with short ones", []pair{{hypothesis2, guide}, {"It", guide}, {the, cat}, {read, []string{reread}}}, 0.1799403124024721},
		{"with an empty one", []pair{{"", guide}, {read, []string{reread}}}, 0.1561551940412279},
		{"none", nil, 0},
	} {
		var b evaluate.BLEU
		for _, p := range c.pairs {
			b.Add(split(p.hypothesis)[0], split(p.references...)...)
		}
		near(t, c.name, b.Score(), c.want)
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		"  \n\t":                 nil,
		"It's 3.14, a\u00a0test": {"It", "'", "s", "3", ".", "14", ",", "a", "test"},
		"café e\u0301te":         {"café", "e\u0301te"},
		"日本 :-)":                 {"日本", ":", "-", ")"},
		"end":                    {"end"},
	} {
		if got := evaluate.Words(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	for text, want := range map[string]string{
		"48/2 = <<48/2=24>>24 clips.\n#### 72": "72",
		"#### 1,234,567":                       "1234567",
		"#### $18.00":                          "18",
		"#### -5":                              "-5",
		"#### -$5":                             "-5",
		"####\u221210":                         "-10",
		"#### 10 dollars, not 12":              "10",
		"#### 3 #### 4":                        "3",
		"no mark, 3 of 7 apples.":              "7",
		"So the answer is 42.":                 "42",
		"It costs $1,200.50.":                  "1200.5",
		"12-5":                                 "5",
		"(3) - 5":                              "5",
		"gives -5":                             "-5",
		"x = -7":                               "-7",
		"50% - 20%":                            "20",
		"in 1,2 and 3":                         "3",
		"1,23":                                 "23",
		"007":                                  "7",
		"-0":                                   "0",
		".50":                                  "0.5",
		"#### none, though 6 stood above\nmark without": "6",
		"12 #### none": "12",
	} {
		got, ok := evaluate.Answer(text)
		if !ok || got != want {
			t.Errorf("%q: %q %t, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "none", "####", "# # - ,"} {
		if got, ok := evaluate.Answer(text); ok {
			t.Errorf("%q: %q, want no answer", text, got)
		}
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"it is 18.0", "#### 18", true}, {"1,000", "#### 1000", true}, {"18", "#### 17", false}, {"", "#### 1", false},
		{"#### 5", "none", false}, {"-5", "#### 5", false}, {"0.10", ".1", true},
	} {
		if got := evaluate.SameAnswer(c.a, c.b); got != c.same {
			t.Errorf("%q and %q: %t", c.a, c.b, got)
		}
	}
	if !evaluate.ExactMatch(" a\n b ", "a b") || evaluate.ExactMatch("a b", "A b") {
		t.Error("exact match goes by words and their case")
	}
}

// Every answer of GSM8K's test rows is found, whole, behind its mark.
func TestAnswersOfGSM8K(t *testing.T) {
	root := os.Getenv("BILEVEL_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	b, err := os.ReadFile(filepath.Join(root, "text", "gsm8k_test.jsonl"))
	if err != nil {
		t.Skip(err)
	}
	rows := 0
	for line := range strings.Lines(string(b)) {
		var row struct{ Answer string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(row.Answer, "####")
		want := strings.ReplaceAll(strings.TrimSpace(after), ",", "")
		if got, ok := evaluate.Answer(row.Answer); !ok || got != want {
			t.Errorf("%q: %q, want %q", after, got, want)
		}
		// A solution that is led up to and not marked ends in its answer too.
		if !evaluate.SameAnswer("The answer is $"+strings.TrimSpace(after)+".", row.Answer) {
			t.Errorf("%q in a sentence is not found", after)
		}
		rows++
	}
	if rows != 1319 {
		t.Errorf("%d rows, want 1319", rows)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"#### 72", "-$1,200.50 each", "####", "1,2,3", "−4", ".5."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		answer, ok := evaluate.Answer(s)
		if again, ok2 := evaluate.Answer(answer); ok && (!ok2 || again != answer) {
			t.Errorf("%q gives %q, which gives %q", s, answer, again)
		}
		if ok && !evaluate.SameAnswer(s, s) {
			t.Errorf("%q is not its own answer %q", s, answer)
		}
	})
}

func model(t *testing.T) (*generate.Model, *tokenizer.Tokenizer) {
	t.Helper()
	dir := lmtest.Golden(t, "stories260k")
	stored, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	m, err := generate.Load(device.NewSpace(backendtest.Open(t, backend.Go)), stored)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	tok, err := tokenizer.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m, tok
}

// The loss of the golden batch: response tokens alone, weighted by token.
func TestResponseLoss(t *testing.T) {
	var golden struct {
		SFT     lmtest.Batch
		Float64 struct {
			Base struct {
				Loss   float64
				Tokens []int
			}
		}
	}
	lmtest.JSON(t, lmtest.Golden(t, "stories260k", "golden.json"), &golden)
	m, _ := model(t)
	var examples []data.Supervised
	for r, ids := range golden.SFT.IDs {
		var e data.Supervised
		for i, id := range ids {
			switch {
			case golden.SFT.Mask[r][i] == 0:
			case golden.SFT.Labels[r][i] < 0:
				e.Prompt = append(e.Prompt, id)
			default:
				e.Response = append(e.Response, id)
			}
		}
		examples = append(examples, e)
	}
	l, err := evaluate.ResponseLoss(context.Background(), m, examples)
	if err != nil {
		t.Fatal(err)
	}
	want, tokens := golden.Float64.Base, 0
	for _, n := range want.Tokens {
		tokens += n
	}
	if l.Tokens != tokens || math.Abs(l.CrossEntropy-want.Loss) > 1e-5*want.Loss {
		t.Errorf("%+v, want %+v", l, want)
	}
	near(t, "perplexity", l.Perplexity(), math.Exp(l.CrossEntropy))
	if _, err := evaluate.ResponseLoss(context.Background(), m, nil); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("no examples: %v", err)
	}
}

// Responses are generated and stand alone, without their prompts.
func TestTexts(t *testing.T) {
	m, tok := model(t)
	var golden struct {
		Cases []struct {
			IDs  []int32 `json:"prompt_ids"`
			Text string
		}
	}
	lmtest.JSON(t, lmtest.Golden(t, "generation.json"), &golden)
	g, err := generate.New(m, tok, generate.Settings{MaxTokens: 64})
	if err != nil {
		t.Fatal(err)
	}
	cases := []evaluate.Case{
		{Prompt: golden.Cases[0].IDs, Reference: golden.Cases[0].Text},
		{Prompt: golden.Cases[1].IDs, Reference: "Nothing alike, 12 at most."},
	}
	r, err := evaluate.Texts(context.Background(), g, cases)
	if err != nil {
		t.Fatal(err)
	}
	if r.Cases != 2 || r.ExactMatch != 0.5 || r.Answers != 1 || r.AnswerAccuracy != 0 || r.Samples[0].BLEU != 1 || !r.Samples[0].Exact || r.Samples[1].Exact {
		t.Errorf("%+v", r)
	}
	if r.Samples[0].Response != golden.Cases[0].Text || r.Samples[0].Reason != "token limit" || r.Stats.NewTokens != 128 {
		t.Errorf("%+v", r.Samples[0])
	}
	near(t, "mean sentence BLEU", r.SentenceBLEU, (1+r.Samples[1].BLEU)/2)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := evaluate.Texts(ctx, g, cases); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := evaluate.Texts(context.Background(), g, nil); !errors.Is(err, bilevel.ErrInvalid) {
		t.Errorf("no cases: %v", err)
	}
}
