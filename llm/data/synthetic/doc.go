// Package synthetic generates a small set of instructions with preferences, so that
// the post-training of a language model can be tried with nothing to download.
//
// # The language
//
// About 150 words. Prompts ask for arithmetic ("add three four", "what is nine minus two"), for
// operations on lists of colours ("reverse red blue green", "how many are red blue") and for facts ("what
// is the opposite of hot"). Every prompt has one right answer, so that exact match can be
// measured.
//
// # The two goals and their conflict
//
// The supervised response is the bare answer:
//
//	add three four  ->  seven .
//
// The preferred response wraps the same answer in courtesy, and in most pairs the rejected one is
// the supervised response itself, word for word:
//
//	chosen    certainly , the answer is seven . thank you !
//	rejected  seven .
//
// Both objectives therefore pull at the same probabilities in opposite directions. Let p be the
// probability of the bare style for a prompt and q that of the polite one, p + q <= 1, with values
// p0 and q0 in the reference model. Supervised fine-tuning minimises -ln p, so p tends to 1 and q to 0. DPO
// minimises -ln sigma(beta (ln q/q0 - ln p/p0)), so p tends to 0. At the supervised optimum the DPO loss is above
// ln 2, its value before training, and every step that lowers the DPO loss on such a pair raises the supervised loss. No
// model does best at both, whatever its size: what methods differ in is the trade-off they reach.
//
// In the other pairs the rejected response is as polite but wrong. They agree with the supervised
// goal in what the answer is; they keep preference training from being about style alone.
//
// Base rows answer in either style, half and half: a model trained on them is a reference that both
// goals have to move.
package synthetic
