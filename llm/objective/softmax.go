package objective

import "github.com/gomlx/gomlx/core/graph"

// perRow is a function of each row of logits [N, V] to [N] with the gradient given:
// backward(z, d) is [N, V] for the adjoint d [N, 1] of the result.
//
// Left to itself, automatic differentiation keeps and makes several matrices [N, V]
// for a softmax and a gather. GoMLX takes a gradient for an identity only, so the
// value is computed outside of differentiation, and column 0 of the identity minus
// itself, which is zero, carries the adjoint back to it.
func perRow(logits *Node, value func(z *Node) *Node, backward func(z, d *Node) *Node) *Node {
	column := func(z *Node) *Node { return graph.Slice(z, graph.AxisRange(), graph.AxisRange(0, 1)) }
	z := graph.IdentityWithCustomGradient(logits, func(z, v *Node) *Node { return backward(z, column(v)) })
	first := graph.Reshape(column(z), -1)
	return graph.Add(graph.StopGradient(value(z)), graph.Sub(first, graph.StopGradient(first)))
}

// elementwise is the same for a function of each entry of a vector.
func elementwise(x *Node, value func(x *Node) *Node, derivative func(x *Node) *Node) *Node {
	y := graph.IdentityWithCustomGradient(x, func(y, v *Node) *Node { return graph.Mul(v, derivative(y)) })
	return graph.Add(graph.StopGradient(value(y)), graph.Sub(y, graph.StopGradient(y)))
}

// logSumExp is log sum_v exp z[v] of each row, [N], and the softmax, [N, V]. What
// is not used of it costs nothing; asked for twice, it is computed once, since
// backends merge equal expressions.
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
