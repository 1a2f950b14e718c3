package objective

import "github.com/gomlx/gomlx/core/graph"

// perRow is a function of each row of logits [N, V] to [N] with the gradient given:
// backward(d) is [N, V] for the adjoint d [N, 1] of the result.
//
// Left to itself, automatic differentiation keeps and makes several matrices [N, V]
// for a softmax and a gather. GoMLX takes a gradient for an identity only, and gives
// it what arrives in the identity's own shape; so a second identity, behind the
// value, notes the adjoint first, and what value's own gradient makes of it is not
// used and not computed. Value must depend on z and need not depend on it in full.
// Backward is a function of the logits in front of the identity, so that it can be
// differentiated again.
func perRow(logits *Node, value func(z *Node) *Node, backward func(d *Node) *Node) *Node {
	var adjoint *Node
	z := graph.IdentityWithCustomGradient(logits, func(_, _ *Node) *Node { return backward(graph.InsertAxes(adjoint, -1)) })
	return graph.IdentityWithCustomGradient(value(z), func(_, v *Node) *Node {
		adjoint = v
		return v
	})
}

// elementwise is a function of each entry of a vector with the derivative given: the
// value stands outside of differentiation, and the identity minus itself, which is
// zero, carries the gradient.
func elementwise(x *Node, value func(x *Node) *Node, derivative func(x *Node) *Node) *Node {
	y := graph.IdentityWithCustomGradient(x, func(_, v *Node) *Node { return graph.Mul(v, derivative(x)) })
	return graph.Add(graph.StopGradient(value(x)), graph.Sub(y, graph.StopGradient(y)))
}

// logSumExp is log sum_v exp z[v] of each row, [N], and the softmax, [N, V]. What
// is not used of it costs nothing.
func logSumExp(z *Node) (lse, softmax *Node) {
	top := graph.StopGradient(graph.ReduceAndKeep(z, graph.ReduceMax, -1))
	e := graph.Exp(graph.Sub(z, top))
	sum := graph.ReduceAndKeep(e, graph.ReduceSum, -1)
	return graph.Reshape(graph.Add(top, graph.Log(sum)), -1), graph.Mul(e, graph.Reciprocal(sum))
}

// logLogistic is log(1/(1+exp(-x))) = min(x, 0) - log(1 + exp(-|x|)). Its derivative
// is given, because at 0, where DPO starts, those of min and |x| are not the
// function's.
func logLogistic(x *Node) *Node {
	return elementwise(x, func(x *Node) *Node {
		return graph.Sub(graph.MinScalar(x, 0), graph.Log1p(graph.Exp(graph.Neg(graph.Abs(x)))))
	}, func(x *Node) *Node { return graph.Logistic(graph.Neg(x)) })
}
