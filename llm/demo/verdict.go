package demo

import (
	"fmt"
	"math"
	"strings"

	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/llm/tune"
	"github.com/bilevel-go/bilevel/method"
)

// Answer is the outcome of the first method, whose point is the demo's answer; nil
// where it did not come to its end.
func (r *Result) Answer() *Outcome {
	if len(r.Outcomes) == 0 {
		return nil
	}
	return r.Outcomes[0]
}

// Dominators are the methods that are no worse than o at both levels and better at
// one, by the held-out losses after the bilevel stage, or after the second.
func (r *Result) Dominators(o *Outcome, head bool) []string {
	at := func(o *Outcome) (f, g float64) {
		m := o.Bilevel
		if head {
			m = o.Head
		}
		return m.DPO.Value, m.SFT.Value
	}
	f, g := at(o)
	var all []string
	for _, other := range r.Outcomes {
		if a, b := at(other); a <= f && b <= g && (a < f || b < g) {
			all = append(all, other.Method)
		}
	}
	return all
}

// Pareto says which methods others are better than at both levels, and where the
// answer stands.
func (r *Result) Pareto(head bool) string {
	when := "After the bilevel stage"
	if head {
		when = "After the second stage"
	}
	var front, behind []string
	for _, o := range r.Outcomes {
		by := r.Dominators(o, head)
		if len(by) == 0 {
			front = append(front, o.Method)
		} else {
			behind = append(behind, o.Method+" (by "+list(by)+")")
		}
	}
	text := fmt.Sprintf("%s no method is better at both levels than %s.", when, list(front))
	if len(behind) > 0 {
		text += " Dominated: " + list(behind) + "."
	}
	return text
}

// Place says what the answer gives up and gains between the two goals: how far it
// goes from each one's own training to the other's.
func (r *Result) Place() string {
	a := r.Answer()
	if a == nil {
		return ""
	}
	text := fmt.Sprintf("%s ends at DPO loss %.3f and SFT loss %.3f; the base model has %.3f and %.3f", a.Method, a.Bilevel.DPO.Value, a.Bilevel.SFT.Value, r.Base.DPO.Value, r.Base.SFT.Value)
	var ends []string
	for _, o := range r.Outcomes {
		if o.Method == "dpo" || o.Method == "sft" {
			ends = append(ends, fmt.Sprintf("%s alone ends at %.3f and %.3f", o.Method, o.Bilevel.DPO.Value, o.Bilevel.SFT.Value))
		}
	}
	if len(ends) > 0 {
		text += ", and " + list(ends)
	}
	text += ". "
	if by := r.Dominators(a, false); len(by) > 0 {
		return text + capital(list(by)) + " is better at both levels."
	}
	return text + "No other method is better at both levels."
}

// omittedLarge is the size of the omitted terms, relative to the gradient that is
// kept, from which they are larger than what is kept.
const omittedLarge = 1

// Flat says in plain words whether dropping the value-function terms was safe here.
func (r *Result) Flat() string {
	a := r.Answer()
	if a == nil || math.IsNaN(a.Omitted) {
		return "Flatness was not measured."
	}
	figures := fmt.Sprintf("on held-out rows the terms that PBGD-Free leaves out are at most %.2g times as long as the gradient that it keeps (delta at most %.2g)", a.Omitted, a.Delta)
	switch {
	case a.Omitted <= tune.SafeOmitted:
		return "Leaving the value-function terms out was safe here: " + figures + "."
	case a.Omitted <= omittedLarge:
		return "Leaving the value-function terms out was not negligible here: " + figures + "; compare with v-pbgd, which keeps them."
	}
	return "Leaving the value-function terms out was not safe here: " + figures + "; use v-pbgd, which keeps them."
}

// Certificate is the measurement of the answer on held-out rows; nil where there is
// no answer. Its losses come from scores of single rows by a forward pass of their
// own, its lower-level gap from the second stage, which trains the head on at the
// same x, on rows that the answer has not seen.
func (r *Result) Certificate() *certify.Certificate {
	a := r.Answer()
	if a == nil {
		return nil
	}
	nan := certify.Number(math.NaN())
	gap := gained(a.Bilevel, a.Head)
	c := &certify.Certificate{Verdict: certify.Estimated, Upper: certify.Number(a.Bilevel.DPO.Value), Lower: certify.Number(a.Bilevel.SFT.Value),
		LowerGap: certify.Interval{certify.Number(gap.Low), certify.Number(gap.High)},
		LowerKKT: nan, Complementarity: nan, UpperError: nan, UpperSpread: certify.Interval{nan, nan},
		Hypergradient: certify.Hypergradient{Norm: nan, Error: nan, Probe: nan, Slope: nan, Decrease: nan},
		Flatness:      certify.Flatness{Delta: certify.Number(a.Delta), Alpha: method.FlatAlpha, C: method.FlatC, OmittedRatio: certify.Number(a.Omitted), Gamma: certify.Number(r.Settings.Gamma)},
		Notes: []string{
			"the lower-level gap is by how much the second stage, which trains the head alone at the same x on rows that were not used before, lowers g on held-out rows",
			"flatness is the largest of those measured at the start, halfway and at the end of the run, each by continuing y for 20 steps with and without f/gamma and comparing both on held-out rows",
		}}
	c.Message = fmt.Sprintf("Every figure is an estimate from held-out rows, with its 95 %% interval: f = %s, g = %s. Training the head on, at the same x, lowers g by %s. %s",
		interval(a.Bilevel.DPO), interval(a.Bilevel.SFT), interval(gap), r.Flat())
	for _, k := range []struct {
		name string
		e    Estimate
		what string
	}{
		{"held-out DPO loss", a.Bilevel.DPO, "Mean over pairs, in nats; ln 2 = 0.693 is that of the base model."},
		{"held-out DPO accuracy", a.Bilevel.Accuracy, "Share of pairs whose chosen response gains more probability over the base model than the rejected one."},
		{"held-out SFT loss", a.Bilevel.SFT, "Mean over response tokens, in nats."},
		{"held-out perplexity", a.Bilevel.Perplexity, "The exponential of the SFT loss."},
		{"exact match", share(a.Bilevel.Answers.Exact, a.Bilevel.Answers.Asked), "Share of held-out prompts that the model answers with the supervised response, word for word."},
	} {
		c.Checks = append(c.Checks, certify.Check{Name: k.name, Value: certify.Number(k.e.Value), Tolerance: nan,
			Interval: &certify.Interval{certify.Number(k.e.Low), certify.Number(k.e.High)}, Sentence: k.what})
	}
	return c
}

func interval(e Estimate) string { return fmt.Sprintf("%.3f [%.3f, %.3f]", e.Value, e.Low, e.High) }

// list joins names with commas and "and".
func list(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
