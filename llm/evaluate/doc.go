// Package evaluate measures language models on held-out rows: perplexity of given
// responses, and BLEU, exact match and the accuracy of final answers of responses
// that the model generates itself. Prompts never count, only responses.
//
// # Definitions
//
// Perplexity is exp of the mean cross-entropy over all response tokens of all rows,
// the end token among them: long responses weigh more than short ones. It depends on
// the tokenizer; compare models of one tokenizer.
//
// BLEU compares words, see Words, with up to 4-grams of equal weight:
//
//	p_n  = sum of clipped matches of n-grams / sum of n-grams of the hypotheses
//	BP   = 1 if c > r, else exp(1 - r/c)
//	BLEU = BP exp(1/4 sum_n log p_n)
//
// with c the length of all hypotheses and r that of the references closest to them
// in length. A match is clipped at the largest count in one reference. Where no
// n-gram matches for some n > 1, 0.1 is taken for the count (smoothing method 1 of
// Chen and Cherry, with NLTK's epsilon); where no word matches, BLEU is 0. A sentence
// shorter than n words counts as one n-gram without a match, as in NLTK, whose
// sentence_bleu and corpus_bleu give the same numbers on the same words. From 0 to 1.
// Sources: Papineni et al., ACL 2002 (P02-1040); Chen and Cherry, WMT 2014 (W14-3346).
//
// ExactMatch is equality of texts whose white space is one space each, without any at
// the ends.
//
// Answer is the final answer of a solution in the style of GSM8K (Cobbe et al., arXiv
// 2110.14168): the number after the first "####", where there is one, else the last
// number of the text.
package evaluate
