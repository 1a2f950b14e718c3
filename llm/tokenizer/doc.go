// Package tokenizer turns text into the token ids of a language model and ids
// back into text.
//
// It reads tokenizer.json exactly as the Hugging Face tokenizers library does
// (byte-pair encoding, byte-level or with byte fallback; normalizers,
// pre-tokenizers, added tokens, post-processors and decoders), llama2.c
// tokenizer files, and the vocabulary of a GGUF file. Text passes through
//
//	added tokens -> normalizer -> added tokens -> pre-tokenizer -> byte-pair encoding -> post-processor
//
// A [Tokenizer] is safe for concurrent use and its results do not depend on the
// number of goroutines. Text that is not valid UTF-8 is read with U+FFFD for
// every maximal invalid part, as Python's errors="replace" does.
//
// The settings truncation and padding of tokenizer.json are not applied:
// whoever builds batches decides on lengths.
package tokenizer
