// Package report writes runs as one self-contained HTML page: no script, no
// network, no fonts of its own. [Write] shows a single run with its verdict and
// certificate in words, the convergence of both levels, metrics, settings and how
// to repeat it; several runs become a comparison.
//
// The charts are SVG written here and not by a plotting library, because they take
// the page's colours (light, dark, print) and text size from its style sheet, name
// themselves to a screen reader, and show values under the pointer.
package report
