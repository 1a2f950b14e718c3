// Package training keeps the trainings of language models in run directories:
//
//	config.yaml           the settings as resolved; it runs the same again
//	result.json           a run.Document: figures, certificate, cost
//	details.json          rows, stages, samples: what the report shows beside
//	trace.csv             one row per step
//	evaluations.csv       one row per evaluation on held-out rows
//	adapter/              the updates in PEFT's format
//	lm_head.safetensors   the output head
//	split.json            which row is in which part
//	samples.json          answers before and after
//	checkpoint/           what an interrupted training goes on from
//	events/               TensorBoard's files, where asked for
//	log.jsonl, report.html
//
// Package llm/tune trains; this package reads its configuration, records what it
// does and measures up its outcome.
package training
