package data

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
)

// Pools are the rows that a split deals out. The evaluation pools are for data that comes with its own
// evaluation files; where they are nil, evaluation rows are held out of the others.
type Pools struct {
	Supervised, Preference                     []Row
	SupervisedEvaluation, PreferenceEvaluation []Row
}

// SplitSettings say how rows are dealt out.
type SplitSettings struct {
	// Seed chooses which rows go where. It is not used in faithful mode.
	Seed uint64
	// Evaluation is the share of each pool that is held out, in (0, 1). Default 0.1; 0.03 in faithful mode.
	Evaluation float64
	// MaxSupervised and MaxPreference limit the training rows, after evaluation rows are
	// held out; 0 is no limit. In faithful mode they are the published max_samples: the first
	// rows are taken, before anything else.
	MaxSupervised, MaxPreference int
	// Faithful reproduces the published split, in which evaluation rows are training rows.
	Faithful bool
}

// Split is rows by their use. Lower and Stage2 are supervised: the lower level of the
// bilevel stage and the stage of the head alone that follows. Upper is preference data.
//
// The rows are recorded by id (JSON), so that a run says what it was trained on.
type Split struct {
	Mode                 string // "corrected" or "faithful"
	Seed                 uint64
	Lower, Stage2, Upper Part
	SupervisedEvaluation Part
	PreferenceEvaluation Part
	// Leaks counts training rows whose prompt is also one of an evaluation row: none
	// in corrected mode.
	Leaks int
	// Removed counts training rows that were left out because their prompt is in an
	// evaluation file of its own.
	Removed int
	// Unused counts training rows beyond the limits.
	Unused int
}

// Part is some rows and their ids. Only the ids are recorded.
type Part struct {
	IDs  []int
	Rows []Row `json:"-"`
}

func (p *Part) add(r Row) {
	p.IDs = append(p.IDs, r.ID)
	p.Rows = append(p.Rows, r)
}

// SplitRows deals rows out. Rows with the same prompt ([Row.Key]) go together: no prompt is
// in two of lower level, stage 2 and evaluation, whether the supervised and preference rows share prompts or
// not. A prompt of the preference rows is either in the upper level or in evaluation, and never
// in training of one kind and evaluation of the other. The lower level and stage 2 get half of the supervised training
// rows each, but for rows that must stay together.
//
// In faithful mode: the first MaxSupervised rows are the pool, its first half is the
// lower level, its second half stage 2, and the first 3 % of the pool are evaluation, so training rows are
// evaluated on; the first MaxPreference rows are the upper level, and evaluation is the first as many rows of
// the preference evaluation file, or the first 3 % of the upper level where there is none.
func SplitRows(p Pools, s SplitSettings) (*Split, error) {
	if s.Evaluation == 0 {
		s.Evaluation = .1
		if s.Faithful {
			s.Evaluation = .03
		}
	}
	switch {
	case !(s.Evaluation > 0 && s.Evaluation < 1):
		return nil, &bilevel.SettingError{Field: "Evaluation", Value: s.Evaluation, Allowed: "a number > 0 and < 1"}
	case s.MaxSupervised < 0 || s.MaxPreference < 0:
		return nil, &bilevel.SettingError{Field: "MaxSupervised, MaxPreference", Value: fmt.Sprintf("%d, %d", s.MaxSupervised, s.MaxPreference), Allowed: "integers >= 0"}
	}
	var out *Split
	if s.Faithful {
		out = faithful(p, s)
	} else {
		out = corrected(p, s)
	}
	evaluated := keys(out.SupervisedEvaluation.Rows, out.PreferenceEvaluation.Rows)
	for _, part := range []*Part{&out.Lower, &out.Stage2, &out.Upper} {
		for i := range part.Rows {
			if evaluated[part.Rows[i].Key()] {
				out.Leaks++
			}
		}
	}
	for _, part := range []struct {
		name string
		pool []Row
		rows []Row
	}{
		{"lower level", p.Supervised, out.Lower.Rows}, {"stage 2", p.Supervised, out.Stage2.Rows}, {"supervised evaluation", p.Supervised, out.SupervisedEvaluation.Rows},
		{"upper level", p.Preference, out.Upper.Rows}, {"preference evaluation", p.Preference, out.PreferenceEvaluation.Rows},
	} {
		if len(part.pool) > 0 && len(part.rows) == 0 {
			return nil, &bilevel.SettingError{Field: "rows to split", Value: len(part.pool), Allowed: fmt.Sprintf("enough rows with different prompts for every part: the %s got none", part.name)}
		}
	}
	return out, nil
}

func first(rows []Row, n int) []Row {
	if n > 0 && n < len(rows) {
		return rows[:n]
	}
	return rows
}

