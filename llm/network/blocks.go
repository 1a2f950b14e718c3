package network

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
)

// llama is block i of the Llama family: h = x + attention(norm x), then
// h + down(silu(gate(norm h)) * up(norm h)).
func (p *pass) llama(i int, x *Node) *Node {
	c := &p.config
	prefix := fmt.Sprintf("model.layers.%d.", i)
	layer := func(x *Node, name string, bias bool) *Node { return p.linear(x, prefix+name, bias) }

	h := p.rmsNorm(x, prefix+"input_layernorm")
	h = p.attention(i,
		layer(h, "self_attn.q_proj", c.AttentionBias),
		layer(h, "self_attn.k_proj", c.AttentionBias),
		layer(h, "self_attn.v_proj", c.AttentionBias))
	x = graph.Add(x, layer(h, "self_attn.o_proj", c.AttentionBias))

	h = p.rmsNorm(x, prefix+"post_attention_layernorm")
	h = graph.Mul(p.activation(layer(h, "mlp.gate_proj", c.MLPBias)), layer(h, "mlp.up_proj", c.MLPBias))
	return graph.Add(x, layer(h, "mlp.down_proj", c.MLPBias))
}

// neox is block i of GPT-NeoX: x + attention(norm1 x) + mlp(norm2 x) with the
// parallel residual; h = x + attention(norm1 x), then h + mlp(norm2 h), without.
// Rows of query_key_value are, head by head, query, key and value.
func (p *pass) neox(i int, x *Node) *Node {
	c := &p.config
	prefix := fmt.Sprintf("gpt_neox.layers.%d.", i)

	h := p.linear(p.layerNorm(x, prefix+"input_layernorm"), prefix+"attention.query_key_value", c.AttentionBias)
	h = graph.Reshape(h, -1, c.Heads, 3, c.HeadSize)
	part := func(j int) *Node {
		s := graph.Slice(h, graph.AxisRange(), graph.AxisRange(), graph.AxisElem(j), graph.AxisRange())
		return graph.Reshape(s, -1, c.Heads*c.HeadSize)
	}
	attention := p.linear(p.attention(i, part(0), part(1), part(2)), prefix+"attention.dense", c.AttentionBias)

	in := x
	if !c.ParallelResidual {
		in = graph.Add(x, attention)
	}
	h = p.layerNorm(in, prefix+"post_attention_layernorm")
	h = p.activation(p.linear(h, prefix+"mlp.dense_h_to_4h", c.MLPBias))
	h = p.linear(h, prefix+"mlp.dense_4h_to_h", c.MLPBias)
	if c.ParallelResidual {
		h = graph.Add(h, attention)
	}
	return graph.Add(in, h)
}
