// Package device is the vector space of models whose variables live on an
// accelerator, or in any backend of GoMLX: [Vector] implements vec.Vector on
// float32 arrays there.
//
// Operations are lazy. A [Space] records what is asked of it, and runs it when a
// number has to be seen by the host: everything recorded since then becomes one
// graph, compiled once for each sequence of operations that occurs, and executed
// as a whole. A bilevel method, written operation by operation against
// vec.Vector, so becomes a few compiled programs per outer iteration, in which
// the compiler fuses the vector operations with the model's, and in which what
// several gradients have in common (the forward pass of a network) is computed
// once; see [Trace.Memo].
//
// [Array] values are immutable, so that copying a vector costs nothing and the
// identity of an array says whether a block has changed since. Storage is
// given back as soon as neither a vector nor a recorded operation needs it, and a
// program writes its results over inputs that nobody needs afterwards.
//
// A Space is used from one goroutine at a time. Failures of the backend (out of
// memory, an operation it lacks) panic with an [*Error], because vec.Vector has
// no errors to return; [Try] turns the panic into an error at the edge of the
// code that works in the space.
package device
