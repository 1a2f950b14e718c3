package run

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
	"github.com/bilevel-go/bilevel/problems"
)

// Floats is v with not-a-number and infinities as null in JSON.
func Floats(v []float64) []certify.Number {
	if v == nil {
		return nil
	}
	w := make([]certify.Number, len(v))
	for i, x := range v {
		w[i] = certify.Number(x)
	}
	return w
}

// Plain is the inverse of Floats.
func Plain(v []certify.Number) []float64 {
	if v == nil {
		return nil
	}
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}

// Document is the object of result.json, and what the program prints with --json.
type Document struct {
	Problem string         `json:"problem"`
	Method  string         `json:"method"`
	Mode    string         `json:"mode"`
	Seed    uint64         `json:"seed"`
	Status  bilevel.Status `json:"status"`
	Message string         `json:"message"`
	// X, Y and Multipliers are the point, or absent where PointFile names the
	// file of the run directory that holds it.
	X           []certify.Number `json:"x,omitempty"`
	Y           []certify.Number `json:"y,omitempty"`
	Multipliers []certify.Number `json:"multipliers,omitempty"`
	PointFile   string           `json:"point_file,omitempty"`
	// Upper and Lower are f and g at the point.
	Upper   certify.Number            `json:"upper"`
	Lower   certify.Number            `json:"lower"`
	Metrics map[string]certify.Number `json:"metrics"`
	// Certificate is nil while the answer has not been measured.
	Certificate *certify.Certificate `json:"certificate"`
	Stats       Stats                `json:"stats"`
	Version     string               `json:"version"`
}

// Stats says what a run cost. Times are in seconds and include the earlier parts
// of a resumed run; CPU is null where runs share the process.
type Stats struct {
	Wall        certify.Number `json:"wall_s"`
	CPU         certify.Number `json:"cpu_s"`
	Outer       int            `json:"outer_iterations"`
	Inner       int64          `json:"inner_iterations"`
	F           int64          `json:"f"`
	G           int64          `json:"g"`
	GradF       int64          `json:"grad_f"`
	GradG       int64          `json:"grad_g"`
	HessVec     int64          `json:"hess_vec"`
	LowerSolves int64          `json:"lower_solves"`
}

// Point is a point on its own: point.json, and the file of `certify --point`.
type Point struct {
	X           []certify.Number `json:"x"`
	Y           []certify.Number `json:"y,omitempty"`
	Multipliers []certify.Number `json:"multipliers,omitempty"`
}

// Details is what a report says beside the result.
type Details struct {
	Title   string    `json:"title,omitempty"`
	Doc     string    `json:"doc,omitempty"`
	Notices []string  `json:"notices,omitempty"` // of the problem's input
	Source  string    `json:"source,omitempty"`
	Command []string  `json:"command,omitempty"` // the command line that repeats the run
	Started time.Time `json:"started"`
	NX      int       `json:"nx"`
	NY      int       `json:"ny"`
	Rows    int       `json:"rows"` // of the coupling constraint
	// Differences names the derivatives that came from finite differences.
	Differences []string       `json:"differences,omitempty"`
	Notes       []bilevel.Note `json:"notes,omitempty"`
	Known       []Known        `json:"known,omitempty"`
	Baselines   []Baseline     `json:"baselines,omitempty"`
	Files       []string       `json:"files,omitempty"` // the family's own, in the run directory
	// Sections are the family's own parts of the report.
	Sections []problems.Section `json:"sections,omitempty"`
}

// Known is a known solution beside the answer.
type Known struct {
	Upper    certify.Number `json:"upper"`
	Distance certify.Number `json:"distance"` // largest component of x - x*
	Global   bool           `json:"global"`
	Source   string         `json:"source"`
}

// Baseline is what a practitioner would otherwise do.
type Baseline struct {
	Name    string                    `json:"name"`
	Metrics map[string]certify.Number `json:"metrics"`
	Seconds certify.Number            `json:"seconds"`
	Note    string                    `json:"note,omitempty"`
}

// longest is how many numbers result.json holds at most; more go to point.json.
const longest = 10000

func newDocument(r *bilevel.Result, cpu float64) *Document {
	c := &r.Counts
	d := &Document{Problem: r.Problem, Method: r.Method, Mode: r.Mode.String(), Seed: r.Seed, Status: r.Status, Message: r.Message,
		X: Floats(r.X), Y: Floats(r.Y), Multipliers: Floats(r.Multipliers), Upper: certify.Number(r.Upper), Lower: certify.Number(r.Lower),
		Metrics: map[string]certify.Number{}, Version: Version(),
		Stats: Stats{Wall: certify.Number(r.Wall.Seconds()), CPU: certify.Number(cpu), Outer: r.Iterations, Inner: c.Inner, F: c.F, G: c.G,
			GradF: c.GradF, GradG: c.GradG, HessVec: c.HessVec, LowerSolves: c.LowerSolves}}
	if len(d.X)+len(d.Y)+len(d.Multipliers) > longest {
		d.PointFile, d.X, d.Y, d.Multipliers = PointFile, nil, nil, nil
	}
	return d
}

func metrics(m map[string]float64) map[string]certify.Number {
	out := make(map[string]certify.Number, len(m))
	for k, v := range m {
		out[k] = certify.Number(v)
	}
	return out
}

func baselines(all []problems.Baseline) []Baseline {
	var out []Baseline
	for _, b := range all {
		out = append(out, Baseline{b.Name, metrics(b.Metrics), certify.Number(b.Seconds), b.Note})
	}
	return out
}

// WriteJSON writes v indented, with a line end.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// ParsePoint reads a point: {"x": [...], "y": [...], "multipliers": [...]}, y and
// multipliers optional. path names it in errors, which match bilevel.ErrInvalid.
func ParsePoint(path string, r io.Reader) (*Point, error) {
	var p Point
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	bad := func(why string) error {
		return &bilevel.SettingError{Field: path, Value: why, Allowed: `{"x": [...], "y": [...], "multipliers": [...]}, y and multipliers optional`}
	}
	if err := d.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("empty or cut short")
		}
		return nil, bad(err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("more than one object")
	}
	if len(p.X) == 0 {
		return nil, bad("no x")
	}
	return &p, nil
}
