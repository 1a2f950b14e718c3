package network

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/weights"
)

// dense is x w^T for x [N, in] and w [out, in].
func dense(x, w *Node) *Node {
	return graph.DotGeneral(x, []int{1}, nil, w, []int{1}, nil)
}

// linear is a linear layer with its bias and its update, x [N, in] to [N, out].
func (p *pass) linear(x *Node, module string, bias bool) *Node {
	y := dense(x, p.weights(module+".weight"))
	if p.adapter != nil {
		if u, ok := p.adapter.Updates[module]; ok {
			low := dense(p.dropout(x, module), u.A)
			if u.Scale != 1 {
				low = graph.MulScalar(low, u.Scale)
			}
			y = graph.Add(y, dense(low, u.B))
		}
	}
	if bias {
		y = graph.Add(y, row(p.weights(module+".bias")))
	}
	return y
}

// row is a vector [H] as [1, H], which broadcasts over the rows of [N, H].
func row(v *Node) *Node { return graph.Reshape(v, 1, -1) }

// mean is the mean of each row of x [N, H], as [N, 1]. Norms are sums and products
// of elements and not matrix products, which some devices round to fewer bits.
func mean(x *Node) *Node {
	return graph.ReduceAndKeep(x, graph.ReduceMean, -1)
}

// rmsNorm is x / sqrt(mean(x^2) + eps) times the weight.
func (p *pass) rmsNorm(x *Node, name string) *Node {
	r := reciprocalRoot(mean(graph.Mul(x, x)), p.config.Epsilon)
	return graph.Mul(x, graph.Mul(r, row(p.weights(name+".weight"))))
}

// layerNorm is (x - mean) / sqrt(variance + eps) times the weight plus the bias.
func (p *pass) layerNorm(x *Node, name string) *Node {
	x = graph.Sub(x, mean(x))
	return graph.Add(p.rmsNorm(x, name), row(p.weights(name+".bias")))
}

// reciprocalRoot is 1 / sqrt(x + eps). Rsqrt has no gradient in GoMLX.
func reciprocalRoot(x *Node, eps float64) *Node {
	return graph.Reciprocal(graph.Sqrt(graph.AddScalar(x, eps)))
}

// activation is the MLP's nonlinearity.
func (p *pass) activation(x *Node) *Node {
	switch p.config.Activation {
	case weights.SiLU:
		return graph.Mul(x, graph.Logistic(x))
	case weights.GELU:
		phi := graph.MulScalar(graph.AddScalar(graph.Erf(graph.MulScalar(x, math.Sqrt(0.5))), 1), 0.5)
		return graph.Mul(x, phi)
	case weights.GELUTanh:
		// (1 + tanh u)/2 is the logistic function of 2u.
		u := graph.Mul(x, graph.AddScalar(graph.MulScalar(graph.Mul(x, x), 0.044715), 1))
		return graph.Mul(x, graph.Logistic(graph.MulScalar(u, 2*math.Sqrt(2/math.Pi))))
	default:
		panic(fmt.Errorf("network: activation %q, want silu, gelu or gelu_pytorch_tanh", p.config.Activation))
	}
}
