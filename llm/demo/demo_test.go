package demo_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/llm/demo"
)

// follower notes what it is told, and may end the demo.
type follower struct {
	phases     []string
	share      float64
	iterations int
	at         func(phase string)
	t          *testing.T
}

func (f *follower) Phase(text string) {
	f.phases = append(f.phases, text)
	if f.at != nil {
		f.at(text)
	}
}

func (f *follower) Step(share float64, _ string) {
	if share < f.share-1e-9 || share > 1+1e-9 {
		f.t.Errorf("share %g after %g", share, f.share)
	}
	f.share = share
}

func (f *follower) Iteration(*bilevel.Progress) error {
	f.iterations++
	return nil
}

// small is the demo with a tenth of its budget, a quarter of its base model and
// larger steps.
func small() demo.Settings {
	return demo.Settings{Backend: "go", Pretrain: 150, Budget: 16000, Stage2: 3000, Points: 1, HeldOut: 48, Prompts: 10, RateX: 0.004, RateY: 0.002}
}

func run(t *testing.T, ctx context.Context, s demo.Settings, f *follower) *demo.Result {
	t.Helper()
	f.t = t
	out, err := demo.Run(ctx, s, 1, f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func outcome(t *testing.T, r *demo.Result, name string) *demo.Outcome {
	t.Helper()
	i := slices.IndexFunc(r.Outcomes, func(o *demo.Outcome) bool { return o.Method == name })
	if i < 0 {
		t.Fatalf("%s is missing", name)
	}
	return r.Outcomes[i]
}

func TestDemo(t *testing.T) {
	f := &follower{}
	s := small()
	r := run(t, t.Context(), s, f)
	if r.Status != bilevel.Converged || len(r.Outcomes) != 7 || r.Answer().Method != "pbgd-free" || f.iterations != r.Answer().Steps {
		t.Fatalf("status %v, %d outcomes, %d iterations seen", r.Status, len(r.Outcomes), f.iterations)
	}
	// The reference is the base model itself.
	if b := r.Base; math.Abs(b.DPO.Value-math.Ln2) > 1e-6 || b.Margin != 0 {
		t.Errorf("the base model's DPO loss is %g, margin %g", b.DPO.Value, b.Margin)
	}
	// The goals conflict: each one alone is worse at the other than the base model.
	dpo, sft := outcome(t, r, "dpo"), outcome(t, r, "sft")
	if !(dpo.Bilevel.DPO.High < math.Ln2 && dpo.Bilevel.SFT.Low > r.Base.SFT.High) {
		t.Errorf("dpo: DPO loss %+v, SFT loss %+v, base %+v", dpo.Bilevel.DPO, dpo.Bilevel.SFT, r.Base.SFT)
	}
	if !(sft.Bilevel.SFT.Value < r.Base.SFT.Value && sft.Bilevel.DPO.Low > math.Ln2) {
		t.Errorf("sft: DPO loss %+v, SFT loss %+v, base %+v", sft.Bilevel.DPO, sft.Bilevel.SFT, r.Base.SFT)
	}
	for _, o := range r.Outcomes {
		// Equal budgets, up to one step of the dearest method.
		if over := o.Work.Passes() - int64(s.Budget); over < 0 || over > 2500 {
			t.Errorf("%s: %d passes of %d", o.Method, o.Work.Passes(), s.Budget)
		}
		// The curve, measured while training, ends where the scores of single rows are.
		i := slices.IndexFunc(o.Curve, func(p demo.Point) bool { return p.Stage == "bilevel" && p.Step == o.Steps })
		if i < 0 {
			t.Errorf("%s: no evaluation at the end of %d steps: %+v", o.Method, o.Steps, o.Curve)
			continue
		}
		p := o.Curve[i]
		if math.Abs(p.DPO-o.Bilevel.DPO.Value) > 1e-4 || math.Abs(p.SFT-o.Bilevel.SFT.Value) > 1e-4*math.Max(1, p.SFT) {
			t.Errorf("%s: curve ends at %g, %g, scores give %g, %g", o.Method, p.DPO, p.SFT, o.Bilevel.DPO.Value, o.Bilevel.SFT.Value)
		}
	}
	if a := r.Answer(); math.IsNaN(a.Omitted) || math.IsNaN(a.Delta) || !strings.Contains(r.Flat(), "safe") && !strings.Contains(r.Flat(), "negligible") {
		t.Errorf("flatness %g, %g: %s", a.Delta, a.Omitted, r.Flat())
	}
	c := r.Certificate()
	if c.Verdict != certify.Estimated || !c.Verdict.OK() || len(c.Checks) != 5 || !strings.Contains(c.Message, r.Flat()) {
		t.Errorf("certificate %+v", c)
	}
	for _, k := range c.Checks {
		if k.Interval == nil || !(k.Interval[0] <= k.Value && k.Value <= k.Interval[1]) {
			t.Errorf("%s: %v in %v", k.Name, k.Value, k.Interval)
		}
	}
}

// An interruption keeps the methods that came to their end, and the same seed gives
// the same bits.
func TestInterrupted(t *testing.T) {
	s := small()
	s.Pretrain, s.Budget, s.Stage2 = 10, 3000, 500
	upTo := func(phase string) *demo.Result {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return run(t, ctx, s, &follower{at: func(p string) {
			if strings.HasPrefix(p, phase) {
				cancel()
			}
		}})
	}
	a := upTo("alright")
	if a.Status != bilevel.Interrupted || len(a.Outcomes) != 2 || a.Certificate() == nil {
		t.Fatalf("status %v, %d outcomes", a.Status, len(a.Outcomes))
	}
	b := upTo("alright")
	if !reflect.DeepEqual(a.Base, b.Base) {
		t.Error("base models differ")
	}
	for i := range a.Outcomes {
		if !slices.Equal(a.Outcomes[i].X, b.Outcomes[i].X) || !slices.Equal(a.Outcomes[i].Y, b.Outcomes[i].Y) || !reflect.DeepEqual(a.Outcomes[i].Head, b.Outcomes[i].Head) {
			t.Errorf("%s differs", a.Outcomes[i].Method)
		}
	}
	if r := upTo("training"); r.Status != bilevel.Interrupted || r.Answer() != nil || r.Certificate() != nil || r.Place() != "" {
		t.Errorf("interrupted at once: %+v", r)
	}
}

func TestSettings(t *testing.T) {
	for _, s := range []demo.Settings{{Budget: -1}, {Gamma: -2}, {Backend: "abacus"}, {Prompts: 1000}} {
		if _, err := demo.Run(t.Context(), s, 1, &follower{t: t}, slog.New(slog.DiscardHandler)); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func at(method string, f, g, headF, headG float64) *demo.Outcome {
	measured := func(f, g float64) *demo.Measured {
		return &demo.Measured{DPO: demo.Estimate{Value: f}, SFT: demo.Estimate{Value: g}}
	}
	return &demo.Outcome{Method: method, Bilevel: measured(f, g), Head: measured(headF, headG), Omitted: math.NaN()}
}

func TestPareto(t *testing.T) {
	r := &demo.Result{Outcomes: []*demo.Outcome{at("a", 1, 1, 1, 3), at("b", 1, 2, 2, 2), at("c", .5, 3, 3, 1), at("d", 2, 2, 3, 3)}}
	for i, want := range [][]string{nil, {"a"}, nil, {"a", "b"}} {
		if got := r.Dominators(r.Outcomes[i], false); !slices.Equal(got, want) {
			t.Errorf("%s is dominated by %v, want %v", r.Outcomes[i].Method, got, want)
		}
	}
	if got := r.Pareto(true); got != "After the second stage no method is better at both levels than a, b and c. Dominated: d (by a, b and c)." {
		t.Error(got)
	}
	for omitted, want := range map[float64]string{.05: "was safe", .5: "not negligible", 3: "not safe"} {
		r.Outcomes[0].Omitted = omitted
		if !strings.Contains(r.Flat(), want) {
			t.Errorf("omitted %g: %s", omitted, r.Flat())
		}
	}
}
