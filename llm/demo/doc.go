// Package demo post-trains a tiny language model with nothing to download, and
// shows what each way to train trades for what.
//
// # The experiment
//
//  1. A Llama with two layers and about 30,000 parameters is trained from scratch
//     on the base rows of package synthetic, which answer in two styles, half and
//     half. It is the base model and the reference of the preference loss.
//  2. Every method starts from it, with updates of rank 8 (x) and the output head
//     (y), the same rates, batches in the same order, and the same budget. The
//     upper objective f is DPO, which asks for the courteous style; the lower one g
//     is supervised fine-tuning, which asks for the bare answer.
//  3. The second stage trains the head alone on the other half of the supervised
//     rows, for as long with every method.
//  4. Everything is measured on held-out prompts, whose losses come from scores of
//     single rows, with intervals, and whose answers the model writes itself.
//
// # The budget
//
// A budget counts token places, padding included, that go through the backbone: one
// for a forward pass and one for a backward pass, which with frozen weights costs
// as much. A step of PBGD-Free so costs two passes of the preference batch and one
// of the supervised batch; of V-PBGD two more of the supervised batch; of ALRIGHT
// and of the stages of a sequence two of the preference batch or one of the
// supervised batch. Steps of the head on states that are known cost none, so the
// inner steps of V-PBGD are free: the count favours it. Each method ends with the
// step that reaches the budget. Evaluations and measurements of flatness are outside
// of it.
//
// The same seed and backend give the same bits; sums are ordered differently on
// different backends.
package demo
