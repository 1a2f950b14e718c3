package synthetic_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/data/synthetic"
)

func generate(t testing.TB, s synthetic.Settings) *synthetic.Set {
	t.Helper()
	set, err := synthetic.Generate(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestGenerate(t *testing.T) {
	set := generate(t, synthetic.Settings{Seed: 1})
	if len(set.Base) != 1200 || len(set.Supervised) != 1200 || len(set.Preference) != 1200 || len(set.SupervisedEvaluation) != 200 || len(set.PreferenceEvaluation) != 200 {
		t.Fatalf("%d, %d, %d training rows, %d, %d evaluation rows", len(set.Base), len(set.Supervised), len(set.Preference), len(set.SupervisedEvaluation), len(set.PreferenceEvaluation))
	}
	seen := map[string]bool{}
	bare, conflicts := 0, 0
	check := func(sft, dpo []data.Row, id int) {
		for i := range sft {
			if seen[sft[i].Key()] {
				t.Errorf("prompt %q twice", sft[i].Instruction)
			}
			seen[sft[i].Key()] = true
			if sft[i].ID != id+i || dpo[i].ID != id+i || sft[i].Key() != dpo[i].Key() {
				t.Fatalf("row %d: ids %d, %d, prompts %q, %q", i, sft[i].ID, dpo[i].ID, sft[i].Instruction, dpo[i].Instruction)
			}
			answer := strings.TrimSuffix(sft[i].Response, " .")
			if !strings.Contains(dpo[i].Chosen, " "+answer+" ") || dpo[i].Chosen == dpo[i].Rejected {
				t.Errorf("%q: answer %q, chosen %q, rejected %q", sft[i].Instruction, answer, dpo[i].Chosen, dpo[i].Rejected)
			}
			if dpo[i].Rejected == sft[i].Response {
				conflicts++
			}
		}
	}
	check(set.Supervised, set.Preference, 0)
	check(set.SupervisedEvaluation, set.PreferenceEvaluation, 1200)
	for i, r := range set.Base {
		switch r.Response {
		case set.Supervised[i].Response:
			bare++
		case set.Preference[i].Chosen:
		default:
			t.Errorf("base row %d answers %q", i, r.Response)
		}
	}
	// Five standard deviations of the binomials.
	if d := float64(bare)/1200 - .5; math.Abs(d) > 5*math.Sqrt(.25/1200) {
		t.Errorf("%d of 1200 base rows are bare", bare)
	}
	if d := float64(conflicts)/1400 - .75; math.Abs(d) > 5*math.Sqrt(.1875/1400) {
		t.Errorf("%d of 1400 pairs are in conflict", conflicts)
	}
	if again := generate(t, synthetic.Settings{Seed: 1}); !reflect.DeepEqual(again, set) {
		t.Error("the same seed gives another set")
	}
	if other := generate(t, synthetic.Settings{Seed: 2}); reflect.DeepEqual(other, set) {
		t.Error("another seed gives the same set")
	}
	split, err := data.SplitRows(set.Pools(), data.SplitSettings{Seed: 1})
	if err != nil || split.Removed != 0 || len(split.Lower.IDs) != 600 || len(split.Stage2.IDs) != 600 || len(split.Upper.IDs) != 1200 {
		t.Errorf("split: %+v, %v", split, err)
	}
}

// Answers are right, by rules written a second time.
func TestAnswers(t *testing.T) {
	set := generate(t, synthetic.Settings{Train: synthetic.Prompts() - 100, Evaluation: 100})
	value := map[string]int{}
	for i, n := range strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty") {
		value[n] = i
	}
	kinds := map[string]int{}
	for _, r := range append(set.Supervised, set.SupervisedEvaluation...) {
		answer := strings.TrimSuffix(r.Response, " .")
		w := strings.Fields(r.Instruction)
		var a, b string
		kind, ok := "fact", true
		scan := func(format string, args ...any) bool {
			n, _ := fmt.Sscanf(r.Instruction, format, args...)
			return n == len(args)
		}
		switch {
		case scan("add %s %s", &a, &b), scan("what is %s plus %s", &a, &b):
			kind, ok = "sum", value[a]+value[b] == value[answer]
		case scan("subtract %s from %s", &b, &a), scan("what is %s minus %s", &a, &b):
			kind, ok = "difference", value[a]-value[b] == value[answer]
		case w[0] == "reverse":
			list := slices.Clone(w[1:])
			slices.Reverse(list)
			kind, ok = "list", strings.Join(list, " ") == answer
		case w[0] == "first":
			kind, ok = "list", w[2] == answer
		case w[0] == "last":
			kind, ok = "list", w[len(w)-1] == answer
		case w[0] == "how":
			kind, ok = "list", value[answer] == len(w)-3
		}
		if kinds[kind]++; !ok {
			t.Errorf("%q is answered %q", r.Instruction, answer)
		}
	}
	if kinds["sum"] != 242 || kinds["difference"] != 132 || kinds["list"] != 4*(8*7+8*7*6) || kinds["fact"] != 4*46 {
		t.Errorf("prompts by kind: %v", kinds)
	}
}

// The conflict of the package's documentation in numbers: with the style as the only choice, p for
// bare and q = 1-p for polite, steps that lower one loss raise the other.
func TestConflict(t *testing.T) {
	sft := func(p float64) float64 { return -math.Log(p) }
	dpo := func(p float64) float64 { // beta 0.1, reference 1/2
		h := math.Log((1-p)/.5) - math.Log(p/.5)
		return math.Log1p(math.Exp(-.1 * h))
	}
	for p := .05; p < .95; p += .05 {
		if sft(p+.01) >= sft(p) || dpo(p+.01) <= dpo(p) {
			t.Errorf("at p = %g the losses move together", p)
		}
	}
	if dpo(.99) <= math.Ln2 || dpo(.01) >= math.Ln2 {
		t.Errorf("DPO loss %g at the supervised goal, %g at its own; ln 2 should lie between", dpo(.99), dpo(.01))
	}
}

func TestTokenizer(t *testing.T) {
	tok, err := synthetic.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	n := len(synthetic.Words())
	if n < 100 || n > 200 || tok.VocabSize() != n+5 {
		t.Errorf("%d words, vocabulary of %d", n, tok.VocabSize())
	}
	if s := tok.Special(); s.UNK != 0 || s.BOS != 1 || s.EOS != 2 || s.PAD != 3 {
		t.Errorf("special tokens %+v", s)
	}
	template, err := data.NamedTemplate("plain")
	if err != nil {
		t.Fatal(err)
	}
	e, err := data.NewEncoder(tok, template, data.EncodeSettings{MaxLength: 64})
	if err != nil {
		t.Fatal(err)
	}
	set := generate(t, synthetic.Settings{Train: synthetic.Prompts() - 100, Evaluation: 100})
	s, _, err := e.Supervised(set.Supervised)
	if err != nil {
		t.Fatal(err)
	}
	p, report, err := e.Preference(set.Preference)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if report.Kept != len(set.Preference) || report.Cut != 0 || report.Repeated != 0 {
		t.Errorf("%s", report)
	}
	ints := func(ids []int32) []int {
		out := make([]int, len(ids))
		for i, id := range ids {
			if out[i] = int(id); id == 0 {
				t.Fatalf("%v holds an unknown word", ids)
			}
		}
		return out
	}
	for i := range s {
		words := len(strings.Fields(set.Supervised[i].Instruction))
		if len(s[i].Prompt) != words+2 || s[i].Prompt[0] != 1 || s[i].Response[len(s[i].Response)-1] != 2 {
			t.Fatalf("%q is %v, %v", set.Supervised[i].Instruction, s[i].Prompt, s[i].Response)
		}
		if got := tok.Decode(ints(s[i].Response), true); got != set.Supervised[i].Response {
			t.Fatalf("%q is read back as %q", set.Supervised[i].Response, got)
		}
		if got := tok.Decode(ints(p[i].Chosen), true); got != set.Preference[i].Chosen {
			t.Fatalf("%q is read back as %q", set.Preference[i].Chosen, got)
		}
		ints(p[i].Rejected)
		ints(p[i].Prompt)
	}
	if ids := tok.Encode("unheard of", false); ids[0] != 0 {
		t.Errorf("an unknown word is %v", ids)
	}
}

func TestSettings(t *testing.T) {
	var bad *bilevel.SettingError
	for _, s := range []synthetic.Settings{{Train: -1}, {Evaluation: -1}, {Train: synthetic.Prompts()}, {Conflict: 1.5}, {Conflict: -1}, {Conflict: .5, NoConflict: true}, {Train: 1, Evaluation: synthetic.Prompts() - 1}} {
		if _, err := synthetic.Generate(s); !errors.As(err, &bad) {
			t.Errorf("%+v: %v, want a *bilevel.SettingError", s, err)
		}
	}
	for _, r := range generate(t, synthetic.Settings{NoConflict: true}).Preference {
		if !strings.Contains(r.Rejected, "!") {
			t.Fatalf("rejected %q without conflict", r.Rejected)
		}
	}
}
