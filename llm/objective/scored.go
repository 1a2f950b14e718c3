// Package objective holds the losses of language-model post-training as graph
// functions of hidden states and an output head: supervised fine-tuning, direct
// preference optimization and distillation.
//
// Only scored positions (the tokens of responses) meet the head: their states are
// gathered first, so that the product with the head and the softmax over the
// vocabulary run on them alone. Backbone and head come in separately, so that
// states computed once serve any number of steps of the head.
//
// Let z_n = head h_n be the logits at scored position n, t_n its target, w_n its
// weight.
//
//	l_n   = z_n[t_n] - log sum_v exp z_n[v]               log-probability
//	SFT   = -sum_n w_n l_n / sum_n w_n
//	L_r   = sum over the positions n of sequence r of w_n l_n
//	DPO   = -(1-eps) log s(beta d) - eps log s(-beta d),
//	        d = (L_chosen - L_rejected) - (R_chosen - R_rejected)
//	IPO   = (d - 1/(2 beta))^2
//	KD    = -sum_n w_n sum_v softmax(teacher_n)[v] log softmax(z_n)[v] / sum_n w_n
//
// with s the logistic function and R the reference model's L. Sources: DPO, Rafailov
// et al. 2023 (arXiv 2305.18290, eq. 7; label smoothing eps as in its published
// code); IPO, Azar et al. 2023 (arXiv 2310.12036, eq. 17), here with summed and not
// averaged log-probabilities.
//
// Assumptions: log-probabilities of a sequence are sums over its response, so long
// responses weigh more in DPO than short ones; the reference is constant.
//
// Failure modes: a batch whose weights are all 0 gives NaN (0/0) and must be left
// out by the caller; a target outside the vocabulary is undefined.
package objective

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/network"
)

// Node is a value inside a graph.
type Node = graph.Node

// Scored says which positions of a batch are scored. All are vectors [N], padded at
// the end with weight 0 (At, Target and Row are 0 there).
type Scored struct {
	At     *Node // int32: b*T + t of the position that predicts
	Target *Node // int32: the token that it should predict, the one at t+1
	Row    *Node // int32: the sequence it belongs to; needed by SequenceLogProbs only
	Weight *Node // float32
}

// Gather takes the scored positions out of hidden states [B, T, H]: [N, H].
func (s Scored) Gather(hidden *Node) *Node {
	h := hidden.Shape().Dimensions[hidden.Rank()-1]
	return graph.Gather(graph.Reshape(hidden, -1, h), graph.InsertAxes(s.At, -1))
}

// LogProbs is the log-probability of each target, [N], for states [N, H] of the
// scored positions and a head [V, H].
func LogProbs(states, head *Node, s Scored) *Node {
	n := s.Target.Shape().Dimensions[0]
	logits := network.Logits(states, head)
	at := graph.Concatenate([]*Node{
		graph.Iota(logits.Graph(), shapes.Make(dtypes.Int32, n, 1), 0),
		graph.InsertAxes(s.Target, -1),
	}, -1)
	lse, softmax := logSumExp(logits)
	return perRow(logits, func(z *Node) *Node {
		return graph.Sub(graph.Gather(z, at), graph.StopGradient(lse))
	}, func(d *Node) *Node { // d (onehot - softmax)
		return graph.ScatterSum(graph.Mul(softmax, graph.Neg(d)), at, graph.Reshape(d, n), false, true)
	})
}

// SequenceLogProbs is the weighted sum of log-probabilities [N] over each of the
// first rows sequences, [rows].
func SequenceLogProbs(logProbs *Node, s Scored, rows int) *Node {
	n := s.Row.Shape().Dimensions[0]
	grid := shapes.Make(dtypes.Int32, rows, n)
	own := graph.Equal(graph.Iota(logProbs.Graph(), grid, 0), graph.BroadcastPrefix(s.Row, rows))
	// Not a scatter: a sum in a fixed order gives the same bits everywhere.
	weighted := graph.BroadcastPrefix(graph.Mul(logProbs, s.Weight), rows)
	return graph.ReduceSum(graph.Where(own, weighted, graph.ScalarZero(logProbs.Graph(), dtypes.Float32)), 1)
}

// SFT is the mean cross-entropy of the targets, weighted. A gradient accumulated
// over several batches needs the mean over all of them: see NegativeLogLikelihood.
func SFT(states, head *Node, s Scored) *Node {
	return graph.Div(NegativeLogLikelihood(states, head, s), graph.ReduceAllSum(s.Weight))
}

// NegativeLogLikelihood is the weighted sum -sum_n w_n l_n. Where weights are
// divided by their sum over all accumulated batches beforehand, the sum over the
// batches is the mean cross-entropy.
func NegativeLogLikelihood(states, head *Node, s Scored) *Node {
	return graph.Neg(graph.ReduceAllSum(graph.Mul(LogProbs(states, head, s), s.Weight)))
}
