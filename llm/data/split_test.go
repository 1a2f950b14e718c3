package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// pool makes n rows with ids from 0; every seventh repeats the prompt before it.
func pool(n int, prefix string) []Row {
	rows := make([]Row, n)
	for i := range rows {
		k := i
		if i%7 == 6 {
			k--
		}
		rows[i] = Row{ID: i, Instruction: fmt.Sprint(prefix, k), Response: fmt.Sprint("r", i), Chosen: "c", Rejected: "d"}
	}
	return rows
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Pools
		s    SplitSettings
	}{
		{"same prompts", Pools{Supervised: pool(300, "a"), Preference: pool(300, "a")}, SplitSettings{Seed: 1}},
		{"some shared", Pools{Supervised: pool(300, "a"), Preference: append(pool(100, "a"), pool(150, "b")...)}, SplitSettings{Seed: 2, Evaluation: .2}},
		{"none shared", Pools{Supervised: pool(50, "a"), Preference: pool(400, "b")}, SplitSettings{Seed: 3, MaxPreference: 100, MaxSupervised: 20}},
		{"evaluation files", Pools{Supervised: pool(300, "a"), Preference: pool(300, "a"), SupervisedEvaluation: pool(30, "a"), PreferenceEvaluation: pool(40, "z")}, SplitSettings{Seed: 4}},
		{"one evaluation file", Pools{Supervised: pool(300, "a"), Preference: pool(300, "a"), PreferenceEvaluation: pool(40, "a")}, SplitSettings{Seed: 5}},
		{"supervised only", Pools{Supervised: pool(300, "a")}, SplitSettings{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := SplitRows(c.p, c.s)
			if err != nil {
				t.Fatal(err)
			}
			// A prompt has one use among lower level, stage 2 and evaluation.
			use := map[string]string{}
			mark := func(name string, rows []Row) {
				for i := range rows {
					key := rows[i].Key()
					if use[key] != "" && use[key] != name {
						t.Fatalf("prompt %q is in %s and in %s", rows[i].Instruction, use[key], name)
					}
					use[key] = name
				}
			}
			mark("lower level", got.Lower.Rows)
			mark("stage 2", got.Stage2.Rows)
			mark("evaluation", got.SupervisedEvaluation.Rows)
			mark("evaluation", got.PreferenceEvaluation.Rows)
			for i := range got.Upper.Rows {
				if use[got.Upper.Rows[i].Key()] == "evaluation" {
					t.Fatalf("prompt %q is in the upper level and in evaluation", got.Upper.Rows[i].Instruction)
				}
			}
			if got.Leaks != 0 {
				t.Errorf("%d leaks", got.Leaks)
			}
			if d := len(got.Lower.IDs) - len(got.Stage2.IDs); d < -2 || d > 2 {
				t.Errorf("lower level %d rows, stage 2 %d", len(got.Lower.IDs), len(got.Stage2.IDs))
			}
			total := got.Removed + got.Unused
			for _, p := range []Part{got.Lower, got.Stage2, got.Upper, got.SupervisedEvaluation, got.PreferenceEvaluation} {
				total += len(p.IDs)
				for i, r := range p.Rows {
					if r.ID != p.IDs[i] {
						t.Fatalf("row %d is recorded as %d", r.ID, p.IDs[i])
					}
				}
			}
			if want := len(c.p.Supervised) + len(c.p.Preference) + len(c.p.SupervisedEvaluation) + len(c.p.PreferenceEvaluation); total != want {
				t.Errorf("%d rows dealt out, want %d", total, want)
			}
			if n := len(got.Lower.IDs) + len(got.Stage2.IDs); c.s.MaxSupervised > 0 && n != c.s.MaxSupervised {
				t.Errorf("%d supervised training rows, want %d", n, c.s.MaxSupervised)
			}
			if n := len(got.Upper.IDs); c.s.MaxPreference > 0 && n != c.s.MaxPreference {
				t.Errorf("%d preference training rows, want %d", n, c.s.MaxPreference)
			}
			if want := share(max(c.s.Evaluation, .1), len(c.p.Supervised)); c.p.SupervisedEvaluation == nil && len(got.SupervisedEvaluation.IDs) < want {
				t.Errorf("%d supervised evaluation rows, want at least %d", len(got.SupervisedEvaluation.IDs), want)
			}
			again, _ := SplitRows(c.p, c.s)
			a, _ := json.Marshal(got)
			b, _ := json.Marshal(again)
			c.s.Seed += 100
			other, _ := SplitRows(c.p, c.s)
			d, _ := json.Marshal(other)
			if string(a) != string(b) || string(a) == string(d) {
				t.Error("the split does not depend on the seed alone")
			}
		})
	}
}

// The published split: 4800 rows, 2400 and 2400, evaluation on the first 144 of them.
func TestFaithfulSplit(t *testing.T) {
	var sft, dpo []Row
	for i := range 6000 {
		sft = append(sft, Row{ID: i, Instruction: fmt.Sprint("s", i)})
		dpo = append(dpo, Row{ID: i, Instruction: fmt.Sprint("d", i)})
	}
	got, err := SplitRows(Pools{Supervised: sft, Preference: dpo, PreferenceEvaluation: pool(5000, "t")}, SplitSettings{Faithful: true, MaxSupervised: 4800, MaxPreference: 4800})
	if err != nil {
		t.Fatal(err)
	}
	count := func(from, n int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = from + i
		}
		return out
	}
	for _, c := range []struct {
		name string
		got  Part
		want []int
	}{
		{"lower level", got.Lower, count(0, 2400)}, {"stage 2", got.Stage2, count(2400, 2400)}, {"upper level", got.Upper, count(0, 4800)},
		{"supervised evaluation", got.SupervisedEvaluation, count(0, 144)}, {"preference evaluation", got.PreferenceEvaluation, count(0, 4800)},
	} {
		if !slices.Equal(c.got.IDs, c.want) {
			t.Errorf("%s: %d rows from %d, want %d from %d", c.name, len(c.got.IDs), c.got.IDs[0], len(c.want), c.want[0])
		}
	}
	if got.Leaks != 144 || got.Mode != "faithful" {
		t.Errorf("mode %s, %d leaks; want faithful, 144", got.Mode, got.Leaks)
	}
}

func TestSplitRefuses(t *testing.T) {
	var bad *bilevel.SettingError
	same := []Row{{ID: 0, Instruction: "a"}, {ID: 1, Instruction: " a "}, {ID: 2, Instruction: "a"}}
	for _, c := range []struct {
		p Pools
		s SplitSettings
	}{
		{Pools{Supervised: pool(9, "a")}, SplitSettings{Evaluation: 1}},
		{Pools{Supervised: pool(9, "a")}, SplitSettings{Evaluation: -.1}},
		{Pools{Supervised: pool(9, "a")}, SplitSettings{MaxSupervised: -1}},
		{Pools{Supervised: same}, SplitSettings{}},
		{Pools{Supervised: pool(1, "a")}, SplitSettings{Faithful: true}},
	} {
		if _, err := SplitRows(c.p, c.s); !errors.As(err, &bad) {
			t.Errorf("%d rows, %+v: %v, want a *bilevel.SettingError", len(c.p.Supervised), c.s, err)
		}
	}
}