func faithful(p Pools, s SplitSettings) *Split {
	out := &Split{Mode: "faithful"}
	sft, dpo := first(p.Supervised, s.MaxSupervised), first(p.Preference, s.MaxPreference)
	out.Unused = len(p.Supervised) - len(sft) + len(p.Preference) - len(dpo)
	for i, r := range sft {
		if i < len(sft)/2 {
			out.Lower.add(r)
		} else {
			out.Stage2.add(r)
		}
		if i < int(s.Evaluation*float64(len(sft))) {
			out.SupervisedEvaluation.add(r)
		}
	}
	if p.SupervisedEvaluation != nil {
		out.SupervisedEvaluation = Part{}
		for _, r := range first(p.SupervisedEvaluation, s.MaxSupervised) {
			out.SupervisedEvaluation.add(r)
		}
	}
	held := first(p.PreferenceEvaluation, s.MaxPreference)
	if held == nil {
		held = dpo[:int(s.Evaluation*float64(len(dpo)))]
	}
	for _, r := range dpo {
		out.Upper.add(r)
	}
	for _, r := range held {
		out.PreferenceEvaluation.add(r)
	}
	return out
}

// keys are the prompts of rows.
func keys(pools ...[]Row) map[string]bool {
	out := map[string]bool{}
	for _, rows := range pools {
		for i := range rows {
			out[rows[i].Key()] = true
		}
	}
	return out
}

// group is all rows that ask the same.
type group struct {
	supervised, preference []Row
}

// groups puts rows together by prompt, in order of first appearance.
func groups(supervised, preference []Row) []*group {
	var out []*group
	at := map[string]*group{}
	find := func(r *Row) *group {
		key := r.Key()
		g := at[key]
		if g == nil {
			g = &group{}
			at[key] = g
			out = append(out, g)
		}
		return g
	}
	for i := range supervised {
		g := find(&supervised[i])
		g.supervised = append(g.supervised, supervised[i])
	}
	for i := range preference {
		g := find(&preference[i])
		g.preference = append(g.preference, preference[i])
	}
	return out
}

func corrected(p Pools, s SplitSettings) *Split {
	out := &Split{Mode: "corrected", Seed: s.Seed}
	// Evaluation files first: their prompts are taken out of training.
	held := keys(p.SupervisedEvaluation, p.PreferenceEvaluation)
	var needSFT, needDPO int // rows still to be held out
	if p.SupervisedEvaluation == nil {
		needSFT = share(s.Evaluation, len(p.Supervised))
	}
	if p.PreferenceEvaluation == nil {
		needDPO = share(s.Evaluation, len(p.Preference))
	}
	for _, r := range p.SupervisedEvaluation {
		out.SupervisedEvaluation.add(r)
	}
	for _, r := range p.PreferenceEvaluation {
		out.PreferenceEvaluation.add(r)
	}
	all := groups(p.Supervised, p.Preference)
	h := fnv.New64a()
	h.Write([]byte("split"))
	rng := rand.New(rand.NewPCG(s.Seed, h.Sum64()))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var train []*group
	for _, g := range all {
		rows := append(g.supervised[:len(g.supervised):len(g.supervised)], g.preference...)
		switch {
		case held[rows[0].Key()]:
			out.Removed += len(rows)
		case needSFT > 0 && len(g.supervised) > 0 || needDPO > 0 && len(g.preference) > 0:
			// With a file of its own for one kind, rows of that kind with a held-out prompt are
			// not used at all.
			for _, r := range g.supervised {
				if p.SupervisedEvaluation == nil {
					out.SupervisedEvaluation.add(r)
				} else {
					out.Removed++
				}
			}
			for _, r := range g.preference {
				if p.PreferenceEvaluation == nil {
					out.PreferenceEvaluation.add(r)
				} else {
					out.Removed++
				}
			}
			needSFT -= len(g.supervised)
			needDPO -= len(g.preference)
		default:
			train = append(train, g)
		}
	}
	out.deal(train, s)
	return out
}

// share is a part of n rows, at least one of two or more.
func share(fraction float64, n int) int {
	if n < 2 {
		return 0
	}
	return max(1, int(fraction*float64(n)+.5))
}

// deal fills the training parts. A group's supervised rows go to the half that has fewer.
func (out *Split) deal(train []*group, s SplitSettings) {
	used := 0
	for _, g := range train {
		for _, r := range g.preference {
			if s.MaxPreference > 0 && len(out.Upper.Rows) == s.MaxPreference {
				out.Unused++
				continue
			}
			out.Upper.add(r)
		}
		half := &out.Lower
		if len(out.Stage2.Rows) < len(out.Lower.Rows) {
			half = &out.Stage2
		}
		for _, r := range g.supervised {
			if s.MaxSupervised > 0 && used == s.MaxSupervised {
				out.Unused++
				continue
			}
			half.add(r)
			used++
		}
	}
}
