package objective

import (
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/network"
)

// Distill is the mean cross-entropy to a teacher's softmax, weighted as in SFT:
// states [N, H] of the scored positions, a head [V, H], and the teacher's logits
// [N, V] at the same positions, taken as constant. Targets are not used.
func Distill(states, head, teacher *Node, s Scored) *Node {
	_, wanted := logSumExp(graph.StopGradient(teacher))
	logits := network.Logits(states, head)
	lse, softmax := logSumExp(logits)
	cross := perRow(logits, func(z *Node) *Node {
		return graph.Sub(graph.StopGradient(lse), graph.ReduceSum(graph.Mul(wanted, z), -1))
	}, func(d *Node) *Node { // d (softmax - teacher's softmax)
		return graph.Mul(graph.Sub(softmax, wanted), d)
	})
	return graph.Div(graph.ReduceAllSum(graph.Mul(cross, s.Weight)), graph.ReduceAllSum(s.Weight))
}
