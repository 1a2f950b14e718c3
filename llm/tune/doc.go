// Package tune post-trains a language model as a bilevel problem,
//
//	min over x of f(x, y)   subject to   y in argmin over y of g(x, y),
//
// with x the low-rank updates (LoRA) of the backbone and y the output head, a
// matrix of its own. Commonly f is a preference loss (DPO) and g supervised
// fine-tuning (SFT): the backbone learns preferences in foresight of a head that
// is fitted to the supervised data.
//
// [Model] is that problem for the methods of package method, on device vectors.
// In one outer iteration f and g are means over one batch each, the same in all
// its inner steps. The backbone's states at the scored positions are computed
// once for each x and batch: steps of y touch the head alone, and an x gradient
// that follows in the same program continues from the same forward pass.
//
// [Run] trains, evaluates on held-out rows, records and resumes; see its Config.
//
// Source: arXiv 2507.20400.
package tune
