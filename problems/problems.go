// Package problems defines what a problem family offers: a problem with its
// published settings, its metrics, its known answers and its files. Families
// live in sub-packages; package problems/catalog opens them by name.
package problems

import (
	"io/fs"

	"github.com/bilevel-go/bilevel"
)

// Instance is one problem of a family, ready to be solved.
type Instance struct {
	// Name is the name it was opened by, Title one line for lists and reports,
	// Doc a few sentences on what is decided and who responds.
	Name, Title, Doc string
	// Notices say what in the input has no effect or cannot be had, one sentence each,
	// for a reader who may not have meant it.
	Notices []string
	// Source names where the problem and its figures come from.
	Source  string
	Problem *bilevel.Problem
	// Known are the optima known in closed form, best first.
	Known []Known
	// Published holds, by method name, the settings of the published run as
	// option names and values ("gamma": "15"); "max_iterations" and
	// "tolerance" stand for the fields of bilevel.Settings.
	Published map[string]map[string]string
	// Recommended is the same for corrected mode, where a method's defaults
	// would not do.
	Recommended map[string]map[string]string
	// Metrics computes the family's own figures for an answer; nil when it has
	// none. penalised is y_gamma, or nil.
	Metrics func(x, y, penalised []float64) map[string]float64
	// Files writes the family's own output (a model file, a table) for an answer
	// through create, which opens one file of the run directory. nil: none.
	Files func(x, y, penalised []float64, create func(name string) (File, error)) error
	// Sections show an answer to its reader in the family's own way (a map,
	// tables) in the report; nil: none.
	Sections func(x, y, penalised []float64) ([]Section, error)
	// Compare measures what a practitioner would otherwise do (defaults, grid
	// search); nil: nothing to compare with.
	Compare func(x, y []float64, workers int) ([]Baseline, error)
	// Options are the family's settings as opened (option name to value).
	Options map[string]string
}

// File is what Files writes to.
type File interface {
	Write(p []byte) (int, error)
	Close() error
}

// Section is a family's own part of the report.
type Section struct {
	Title   string   `json:"title"`
	Figures []Figure `json:"figures,omitempty"`
	Tables  []Table  `json:"tables,omitempty"`
}

// Figure is a picture: a self-contained svg element, whose classes do not meet
// those of the report.
type Figure struct {
	Title   string `json:"title"`
	SVG     string `json:"svg"`
	Caption string `json:"caption,omitempty"`
}

// Table has a header and rows of as many cells, the first of which is a name.
type Table struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
	Note  string     `json:"note,omitempty"`
}

// Known is a known solution.
type Known struct {
	X, Y   []float64
	Upper  float64
	Global bool   // globally optimal; otherwise a local minimum of phi
	Source string // "closed form", or who published it
}

// Baseline is one alternative to the answer.
type Baseline struct {
	Name    string             `json:"name"`
	Metrics map[string]float64 `json:"metrics"`
	Seconds float64            `json:"seconds"`
	Note    string             `json:"note,omitempty"`
}

// Request is what a family gets to open an instance.
type Request struct {
	Name   string            // a name of Names
	Mode   bilevel.Mode      // faithful: the published formulation and data
	Seed   uint64            // of splits and generated data
	Method string            // that will solve it, where the published formulation depends on it; may be empty
	Set    map[string]string // the family's settings, checked by it
	Data   fs.FS             // external data, or nil
}

// Family opens instances.
type Family interface {
	// Names lists the names it opens with one line each.
	Names() []Entry
	// Settings lists the family's own settings (a pointer to its options struct,
	// zero), for help texts and to tell them from a method's.
	Settings() any
	// Open builds an instance. Errors are *bilevel.SettingError where a setting
	// is wrong, and name the file and line where data are.
	Open(r Request) (*Instance, error)
}

// Entry is one name in a list.
type Entry struct{ Name, Title string }
