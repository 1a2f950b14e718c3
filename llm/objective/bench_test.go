package objective_test

import (
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/objective"
)

// BenchmarkStep is one evaluation with its gradient on the real pairs of the golden
// batch of stories260k, repeated: DPO by the adapter's factors, the reference's
// log-probabilities given, and SFT by the head, from states and from tokens.
func BenchmarkStep(b *testing.B) {
	for _, spec := range []string{backend.Go, backend.XLA + ":cpu"} {
		b.Run(spec, func(b *testing.B) {
			engine := backendtest.Open(b, spec)
			s := open(b, "stories260k", "", "golden")
			b.Run("DPO/adapter", func(b *testing.B) { s.benchmarkDPO(b, engine, false) })
			b.Run("DPO/adapter/checkpoint", func(b *testing.B) { s.benchmarkDPO(b, engine, true) })
			b.Run("SFT/head", func(b *testing.B) { s.benchmarkSFT(b, engine) })
		})
	}
}

const benchmarkPairs = 9

func (s *subject) benchmarkDPO(b *testing.B, engine compute.Backend, checkpoint bool) {
	chosen, rejected := s.golden.Chosen, s.golden.Rejected
	for len(chosen.IDs) < benchmarkPairs {
		chosen, rejected = chosen.Join(s.golden.Chosen), rejected.Join(s.golden.Rejected)
	}
	batch := chosen.Join(rejected)
	s.net.Checkpoint = checkpoint
	defer func() { s.net.Checkpoint = false }()
	f := lmtest.NewFeed(engine, "DPO")
	defer f.Finalize()
	at := scored(f, "dpo", batch, 64)
	ids, head, rows := f.IDs("ids", batch), s.node(f, s.Config.HeadName()), len(batch.IDs)
	states := at.Gather(s.net.Hidden(f.Weights(s.Model), s.bind(f), ids))
	policy := objective.SequenceLogProbs(objective.LogProbs(states, head, at), at, rows)
	loss := objective.DefaultDPO().Loss(policy, f.Float("reference", make([]float32, rows), rows), nil).Loss
	var with []*graph.Node
	for _, p := range s.adapter {
		with = append(with, f.Parameters(s.adapter)(p.Name))
	}
	measure(b, f, rows*len(batch.IDs[0]), append(graph.Gradient(loss, with...), loss)...)
}

func (s *subject) benchmarkSFT(b *testing.B, engine compute.Backend) {
	batch := s.golden.SFT
	for len(batch.IDs) < 2*benchmarkPairs {
		batch = batch.Join(s.golden.SFT)
	}
	f := lmtest.NewFeed(engine, "SFT")
	defer f.Finalize()
	at := scored(f, "sft", batch, 64)
	head := s.node(f, s.Config.HeadName())
	states := at.Gather(s.net.Hidden(f.Weights(s.Model), nil, f.IDs("ids", batch)))
	loss := objective.SFT(states, head, at)
	measure(b, f, len(batch.IDs)*len(batch.IDs[0]), append(graph.Gradient(loss, head), loss)...)
}

func measure(b *testing.B, f *lmtest.Feed, tokens int, outputs ...*graph.Node) {
	run := f.Compile(b, outputs...)
	b.ReportAllocs()
	for b.Loop() {
		for _, t := range run() {
			t.FinalizeAll()
		}
	}
	b.ReportMetric(float64(tokens)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}
