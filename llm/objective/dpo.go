package objective

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// DPO holds the settings of the preference loss.
type DPO struct {
	Beta           float64 // scale of the rewards, > 0
	LabelSmoothing float64 // eps, the share of preferences taken to be wrong, in [0, 0.5)
	IPO            bool    // the squared loss; LabelSmoothing is not used
}

// DefaultDPO is the published setting: beta 0.1, no smoothing.
func DefaultDPO() DPO { return DPO{Beta: 0.1} }

// Preference is what DPO makes of a batch of P pairs.
type Preference struct {
	Loss     *Node // scalar, the weighted mean over pairs
	Accuracy *Node // scalar, share of pairs whose chosen reward is larger
	Margin   *Node // scalar, mean of chosen - rejected reward
	// By pair, [P].
	Losses, Chosen, Rejected *Node // loss, rewards
}

// Loss is the preference loss for P pairs: policy and reference log-probabilities
// [2P], the P chosen sequences first, then the P rejected ones in the same order.
// The reference is taken as constant. Weights [P] of the pairs may be nil (all the
// same); they are divided by their sum.
func (o DPO) Loss(policy, reference, weight *Node) Preference {
	size := policy.Shape().Dimensions[0]
	switch {
	case !(o.Beta > 0):
		panic(fmt.Errorf("objective: DPO.Beta is %g, want a number > 0", o.Beta))
	case !(o.LabelSmoothing >= 0 && o.LabelSmoothing < 0.5):
		panic(fmt.Errorf("objective: DPO.LabelSmoothing is %g, want a number in [0, 0.5)", o.LabelSmoothing))
	case policy.Rank() != 1 || size%2 != 0 || !reference.Shape().Equal(policy.Shape()):
		panic(fmt.Errorf("objective: log-probabilities are %s and %s, want [2P] float32 for P pairs", policy.Shape(), reference.Shape()))
	}
	pairs := size / 2
	g := policy.Graph()
	mean := graph.ReduceAllMean
	if weight != nil {
		share := graph.Div(weight, graph.ReduceAllSum(weight))
		mean = func(x *Node) *Node { return graph.ReduceAllSum(graph.Mul(x, share)) }
	}

	reward := graph.MulScalar(graph.Sub(policy, graph.StopGradient(reference)), o.Beta)
	chosen := graph.Slice(reward, graph.AxisRange(0, pairs))
	rejected := graph.Slice(reward, graph.AxisRange(pairs, size))
	// beta d, as a sum and not from the slices: a slice has no second derivative in
	// GoMLX.
	signs := graph.Const(g, [][]float32{{1}, {-1}})
	margin := graph.ReduceSum(graph.Mul(graph.Reshape(reward, 2, pairs), signs), 0)

	var losses *Node
	switch {
	case o.IPO:
		off := graph.AddScalar(graph.MulScalar(margin, 1/o.Beta), -1/(2*o.Beta))
		losses = graph.Mul(off, off)
	case o.LabelSmoothing > 0:
		losses = graph.Neg(graph.Add(
			graph.MulScalar(logLogistic(margin), 1-o.LabelSmoothing),
			graph.MulScalar(logLogistic(graph.Neg(margin)), o.LabelSmoothing)))
	default:
		losses = graph.Neg(logLogistic(margin))
	}
	right := graph.Where(graph.GreaterThan(margin, graph.ScalarZero(g, dtypes.Float32)),
		graph.ScalarOne(g, dtypes.Float32), graph.ScalarZero(g, dtypes.Float32))
	return Preference{
		Loss: mean(losses), Accuracy: mean(right), Margin: mean(margin),
		Losses: losses, Chosen: chosen, Rejected: rejected,
	}
}
