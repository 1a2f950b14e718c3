package training

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/llm/tune"
)

// Held is the held-out figures at one point of a training; unknown ones are NaN.
type Held struct {
	When                  string
	DPO, Accuracy, Margin float64
	SFT, Perplexity       float64
}

// HeldOut is what the stages did to the held-out figures: before, and after each.
func (d *Details) HeldOut() []Held {
	var all []Held
	for i, s := range d.Stages {
		if i == 0 {
			all = append(all, held("before", s.Before))
		}
		all = append(all, held("after stage "+s.Name, s.After))
	}
	return all
}

func held(when string, e tune.EvalSummary) Held {
	of := func(p *float64) float64 {
		if p == nil {
			return math.NaN()
		}
		return *p
	}
	return Held{when, of(e.UpperLoss), of(e.Accuracy), of(e.Margin), of(e.LowerLoss), math.Exp(of(e.LowerLoss))}
}

// Table is HeldOut as text, a column for each point.
func (d *Details) Table() (head []string, rows [][]string) {
	all := d.HeldOut()
	if len(all) == 0 {
		return nil, nil
	}
	head = []string{"held out"}
	for _, h := range all {
		head = append(head, h.When)
	}
	for _, m := range []struct {
		name string
		of   func(h Held) float64
	}{
		{"DPO loss", func(h Held) float64 { return h.DPO }}, {"DPO accuracy", func(h Held) float64 { return h.Accuracy }}, {"reward margin", func(h Held) float64 { return h.Margin }},
		{"SFT loss", func(h Held) float64 { return h.SFT }}, {"perplexity", func(h Held) float64 { return h.Perplexity }},
	} {
		row := []string{m.name}
		for _, h := range all {
			text := "-"
			if v := m.of(h); v-v == 0 {
				text = fmt.Sprintf("%.4f", v)
				if m.name == "perplexity" {
					text = fmt.Sprintf("%.2f", v)
				}
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return head, rows
}
