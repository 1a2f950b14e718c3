package objective_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/objective"
)

var models = []struct{ dir, config, golden string }{
	{"stories260k", "", "golden"},
	{"tiny_llama_gqa", "", "golden"},
	{"tiny_llama_gqa", "config_rope_llama3.json", "golden_rope_llama3"},
	{"tiny_neox", "", "golden"},
	{"tiny_neox", "config_sequential.json", "golden_sequential"},
}

// Tolerances relative to the largest entry. transformers in float32 differs from
// the float64 goldens by up to 2e-6 of it in gradients; log-probabilities of
// sequences add up tens of tokens. The DPO loss and rewards are small differences
// of these sums, so their errors are measured against the sums times beta.
const (
	gradientTolerance = 1e-5
	valueTolerance    = 2e-6
)

type losses struct {
	Loss       float32
	SeqLogprob []float32 `json:"seq_logprob"`
}

type golden struct {
	SFT      lmtest.Batch
	Chosen   lmtest.Batch `json:"dpo_chosen"`
	Rejected lmtest.Batch `json:"dpo_rejected"`
	Float64  struct {
		Base, LoRA losses
		DPO        struct {
			Beta           float64
			Loss, Accuracy float32
			Margin         float32   `json:"margin_mean"`
			PolicyChosen   []float32 `json:"policy_chosen"`
			PolicyRejected []float32 `json:"policy_rejected"`
			RefChosen      []float32 `json:"ref_chosen"`
			RefRejected    []float32 `json:"ref_rejected"`
			RewardChosen   []float32 `json:"reward_chosen"`
			RewardRejected []float32 `json:"reward_rejected"`
			PerPair        []float32 `json:"per_pair_loss"`
		}
	}
}

// scored feeds the scored positions of a batch.
func scored(f *lmtest.Feed, name string, b lmtest.Batch, pad int) objective.Scored {
	at, target, row, weight := b.Positions(pad)
	return objective.Scored{
		At: f.Int(name+"/at", at, len(at)), Target: f.Int(name+"/target", target, len(at)),
		Row: f.Int(name+"/row", row, len(at)), Weight: f.Float(name+"/weight", weight, len(at)),
	}
}

// subject is a golden model with everything that tests of it need.
type subject struct {
	*lmtest.Model
	net     *network.Network
	golden  golden
	adapter []lora.Parameter
	bind    func(f *lmtest.Feed) *network.Adapter
	tensor  func(name string) []float32
	names   []string
}

func open(t testing.TB, dir, config, file string) *subject {
	s := &subject{Model: lmtest.Open(t, lmtest.Golden(t, dir), config)}
	var err error
	if s.net, err = network.New(s.Config); err != nil {
		t.Fatal(err)
	}
	a := s.Adapter(t, lmtest.Golden(t, dir, "adapter"))
	s.adapter = lora.Parameters(a)
	s.bind = func(f *lmtest.Feed) *network.Adapter { return lora.Bind(a, f.Parameters(s.adapter)) }
	lmtest.JSON(t, lmtest.Golden(t, dir, file+".json"), &s.golden)
	store := lmtest.Tensors(t, lmtest.Golden(t, dir, file+".safetensors"))
	s.names = store.Names()
	s.tensor = func(name string) []float32 { v, _ := lmtest.Tensor(t, store, name); return v }
	return s
}

// gradients are the names under a prefix of the golden file.
func (s *subject) gradients(prefix string) (names []string) {
	for _, n := range s.names {
		if name, ok := strings.CutPrefix(n, prefix); ok {
			names = append(names, name)
		}
	}
	return names
}

// node finds a weight, the head or a factor of the adapter.
func (s *subject) node(f *lmtest.Feed, name string) *graph.Node {
	if strings.Contains(name, ".lora_") {
		return f.Parameters(s.adapter)(strings.TrimPrefix(name, "base_model.model."))
	}
	if name == "lm_head.weight" {
		name = s.Config.HeadName() // as transformers 5.14 spells NeoX's too
	}
	return f.Weights(s.Model)(name)
}

