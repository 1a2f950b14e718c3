package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"

	"github.com/bilevel-go/bilevel"
)

// The names of the backends, as a specification begins with them.
const (
	Go   = "go"
	XLA  = "xla"
	Auto = "auto"
)

// Allowed says what a specification may be.
const Allowed = "go, xla, xla:cpu, xla:cuda, xla:PATH of a PJRT plugin, or auto"

// ErrNoPlugin is matched by the error of Open when there is no plugin that works.
var ErrNoPlugin = errors.New("no XLA plugin works here")

// ErrLeftOut is matched by the error of Open when this build has no XLA.
var ErrLeftOut = errors.New("this build left XLA out: it was built without cgo (CGO_ENABLED=0 or no C compiler); build it again with a C compiler, or use the backend go")

// Info describes an open backend.
type Info struct {
	Name     string   `json:"name"`             // Go or XLA
	Platform string   `json:"platform"`         // "cpu" or "cuda"
	Plugin   string   `json:"plugin,omitempty"` // the plugin's path, for XLA
	Package  string   `json:"package,omitempty"`
	Version  string   `json:"version,omitempty"` // of the package, where it is known
	Devices  []string `json:"devices"`
	// Note is one sentence for the user when Auto chose: which backend, or what
	// XLA would gain. Empty when the backend was asked for by name.
	Note string `json:"note,omitempty"`
}

// String is the backend's specification, which Open takes.
func (i Info) String() string {
	if i.Plugin == "" {
		return i.Name
	}
	return i.Name + ":" + i.Plugin
}

// Open opens the backend that spec names:
//
//	go           the pure-Go backend; the same as the empty specification
//	xla          the first plugin in the order of Find that loads
//	xla:cpu      the same, among those for the CPU; likewise xla:cuda
//	xla:PATH     the PJRT plugin in the file PATH
//	auto         xla where a plugin passes Check, else go; Info.Note says which
//
// The backend is safe for concurrent use. The caller ends it with Finalize, after
// the last tensor and executable of it.
//
// Errors: a specification that is none matches bilevel.ErrInvalid; XLA in a build
// without cgo, ErrLeftOut; no plugin that loads, ErrNoPlugin, with what was tried.
func Open(ctx context.Context, spec string) (compute.Backend, Info, error) {
	name, rest, more := strings.Cut(spec, ":")
	switch {
	case !more && (name == "" || name == Go):
		// Operations one after another, each on all processors. Left to itself the
		// backend also runs operations at the same time, and then stands still for
		// ever when products hold all of its workers and each waits for more.
		b, err := gobackend.New("ops_sequential")
		if err != nil {
			return nil, Info{}, fmt.Errorf("backend %s: %w", Go, err)
		}
		return b, Info{Name: Go, Platform: "cpu", Devices: devices(b)}, nil
	case !more && name == Auto:
		return openAuto(ctx)
	case name == XLA && (!more || rest != ""):
		return openXLA(ctx, rest)
	}
	return nil, Info{}, &bilevel.SettingError{Field: "backend", Value: spec, Allowed: Allowed}
}

// Available lists the names of the backends in this build.
func Available() []string {
	if linked {
		return []string{Go, XLA}
	}
	return []string{Go}
}

func devices(b compute.Backend) []string {
	all := make([]string, b.NumDevices())
	for i := range all {
		all[i] = b.DeviceDescription(compute.DeviceNum(i))
	}
	return all
}

// openXLA opens the plugin at a path, or the first candidate for a platform that
// loads; an empty platform takes any.
func openXLA(ctx context.Context, which string) (compute.Backend, Info, error) {
	if !linked {
		return nil, Info{}, fmt.Errorf("backend %s: %w", XLA, ErrLeftOut)
	}
	switch which {
	case "", "cpu", "cuda":
	default:
		return openPlugin(Candidate{Path: which, Platform: platformOf(which), From: "the path given"})
	}
	b, info, tried, err := first(ctx, which, nil)
	if b != nil || err != nil {
		return b, info, err
	}
	return nil, Info{}, fmt.Errorf("backend %s: %w%s; `bilevel backend install cpu` brings one", strings.TrimSuffix(XLA+":"+which, ":"), ErrNoPlugin, tried)
}

// first opens the first candidate that loads and passes accept; tried says what
// became of the others.
func first(ctx context.Context, platform string, accept func(compute.Backend) error) (b compute.Backend, info Info, tried string, err error) {
	var failures []string
	for stage := range stages(ctx) {
		for _, c := range stage {
			if platform != "" && c.Platform != platform || platform == "" && c.Platform == "cuda" && !hasNVIDIA() {
				continue
			}
			b, info, err := openPlugin(c)
			if err == nil && accept != nil {
				if err = accept(b); err != nil {
					b.Finalize()
				}
			}
			if err == nil {
				return b, info, "", nil
			}
			failures = append(failures, err.Error())
		}
		if err := ctx.Err(); err != nil {
			return nil, Info{}, "", err
		}
	}
	if len(failures) > 0 {
		tried = " (tried: " + strings.Join(failures, "; ") + ")"
	}
	return nil, Info{}, tried, nil
}

// Gain is the sentence that says what XLA would bring to a user of the Go backend.
const Gain = "`bilevel backend install cpu` brings XLA, on which training takes about a twentieth of the time"

func openAuto(ctx context.Context) (compute.Backend, Info, error) {
	var tried string
	if linked {
		b, info, failures, err := first(ctx, "", func(b compute.Backend) error { _, err := Check(b); return err })
		if err != nil {
			return nil, Info{}, err
		}
		if b != nil {
			info.Note = fmt.Sprintf("The tensor backend is XLA on the %s, by the plugin %s.", info.Platform, info.Plugin)
			return b, info, nil
		}
		tried = failures
	}
	b, info, err := Open(ctx, Go)
	switch {
	case err != nil:
	case !linked:
		info.Note = "The tensor backend is pure Go, as this build left XLA out; a build with a C compiler and XLA trains in about a twentieth of the time."
	case tried != "":
		info.Note = "The tensor backend is pure Go, as no XLA plugin works here" + tried + "; " + Gain + "."
	default:
		info.Note = "The tensor backend is pure Go; " + Gain + "."
	}
	return b, info, err
}
