// Package generate writes text with a language model: token by token, with a cache
// of the keys and values of what went before, for one prompt or for many at once.
//
// Logits come from the device; what follows them, the choice of the next token, is
// made on the host in float64 (Sampler), but for greedy decoding, where the device
// returns the token itself. Let z be the logits of the next token. Then
//
//	z_i <- z_i / r if z_i > 0, z_i r otherwise, for tokens i that occurred  (repetition penalty r)
//	p = softmax(z / T)                                                     (temperature T)
//	top-k    keeps the k most probable tokens
//	top-p    keeps the smallest set of most probable tokens with mass >= P
//	min-p    keeps tokens with p_i >= m max p
//
// in this order, each filter on what the one before left, renormalised, and a token
// is drawn from the rest. Sources: top-p, Holtzman et al., arXiv 1904.09751; min-p,
// Nguyen et al., arXiv 2407.01082; repetition penalty, Keskar et al., arXiv
// 1909.05858. The order is that of transformers.
//
// Prompts of different lengths share a batch: each row keeps its own position, and
// as rows end, others take their places. A row's text depends on its prompt, the
// settings and its place in the list of prompts, not on its neighbours, but for the
// rounding of float32 between shapes; the same call gives the same text on one
// backend.
//
// Every shape of a graph is compiled once, which takes XLA up to seconds: prompts
// are fed in pieces of one of a few lengths, and the cache has one of a few sizes.
package generate
