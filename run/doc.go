// Package run keeps runs in directories. A run directory holds
//
//	config.yaml   the settings as resolved; `bilevel solve config.yaml` runs the same again
//	result.json   the answer and its certificate (type [Document])
//	details.json  what a report says beside it: notes, baselines, known optima (type [Details])
//	point.json    x, y and multipliers where they are too long for result.json
//	trace.csv     one row per recorded outer iteration
//	log.jsonl     the log, one JSON object a line
//	checkpoint/   the state from which an interrupted or limited run goes on to the same bits
//
// and the problem family's own files. Files that a later step reads are written
// under another name, flushed to the disk and renamed: a full disk or a killed
// process leaves the old file or none, never half of one.
//
// [Prepare] opens what a [Config] names, [Execute] solves, measures and writes,
// [Compare] does so for several methods and seeds, and [Open] reads a directory
// back.
package run
