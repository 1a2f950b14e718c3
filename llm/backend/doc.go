// Package backend opens the tensor engine: GoMLX on its pure-Go backend, which is
// compiled in, or on XLA through a PJRT plugin that is loaded from a file.
//
// Find lists the plugins and says in which order they are tried; Open opens a
// backend by name; Check runs a small program on it and compares the numbers.
// XLA needs a build with cgo; without it Open says so and everything else works.
package backend
