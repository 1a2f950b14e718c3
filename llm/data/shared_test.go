package data

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// The facts are those of the data's own description (spec/llm.md, section 10).
func TestInstructionData(t *testing.T) {
	tok := stories(t)
	pairs := shared(t, "BILEVEL_DATA", "data", "text", "instruction-data-with-preference.json")
	rows := readRows(t, ForPreference, pairs)
	if len(rows.Rows) != 1100 || rows.Columns[0].String() != "prompt=instruction+input,chosen=chosen,rejected=rejected" {
		t.Fatalf("%d rows, columns %s", len(rows.Rows), rows.Columns[0])
	}
	same, repeated, asOutput := 0, 0, 0
	prompts := map[string]bool{}
	for _, r := range rows.Rows {
		if r.Chosen == r.Rejected {
			same++
		}
		if prompts[r.Key()] {
			repeated++
		}
		prompts[r.Key()] = true
	}
	supervised := readRows(t, ForSupervised, pairs)
	if c := supervised.Columns[0].String(); c != "prompt=instruction+input,response=output" {
		t.Errorf("columns %s", c)
	}
	for i, r := range supervised.Rows {
		if r.Response == rows.Rows[i].Chosen {
			asOutput++
		}
	}
	if same != 6 || repeated != 25 || asOutput != 562 {
		t.Errorf("%d pairs the same, %d repeated prompts, %d chosen == output; want 6, 25, 562", same, repeated, asOutput)
	}
	// The published mean of 75.8 is that of BOS, instruction, newline, input, newline, chosen.
	tokens := 0
	for _, r := range rows.Rows {
		tokens += len(tok.Encode(r.Instruction+"\n"+r.Input+"\n"+r.Chosen, true))
	}
	if mean := float64(tokens) / 1100; math.Abs(mean-75.8) > .05 {
		t.Errorf("mean %.2f tokens, want 75.8", mean)
	}
	// Without the newline of an empty input, and with EOS, both responses are 75.1 on average.
	_, report, err := encoder(t, tok, "plain", EncodeSettings{MaxLength: 512}).Preference(rows.Rows)
	if err != nil {
		t.Fatal(err)
	}
	if report.Dropped[Identical] != 6 || report.Dropped.Total() != 6 || report.Kept != 1094 || report.Cut != 0 || report.Longest > 207 || math.Abs(report.Mean()-75.1) > .05 {
		t.Errorf("report %s; want 6 identical, none cut, mean 75.1, longest at most 207", report)
	}
	for _, f := range []struct {
		name string
		rows int
	}{{"gsm8k_train.jsonl", 7473}, {"gsm8k_test.jsonl", 1319}} {
		r := readRows(t, ForSupervised, shared(t, "BILEVEL_DATA", "data", "text", f.name))
		if len(r.Rows) != f.rows || r.Columns[0].String() != "prompt=question,response=answer" || r.Rows[f.rows-1].Line != f.rows {
			t.Errorf("%s: %d rows, columns %s, last line %d", f.name, len(r.Rows), r.Columns[0], r.Rows[len(r.Rows)-1].Line)
		}
	}
}

