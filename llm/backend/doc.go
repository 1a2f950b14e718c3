// Package backend opens the tensor engine: GoMLX on its pure-Go backend, which is
// compiled in, or on XLA through a PJRT plugin that is loaded from a file.
//
// Find lists the plugins and says in which order they are tried; Open opens a
// backend by name; Check runs a small program on it and compares the numbers.
// XLA needs a build with cgo; without it Open says so and everything else works.
//
// # What programs on the backends can rely on
//
// As seen with GoMLX 0.28.2, compute 0.1.2, go-xla 0.4.1 and the plugin for the
// CPU; docs/llm-backends.md has the figures.
//
// Bits. On the Go backend results have the same bits for any number of processors
// (tested). So they had on XLA's CPU with one processor and two, over whole training
// steps. The two backends, and builds with and without GOEXPERIMENT=simd, differ in
// the last bits.
//
// Donation. An input that is given up (graph.RunWithBuffers, donate; or
// graph.DonateTensorBuffer) is updated in place on the Go backend. On XLA it is
// not: go-xla marks no input as the alias of an output when it compiles, so the
// output is new memory, and donating only frees the input after the run. While a
// program runs, what it updates is there twice; what it only reads, once.
//
// Sharing. Both backends have buffers that the host sees (NewSharedBuffer;
// Buffer.Data is a view of any buffer on the CPU, without a copy). A tensor made
// on the host is copied once into such a buffer when it is first used, and the
// host's copy is dropped; reading it again costs nothing. A GPU has none of this.
//
// Calls. A program costs some microseconds, and about two more for each input and
// output. It is compiled for its shapes: milliseconds on the Go backend, seconds on
// XLA for a training step, so lengths should come from a short list.
//
// Operations. Rsqrt has no gradient: Reciprocal of Sqrt has.
package backend
