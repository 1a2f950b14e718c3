// Package data turns files of instructions and preferences into the batches that
// the losses of language-model post-training read:
//
//	files -> rows -> split -> examples (token ids) -> batches
//
// [Read] reads JSON, JSON Lines, CSV and Parquet files into rows of text under a
// column mapping; [SplitRows] deals them out to the lower level, the second stage, the
// upper level and held-out evaluation; an [Encoder] lays a row out with a [Template]
// and tokenises it; a [Stream] gives batch k of an endless, seeded sequence, and
// [Sequential] every example once.
//
// Everything is deterministic: the same files, settings and seed give the same
// batches, and batch k needs no state but k.
package data