// The golden ids of stories260k were made by another program: prompt = BOS + instruction (+
// newline + input) + newline, response = its own ids + EOS.
func TestGoldenIDs(t *testing.T) {
	tok := stories(t)
	raw, err := os.ReadFile(shared(t, "BILEVEL_GOLDEN", "golden", "lm", "stories260k", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	type padded struct {
		IDs    [][]int32 `json:"input_ids"`
		Mask   [][]int   `json:"attention_mask"`
		Labels [][]int32 `json:"labels"`
	}
	var g struct {
		SFTRows  []int  `json:"sft_rows"`
		DPORows  []int  `json:"dpo_rows"`
		SFT      padded `json:"sft"`
		Chosen   padded `json:"dpo_chosen"`
		Rejected padded `json:"dpo_rejected"`
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	e := encoder(t, tok, "plain", EncodeSettings{})
	sft := readRows(t, ForSupervised, shared(t, "BILEVEL_DATA", "data", "text", "instruction-data.json")).Rows
	dpo := readRows(t, ForPreference, shared(t, "BILEVEL_DATA", "data", "text", "instruction-data-with-preference.json")).Rows
	compare := func(name string, want padded, rows []int, b *Batch, from int) {
		t.Helper()
		for i := range want.IDs {
			r := from + slices.Index(b.Source, rows[i])
			n := 0
			for _, m := range want.Mask[i] {
				n += m
			}
			line := b.IDs[r*b.Length : (r+1)*b.Length]
			if !slices.Equal(line[:n], want.IDs[i][:n]) {
				t.Fatalf("%s row %d:\n got %v\nwant %v", name, i, line[:n], want.IDs[i][:n])
			}
			labels := make([]int32, len(want.Labels[i]))
			for j := range labels {
				labels[j] = -100
			}
			for j, at := range b.At {
				if b.Weight[j] != 0 && int(b.Row[j]) == r {
					labels[int(at)%b.Length+1] = b.Target[j]
				}
			}
			if !slices.Equal(labels, want.Labels[i]) {
				t.Fatalf("%s row %d labels:\n got %v\nwant %v", name, i, labels, want.Labels[i])
			}
		}
	}
	pick := func(rows []Row, ids []int) []Row {
		var out []Row
		for _, i := range ids {
			out = append(out, rows[i])
		}
		return out
	}
	s, _, err := e.Supervised(pick(sft, g.SFTRows))
	if err != nil {
		t.Fatal(err)
	}
	one := Shapes{Count: 1}
	b, err := Sequential(s, StreamSettings{Examples: len(s), Shapes: one})
	if err != nil || len(b) != 1 {
		t.Fatalf("%d batches, %v", len(b), err)
	}
	compare("sft", g.SFT, g.SFTRows, b[0], 0)
	p, _, err := e.Preference(pick(dpo, g.DPORows))
	if err != nil {
		t.Fatal(err)
	}
	b, err = Sequential(p, StreamSettings{Examples: len(p), Shapes: one})
	if err != nil || len(b) != 1 {
		t.Fatalf("%d batches, %v", len(b), err)
	}
	compare("chosen", g.Chosen, g.DPORows, b[0], 0)
	compare("rejected", g.Rejected, g.DPORows, b[0], len(p))
}

// Padding costs less than 15 % with the default shapes, so sequences need not be packed.
func TestWaste(t *testing.T) {
	tok := stories(t)
	file := shared(t, "BILEVEL_DATA", "data", "text", "instruction-data-with-preference.json")
	e := encoder(t, tok, "plain", EncodeSettings{MaxLength: 512})
	s, _, err := e.Supervised(readRows(t, ForSupervised, file).Rows)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := e.Preference(readRows(t, ForPreference, file).Rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, count := range []int{1, 4, 8, 12, 0} {
		sft, err := NewStream(s, StreamSettings{Name: "sft", Seed: 1, Shapes: Shapes{Count: count}})
		if err != nil {
			t.Fatal(err)
		}
		dpo, err := NewStream(p, StreamSettings{Name: "dpo", Seed: 1, Shapes: Shapes{Count: count}})
		if err != nil {
			t.Fatal(err)
		}
		a, b := sft.Waste(0), dpo.Waste(0)
		t.Logf("%d lengths: SFT padding %.1f %%, scored %.1f %%, %d shapes; DPO padding %.1f %%, scored %.1f %%, %d shapes", count, 100*a.Padding, 100*a.Scored, len(a.Shapes), 100*b.Padding, 100*b.Scored, len(b.Shapes))
		if count == 0 && (a.Padding > .15 || b.Padding > .15) {
			t.Errorf("padding %.3f, %.3f with the default shapes, want at most 0.15", a.Padding, b.Padding)
		}
	}
}

// The prompt that the golden values of SmolLM2 begin from, by the named template and by the model's
// own.
func TestSmolLM2Prompt(t *testing.T) {
	raw, err := os.ReadFile(shared(t, "BILEVEL_GOLDEN", "golden", "lm", "smollm2.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Greedy struct{ Prompt string } `json:"greedy"`
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	own, err := JinjaTemplate(jinjaSmol, JinjaSettings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tm := range []*Template{named(t, "smollm2"), own} {
		got, err := tm.Prompt(&Row{Instruction: "Name three colours."})
		if err != nil || got != g.Greedy.Prompt || tm.End != "<|im_end|>" {
			t.Errorf("%s: %q, %v; want %q", tm.Name, got, err, g.Greedy.Prompt)
		}
	}
}

// The supervised and preference rows of the instruction data have the same prompts.
func TestSplitOfInstructionData(t *testing.T) {
	file := shared(t, "BILEVEL_DATA", "data", "text", "instruction-data-with-preference.json")
	p := Pools{Supervised: readRows(t, ForSupervised, file).Rows, Preference: readRows(t, ForPreference, file).Rows}
	got, err := SplitRows(p, SplitSettings{Seed: 42})
	if err != nil {
		t.Fatal(err)
	}
	n := []int{len(got.Lower.IDs), len(got.Stage2.IDs), len(got.SupervisedEvaluation.IDs), len(got.Upper.IDs), len(got.PreferenceEvaluation.IDs)}
	if got.Leaks != 0 || n[0]+n[1]+n[2] != 1100 || n[3]+n[4] != 1100 || n[2] < 110 || n[2] > 112 || n[4] != n[2] || n[0]-n[1] < -2 || n[0]-n[1] > 2 {
		t.Errorf("lower, stage 2, evaluation, upper, evaluation: %v, %d leaks", n, got.Leaks)
	}
	all := slices.Concat(got.Lower.IDs, got.Stage2.IDs, got.SupervisedEvaluation.IDs)
	slices.Sort(all)
	if len(slices.Compact(all)) != 1100 {
		t.Error("a row is used twice")
	}
	faithful, err := SplitRows(p, SplitSettings{Faithful: true})
	if err != nil {
		t.Fatal(err)
	}
	// 3 % of 1100 is 33; repeated prompts further down leak too.
	if len(faithful.SupervisedEvaluation.IDs) != 33 || faithful.Leaks < 66 {
		t.Errorf("faithful: %d evaluation rows, %d leaks", len(faithful.SupervisedEvaluation.IDs), faithful.Leaks)
	}
}
