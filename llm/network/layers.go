package network

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
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
		y = graph.Add(y, rows(p.weights(module+".bias"), x.Shape().Dimensions[0]))
	}
	return y
}

// rows repeats a vector [H] as the rows of [n, H]: an outer product with ones,
// whose gradient is a product too. A backend that fuses sees a broadcast, and one
// that does not has a product for it that is faster than its general broadcast.
func rows(v *Node, n int) *Node {
	return outer(constant(v.Graph(), n, 1), v)
}

// outer is the outer product of a column [N, 1] and a vector [H].
func outer(column, v *Node) *Node {
	return graph.DotGeneral(column, []int{1}, nil, graph.Reshape(v, -1, 1), []int{1}, nil)
}

// constant is a column [n, 1] of one value.
func constant(g *graph.Graph, n int, value float64) *Node {
	return graph.FillScalar(g, shapes.Make(dtypes.Float32, n, 1), value)
}

// mean is the mean of each row of x [N, H], as [N, 1].
func mean(x *Node) *Node {
	h := x.Shape().Dimensions[1]
	weight := graph.FillScalar(x.Graph(), shapes.Make(dtypes.Float32, 1, h), 1/float64(h))
	return dense(x, weight)
}

// rmsNorm is x / sqrt(mean(x^2) + eps) times the weight.
func (p *pass) rmsNorm(x *Node, name string) *Node {
	r := reciprocalRoot(mean(graph.Mul(x, x)), p.config.Epsilon)
	return graph.Mul(x, outer(r, p.weights(name+".weight")))
}

// layerNorm is (x - mean) / sqrt(variance + eps) times the weight plus the bias.
func (p *pass) layerNorm(x *Node, name string) *Node {
	n, h := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	ones := graph.FillScalar(x.Graph(), shapes.Make(dtypes.Float32, h), 1)
	x = graph.Sub(x, outer(mean(x), ones))
	r := reciprocalRoot(mean(graph.Mul(x, x)), p.config.Epsilon)
	x = graph.Mul(x, outer(r, p.weights(name+".weight")))
	return graph.Add(x, rows(p.weights(name+".bias"), n))
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
