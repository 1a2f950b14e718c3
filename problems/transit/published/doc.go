// Package published repeats the published BLOCC runs on transit networks (arXiv
// 2406.10148 and its code), number for number: its [Problem] is the published
// formulation, its oracle the published inner loop, and method BLOCC with the
// published step does the rest.
package published