func TestGoldenLosses(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, backend compute.Backend) {
		for _, m := range models {
			t.Run(fmt.Sprintf("%s/%s", m.dir, m.golden), func(t *testing.T) {
				lmtest.Sample(t, backend, m.dir == "stories260k" || m.golden == "golden_sequential")
				s := open(t, m.dir, m.config, m.golden)
				t.Run("base", func(t *testing.T) {
					lmtest.Sample(t, backend, m.dir == "tiny_neox")
					s.testSFT(t, backend, "base/grad/", s.golden.Float64.Base, func(*lmtest.Feed) *network.Adapter { return nil })
				})
				t.Run("lora", func(t *testing.T) {
					lmtest.Sample(t, backend, false)
					s.testSFT(t, backend, "lora/grad/", s.golden.Float64.LoRA, s.bind)
				})
				t.Run("dpo", func(t *testing.T) { s.testDPO(t, backend) })
			})
		}
	})
}

func (s *subject) testSFT(t *testing.T, backend compute.Backend, prefix string, want losses, bind func(f *lmtest.Feed) *network.Adapter) {
	names := s.gradients(prefix)
	if len(names) < 5 {
		t.Fatalf("%d gradients in the golden file", len(names))
	}
	got := lmtest.Run(t, backend, func(f *lmtest.Feed) []*graph.Node {
		at := scored(f, "sft", s.golden.SFT, 16)
		hidden := s.net.Hidden(f.Weights(s.Model), bind(f), f.IDs("ids", s.golden.SFT))
		states, head := at.Gather(hidden), s.node(f, s.Config.HeadName())
		loss := objective.SFT(states, head, at)
		outputs := []*graph.Node{loss, objective.SequenceLogProbs(objective.LogProbs(states, head, at), at, len(s.golden.SFT.IDs))}
		var with []*graph.Node
		for _, name := range names {
			with = append(with, s.node(f, name))
		}
		return append(outputs, graph.Gradient(loss, with...)...)
	})
	lmtest.Near(t, "loss", got[0], []float32{want.Loss}, valueTolerance)
	lmtest.Near(t, "log-probabilities", got[1], want.SeqLogprob, valueTolerance)
	for i, name := range names {
		lmtest.Near(t, name, got[2+i], s.tensor(prefix+name), gradientTolerance)
	}
}

func (s *subject) testDPO(t *testing.T, backend compute.Backend) {
	want := &s.golden.Float64.DPO
	batch := s.golden.Chosen.Join(s.golden.Rejected)
	names := s.gradients("dpo/grad/")
	if len(names) < 5 {
		t.Fatalf("%d gradients in the golden file", len(names))
	}
	got := lmtest.Run(t, backend, func(f *lmtest.Feed) []*graph.Node {
		at := scored(f, "dpo", batch, 16)
		ids, head := f.IDs("ids", batch), s.node(f, s.Config.HeadName())
		sums := func(a *network.Adapter) *graph.Node {
			states := at.Gather(s.net.Hidden(f.Weights(s.Model), a, ids))
			return objective.SequenceLogProbs(objective.LogProbs(states, head, at), at, len(batch.IDs))
		}
		policy, reference := sums(s.bind(f)), sums(nil)
		p := objective.DPO{Beta: want.Beta}.Loss(policy, reference, nil)
		var with []*graph.Node
		for _, name := range names {
			with = append(with, s.node(f, name))
		}
		return append([]*graph.Node{policy, reference, p.Loss, p.Accuracy, p.Margin, p.Losses, p.Chosen, p.Rejected},
			graph.Gradient(p.Loss, with...)...)
	})
	lmtest.Near(t, "policy", got[0], append(want.PolicyChosen, want.PolicyRejected...), valueTolerance)
	lmtest.Near(t, "reference", got[1], append(want.RefChosen, want.RefRejected...), valueTolerance)
	// beta times the sums' own size, about 10.
	for i, c := range []struct {
		name string
		want []float32
	}{
		{"loss", []float32{want.Loss}}, {"accuracy", []float32{want.Accuracy}}, {"margin", []float32{want.Margin}},
		{"losses", want.PerPair}, {"chosen rewards", want.RewardChosen}, {"rejected rewards", want.RewardRejected},
	} {
		for j, w := range c.want {
			if d := got[2+i][j] - w; !(d < 1e-5 && d > -1e-5) {
				t.Errorf("%s: entry %d is %g, want %g", c.name, j, got[2+i][j], w)
			}
		}
	}
	for i, name := range names {
		lmtest.Near(t, name, got[8+i], s.tensor("dpo/grad/"+name), gradientTolerance)
	}
}
