// Package network writes language models as GoMLX graphs: the Llama family and
// GPT-NeoX, with low-rank updates of any linear layer, for training (whole
// sequences) and for generation (a few new tokens after a cache of keys and
// values).
//
// Everything is a function of graph nodes: the weights, the updates and the ids
// come in as nodes of a graph that the caller is building, the hidden states go
// out, and the caller takes gradients with graph.Gradient with respect to
// whatever it wants. Nothing is kept between calls.
//
// Misuse panics with an error, as GoMLX does while a graph is built; Catch turns
// that into a returned error at the place where the graph is made.
//
// # Padding
//
// Sequences are padded on the right and there is no padding mask. Attention is
// causal: position t sees positions 0 to t only, so nothing after a sequence's
// last token can change its hidden states, and a position that is not scored has
// no gradient. What is written into the padding is of no consequence.
package network
