// Package method holds the bilevel algorithms, one file each, headed by its
// equations, assumptions, failure modes and source. Parameters are struct
// fields with documented defaults (tag default) and ranges; a zero field is the
// default.
//
// In corrected mode a finished run reports y_g(x), from an exact lower-level
// solve at the final x, as Y, and keeps the penalised solution beside it; in
// faithful mode it reports what was published.
package method
